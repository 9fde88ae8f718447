//! A morning that has been played, and played again with one thing changed.

use std::time::{Duration, Instant};

use einlass_simulator::{Outcome, simulate};

use super::morning::Morning;
use super::summary::{PoolSummary, summarise};
use super::{against, change};

/// A morning that has been played.
#[derive(Debug)]
pub(super) struct Rehearsal {
    pub(super) morning: Morning,
    pub(super) outcome: Outcome,
    pub(super) pools: Vec<PoolSummary>,
    pub(super) changed: Vec<Changed>,
    /// The same morning with other ways to let logins in.
    pub(super) against: Vec<Changed>,
    /// Wall-clock time of the morning as it is.
    pub(super) took: Duration,
    /// Of everything.
    pub(super) took_in_all: Duration,
}

/// The same morning with one thing changed.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) what: &'static str,
    /// In the order of the pools.
    pub(super) pools: Vec<PoolSummary>,
}

impl Rehearsal {
    pub(super) fn play(morning: Morning, with_changes: bool, with_others: bool) -> Self {
        let start = Instant::now();
        let outcome = simulate(&morning.scenario);
        let took = start.elapsed();
        let changes = if with_changes {
            change::all(&morning.scenario, &outcome)
        } else {
            Vec::new()
        };
        let others = if with_others {
            against::all(&morning.scenario)
        } else {
            Vec::new()
        };
        let play = |change: change::Change| Changed {
            what: change.what,
            pools: summarise(&change.scenario, &simulate(&change.scenario)),
        };
        Self {
            pools: summarise(&morning.scenario, &outcome),
            changed: changes.into_iter().map(play).collect(),
            against: others.into_iter().map(play).collect(),
            outcome,
            morning,
            took,
            took_in_all: start.elapsed(),
        }
    }
}
