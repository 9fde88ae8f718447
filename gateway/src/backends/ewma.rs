//! A moving average that believes bad news at once and good news slowly.

use std::time::Duration;

/// The peak-sensitive average of Finagle's and Linkerd's balancers: a sample above it replaces it,
/// one below pulls it down by as much time as has passed, and so does time without samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeakEwma {
    /// After so many seconds an old peak has faded to a third.
    fade: f64,
    value: Option<f64>,
    at: Duration,
}

impl PeakEwma {
    pub(super) fn new(fade: Duration) -> Self {
        Self {
            fade: fade.as_secs_f64().max(0.001),
            value: None,
            at: Duration::ZERO,
        }
    }

    pub(super) fn observe(&mut self, now: Duration, sample: f64) {
        let value = match self.value {
            Some(old) if old > sample => {
                let kept = self.kept(now);
                old * kept + sample * (1.0 - kept)
            }
            _ => sample,
        };
        self.value = Some(value);
        self.at = now.max(self.at);
    }

    /// `None` before the first sample.
    pub(super) fn value(&self, now: Duration) -> Option<f64> {
        self.value.map(|value| value * self.kept(now))
    }

    fn kept(&self, now: Duration) -> f64 {
        (-now.saturating_sub(self.at).as_secs_f64() / self.fade).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let at = Duration::from_secs;
        let mut ewma = PeakEwma::new(at(10));
        assert_eq!(ewma.value(at(0)), None);
        ewma.observe(at(0), 0.1);
        ewma.observe(at(1), 3.0);
        assert_eq!(ewma.value(at(1)), Some(3.0));
        ewma.observe(at(11), 0.1);
        let value = ewma.value(at(11)).unwrap();
        assert!((1.1..1.3).contains(&value), "{value}");
        assert!(ewma.value(at(60)).unwrap() < 0.01);
    }
}
