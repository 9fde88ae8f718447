//! What would change the morning: a higher ceiling, a second backend, a crowd that takes its time.

use einlass_simulator::{Outcome, Policy, Pool, Scenario, Steps};

/// The morning with one thing changed.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) what: &'static str,
    pub(super) scenario: Scenario,
}

/// Every change that applies. Ceilings count only where there are any.
pub(super) fn all(scenario: &Scenario, outcome: &Outcome) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut raised = scenario.clone();
    for (pool, outcome) in raised.pools.iter_mut().zip(&outcome.pools) {
        raise(pool, outcome.most_in_flight);
    }
    if raised != *scenario {
        changes.push(Change {
            what: "ceilings raised",
            scenario: raised,
        });
    }
    let mut stronger = scenario.clone();
    stronger.pools.iter_mut().for_each(double);
    changes.push(Change {
        what: "twice the cores",
        scenario: stronger,
    });
    let mut slower = scenario.clone();
    for wave in slower.pools.iter_mut().flat_map(|pool| &mut pool.waves) {
        wave.over *= 2;
    }
    changes.push(Change {
        what: "twice the time to come",
        scenario: slower,
    });
    changes
}

/// No ceiling in logins per second, and twice the bound on logins in flight where it was what held them up.
fn raise(pool: &mut Pool, most_in_flight: u32) {
    pool.admission.ceiling = None;
    match &mut pool.admission.policy {
        Policy::Fixed { cap } => *cap = cap.saturating_mul(2),
        Policy::Adaptive { max, .. } if most_in_flight >= *max => *max = max.saturating_mul(2),
        // A configuration knows no others.
        _ => {}
    }
}

/// A second backend like the first. A fixed cap is an operator's setting that would go with it.
fn double(pool: &mut Pool) {
    let cores = &pool.backend.cores;
    let times = std::iter::once(std::time::Duration::ZERO).chain(cores.changes());
    let twice = times.map(|at| (at, 2.0 * cores.at(at))).collect();
    if let Some(twice) = Steps::new(twice) {
        pool.backend.cores = twice;
    }
    if let Policy::Fixed { cap } = &mut pool.admission.policy {
        *cap = cap.saturating_mul(2);
    }
}
