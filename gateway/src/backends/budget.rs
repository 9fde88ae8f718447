//! The retry budget: second tries must not double the load of a pool in trouble.

use std::time::Duration;

/// Tries that are saved at most, and that there are at the start.
const RESERVE: f64 = 20.0;
/// What quiet pools get besides, in tries a second: a share of nearly nothing would be nothing.
const TRICKLE: f64 = 1.0;

/// A bucket of second tries: every request puts in a share of one, every second try takes one out.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    share: f64,
    tries: f64,
    at: Duration,
    spent: u64,
}

impl Budget {
    pub(super) fn new(share: f64) -> Self {
        Self {
            share,
            tries: RESERVE,
            at: Duration::ZERO,
            spent: 0,
        }
    }

    /// A request comes for the first time.
    pub(super) fn earn(&mut self) {
        self.tries = (self.tries + self.share).min(RESERVE);
    }

    /// Whether there is a second try left, which is taken.
    pub(super) fn spend(&mut self, now: Duration) -> bool {
        if self.share > 0.0 {
            let gone = now.saturating_sub(self.at).as_secs_f64();
            self.tries = (self.tries + gone * TRICKLE).min(RESERVE);
        } else {
            self.tries = 0.0;
        }
        self.at = now.max(self.at);
        let enough = self.tries >= 1.0;
        if enough {
            self.tries -= 1.0;
            self.spent += 1;
        }
        enough
    }

    /// How many there have been.
    pub(super) fn spent(&self) -> u64 {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_tries_are_a_tenth_of_the_requests_once_the_reserve_is_gone() {
        let mut budget = Budget::new(0.1);
        let now = Duration::ZERO;
        let at_once = (0..100).filter(|_| budget.spend(now)).count();
        assert_eq!(at_once, 20);
        let mut again = 0;
        for _ in 0..1_000 {
            budget.earn();
            again += usize::from(budget.spend(now));
        }
        assert!((98..=100).contains(&again), "{again}");
        assert!(budget.spend(Duration::from_secs(2)), "a trickle always");
    }

    #[test]
    fn without_a_share_nothing_is_tried_again() {
        assert!(!Budget::new(0.0).spend(Duration::from_secs(100)));
    }
}
