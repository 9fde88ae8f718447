//! The dip: now and then fewer are in flight for a moment, to see whether the backend completes less.
//!
//! Under load no latency says how long a login takes alone. But a backend that completes less with fewer in flight had
//! nothing waiting, and then what a login took is that.

use std::time::Duration;

use super::{Adaptive, EXTRA, HEADROOM, Phase, REFRESH};
use crate::pacer::alone::Alone;
use crate::pacer::window::{LOSS, Measure};

/// How much lower the cap is while the no-load latency is looked for, and how much less must then
/// be completed to prove that nothing waited.
const DIP: f64 = 0.75;
const DIPPED: f64 = 0.93;
/// After it the cap is not more than so many times what it was before.
const DIP_RISE: f64 = 1.5;
const MOST_DIPS: u32 = 6;
/// When nobody has been in flight for so long a dip is called off: it would last until the next crowd.
const ABANDONED: Duration = Duration::from_secs(1);

impl Adaptive {
    /// Fewer are in flight now.
    pub(super) fn begin_dip(&mut self, now: Duration, measure: &Measure) {
        self.odd = 0;
        self.refresh = now + REFRESH;
        self.phase = Phase::Dip {
            cap: self.cap,
            rate: measure.rate,
            dips: 1,
        };
        self.set(now, self.cap.min(measure.in_flight) * DIP);
    }

    /// What came of it: another one, if it has cost nothing, or the cap that follows.
    pub(super) fn dip(
        &mut self,
        now: Duration,
        measure: &Measure,
        alone: Alone,
        (cap, rate, dips): (f64, f64, u32),
    ) {
        if self.is_losing(measure, alone) {
            // What completes less because it fails proves nothing.
            self.phase = Phase::Steady;
            self.cut(now, measure, measure.latency);
            return;
        }
        let lower = self.cap() > self.bounds.min && dips < MOST_DIPS;
        match measure.latency {
            Some(latency) if measure.pressed && measure.rate < DIPPED * rate => {
                self.teach(now, latency, measure.samples);
            }
            // It completes as much as before with less in flight: the dip has cost nothing. If logins are quicker than
            // they should be alone, by more than chance, the no-load latency is lower still.
            Some(latency)
                if measure.pressed
                    && lower
                    && measure.loss <= LOSS
                    && alone.is_above(latency, measure.samples) =>
            {
                let rate = rate.min(measure.rate.max(DIPPED * rate));
                let dips = dips + 1;
                self.phase = Phase::Dip { cap, rate, dips };
                self.set(now, self.cap * DIP);
                return;
            }
            _ => {}
        }
        self.phase = Phase::Steady;
        let alone = self.no_load.unwrap_or(alone);
        self.set(
            now,
            (rate * alone.mean() * HEADROOM + EXTRA).min(cap * DIP_RISE),
        );
    }

    /// Calls a dip off if nobody comes any more.
    pub(super) fn abandon(&mut self, now: Duration) {
        let idle = self.idle_since.map(|since| now.saturating_sub(since));
        if let Phase::Dip { cap, .. } = self.phase
            && idle.is_some_and(|idle| idle >= ABANDONED)
        {
            self.phase = Phase::Steady;
            self.set(now, cap);
        }
    }
}
