//! The search for what a backend can do: the cap grows while there is no delay.
//!
//! On the very first day the no-load latency rests on a few logins, and what looks like a delay may be chance. Taken for
//! one it would end the search at a fraction of what the backend can do; not taken for one it lets the cap leap to
//! several times of that. So a delay must be beyond chance to end the search, and one that may be chance shortens its
//! steps.

use std::time::Duration;

use super::{Adaptive, DOUBTFUL, HEADROOM, REFRESH, delay};
use crate::pacer::alone::Alone;
use crate::pacer::window::Measure;

/// A delay below this part of the no-load latency: the backend could do more.
const IDLE_DELAY: f64 = 0.1;
/// The same before a delay was ever seen: the first few samples are rough, and what was taken for a
/// delay wrongly would end the search.
const IDLE_DELAY_AT_FIRST: f64 = 0.3;
/// What is beyond the doubt of two medians by so much is not chance: three standard errors. The search has several
/// steps, and the first of them rest on eight logins.
const CERTAIN_AT_FIRST: f64 = 1.5;
/// How the cap grows while there is no delay: the first time, the second, then.
pub(super) const GROWTH: [f64; 3] = [1.25, 1.5, 2.0];
/// Where nothing waits many more in flight take no longer, but for this part of it. What takes longer than that has waited;
/// that is certain with so many samples of both.
const FLAT: f64 = 0.2;
const ENOUGH: usize = 50;

impl Adaptive {
    /// How much longer a login took than alone, as a part of that. Backends share their cores: so many times as many in
    /// flight take no more than so many times as long. What seems to be more, of the few logins that the very first
    /// no-load latency rests on, is chance.
    pub(super) fn delay_of(&self, measure: &Measure, alone: Alone) -> f64 {
        let seen = measure.latency.map_or(0.0, |latency| delay(latency, alone));
        match self.first {
            Some(first) if !self.settled => {
                seen.min((measure.in_flight / first.max(0.1) - 1.0).max(0.0))
            }
            _ => seen,
        }
    }

    /// The window as it would have been with fewer in flight, if many more than before take no longer: then what looks like
    /// a delay is none, and the few logins that the no-load latency rests on were short ones. It is asked on the first
    /// day only, until it is certain that something waited, or how long a login takes.
    pub(super) fn flat(&mut self, measure: &Measure, alone: Alone) -> Option<Measure> {
        self.first?;
        if alone.uncertain() <= DOUBTFUL {
            self.end_search();
            return None;
        }
        let compared = self.levels.note(measure)?;
        if compared.longer < 1.0 + FLAT {
            // If it is a little longer all the same, that is not to be learnt.
            let longer = compared.longer.max(1.0);
            return Some(Measure {
                latency: measure.latency.map(|latency| latency / longer),
                tail: measure.tail / longer,
                mean: measure.mean / longer,
                ..*measure
            });
        }
        if compared.samples >= ENOUGH {
            self.end_search();
        }
        None
    }

    /// From now on the no-load latency is learnt as on any other day.
    pub(super) fn end_search(&mut self) {
        self.first = None;
        self.levels.clear();
    }

    /// A delay below this is none.
    pub(super) fn idle_delay(&self, measure: &Measure, alone: Alone) -> f64 {
        if self.settled {
            IDLE_DELAY
        } else {
            IDLE_DELAY_AT_FIRST + CERTAIN_AT_FIRST * alone.doubt(measure.samples)
        }
    }

    /// The very first answers came under the lowest cap: so long takes a login alone.
    pub(super) fn learn_first(&mut self, now: Duration, latency: f64, measure: &Measure) {
        let alone = Alone::first(measure, latency);
        self.no_load = Some(alone);
        self.first = Some(measure.in_flight);
        self.levels.note(measure);
        self.lesson = now;
        self.refresh = now + REFRESH;
        self.rate = Some(measure.rate.max(self.cap / alone.mean()));
        if measure.pressed {
            self.grow(now, measure);
        } else {
            self.reopen(now);
        }
    }

    /// Used up without a delay: it can do more.
    pub(super) fn grow(&mut self, now: Duration, measure: &Measure) {
        // Until something was found that fits, hope is all there is.
        self.proven = self.settled.then_some(measure.rate);
        self.seen = Some(measure.rate).filter(|_| !self.settled);
        let mut factor = GROWTH[self.growth.min(GROWTH.len() - 1)];
        if !self.settled {
            // If there is a delay after all, so many times what the backend works on.
            let delay = self
                .no_load
                .map_or(0.0, |alone| self.delay_of(measure, alone));
            factor = (factor / (1.0 + delay.max(0.0))).max(GROWTH[0]);
        }
        self.growth = (self.growth + 1).min(GROWTH.len());
        let mut cap = (self.cap * factor).max(self.cap + 1.0);
        // What fitted before is not leapt over: chances are that it fits.
        if let Some(goal) = self.goal.filter(|goal| (self.cap..cap).contains(goal)) {
            cap = goal.max(self.cap + 1.0);
            self.growth = 0;
            self.goal = None;
            self.proven = self.no_load.map(|alone| cap / HEADROOM / alone.mean());
        } else if self.goal.is_some() {
            self.proven = None;
        }
        self.set(now, cap);
        self.expect();
    }
}
