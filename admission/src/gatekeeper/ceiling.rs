//! The operator's ceiling in logins per second, as a bucket of tokens: each login that starts takes one.

use std::time::Duration;

/// A ceiling, if there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ceiling {
    /// Logins per second in the whole room.
    per_second: Option<f64>,
    tokens: f64,
}

impl Ceiling {
    pub(super) fn new(per_second: Option<f64>) -> Self {
        Self {
            per_second,
            tokens: 1.0,
        }
    }

    /// So much time has passed, for such a part of the room.
    pub(super) fn refill(&mut self, dt: Duration, portion: f64) {
        if let Some(per_second) = self.per_second.map(|c| c * portion) {
            let tokens = self.tokens + per_second * dt.as_secs_f64();
            self.tokens = tokens.min(burst(per_second));
        }
    }

    /// Logins that may start just now.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small non-negative number of tokens, rounded down on purpose"
    )]
    pub(super) fn allowed(&self) -> u32 {
        match self.per_second {
            Some(_) => self.tokens.max(0.0) as u32,
            None => u32::MAX,
        }
    }

    /// Whether one may start just now.
    pub(super) fn has_token(&self) -> bool {
        self.per_second.is_none() || self.tokens >= 1.0
    }

    /// Whether one may start, and half of what may start at once is left for those who come.
    pub(super) fn has_to_spare(&self, portion: f64) -> bool {
        self.per_second
            .is_none_or(|per_second| self.tokens >= 1.0 + burst(per_second * portion) / 2.0)
    }

    /// So many logins have started.
    pub(super) fn spend(&mut self, logins: usize) {
        if self.per_second.is_some() {
            self.tokens -= logins as f64;
        }
    }
}

/// How many may start at once under a ceiling per second: a quarter of a second's.
fn burst(per_second: f64) -> f64 {
    (per_second / 4.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_ceiling_any_number_may_start() {
        let mut ceiling = Ceiling::new(None);
        ceiling.spend(1_000);
        assert!(ceiling.has_token() && ceiling.has_to_spare(1.0));
        assert_eq!(ceiling.allowed(), u32::MAX);
    }

    #[test]
    fn a_quarter_of_a_second_is_saved_up_and_no_more() {
        let mut ceiling = Ceiling::new(Some(40.0));
        ceiling.refill(Duration::from_millis(100), 1.0);
        assert_eq!(ceiling.allowed(), 5);
        ceiling.refill(Duration::from_secs(9), 1.0);
        assert_eq!(ceiling.allowed(), 10);
        ceiling.refill(Duration::from_secs(9), 0.5);
        assert_eq!(ceiling.allowed(), 5, "a gateway's part of it");
    }

    #[test]
    fn what_is_lent_leaves_half_for_those_who_come() {
        let mut ceiling = Ceiling::new(Some(40.0));
        ceiling.refill(Duration::from_secs(1), 1.0);
        ceiling.spend(4);
        assert!(ceiling.has_to_spare(1.0));
        ceiling.spend(1);
        assert!(!ceiling.has_to_spare(1.0) && ceiling.has_token());
    }
}
