//! Gateways that vanish: dead, or only out of sight?
//!
//! A gateway that the ledger has lost sight of may still let browsers in. The pacer then misses
//! those who went there, takes them for no-shows, and would call more and more to make up for them,
//! all of whom would crowd at the gateway that nobody sees. So for some time after a gateway has
//! vanished the room is called no faster than before. If it is dead, that is just right: its
//! browsers come to the others. Only who had come to it does not come again: once, so many are
//! called as fill the slots that it left, which are others' now, and the buffer.

use std::time::Duration;

use crate::ledger::LEASE;

/// So long a gateway has to be in sight before it is missed. One that is restarted at once is there
/// twice until the lease of its former run has run out, and nobody has vanished then.
const KNOWN: Duration = LEASE.saturating_mul(2);
/// How long a gateway that vanished is taken to be at work still.
const OUT_OF_SIGHT: Duration = Duration::from_mins(10);
/// Longer gaps between two steps are not made up for.
const LONGEST_STEP: Duration = Duration::from_millis(500);

/// What the pacer remembers of the others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Company {
    /// How many there are, but for those that came a moment ago.
    known: usize,
    /// Since when there are more, and at least how many.
    more: Option<(Duration, usize)>,
    vanished: Option<Vanished>,
}

#[derive(Clone, Copy, Debug)]
struct Vanished {
    at: Duration,
    /// How many there were.
    members: usize,
    /// How many are left.
    left: usize,
    /// How fast the room was called then, in pupils per second.
    pace: f64,
    /// Pupils who may be called at this pace.
    allowed: f64,
    /// Pupils who may be called besides; `None` until it is known what is missing.
    instead: Option<u64>,
    stepped: Duration,
}

/// The others, as the pacer sees them now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// How many are in sight, with the pacer itself.
    pub(super) members: usize,
    /// How many were known when the pacer, perhaps another one, published last.
    pub(super) before: usize,
    /// How many of them have said good-bye since: nobody comes to them any more.
    pub(super) left: usize,
    /// Pupils whom slots and buffers have room for; `None` if not all have said yet what they have.
    pub(super) missing: Option<u64>,
}

impl Company {
    /// How many gateways there are, but for those that came a moment ago.
    pub(super) fn known(&self) -> usize {
        self.known
    }

    fn count(&mut self, now: Duration, members: usize, before: usize) {
        if self.known == 0 {
            self.known = if before == 0 {
                members
            } else {
                members.min(before)
            };
        }
        if members <= self.known {
            self.known = members;
            self.more = None;
            return;
        }
        let (since, least) = self.more.get_or_insert((now, members));
        *least = members.min(*least);
        if now.saturating_sub(*since) >= KNOWN {
            self.known = *least;
            self.more = None;
        }
    }

    /// How many of `pupils` may be called, in a room that is called at `pace` pupils per second.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not more than a number of pupils"
    )]
    pub(super) fn bound(&mut self, now: Duration, sight: Sight, pace: f64, pupils: u64) -> u64 {
        let Sight {
            members,
            before,
            left,
            ..
        } = sight;
        let most = self.known.max(before).saturating_sub(left);
        self.count(now, members, before);
        if members < most && self.vanished.is_none() {
            self.vanished = Some(Vanished {
                at: now,
                members: most,
                left: members,
                pace,
                allowed: 0.0,
                instead: None,
                stepped: now,
            });
        }
        let back = |v: &Vanished| members >= v.members || now.saturating_sub(v.at) > OUT_OF_SIGHT;
        if self.vanished.as_ref().is_some_and(back) {
            self.vanished = None;
        }
        let Some(vanished) = &mut self.vanished else {
            return pupils;
        };
        if members < vanished.left {
            vanished.left = members;
            vanished.instead = None;
        }
        vanished.instead = vanished.instead.or(sight.missing);
        let dt = now.saturating_sub(vanished.stepped).min(LONGEST_STEP);
        vanished.stepped = now;
        let allowed = vanished.allowed + vanished.pace * dt.as_secs_f64();
        vanished.allowed = allowed.min(vanished.pace.max(1.0));
        let called = pupils.min(vanished.allowed as u64);
        vanished.allowed -= called as f64;
        let instead = vanished.instead.unwrap_or(0).min(pupils - called);
        vanished.instead = vanished.instead.map(|more| more - instead);
        called + instead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: f64 = 100.0;
    const MISSING: u64 = 30;

    fn step(company: &mut Company, millis: u64, members: usize, missing: Option<u64>) -> u64 {
        let sight = Sight {
            members,
            before: company.known(),
            left: 0,
            missing,
        };
        company.bound(Duration::from_millis(millis), sight, PACE, 1_000)
    }

    /// Steps of 50 ms with so many in sight; how many of 1,000 may be called in each.
    fn steps(company: &mut Company, from: &mut u64, steps: u64, members: usize) -> Vec<u64> {
        let called = (0..steps).map(|n| step(company, *from + 50 * n, members, Some(MISSING)));
        let called = called.collect();
        *from += 50 * steps;
        called
    }

    #[test]
    fn after_one_has_vanished_the_room_is_called_no_faster_than_before() {
        let (mut company, mut now) = (Company::default(), 0);
        assert_eq!(steps(&mut company, &mut now, 100, 3), [1_000; 100]);
        let called = steps(&mut company, &mut now, 20, 2);
        assert_eq!(called[0], MISSING, "once, into what it left");
        assert_eq!(called[1..], [5; 19], "the pace for 50 ms");
        assert_eq!(steps(&mut company, &mut now, 1, 3), [1_000], "it is back");
    }

    #[test]
    fn a_second_one_that_vanishes_leaves_slots_as_well() {
        let (mut company, mut now) = (Company::default(), 0);
        steps(&mut company, &mut now, 100, 3);
        steps(&mut company, &mut now, 20, 2);
        assert_eq!(steps(&mut company, &mut now, 2, 1), [5 + MISSING, 5]);
    }

    #[test]
    fn nobody_is_called_into_slots_of_gateways_that_have_not_said_yet_what_they_have() {
        let mut company = Company::default();
        step(&mut company, 0, 3, Some(MISSING));
        // The ledger has lost them: the first to come sees only itself.
        assert_eq!(step(&mut company, 50, 1, None), 0);
        assert_eq!(step(&mut company, 100, 1, None), 5);
        assert_eq!(step(&mut company, 150, 2, None), 5);
        // One stays away.
        assert_eq!(step(&mut company, 200, 2, Some(7)), 12);
        assert_eq!(step(&mut company, 250, 2, Some(7)), 5);
    }

    #[test]
    fn one_that_is_restarted_at_once_has_not_vanished() {
        let (mut company, mut now) = (Company::default(), 0);
        steps(&mut company, &mut now, 100, 3);
        // Its former run, until that lease has run out.
        steps(&mut company, &mut now, 20, 4);
        assert_eq!(steps(&mut company, &mut now, 20, 3), [1_000; 20]);
        // One more that stays is missed as well.
        steps(&mut company, &mut now, 60, 4);
        assert_eq!(company.known(), 4);
        assert_eq!(steps(&mut company, &mut now, 20, 3)[1..], [5; 19]);
    }

    #[test]
    fn whoever_says_good_bye_is_not_missed() {
        let (mut company, mut now) = (Company::default(), 0);
        steps(&mut company, &mut now, 100, 3);
        let sight = Sight {
            members: 2,
            before: 3,
            left: 1,
            missing: Some(MISSING),
        };
        let at = Duration::from_millis(now);
        assert_eq!(company.bound(at, sight, PACE, 1_000), 1_000);
        assert_eq!(company.known(), 2);
        now += 50;
        assert_eq!(steps(&mut company, &mut now, 20, 2), [1_000; 20]);
    }

    #[test]
    fn a_new_pacer_knows_how_many_there_were() {
        let mut company = Company::default();
        let sight = Sight {
            members: 2,
            before: 3,
            left: 0,
            missing: None,
        };
        let now = Duration::from_secs(1);
        assert_eq!(company.bound(now, sight, PACE, 1_000), 0);
        assert_eq!(company.known(), 2);
    }
}
