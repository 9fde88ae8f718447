//! What the requests of one pool have come to: counters that are found once.
//!
//! All pools' counters of a kind are one family behind one lock. Requests do not take it: each pool keeps
//! the counters that it has used, so that no pool waits for another one's.

use std::sync::OnceLock;

use prometheus_client::metrics::counter::Counter;

use crate::backends::Rank;
use crate::metrics::{LoginAnswer, Outcome, Staff};
use crate::verdict::Class;

/// The counters of one pool.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: Cells<1>,
    pub(crate) failures: Cells<1>,
    pub(crate) polls: Cells<1>,
    pub(crate) bad_tickets: Cells<1>,
    pub(crate) shed: Cells<{ Rank::Session as usize + 1 }>,
    pub(crate) turns: Cells<{ Outcome::Queued as usize + 1 }>,
    pub(crate) logins: Cells<{ LoginAnswer::Unreachable as usize + 1 }>,
    pub(crate) classes: Cells<{ Class::Lost as usize + 1 }>,
    pub(crate) staff: Cells<{ Staff::Refused as usize + 1 }>,
}

/// A counter for each value of a label, by its place among them.
#[derive(Debug)]
pub(crate) struct Cells<const N: usize>([OnceLock<Counter>; N]);

impl<const N: usize> Default for Cells<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| OnceLock::new()))
    }
}

impl<const N: usize> Cells<N> {
    /// Counts one more. `find` takes the lock, and is asked the first time.
    pub(crate) fn count(&self, place: usize, find: impl FnOnce() -> Counter) {
        match self.0.get(place) {
            Some(cell) => cell.get_or_init(find).inc(),
            None => find().inc(),
        };
    }
}
