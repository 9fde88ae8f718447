//! When a window has enough in it to decide by.

use std::time::Duration;

use super::{Adaptive, ODD_DELAY, Phase, SAMPLES, delay};
use crate::pacer::alone::Alone;

/// The shortest window, in seconds; and in no-load latencies.
const WINDOW: f64 = 1.0;
const WINDOW_LATENCIES: f64 = 2.0;
/// The same while the cap grows: four exchanges between gateways.
const GROWING_WINDOW: f64 = 0.4;
/// A median may be off by so much, and by so much while the cap grows.
const EXACT: f64 = 0.08;
const ROUGH: f64 = 0.12;
/// At first so few samples may do.
const FEW: usize = 4;
/// What is above by so many times as much is above.
const CERTAIN: f64 = 3.0;
/// How many latencies it takes until those who end are a fair picture of those who begin.
const COHORTS: f64 = 3.0;
/// A window that still has not enough is given up after so many times its length.
const PATIENCE: f64 = 4.0;
/// To see whether more in flight complete more, it takes so many samples.
const LOOK_SAMPLES: usize = 3 * SAMPLES;

impl Adaptive {
    /// Whether the window has enough in it to decide.
    pub(super) fn is_ripe(&self, now: Duration) -> bool {
        let growing = self.growth > 0;
        let alone = self.median().unwrap_or(0.0);
        let shortest = match self.phase {
            Phase::Dip { .. } => GROWING_WINDOW.max(alone),
            Phase::Steady if growing => GROWING_WINDOW.max(alone),
            Phase::Steady => WINDOW.max(WINDOW_LATENCIES * alone),
        };
        let open = self.window.seconds();
        // At the lowest cap there is nothing to be cut, but something to be found out.
        let hurry = self.window.is_losing() && !self.looks.open && !self.is_lowest();
        let enough = hurry || (self.has_enough() && self.is_clear(growing));
        if open >= shortest && enough && !self.has_just_begun(now) {
            return true;
        }
        let latency = self.window.median().filter(|_| self.is_lowest());
        let alone = alone.max(latency.unwrap_or(0.0));
        open >= PATIENCE * WINDOW.max(2.0 * WINDOW_LATENCIES * alone)
    }

    /// Whether there are samples enough. While the very first few slots are tried one after the other
    /// eight logins take long, and half as many say the same where all take about as long.
    fn has_enough(&self) -> bool {
        let samples = self.window.samples();
        let might_look = self.is_lowest() && self.cap() > 1 && self.window.is_losing();
        if self.looks.open || might_look {
            return samples >= LOOK_SAMPLES;
        }
        if samples >= SAMPLES {
            return true;
        }
        let few = (2 * self.cap() as usize).max(FEW);
        let Some(latency) = self.window.median().filter(|_| samples >= few) else {
            return false;
        };
        let here = Alone::first(&self.window.measure(f64::MAX, f64::MAX), latency);
        !self.settled && self.goal.is_none() && here.noise(samples) <= ROUGH
    }

    /// Whether the median is exact enough to decide by. Where some logins cost many times as much as
    /// others that takes more of them; but a long delay shows at once.
    fn is_clear(&self, growing: bool) -> bool {
        let Some(latency) = self.window.median() else {
            return true;
        };
        let first = || Alone::first(&self.window.measure(f64::MAX, f64::MAX), latency);
        let alone = self.no_load.unwrap_or_else(first);
        if alone.spread() * self.window.under_way() > EXACT {
            return false;
        }
        if !self.settled {
            // The more are in flight the more there are, and what is not clear is no delay yet.
            return true;
        }
        let noise = alone.noise(self.window.samples());
        let most = if growing { ROUGH } else { EXACT };
        noise <= most || delay(latency, alone) > ODD_DELAY + CERTAIN * noise
    }

    /// Of logins that began together the short ones end first: a median of those would be too low.
    fn has_just_begun(&self, now: Duration) -> bool {
        if self.no_load.is_some_and(|alone| alone.is_shaped()) {
            // Then it is known how many must have ended.
            return false;
        }
        let (Some(since), Some(latency)) = (self.busy_since, self.window.median()) else {
            return false;
        };
        now.saturating_sub(since).as_secs_f64() < COHORTS * latency
    }
}
