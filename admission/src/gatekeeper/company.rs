//! Gateways that vanish: dead, or only out of sight?
//!
//! A gateway that the ledger has lost sight of may still let browsers in. The pacer then misses
//! those who went there, takes them for no-shows, and would call more and more to make up for them,
//! all of whom would crowd at the gateway that nobody sees. So for some time after a gateway has
//! vanished the room is called no faster than before. If it is dead, that is just right: its
//! browsers come to the others.

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
    /// How fast the room was called then, in pupils per second.
    pace: f64,
    /// Pupils who may be called.
    allowed: f64,
    stepped: Duration,
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

    /// How many of `pupils` may be called. `members` are in sight now; `before` were known when the
    /// pacer, perhaps another one, published last.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not more than a number of pupils"
    )]
    pub(super) fn bound(
        &mut self,
        now: Duration,
        members: usize,
        before: usize,
        pace: f64,
        pupils: u64,
    ) -> u64 {
        let most = self.known.max(before);
        self.count(now, members, before);
        if members < most && self.vanished.is_none() {
            self.vanished = Some(Vanished {
                at: now,
                members: most,
                pace,
                allowed: 0.0,
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
        let dt = now.saturating_sub(vanished.stepped).min(LONGEST_STEP);
        vanished.stepped = now;
        let allowed = vanished.allowed + vanished.pace * dt.as_secs_f64();
        vanished.allowed = allowed.min(vanished.pace.max(1.0));
        let called = pupils.min(vanished.allowed as u64);
        vanished.allowed -= called as f64;
        called
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: f64 = 100.0;

    /// Steps of 50 ms with so many in sight; how many of 1,000 may be called in the last.
    fn steps(company: &mut Company, from: &mut u64, steps: u64, members: usize) -> u64 {
        let mut called = 0;
        for _ in 0..steps {
            let now = Duration::from_millis(*from);
            let before = company.known();
            called = company.bound(now, members, before, PACE, 1_000);
            *from += 50;
        }
        called
    }

    #[test]
    fn after_one_has_vanished_the_room_is_called_no_faster_than_before() {
        let (mut company, mut now) = (Company::default(), 0);
        assert_eq!(steps(&mut company, &mut now, 100, 3), 1_000);
        assert_eq!(
            steps(&mut company, &mut now, 20, 2),
            5,
            "the pace for 50 ms"
        );
        assert_eq!(steps(&mut company, &mut now, 1, 3), 1_000, "it is back");
    }

    #[test]
    fn one_that_is_restarted_at_once_has_not_vanished() {
        let (mut company, mut now) = (Company::default(), 0);
        steps(&mut company, &mut now, 100, 3);
        // Its former run, until that lease has run out.
        steps(&mut company, &mut now, 20, 4);
        assert_eq!(steps(&mut company, &mut now, 20, 3), 1_000);
        // One more that stays is missed as well.
        steps(&mut company, &mut now, 60, 4);
        assert_eq!(company.known(), 4);
        assert_eq!(steps(&mut company, &mut now, 20, 3), 5);
    }

    #[test]
    fn a_new_pacer_knows_how_many_there_were() {
        let mut company = Company::default();
        let now = Duration::from_secs(1);
        assert_eq!(company.bound(now, 2, 3, PACE, 1_000), 0);
        assert_eq!(company.known(), 2);
    }
}
