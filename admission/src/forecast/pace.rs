//! The pace that is promised: measured, held against noise, and taken back only for a reason.

use std::time::Duration;

use super::Reason;
use crate::span::Span;

/// Time constants of what is measured, in seconds where nothing else is said.
const CAPACITY_TIME: Span = Span {
    seconds: 8.0,
    pupils: 20.0,
};
const SHOW_TIME: f64 = 8.0;
const CALLED_TIME: f64 = 90.0;
/// What is assumed at first of the pupils called counts as so many seconds of measuring.
const CALLED_ASSUMED: f64 = 8.0;
/// A capacity that stays away from its average by so much has changed, and the average starts anew
/// there: after so many seconds if it fell; if it rose after so many, and the time after which a
/// login counts as lost: what a pacer believes of slow logins it believes for long. Short of that it counts as no more than
/// so much away.
const CHANGED: f64 = 0.2;
const FELL: Duration = Duration::from_millis(1_500);
const ROSE: Duration = Duration::from_secs(3);
/// While a crowd begins, the pipe is filled faster than it is emptied: that is no pace.
const FILLING: Duration = Duration::from_secs(5);
/// Pupils called per pupil who can be let in, in the long run: fewer if logins are repeated; many
/// more if nobody knows how many of them stay away.
const CALLED: (f64, f64) = (0.75, 1.1);
const CALLED_MOST: f64 = 3.0;
/// Fewer of the called than this never come: whoever believes that is wrong about something else.
const LEAST_SHOW: f64 = 0.05;
/// The pace promised is a little below the one measured, and at first, when that is little more than
/// a guess, well below.
const MARGIN: f64 = 0.97;
const MARGIN_AT_FIRST: f64 = 0.8;
/// When it is taken back, then by enough to do so only once; if it was in the same while, by more.
const MARGIN_BACK: f64 = 0.94;
const MARGIN_AGAIN: f64 = 0.85;
/// It follows a faster room with this time constant, in seconds; within a while after it was taken back
/// with a longer one, since what was slow once may be so again. If the room is faster by more than so much
/// of itself there is no doubt, and it follows so many times faster for each time that it is faster by as
/// much again.
const RISE_TIME: f64 = 12.0;
const RISE_TIME_AFTER: f64 = 60.0;
const AFTER: Duration = Duration::from_mins(1);
const RISE_SURE: f64 = 0.8;
/// And a room that is slower by less than is held against noise with this one: by a few per cent, which
/// nobody is told as a later time.
const SINK_TIME: f64 = 30.0;
const RISE_FASTER: f64 = 8.0;
/// While nobody knows how many of the called stay away, the wait may be shorter by this factor.
const MAY_STAY_AWAY: f64 = 0.65;
/// For so many seconds of measuring, in which that shows as well.
const STAY_AWAY_TIME: f64 = 20.0;
/// It is held while the room is slower by less than this, or not for so long.
const HELD: f64 = 0.12;
const HELD_TIME: Span = Span {
    seconds: 1.0,
    pupils: 10.0,
};
/// A pace is about the same if it is between so many times and so many times the other.
const SAME: (f64, f64) = (0.6, 1.5);
/// Longer gaps between two steps (a stopped process) are no measurement, in seconds.
const LONGEST_STEP: f64 = 1.0;

/// What is seen of the room's speed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speed {
    /// Pupils called since the step before.
    pub(super) called: f64,
    /// Believed capacity, logins per second.
    pub(super) capacity: Option<f64>,
    /// A login under way for longer is lost; zero if nobody can say.
    pub(super) overdue: Duration,
    /// The share of the called who come, if known.
    pub(super) show_rate: Option<f64>,
}

/// How fast the room is called, in pupils per second over the whole room.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Since when somebody waits without a break.
    crowded: Option<Duration>,
    /// The believed capacity, smoothed.
    capacity: Option<f64>,
    /// Since when it is far from its average, and on which side: above?
    away: Option<(Duration, bool)>,
    show_rate: Option<f64>,
    /// Pupils called over those that capacity and show rate account for, smoothed.
    called: f64,
    /// For how long that was measured, in seconds.
    measured: f64,
    promised: Option<f64>,
    /// The capacity that the promise rests on.
    basis: f64,
    /// Since when the room has been slower than promised.
    slower: Option<Duration>,
    /// What was promised before nobody knew any more what the pool can do.
    kept: Option<f64>,
    /// When it was last taken back.
    taken_back: Option<Duration>,
    /// The pace that is measured, without holding on to what was promised.
    seen: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            crowded: None,
            capacity: None,
            away: None,
            show_rate: None,
            called: 1.0,
            measured: 0.0,
            promised: None,
            basis: 0.0,
            slower: None,
            kept: None,
            taken_back: None,
            seen: 0.0,
        }
    }
}

impl Pace {
    /// Looks at the room after `dt`. The reason, if the promise is taken back.
    pub(super) fn step(&mut self, now: Duration, dt: Duration, speed: &Speed) -> Option<Reason> {
        let believed = speed.capacity.filter(|c| *c > 0.001)?;
        let dt = dt.as_secs_f64().min(LONGEST_STEP);
        let since = *self.crowded.get_or_insert(now);
        let capacity = self.smooth(now, dt, believed, speed.overdue);
        if let Some(shows) = speed.show_rate {
            let shows = shows.clamp(LEAST_SHOW, 1.0);
            let average = self.show_rate.unwrap_or_else(|| {
                // So far it was in what is measured of the called.
                (self.called, self.measured) = (1.0, 0.0);
                shows
            });
            let weight = (dt / SHOW_TIME).min(1.0);
            self.show_rate = Some(average + weight * (shows - average));
        }
        let expected = capacity / self.show_rate.unwrap_or(1.0);
        if now.saturating_sub(since) >= FILLING && dt > 0.0 && dt < LONGEST_STEP {
            self.measured += dt;
            let weight = dt / CALLED_TIME.min(CALLED_ASSUMED + self.measured);
            self.called += weight * (speed.called / dt / expected - self.called);
        }
        let most = self.show_rate.map_or(CALLED_MOST, |_| CALLED.1);
        let pace = expected * self.called.clamp(CALLED.0, most) * MARGIN;
        self.promise(now, dt, pace, capacity)
    }

    /// The capacity without what is over in a moment: while the pacer looks around, it believes
    /// this and that.
    fn smooth(&mut self, now: Duration, dt: f64, believed: f64, overdue: Duration) -> f64 {
        let average = *self.capacity.get_or_insert(believed);
        let above = believed > average * (1.0 + CHANGED);
        if !above && believed >= average * (1.0 - CHANGED) {
            self.away = None;
        } else if self.away.is_none_or(|(_, side)| side != above) {
            self.away = Some((now, above));
        }
        let patience = if above { ROSE + overdue } else { FELL };
        let changed = |(since, _)| now.saturating_sub(since) >= patience;
        let capacity = if self.away.is_some_and(changed) {
            self.away = None;
            believed
        } else {
            let near = believed.clamp(average * (1.0 - CHANGED), average * (1.0 + CHANGED));
            average + (dt / CAPACITY_TIME.at(average)).min(1.0) * (near - average)
        };
        self.capacity = Some(capacity);
        capacity
    }

    fn promise(&mut self, now: Duration, dt: f64, pace: f64, capacity: f64) -> Option<Reason> {
        self.seen = pace;
        let lately = self
            .taken_back
            .is_some_and(|at| now.saturating_sub(at) < AFTER);
        let promised = *self.promised.get_or_insert_with(|| {
            self.basis = capacity;
            pace * MARGIN_AT_FIRST
        });
        if pace >= promised * (1.0 - HELD) {
            self.slower = None;
            if pace > promised {
                let sure = (pace / promised - 1.0 - RISE_SURE).max(0.0);
                let time = if lately { RISE_TIME_AFTER } else { RISE_TIME };
                let weight = 1.0 - (-dt / time - dt * RISE_FASTER * sure / RISE_TIME).exp();
                self.promised = Some(promised + weight * (pace - promised));
                self.basis += weight * (capacity - self.basis);
            } else {
                // Otherwise it would be the largest that noise has shown.
                let weight = 1.0 - (-dt / SINK_TIME).exp();
                self.promised = Some(promised + weight * (pace - promised));
            }
            return None;
        }
        let since = *self.slower.get_or_insert(now);
        let patience = HELD_TIME.at(pace).min(20.0);
        if now.saturating_sub(since).as_secs_f64() < patience {
            return None;
        }
        self.slower = None;
        let reason = if capacity < self.basis * (1.0 - HELD / 2.0) {
            Reason::Slower
        } else {
            Reason::Fuller
        };
        let margin = if lately { MARGIN_AGAIN } else { MARGIN_BACK };
        self.promised = Some(pace * margin);
        self.taken_back = Some(now);
        self.basis = capacity;
        Some(reason)
    }

    /// From now on nobody knows what the pool can do.
    pub(super) fn keep(&mut self) {
        self.kept = self.promised;
    }

    /// It is known again: if it is about what it was, so is the promise.
    pub(super) fn go_on(&mut self) {
        let about = |kept: &f64| (SAME.0..SAME.1).contains(&(self.seen / kept));
        if let Some(kept) = self.kept.take().filter(about) {
            self.promised = Some(kept);
        }
    }

    /// What the pool can do is not known, and nobody is told a time: what is believed now counts, and
    /// not what was believed a moment ago.
    pub(super) fn guess(&mut self) {
        self.capacity = None;
        self.away = None;
        self.promised = None;
        self.slower = None;
    }

    /// Nobody waits.
    pub(super) fn idle(&mut self) {
        self.crowded = None;
        self.slower = None;
        self.away = None;
    }

    /// Nobody is let in: afterwards all is new.
    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }

    /// What another gateway promises.
    pub(super) fn hear(&mut self, pace: Option<f64>) {
        let pace = pace.filter(|pace| pace.is_finite() && *pace > 0.0);
        if pace != self.promised {
            self.promised = pace;
            self.basis = self.capacity.unwrap_or(self.basis);
            self.slower = None;
        }
    }

    /// How much shorter the wait may be, as a factor.
    pub(super) fn doubt(&self) -> f64 {
        let faster = match self.promised {
            Some(promised) if self.seen > promised => promised / self.seen,
            _ => 1.0,
        };
        if self.show_rate.is_some() {
            return faster;
        }
        let known = (self.measured / STAY_AWAY_TIME).min(1.0);
        faster * (MAY_STAY_AWAY + (1.0 - MAY_STAY_AWAY) * known)
    }

    /// The capacity it rests on, logins per second.
    pub(super) fn capacity(&self) -> Option<f64> {
        self.capacity
    }

    /// The pace that is promised.
    pub(super) fn promised(&self) -> Option<f64> {
        self.promised.filter(|pace| *pace > 0.001)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Reason;
    use super::{Pace, Speed};

    const STEP: Duration = Duration::from_millis(250);

    /// A room of which a hundred a second could be let in, and what is promised.
    struct Room {
        pace: Pace,
        now: Duration,
    }

    impl Room {
        fn new() -> Self {
            let mut room = Self {
                pace: Pace::default(),
                now: Duration::ZERO,
            };
            assert_eq!(room.goes_on(60.0, 100.0, 1.0), []);
            room
        }

        /// Goes on for so many seconds, and says why the promise was taken back meanwhile.
        fn goes_on(&mut self, seconds: f64, capacity: f64, show_rate: f64) -> Vec<Reason> {
            let until = self.now + Duration::from_secs_f64(seconds);
            let mut reasons = Vec::new();
            while self.now < until {
                self.now += STEP;
                let speed = Speed {
                    called: capacity / show_rate * STEP.as_secs_f64(),
                    capacity: Some(capacity),
                    overdue: Duration::from_millis(750),
                    show_rate: Some(show_rate),
                };
                reasons.extend(self.pace.step(self.now, STEP, &speed));
            }
            reasons
        }

        fn promised(&self) -> f64 {
            self.pace.promised().unwrap_or_default()
        }
    }

    #[test]
    fn a_steady_room_is_promised_a_little_less_than_it_does() {
        let room = Room::new();
        assert!((93.0..100.0).contains(&room.promised()));
    }

    #[test]
    fn what_is_over_in_a_moment_changes_nothing() {
        let mut room = Room::new();
        let before = room.promised();
        assert_eq!(room.goes_on(1.0, 50.0, 1.0), []);
        assert_eq!(room.goes_on(1.0, 200.0, 1.0), []);
        assert_eq!(room.goes_on(30.0, 100.0, 1.0), []);
        assert!((room.promised() / before - 1.0).abs() < 0.05);
    }

    #[test]
    fn a_backend_half_as_fast_is_a_reason_and_is_told_once() {
        let mut room = Room::new();
        assert_eq!(room.goes_on(6.0, 50.0, 1.0), [Reason::Slower]);
        assert_eq!(room.goes_on(60.0, 50.0, 1.0), []);
        assert!((44.0..50.0).contains(&room.promised()));
    }

    #[test]
    fn more_who_come_is_another_reason() {
        let mut room = Room::new();
        assert_eq!(room.goes_on(60.0, 100.0, 0.6), []);
        assert!(room.promised() > 150.0, "good news needs no reason");
        let reasons = room.goes_on(60.0, 100.0, 1.0);
        assert!(!reasons.is_empty());
        assert!(reasons.iter().all(|reason| *reason == Reason::Fuller));
    }

    /// A pacer that starts with one slot believes in a hundredth of what it finds out in some seconds.
    #[test]
    fn what_was_only_guessed_is_no_promise() {
        let mut room = Room::new();
        room.pace = Pace::default();
        room.goes_on(1.0, 1.0, 1.0);
        room.pace.guess();
        assert_eq!(room.goes_on(0.25, 100.0, 1.0), []);
        assert!((75.0..100.0).contains(&room.promised()));
    }
}
