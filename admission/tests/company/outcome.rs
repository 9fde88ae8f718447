//! What came of a morning.

use std::time::Duration;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub admitted: usize,
    /// Tickets that admitted twice.
    pub doubled: usize,
    /// Those of them of whose first login nobody could know.
    pub begun_again: usize,
    pub most_in_flight: u32,
    /// Part of the cap in use while somebody waited.
    pub used: f64,
    /// Logins that began, per second of the morning.
    pub begun: Vec<u32>,
    /// Time in flight of all logins together, in seconds, per tenth of a second of the morning.
    pub in_flight: Vec<f64>,
    /// By how much somebody who came later went first inside a school, at most.
    pub inversion: Duration,
    /// By how much somebody came later who was let in before one who still had to wait, at most.
    pub overtaken: Duration,
    pub waits: Vec<f64>,
    /// When all gateways were in [`Mode::Shared`] again after the last fault was over.
    pub shared_after: Option<Duration>,
    pub ended: Duration,
}

impl Outcome {
    /// How many logins were in flight between two moments, on average.
    pub fn mean_in_flight(&self, from: Duration, to: Duration) -> f64 {
        let (from, to) = (tenth(from), tenth(to));
        let sum: f64 = self.in_flight[from..to].iter().sum();
        sum * 10.0 / (to - from) as f64
    }

    /// Logins that began per second between two whole seconds.
    pub fn rate(&self, from: Duration, to: Duration) -> f64 {
        let (from, to) = (from.as_secs() as usize, to.as_secs() as usize);
        let sum: u32 = self.begun[from..to].iter().sum();
        f64::from(sum) / (to - from) as f64
    }

    pub fn median_wait(&self) -> f64 {
        let mut waits = self.waits.clone();
        waits.sort_by(f64::total_cmp);
        waits[waits.len() / 2]
    }
}

pub(super) fn tenth(time: Duration) -> usize {
    (time.as_millis() / 100) as usize
}
