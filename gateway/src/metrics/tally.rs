//! What the requests of one pool have come to: counters that are found once.
//!
//! All pools' counters of a kind are one family behind one lock. Requests do not take it: each pool keeps
//! the counters that it has used, so that no pool waits for another one's.

use std::sync::OnceLock;

use prometheus_client::metrics::counter::Counter;

use super::labels::{LoginAnswer, Outcome, Staff};
use crate::backends::Rank;
use crate::verdict::Class;

/// The counters of one pool.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: Cells<1>,
    pub(super) failures: Cells<1>,
    pub(super) polls: Cells<1>,
    pub(super) bad_tickets: Cells<1>,
    pub(super) shed: Cells<{ Rank::Session as usize + 1 }>,
    pub(super) turns: Cells<{ Outcome::Queued as usize + 1 }>,
    pub(super) logins: Cells<{ LoginAnswer::Unreachable as usize + 1 }>,
    pub(super) classes: Cells<{ Class::Lost as usize + 1 }>,
    pub(super) staff: Cells<{ Staff::Refused as usize + 1 }>,
}

/// A counter for each value of a label, by its place among them.
#[derive(Debug)]
pub(super) struct Cells<const N: usize>([OnceLock<Counter>; N]);

impl<const N: usize> Default for Cells<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| OnceLock::new()))
    }
}

impl<const N: usize> Cells<N> {
    /// Counts one more. `find` takes the lock, and is asked the first time.
    pub(super) fn count(&self, place: usize, find: impl FnOnce() -> Counter) {
        match self.0.get(place) {
            Some(cell) => cell.get_or_init(find).inc(),
            None => find().inc(),
        };
    }
}
