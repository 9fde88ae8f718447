//! What answers of one kind take at one backend: at worst, which is what one more may cost, and usually.

use std::time::Duration;

use super::ewma::PeakEwma;

/// How fast an old peak fades.
const FADE: Duration = Duration::from_secs(10);
/// What is usual is the median of so many answers, and of so many at least.
const LATEST: usize = 9;
const ENOUGH: usize = 3;

/// All of it at one backend, for one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latency {
    peak: PeakEwma,
    latest: [Duration; LATEST],
    seen: usize,
}

impl Latency {
    pub(super) fn new() -> Self {
        Self {
            peak: PeakEwma::new(FADE),
            latest: [Duration::ZERO; LATEST],
            seen: 0,
        }
    }

    pub(super) fn observe(&mut self, now: Duration, took: Duration) {
        self.peak.observe(now, took.as_secs_f64());
        self.latest[self.seen % LATEST] = took;
        self.seen += 1;
    }

    /// Seconds; `None` before the first answer.
    pub(super) fn peak(&self, now: Duration) -> Option<f64> {
        self.peak.value(now)
    }

    /// `None` before there are enough of them.
    pub(super) fn usual(&self) -> Option<Duration> {
        let mut latest = self.latest;
        let latest = &mut latest[..self.seen.min(LATEST)];
        latest.sort_unstable();
        (latest.len() >= ENOUGH).then(|| latest[latest.len() / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dear_page_is_a_peak_and_not_what_is_usual() {
        let (at, ms) = (Duration::from_secs(1), Duration::from_millis);
        let mut latency = Latency::new();
        for took in [20, 600] {
            latency.observe(at, ms(took));
        }
        assert_eq!(latency.usual(), None, "too few");
        latency.observe(at, ms(30));
        assert_eq!(
            (latency.usual(), latency.peak(at)),
            (Some(ms(30)), Some(0.6))
        );
        for _ in 0..LATEST {
            latency.observe(at, ms(700));
        }
        assert_eq!(
            latency.usual(),
            Some(ms(700)),
            "what was before is forgotten"
        );
    }
}
