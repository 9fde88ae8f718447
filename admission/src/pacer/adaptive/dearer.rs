//! Logins take much longer: is each of them dearer, or the backend weaker?
//!
//! If somebody has chosen a dearer hash, any cap looks as if all of them were late, and the cap would
//! fall as low as it may while most of the cores rest. If the backend is weaker, even the few of the
//! lowest cap may wait for one another, and how long that takes is not how long a login takes. What
//! tells the one from the other is more in flight for a moment: at a weaker backend that completes no
//! more, and takes longer still. What takes so long that it can be no login's own latency is not looked at:
//! that hung, and is answered now.

use std::time::Duration;

use super::{Adaptive, ODD_DELAY, PROBE, REFRESH, delay};
use crate::pacer::window::Measure;

/// So many times as many are in flight for a moment.
const MORE: f64 = 1.5;
/// Fewer samples say nothing; there are few where few are in flight.
const FEW: usize = 4;

/// What is being found out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looks {
    /// More are in flight for a moment.
    pub(super) open: bool,
    /// So many looks in a row said that the backend is weaker.
    weaker: u32,
}

impl Adaptive {
    /// As few in flight as there may be.
    pub(super) fn is_lowest(&self) -> bool {
        self.cap() <= self.bounds.min
    }

    /// Many were lost. Whether there is something to be found out before the cap is cut; then it is set.
    pub(super) fn looks_closer(
        &mut self,
        now: Duration,
        measure: &Measure,
        latency: Option<f64>,
    ) -> bool {
        let looked = self.looks.open;
        let (Some(latency), Some(alone)) = (latency, self.no_load) else {
            return false;
        };
        if measure.samples < FEW || delay(latency, alone) < ODD_DELAY || latency > alone.hopeless()
        {
            // Those that are answered are as fast as ever; or they hung, and are answered now.
            return false;
        }
        if self.nothing_waits(measure, latency, alone) {
            if looked {
                self.prove(now, latency, measure.samples);
            }
            self.look(now, measure);
            return true;
        }
        self.looks_at_lowest(now, measure, latency)
    }

    /// The same at the lowest cap, where there is nothing to be cut.
    pub(super) fn looks_at_lowest(
        &mut self,
        now: Duration,
        measure: &Measure,
        latency: f64,
    ) -> bool {
        if !self.is_lowest() {
            return false;
        }
        if self.cap() == 1 {
            // Nothing else is in flight.
            self.teach(now, latency, measure.samples);
            return false;
        }
        if now < self.probe {
            return false;
        }
        let pause = PROBE.saturating_mul(2_u32.saturating_pow(self.looks.weaker));
        self.probe = now + pause.min(REFRESH);
        self.looks.weaker = (self.looks.weaker + 1).min(8);
        self.look(now, measure);
        true
    }

    fn look(&mut self, now: Duration, measure: &Measure) {
        self.reference.try_more(measure);
        self.rate = Some(measure.rate);
        self.set(now, self.cap * MORE);
        self.looks.open = true;
    }

    /// More in flight completed more, and took no longer: so long a login takes.
    pub(super) fn prove(&mut self, now: Duration, latency: f64, samples: usize) {
        let rose = self
            .no_load
            .as_mut()
            .is_some_and(|alone| alone.prove(latency, samples));
        self.looks.weaker = 0;
        self.learnt(now, rose);
    }
}
