//! What a backend's answers say about it: failures in a row, and the share of good ones lately.

use std::time::Duration;

/// The window is so many buckets of a second.
const BUCKETS: usize = 10;

/// The two signals of passive outlier detection. The first notices a dead backend, the second one
/// that fails now and then, between good answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Signals {
    in_a_row: u32,
    /// Good and failed answers of a second, by the second modulo [`BUCKETS`].
    window: [Bucket; BUCKETS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    second: u64,
    good: u32,
    failed: u32,
}

impl Signals {
    pub(super) fn good(&mut self, now: Duration) {
        self.in_a_row = 0;
        self.bucket(now).good += 1;
    }

    pub(super) fn failed(&mut self, now: Duration) {
        self.in_a_row += 1;
        self.bucket(now).failed += 1;
    }

    pub(super) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// The share of good answers in the window; `None` below so many samples.
    pub(super) fn success_rate(&self, now: Duration, samples: u32) -> Option<f64> {
        let oldest = now.as_secs().saturating_sub(BUCKETS as u64 - 1);
        let fresh = self.window.iter().filter(|b| b.second >= oldest);
        let (good, failed) = fresh.fold((0, 0), |(good, failed), bucket| {
            (good + bucket.good, failed + bucket.failed)
        });
        let all: u32 = good + failed;
        (all >= samples.max(1)).then(|| f64::from(good) / f64::from(all))
    }

    /// Forgets everything: a backend that comes back is judged by what it does from now on.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn bucket(&mut self, now: Duration) -> &mut Bucket {
        let second = now.as_secs();
        let index = usize::try_from(second % BUCKETS as u64).unwrap_or(0);
        let bucket = &mut self.window[index];
        if bucket.second != second {
            *bucket = Bucket {
                second,
                ..Bucket::default()
            };
        }
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_answer_ends_a_row_of_failures() {
        let mut signals = Signals::default();
        for _ in 0..3 {
            signals.failed(Duration::from_secs(1));
        }
        assert_eq!(signals.in_a_row(), 3);
        signals.good(Duration::from_secs(1));
        assert_eq!(signals.in_a_row(), 0);
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_needs_samples() {
        let mut signals = Signals::default();
        for second in 0..10 {
            signals.good(Duration::from_secs(second));
            signals.failed(Duration::from_secs(second));
        }
        let at = Duration::from_secs(9);
        assert_eq!(signals.success_rate(at, 20), Some(0.5));
        assert_eq!(signals.success_rate(at, 21), None);
        assert_eq!(signals.success_rate(Duration::from_secs(19), 1), None);
    }
}
