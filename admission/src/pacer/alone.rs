//! How long a login takes when the backend has nothing else to do: the no-load latency.
//!
//! A median is not enough where some logins cost many times as much as others. The mean is what a
//! slot is in use for, and what nine logins in ten are done within says which latency is no longer
//! the login's own. Both are kept as multiples of the median: a backend that shares its cores
//! evenly stretches all latencies alike, so they stay true when the median moves.

use super::Memory;
use super::window::Measure;

/// A login that takes so many no-load latencies is lost, but not before it takes so many seconds
/// more: a hiccup of the network is no loss.
const OVERDUE: f64 = 3.0;
const OVERDUE_AT_LEAST: f64 = 0.25;
/// And not before it takes so many times as long as nine in ten do in quiet. For costs that differ
/// little that is the same as above: both say that the backend is three times as slow.
const OVERDUE_TAIL: f64 = 2.5;
/// However long the tail: what takes so many seconds is lost.
const OVERDUE_AT_MOST: f64 = 15.0;
/// Multiples of the median that are believed. At costs spread log-normally the upper ones are
/// those of a deviation of 1.25: one login in a hundred then costs eighteen times the median.
const TAIL_RANGE: (f64, f64) = (1.0, 5.0);
const MEAN_RANGE: (f64, f64) = (1.0, 2.2);
/// So many standard deviations above the median lies what nine in ten are below, with the normal
/// distribution; and the standard error of its median is so many times that of its mean.
const NINE_IN_TEN: f64 = 1.282;
const MEDIAN_ERROR: f64 = 1.253;
/// No backend is more regular than that.
const LEAST_SPREAD: f64 = 0.15;
/// What is off by so many standard errors is not so by chance.
const CHANCE: f64 = 2.0;
/// Nor is what is off by no more than this part of it.
const LEAST_OFF: f64 = 0.07;
/// The median moves no further than this in one lesson.
const RANGE: (f64, f64) = (0.7, 1.5);
/// No login takes less or more than this alone, in seconds; for what others say.
const MEDIAN_RANGE: (f64, f64) = (0.001, 60.0);
/// What it rests on counts as no more than so many samples.
const MOST_KNOWN: f64 = 500.0;
/// And what another pacer or an earlier day has learnt of the shape as so many.
const HEARD: f64 = 100.0;

/// The no-load latency, and what it rests on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alone {
    /// In seconds.
    median: f64,
    /// How many samples that rests on.
    known: f64,
    /// Nine in ten take less than so many medians.
    tail: f64,
    /// The mean is so many medians.
    mean: f64,
    /// How many samples these rest on.
    shaped: f64,
}

impl Alone {
    /// What the very first answers say.
    pub(super) fn first(measure: &Measure, median: f64) -> Self {
        let mut alone = Self {
            median,
            known: measure.samples as f64,
            tail: TAIL_RANGE.0,
            mean: MEAN_RANGE.0,
            shaped: 0.0,
        };
        alone.shape(measure);
        alone
    }

    /// What another pacer has learnt, if anything.
    pub(super) fn recalled(memory: &Memory) -> Option<Self> {
        let multiple = |of, range| within(sound(of).unwrap_or(0.0), range);
        sound(memory.no_load).map(|median| Self {
            median: within(median, MEDIAN_RANGE),
            known: HEARD,
            tail: multiple(memory.tail, TAIL_RANGE),
            mean: multiple(memory.mean, MEAN_RANGE),
            shaped: if memory.tail.is_some() { HEARD } else { 0.0 },
        })
    }

    /// For another pacer.
    pub(super) fn remember(&self, memory: &mut Memory) {
        memory.no_load = Some(self.median);
        let shaped = self.shaped > 0.0;
        memory.tail = shaped.then_some(self.tail);
        memory.mean = shaped.then_some(self.mean);
    }

    /// The median, in seconds.
    pub(super) fn median(&self) -> f64 {
        self.median
    }

    /// For how long a login is in flight on average, in seconds.
    pub(super) fn mean(&self) -> f64 {
        self.median * self.mean
    }

    /// What a login takes longer than, in seconds, is lost.
    pub(super) fn overdue(&self) -> f64 {
        self.lost_after(self.tail)
    }

    /// The same if the tail is as long as can be believed: no latency above can be the login's own.
    pub(super) fn hopeless(&self) -> f64 {
        self.lost_after(TAIL_RANGE.1)
    }

    fn lost_after(&self, tail: f64) -> f64 {
        let steady = (OVERDUE * self.median).max(self.median + OVERDUE_AT_LEAST);
        let tail = (OVERDUE_TAIL * tail * self.median).min(OVERDUE_AT_MOST);
        steady.max(tail)
    }

    /// A quiet moment. What differs by more than chance is believed at once.
    pub(super) fn rest(&mut self, measure: &Measure) {
        let Some(median) = measure.latency else {
            return;
        };
        let off = (median / self.median - 1.0).abs();
        if off > CHANCE * self.noise(measure.samples) {
            self.settle(median);
            self.known = (measure.samples as f64).min(MOST_KNOWN);
            self.shape(measure);
        } else {
            self.refine(measure);
        }
    }

    fn settle(&mut self, median: f64) {
        self.median = within(median, (self.median * RANGE.0, self.median * RANGE.1));
    }

    /// How far a median of so many latencies and this one may be apart by chance, as a part of it.
    pub(super) fn doubt(&self, samples: usize) -> f64 {
        CHANCE * self.uncertain().hypot(self.noise(samples))
    }

    /// Whether a median of so many latencies may be this one by chance, and so a better picture of it. What is
    /// longer holds a delay, however small: to learn from those would be to take each for none, one after the other.
    pub(super) fn may_be(&self, latency: f64, samples: usize) -> bool {
        latency / self.median - 1.0 <= self.doubt(samples)
    }

    /// Whether it is longer than a median of so many latencies, by more than chance and a little.
    pub(super) fn is_above(&self, latency: f64, samples: usize) -> bool {
        1.0 - latency / self.median > (CHANCE * self.noise(samples)).max(LEAST_OFF)
    }

    /// The standard error of this median.
    pub(super) fn uncertain(&self) -> f64 {
        self.error(self.known)
    }

    /// The standard error of a median of so many latencies, as a part of it, if they are spread
    /// log-normally.
    pub(super) fn noise(&self, samples: usize) -> f64 {
        self.error(samples as f64)
    }

    fn error(&self, samples: f64) -> f64 {
        MEDIAN_ERROR * self.spread() / samples.max(1.0).sqrt()
    }

    /// Whether it is known how latencies are spread.
    pub(super) fn is_shaped(&self) -> bool {
        self.shaped >= HEARD
    }

    /// The standard deviation of the logarithm of latencies that are spread log-normally.
    pub(super) fn spread(&self) -> f64 {
        (self.tail.ln() / NINE_IN_TEN).max(LEAST_SPREAD)
    }

    /// Something else was measured for certain. Says whether it is much longer.
    pub(super) fn teach(&mut self, median: f64, samples: usize) -> bool {
        let before = self.median;
        self.settle(median);
        self.rose(before, samples)
    }

    /// The same with proof, so that it may be any number of times as long.
    pub(super) fn prove(&mut self, median: f64, samples: usize) -> bool {
        let before = std::mem::replace(&mut self.median, within(median, MEDIAN_RANGE));
        self.rose(before, samples)
    }

    fn rose(&mut self, before: f64, samples: usize) -> bool {
        self.known = (samples as f64).clamp(MOST_KNOWN / 10.0, MOST_KNOWN);
        self.median > 1.15 * before
    }

    /// Nothing waits, so all of it is how long a login takes: the first few samples said that only
    /// roughly.
    pub(super) fn refine(&mut self, measure: &Measure) {
        if let Some(latency) = measure.latency {
            let more = measure.samples as f64;
            self.median = (self.median * self.known + latency * more) / (self.known + more);
            self.known = (self.known + more).min(MOST_KNOWN);
            self.shape(measure);
        }
    }

    /// A window in which nothing waits says how the latencies are spread.
    pub(super) fn shape(&mut self, measure: &Measure) {
        let Some(median) = measure.latency.filter(|latency| *latency > 0.0) else {
            return;
        };
        let more = measure.samples as f64;
        let weight = more / (self.shaped + more);
        let tail = within(measure.tail / median, TAIL_RANGE);
        let mean = within(measure.mean / median, MEAN_RANGE);
        self.tail += weight * (tail - self.tail);
        self.mean += weight * (mean - self.mean);
        self.shaped = (self.shaped + more).min(MOST_KNOWN);
    }
}

/// A file or a ledger may say anything.
pub(super) fn sound(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite() && *value > 0.0)
}

fn within(value: f64, (least, most): (f64, f64)) -> f64 {
    value.clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_few_latencies_say_is_shorter_only_by_more_than_chance() {
        let memory = Memory {
            no_load: Some(1.0),
            tail: Some(1.67),
            mean: Some(1.08),
            ..Memory::default()
        };
        let spread = Alone::recalled(&memory).unwrap();
        // The standard error of a median of sixteen whose logarithms differ by 0.4 is an eighth.
        assert!(
            (spread.noise(16) - 0.125).abs() < 0.005,
            "{}",
            spread.noise(16)
        );
        assert!(!spread.is_above(0.8, 16) && spread.is_above(0.7, 16));
        assert!(spread.is_above(0.9, 400));
        assert!(!spread.is_above(0.95, 10_000));
    }
}
