//! Does the rate go with the number in flight? Then nothing waits at the backend.
//!
//! Without this a no-load latency that is too low would pull the cap down step by step, for ever:
//! fewer in flight complete less, and what is completed says how many there should be.

use super::window::Measure;

/// So much fewer in flight than in the window it is compared with, and what is completed must have
/// fallen by so much of that, to prove that nothing waited.
const FEWER: f64 = 0.88;
const PROPORTION: f64 = 0.6;
/// Logins by which a window's count may be off; and so many standard errors of its median, where some logins cost more
/// than others.
const NOISE_LOGINS: f64 = 2.0;
const NOISE_ERRORS: f64 = 2.0;
/// With about as many in flight, a rate that differs by so much says that the capacity has changed.
const CHANGED: f64 = 0.08;
/// A window so many windows ago is compared with no more: a capacity that creeps takes the cap with it.
const MOST_AGED: u32 = 3;

/// A busy window that a later one is compared with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reference {
    /// What it said, and how many windows ago.
    before: Option<(Measure, u32)>,
    /// More are in flight since, to see what comes of it.
    tried: bool,
}

impl Reference {
    /// More are to be in flight than in this window, to see what comes of it.
    pub(super) fn try_more(&mut self, measure: &Measure) {
        self.before = Some((*measure, 0));
        self.tried = true;
    }

    /// Whether fewer in flight made the backend complete less in proportion, at the same latency, or
    /// more that were tried made it complete more: then nothing waited there, and what looks like a
    /// delay is how long a login takes. More that were not tried prove nothing: a capacity that has
    /// just risen looks the same. `chance` is the standard error of a median of so many.
    pub(super) fn nothing_waits(
        &mut self,
        measure: &Measure,
        latency: f64,
        chance: impl Fn(usize) -> f64,
    ) -> bool {
        let tried = std::mem::take(&mut self.tried);
        let Some((before, age)) = self.before else {
            self.before = Some((*measure, 0));
            return false;
        };
        let lower = measure.in_flight / before.in_flight.max(0.001);
        let rate = measure.rate / before.rate.max(0.001);
        let (lower, less) = if lower > 1.0 && tried {
            (1.0 / lower, 1.0 / rate.max(0.001))
        } else {
            (lower, rate)
        };
        if lower > FEWER {
            // Above it, or as many as before and another rate: it is the capacity that has changed.
            let other = lower > 1.0 / FEWER || (rate / lower - 1.0).abs() > CHANGED;
            self.before = if other || age >= MOST_AGED {
                Some((*measure, 0))
            } else {
                Some((before, age + 1))
            };
            return false;
        }
        // Of a few logins one more or less is no sign.
        let samples = measure.samples.min(before.samples).max(1);
        let same = before
            .latency
            .is_some_and(|before| (latency / before - 1.0).abs() < chance(samples).max(0.1));
        let noise = (NOISE_LOGINS / samples as f64).max(NOISE_ERRORS * chance(samples));
        self.before = Some((*measure, 0));
        same && less < 1.0 - PROPORTION * (1.0 - lower) - noise
    }
}
