//! Who may still come and go first: the others of schools of which nobody waits, or not so many.
//!
//! A pupil who comes later goes first all the same if fewer of the own school wait. So behind a flood, or
//! at a small school that came early, more go first than stand in the line. How many come is seen: of
//! each school, and of all, a moment ago. They come as fast until as many have come as are enrolled. Of
//! that follows how far the room will have been called at some times from now (water-filling, as the
//! release does it), and how many of the others have gone by then.

use std::time::Duration;

use crate::curve::Curve;
use crate::room::{Room, School};
use crate::turn::Turn;

/// How fast they come is measured with this time constant, in seconds; at first over that time at least.
const TIME: f64 = 15.0;
const AT_FIRST: f64 = 2.0;
/// So much of the rate of a school is its own; the rest is what it has of those of all by its enrolment:
/// a school of which nobody has come yet is not one of which nobody comes.
const OWN: f64 = 0.5;
/// Beyond its enrolment a school goes on for so many seconds.
const BEYOND: f64 = 5.0;
/// Once nobody has waited for so long, another crowd begins.
const ANOTHER: Duration = Duration::from_mins(10);
/// The times from now at which it is looked, in seconds: the first, each so many times the one before, and
/// none after the longest. How many turns are kept of that.
const FIRST: f64 = 0.5;
const FURTHER: f64 = 1.3;
const LONGEST: f64 = 7_200.0;
const LOOKS: usize = 36;
/// Steps towards a level, and how near to it is near enough, in pupils.
const STEPS: usize = 6;
const NEAR: f64 = 0.5;

/// One school's line.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// Pupils who had come at the last step, and when this crowd began.
    seen: u64,
    began: u64,
    /// Pupils per second.
    rate: f64,
}

/// A line as it may go on.
struct Further {
    /// From this turn.
    from: u64,
    /// Pupils per unit of turn, and per second.
    width: f64,
    rate: f64,
    most: f64,
}

/// How fast each school's pupils come. A few bytes per school.
#[derive(Clone, Debug, Default)]
pub(super) struct Newcomers {
    lines: Vec<Line>,
    /// For how long it was measured, in seconds.
    measured: f64,
    /// Since when nobody has waited.
    quiet: Option<Duration>,
}

impl Newcomers {
    /// Looks how many have come in `dt`, over all schools.
    pub(super) fn step(&mut self, now: Duration, dt: Duration, room: &Room) -> f64 {
        let crowded = room.schools().iter().any(|s| s.last().0 > room.serving().0);
        let quiet = self.quiet.map(|since| now.saturating_sub(since));
        let another = crowded && quiet.is_some_and(|quiet| quiet >= ANOTHER);
        self.quiet = (!crowded).then(|| self.quiet.unwrap_or(now));
        if self.lines.len() != room.schools().len() || another {
            self.measured = 0.0;
            let lines = room.schools().iter().map(|school| Line {
                seen: school.joined(),
                began: school.joined() - waiting(room, school).min(school.joined()),
                rate: 0.0,
            });
            self.lines = lines.collect();
            return 0.0;
        }
        let dt = dt.as_secs_f64();
        if crowded {
            self.measured += dt;
        } else {
            self.measured = 0.0;
        }
        let weight = (dt / self.measured.clamp(AT_FIRST, TIME)).min(1.0);
        let mut joined = 0.0;
        for (line, school) in self.lines.iter_mut().zip(room.schools()) {
            let came = (school.joined() - line.seen) as f64;
            line.seen = school.joined();
            joined += came;
            if dt > 0.0 {
                line.rate += weight * (came / dt - line.rate);
            }
        }
        joined
    }

    /// How many more will have gone before some turns, if the room is called at a pace in pupils per second.
    pub(super) fn ahead(&self, room: &Room, curve: &Curve, pace: f64) -> Vec<(u64, f64)> {
        let further = self.further(room);
        let mut points: Vec<(u64, f64)> = Vec::with_capacity(LOOKS);
        if further.is_empty() {
            return points;
        }
        let (mut at, end) = (room.serving().0, curve.end());
        let mut after = FIRST;
        while points.len() < LOOKS && at < end {
            let gone;
            (at, gone) = reach(&further, curve, at, (after, pace * after));
            match points.last_mut() {
                Some(last) if last.0 == at => last.1 = last.1.max(gone),
                Some(last) => {
                    let gone = gone.max(last.1);
                    points.push((at, gone));
                }
                None => points.push((at, gone)),
            }
            after *= FURTHER;
            if after > LONGEST {
                break;
            }
        }
        points
    }

    /// How each line may go on.
    fn further(&self, room: &Room) -> Vec<Further> {
        let serving = room.serving().0;
        let left = |line: &Line, school: &School| {
            let came = line.seen - line.began;
            u64::from(school.weight().pupils()).saturating_sub(came) as f64
        };
        let lines = || self.lines.iter().zip(room.schools());
        let (mut rates, mut all) = (0.0, 0.0);
        for (line, school) in lines() {
            let left = left(line, school);
            all += left;
            rates += if left > 0.0 { line.rate } else { 0.0 };
        }
        let further = lines().map(|(line, school)| {
            let left = left(line, school);
            let part = if all > 0.0 { left / all } else { 0.0 };
            let rate = if left > 0.0 {
                OWN * line.rate + (1.0 - OWN) * rates * part
            } else {
                line.rate
            };
            Further {
                from: school.last().0.max(serving),
                width: 1.0 / school.step() as f64,
                rate,
                most: left.max(BEYOND * line.rate),
            }
        });
        further.filter(|f| f.rate > 0.0 && f.most > 0.0).collect()
    }
}

/// From a turn on: the turn up to which so many pupils have gone after so many seconds, and how many of
/// them are not in the line yet.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a distance between two turns, not negative"
)]
fn reach(further: &[Further], curve: &Curve, from: u64, (after, pupils): (f64, f64)) -> (u64, f64) {
    let (mut at, end) = (from, curve.end());
    let (mut others, mut slope) = level(further, at, after);
    for _ in 0..STEPS {
        let missing = pupils - curve.ahead(Turn(at)) - others;
        let slope_here = slope + curve.slope(at);
        if missing < NEAR || slope_here <= 0.0 || at >= end {
            break;
        }
        at = at.saturating_add((missing / slope_here) as u64).min(end);
        (others, slope) = level(further, at, after);
    }
    (at, others)
}

/// How many others go before a turn if it comes `after` seconds, and how many per unit of turn above it.
fn level(further: &[Further], at: u64, after: f64) -> (f64, f64) {
    let (mut sum, mut slope) = (0.0, 0.0);
    for line in further {
        let come = (line.rate * after).min(line.most);
        let places = at.saturating_sub(line.from) as f64 * line.width;
        sum += come.min(places);
        if at >= line.from && places < come {
            slope += line.width;
        }
    }
    (sum, slope)
}

fn waiting(room: &Room, school: &School) -> u64 {
    school.between(room.serving(), u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Newcomers;
    use crate::curve::Curve;
    use crate::room::{Room, SchoolIndex};
    use crate::turn::{SchoolKey, Turn, Weight};

    const STEP: Duration = Duration::from_millis(250);
    const FLOODED: SchoolIndex = SchoolIndex(0);

    /// Ten schools of a thousand pupils; two thousand have come to one of them.
    fn flooded() -> (Room, Newcomers) {
        let mut room = Room::new((0..10).map(|n| (SchoolKey(n), Weight::new(1_000).unwrap())));
        let mut newcomers = Newcomers::default();
        for _ in 0..2_000 {
            room.join(FLOODED).unwrap();
        }
        newcomers.step(Duration::ZERO, STEP, &room);
        (room, newcomers)
    }

    /// Of each school but one so many come every step, and are called at once.
    fn come(room: &mut Room, newcomers: &mut Newcomers, steps: u32, each: u64) {
        let began = newcomers.measured;
        for step in 1..=steps {
            for school in (1..10).flat_map(|n| (0..each).map(move |_| SchoolIndex(n))) {
                room.join(school).unwrap();
            }
            room.release(9 * each);
            let now = Duration::from_secs_f64(began) + STEP * step;
            newcomers.step(now, STEP, room);
        }
    }

    /// How many more go before the last turn of the flooded school, if a hundred a second are called.
    fn before_the_last(room: &Room, newcomers: &Newcomers) -> f64 {
        let line = Curve::of_pupils(room);
        let last = room.schools()[0].last();
        line.with(&newcomers.ahead(room, &line, 100.0)).ahead(last) - line.ahead(last)
    }

    #[test]
    fn behind_a_flood_those_count_who_still_come_up_to_enrolment() {
        let (mut room, mut newcomers) = flooded();
        come(&mut room, &mut newcomers, 80, 2);
        // They come at 72 a second and leave 28 to a line of 2,000.
        let (others, expected) = (before_the_last(&room, &newcomers), 72.0 * 2_000.0 / 28.0);
        assert!(
            (others / expected - 1.0).abs() < 0.05,
            "{others} of {expected}"
        );
        come(&mut room, &mut newcomers, 400, 2);
        // Hardly anybody is left to come.
        let left = f64::from(9 * (1_000 - 480 * 2));
        let others = before_the_last(&room, &newcomers);
        assert!((others / left - 1.0).abs() < 0.2, "{others} of {left}");
    }

    #[test]
    fn if_nobody_comes_any_more_nobody_goes_first() {
        let (mut room, mut newcomers) = flooded();
        come(&mut room, &mut newcomers, 40, 2);
        come(&mut room, &mut newcomers, 600, 0);
        let others = before_the_last(&room, &newcomers);
        assert!(others < 10.0, "{others}");
    }

    #[test]
    fn whoever_is_next_is_behind_nobody_who_comes_later() {
        let (mut room, mut newcomers) = flooded();
        come(&mut room, &mut newcomers, 40, 2);
        let line = Curve::of_pupils(&room);
        let all = line.with(&newcomers.ahead(&room, &line, 100.0));
        let next = Turn(room.serving().0 + 1);
        assert!(all.ahead(next) < 1.0);
    }
}
