//! Everything as JSON.

use einlass_simulator::Outcome;
use serde::Serialize;

use super::error::Error;
use super::rehearsal::{self, Rehearsal};
use super::summary::PoolSummary;

#[derive(Serialize)]
struct Report<'a> {
    scenario: &'a str,
    seed: u64,
    /// In sentences.
    assumed: &'a [String],
    took_seconds: f64,
    pools: &'a [PoolSummary],
    what_would_change: Vec<Changed<'a>>,
    /// Other ways to let logins in.
    against: Vec<Changed<'a>>,
    /// School by school and second by second.
    outcome: &'a Outcome,
}

#[derive(Serialize)]
struct Changed<'a> {
    what: &'a str,
    pools: &'a [PoolSummary],
}

pub(super) fn show(rehearsal: &Rehearsal) -> Result<String, Error> {
    let report = Report {
        scenario: &rehearsal.morning.scenario.name,
        seed: rehearsal.morning.scenario.seed,
        assumed: &rehearsal.morning.assumed,
        took_seconds: rehearsal.took.as_secs_f64(),
        pools: &rehearsal.pools,
        what_would_change: each(&rehearsal.changed),
        against: each(&rehearsal.against),
        outcome: &rehearsal.outcome,
    };
    Ok(serde_json::to_string(&report)?)
}

fn each(changed: &[rehearsal::Changed]) -> Vec<Changed<'_>> {
    let changed = changed.iter().map(|changed| Changed {
        what: changed.what,
        pools: &changed.pools,
    });
    changed.collect()
}
