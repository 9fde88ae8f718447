//! How many logins of one room may be at work at another pool: its measured spare capacity, and no more.
//!
//! What is spare is what the other pool was found to work on at once, its cap, less what its own
//! pupils have in flight, less a part that stays free for those of them who come next. It is taken
//! step by step, and given back at once. Where somebody waits there is nothing to spare, and for some
//! seconds after that; so two pools that help each other never send the same login to and fro, and
//! nobody waits for the sake of another region's pupils.
//!
//! Every gateway decides for itself, from its own share of the other pool's slots. The shares never
//! add up to more than the cap, so neither do the guests.

use std::time::Duration;

use crate::span::Stepped;

/// The part of the cap that guests leave free. A measured cap is 15 % above what the pool works on at once, in
/// a first estimate up to a third: with a fifth free, guests took the last workers, and one in ten of the
/// pool's own pupils waited a tenth longer.
const RESERVE: f64 = 0.3;
/// The busiest moment of the pool's own pupils is remembered for about so long, in seconds.
const MEMORY: f64 = 5.0;
/// From nothing to all of the spare capacity it takes so long, in seconds.
const RAMP: f64 = 5.0;
/// So long after somebody waited there nobody is sent.
const REST: Duration = Duration::from_secs(5);
/// Longer gaps between two steps (a stopped process) are not made up for.
const LONGEST_STEP: Duration = Duration::from_millis(500);

/// The other pool, as one gateway sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its pupils are let in.
    pub open: bool,
    /// Logins that may be in flight there, by this gateway.
    pub cap: u32,
    /// Logins in flight there by this gateway, guests included.
    pub in_flight: u32,
    /// Its own pupils who wait in the room or for a slot, or are on the way to one.
    pub waiting: u64,
}

impl Host {
    /// Slots that guests leave free: at least one.
    pub fn reserve(&self) -> u32 {
        reserve(self.cap)
    }
}

/// What guests leave free of a cap.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a u32"
)]
pub(crate) fn reserve(cap: u32) -> u32 {
    ((f64::from(cap) * RESERVE).ceil() as u32).max(1)
}

/// One room's way to one other pool, at one gateway.
#[derive(Clone, Debug)]
pub struct Overflow {
    max: u32,
    allowed: f64,
    /// The other pool's own logins in flight: the most there were lately.
    own: f64,
    stepped: Stepped,
    waited: Option<Duration>,
}

impl Overflow {
    /// Nobody has been sent yet. `max`: the operator's ceiling for logins in flight there.
    pub fn new(max: u32) -> Self {
        Self {
            max,
            allowed: 0.0,
            own: 0.0,
            stepped: Stepped::default(),
            waited: None,
        }
    }

    /// How many logins of this room may be in flight at the other pool from now on. `guests` are
    /// there already; `needed` says whether anybody here would like to go. To be called some 20
    /// times a second.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and max"
    )]
    pub fn step(&mut self, now: Duration, needed: bool, host: &Host, guests: u32) -> u32 {
        let dt = self.stepped.step(now, LONGEST_STEP);
        let own = f64::from(host.in_flight.saturating_sub(guests));
        self.own = own.max(self.own - self.own * (dt / MEMORY).min(1.0));
        if host.waiting > 0 {
            self.waited = Some(now);
        }
        let rests = self.waited.is_some_and(|at| now.saturating_sub(at) < REST);
        let spare = f64::from(host.cap) - f64::from(host.reserve()) - self.own;
        let target = if host.open && !rests {
            spare.clamp(0.0, f64::from(self.max))
        } else {
            0.0
        };
        let pace = (target / RAMP).max(1.0);
        self.allowed = if needed {
            (self.allowed + pace * dt).min(target)
        } else {
            // Who comes a moment later goes on from there.
            (self.allowed - pace * dt).clamp(0.0, target)
        };
        self.allowed as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TICK: Duration = Duration::from_millis(50);

    fn host(cap: u32, in_flight: u32) -> Host {
        Host {
            open: true,
            cap,
            in_flight,
            waiting: 0,
        }
    }

    /// Steps for some seconds with all guests that may be there; what is allowed after each.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and not negative"
    )]
    fn run(overflow: &mut Overflow, from: f64, seconds: f64, of: impl Fn(u32) -> Host) -> Vec<u32> {
        let steps = (seconds / TICK.as_secs_f64()).round() as u32;
        let mut guests = overflow.allowed as u32;
        (1..=steps)
            .map(|n| {
                let now = Duration::from_secs_f64(from) + TICK * n;
                guests = overflow.step(now, true, &of(guests), guests);
                guests
            })
            .collect()
    }

    #[test]
    fn it_takes_what_is_spare_step_by_step_and_no_more() {
        let mut overflow = Overflow::new(1_000);
        // Of a hundred, thirty are the pool's own and thirty stay free.
        let allowed = run(&mut overflow, 0.0, 10.0, |guests| host(100, 30 + guests));
        assert_eq!(allowed.last(), Some(&40));
        let steps = allowed.windows(2).map(|w| w[1].saturating_sub(w[0]));
        assert!(steps.max().unwrap() <= 1, "{allowed:?}");
        let half = allowed.iter().position(|a| *a >= 20).unwrap();
        assert!((40..=60).contains(&half), "after {half} ticks");
    }

    #[test]
    fn the_operators_ceiling_holds() {
        let mut overflow = Overflow::new(8);
        let allowed = run(&mut overflow, 0.0, 20.0, |guests| host(100, guests));
        assert_eq!(allowed.last(), Some(&8));
    }

    #[test]
    fn it_is_given_back_at_once_when_the_pools_own_pupils_come() {
        let mut overflow = Overflow::new(1_000);
        run(&mut overflow, 0.0, 20.0, |guests| host(100, guests));
        let allowed = run(&mut overflow, 20.0, 0.05, |_| host(100, 60 + 70));
        assert_eq!(allowed, [10]);
    }

    #[test]
    fn where_somebody_waits_or_waited_nobody_is_sent() {
        let mut overflow = Overflow::new(1_000);
        run(&mut overflow, 0.0, 20.0, |guests| host(100, guests));
        let waits = |guests| Host {
            waiting: 1,
            ..host(100, guests)
        };
        assert_eq!(run(&mut overflow, 20.0, 0.05, waits), [0]);
        let rest = run(&mut overflow, 20.05, 4.9, |guests| host(100, guests));
        assert_eq!(rest.iter().max(), Some(&0));
        let after = run(&mut overflow, 24.95, 1.0, |guests| host(100, guests));
        let last = *after.last().unwrap();
        assert!((10..=16).contains(&last), "and then it begins anew: {last}");
    }

    #[test]
    fn a_pool_that_is_shut_takes_nobody() {
        let mut overflow = Overflow::new(1_000);
        let shut = |guests| Host {
            open: false,
            ..host(100, guests)
        };
        assert_eq!(run(&mut overflow, 0.0, 10.0, shut).iter().max(), Some(&0));
    }

    #[test]
    fn a_burst_of_its_own_pupils_is_remembered_for_a_moment() {
        let mut overflow = Overflow::new(1_000);
        run(&mut overflow, 0.0, 20.0, |guests| host(100, guests));
        run(&mut overflow, 20.0, 0.1, |guests| host(100, 60 + guests));
        let soon = run(&mut overflow, 20.1, 1.0, |guests| host(100, guests));
        assert!(soon.iter().all(|allowed| *allowed <= 23), "{soon:?}");
        let later = run(&mut overflow, 21.1, 30.0, |guests| host(100, guests));
        assert!(*later.last().unwrap() >= 69, "{later:?}");
    }

    #[test]
    fn without_need_it_fades_and_does_not_jump_back() {
        let mut overflow = Overflow::new(1_000);
        run(&mut overflow, 0.0, 20.0, |guests| host(100, guests));
        let mut allowed = 70;
        for n in 1..=40_u32 {
            let now = Duration::from_secs(20) + TICK * n;
            let next = overflow.step(now, false, &host(100, 0), 0);
            assert!(next <= allowed && allowed - next <= 1);
            allowed = next;
        }
        assert!((40..=50).contains(&allowed), "{allowed} after two seconds");
    }

    proptest! {
        #[test]
        fn guests_and_the_pools_own_pupils_leave_the_reserve_free(
            max in 1_u32..200,
            seen in prop::collection::vec((0_u32..200, 0_u32..200, 0_u64..2, any::<bool>()), 1..300)
        ) {
            let mut overflow = Overflow::new(max);
            let (mut now, mut guests, mut before) = (Duration::ZERO, 0_u32, 0_u32);
            let mut waited: Option<Duration> = None;
            for (cap, own, waiting, needed) in seen {
                now += TICK;
                let host = Host { open: true, cap, in_flight: own + guests, waiting };
                let allowed = overflow.step(now, needed, &host, guests);
                prop_assert!(allowed <= max);
                prop_assert!(allowed == 0 || allowed + own + host.reserve() <= cap);
                if waiting > 0 {
                    waited = Some(now);
                }
                if waited.is_some_and(|at| now.saturating_sub(at) < REST) {
                    prop_assert_eq!(allowed, 0);
                }
                // The whole spare capacity takes seconds, whatever it was before.
                prop_assert!(allowed <= before + 2 + cap / 80);
                before = allowed;
                // Guests leave one by one, however few may be there.
                guests = allowed.max(guests.saturating_sub(1));
            }
        }
    }
}
