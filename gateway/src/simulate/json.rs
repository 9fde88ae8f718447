//! Everything as JSON.

use einlass_simulator::Outcome;
use serde::Serialize;

use super::error::Error;
use super::rehearsal::Rehearsal;
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
    /// School by school and second by second.
    outcome: &'a Outcome,
}

#[derive(Serialize)]
struct Changed<'a> {
    what: &'a str,
    pools: &'a [PoolSummary],
}

pub(super) fn show(rehearsal: &Rehearsal) -> Result<String, Error> {
    let changed = rehearsal.changed.iter().map(|changed| Changed {
        what: changed.what,
        pools: &changed.pools,
    });
    let report = Report {
        scenario: &rehearsal.morning.scenario.name,
        seed: rehearsal.morning.scenario.seed,
        assumed: &rehearsal.morning.assumed,
        took_seconds: rehearsal.took.as_secs_f64(),
        pools: &rehearsal.pools,
        what_would_change: changed.collect(),
        outcome: &rehearsal.outcome,
    };
    Ok(serde_json::to_string(&report)?)
}
