//! Slow start: a backend that comes back gets its work little by little.

use std::time::Duration;

use super::ewma::PeakEwma;

/// How long the peak of a backend's requests in flight is remembered.
const MEMORY: Duration = Duration::from_mins(2);
/// What a backend had before it went is never taken for less than this.
const LEAST_USUAL: f64 = 8.0;
/// The share of it that a backend begins with.
const FIRST: f64 = 0.1;

/// Once it has all of that, its bound doubles in this part of the time that it took.
const DOUBLING: f64 = 0.125;

/// The bound on one backend's requests in flight: from a tenth of what it usually has up to all of
/// it while it starts slowly, and from there on to the configured one.
#[derive(Clone, Debug)]
pub(super) struct Ramp {
    usual: PeakEwma,
    /// What it had when it went: that does not fade while it is away.
    left: Option<f64>,
    started: Option<Start>,
}

#[derive(Clone, Copy, Debug)]
struct Start {
    at: Duration,
    usual: f64,
}

impl Ramp {
    pub(super) fn new() -> Self {
        Self {
            usual: PeakEwma::new(MEMORY),
            left: None,
            started: None,
        }
    }

    /// So many are in flight now.
    pub(super) fn observe(&mut self, now: Duration, in_flight: u32) {
        self.usual.observe(now, f64::from(in_flight));
    }

    /// It is not used any more.
    pub(super) fn leave(&mut self, now: Duration) {
        self.left = self.usual.value(now);
    }

    pub(super) fn start(&mut self, now: Duration) {
        let usual = self.left.take().or_else(|| self.usual.value(now));
        let usual = usual.unwrap_or(0.0).max(LEAST_USUAL);
        self.started = Some(Start { at: now, usual });
    }

    /// The bound now: at least 1, at most `max`.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and a cast saturates"
    )]
    pub(super) fn limit(&self, now: Duration, max: u32, slow_start: Duration) -> u32 {
        let Some(start) = self.started else {
            return max;
        };
        let gone = now.saturating_sub(start.at);
        if slow_start.is_zero() {
            return max;
        }
        let share = gone.as_secs_f64() / slow_start.as_secs_f64();
        let limit = if share <= 1.0 {
            start.usual * (FIRST + (1.0 - FIRST) * share)
        } else {
            start.usual * ((share - 1.0) / DOUBLING).exp2()
        };
        (limit.floor() as u32).clamp(1, max.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_grows_from_a_tenth_to_all() {
        let at = Duration::from_secs;
        let mut ramp = Ramp::new();
        ramp.observe(at(0), 100);
        assert_eq!(
            ramp.limit(at(0), 512, at(10)),
            512,
            "no start is slow unasked"
        );
        ramp.start(at(0));
        let curve: Vec<u32> = (0..=10)
            .map(|second| ramp.limit(at(second), 512, at(10)))
            .collect();
        assert_eq!(curve, [10, 19, 28, 37, 46, 55, 64, 73, 82, 91, 100]);
        let then: Vec<u32> = [11.25, 12.5, 12.9, 13.0, 600.0]
            .map(|second| ramp.limit(Duration::from_secs_f64(second), 512, at(10)))
            .to_vec();
        assert_eq!(then, [200, 400, 499, 512, 512]);
        assert_eq!(ramp.limit(at(5), 20, at(10)), 20);
        assert_eq!(ramp.limit(at(0), 512, Duration::ZERO), 512, "asked for");
    }

    #[test]
    fn what_it_had_is_not_forgotten_while_it_is_away() {
        let at = Duration::from_secs;
        let mut ramp = Ramp::new();
        ramp.observe(at(0), 100);
        ramp.leave(at(0));
        ramp.start(at(3_600));
        assert_eq!(ramp.limit(at(3_610), 512, at(10)), 100);
    }
}
