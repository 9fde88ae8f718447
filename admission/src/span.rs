//! Times that controllers reckon with: how long an average looks back, and what lies between two steps.

use std::time::Duration;

/// A time in seconds, or that of so many pupils if it is longer: at a slow pool single ones would shake
/// what is measured over a few seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Seconds.
    pub(crate) seconds: f64,
    /// Pupils.
    pub(crate) pupils: f64,
}

impl Span {
    /// In seconds, at so many pupils a second.
    pub(crate) fn at(self, pace: f64) -> f64 {
        self.seconds.max(self.pupils / pace.max(0.001))
    }
}

/// When something was stepped last that is stepped at any interval.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stepped(Option<Duration>);

impl Stepped {
    /// A step. Returns the seconds since the one before, 0 at the first; of a longer gap (a stopped
    /// process) only `longest` counts.
    pub(crate) fn step(&mut self, now: Duration, longest: Duration) -> f64 {
        let since = self
            .0
            .map_or(Duration::ZERO, |last| now.saturating_sub(last));
        self.0 = Some(now);
        since.min(longest).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_longer_where_pupils_are_few() {
        let span = Span {
            seconds: 8.0,
            pupils: 20.0,
        };
        assert!((span.at(100.0) - 8.0).abs() < 1e-9);
        assert!((span.at(0.5) - 40.0).abs() < 1e-9);
    }

    #[test]
    fn a_gap_counts_once_and_not_beyond_the_longest() {
        let longest = Duration::from_millis(500);
        let mut stepped = Stepped::default();
        let mut gap = |millis| {
            let seconds = stepped.step(Duration::from_millis(millis), longest);
            Duration::from_secs_f64(seconds).as_millis()
        };
        let gaps = [1_000, 1_250, 9_000, 9_000, 8_000].map(&mut gap);
        assert_eq!(gaps, [0, 250, 500, 0, 0]);
    }
}
