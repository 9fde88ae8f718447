//! What came of a morning at a pool, in the few numbers that are looked at first.

use einlass_simulator::{Outcome, Pool, PoolOutcome, Quantiles, Scenario};
use serde::Serialize;

/// Schools with fewer pupils than these make up a class each; the last class is all others.
const CLASSES: [u32; 3] = [300, 600, 1_000];

/// What came of a morning at a pool, or at several together.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PoolSummary {
    pub(super) pool: String,
    pub(super) region: String,
    /// A school's own server.
    pub(super) own_server: bool,
    pub(super) schools: usize,
    pub(super) came: u64,
    pub(super) admitted: u64,
    /// Who closed the tab, or had no more patience.
    pub(super) gave_up: u64,
    /// Who was neither in nor had given up when the morning ended.
    pub(super) left: u64,
    /// Logins that ended in an error.
    pub(super) errors: u64,
    /// From coming to being in, in seconds.
    pub(super) wait: Quantiles,
    /// When the last one who got in was in, in seconds.
    pub(super) ended: f64,
    /// Latency of logins at the backend, over what they would have taken alone.
    pub(super) slowdown: Quantiles,
    /// From when on never more than a second's work waits, in seconds; `None` if it does at the end.
    pub(super) queue_empty_at: Option<f64>,
    /// The part of the capacity that was used while somebody waited.
    pub(super) used: f64,
    pub(super) most_in_flight: u32,
    /// Jain's index of logins over enrolled pupils while all the schools wait, 0 to 1; `None` if they hardly ever do.
    pub(super) jain: Option<f64>,
    /// The part of the promised intervals that came true.
    pub(super) promises_kept: f64,
    pub(super) by_size: Vec<SizeClass>,
}

/// Schools of about the same size.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SizeClass {
    pub(super) label: String,
    pub(super) schools: usize,
    /// The median over the schools of their median wait, in seconds; `None` if nobody came.
    pub(super) wait_p50: Option<f64>,
}

/// Every pool of a morning.
pub(super) fn summarise(scenario: &Scenario, outcome: &Outcome) -> Vec<PoolSummary> {
    let pairs = scenario.pools.iter().zip(&outcome.pools);
    pairs.map(|(pool, outcome)| one(pool, outcome)).collect()
}

fn one(pool: &Pool, outcome: &PoolOutcome) -> PoolSummary {
    PoolSummary {
        pool: outcome.pool.clone(),
        region: outcome.region.clone(),
        own_server: outcome.pool != outcome.region,
        schools: outcome.schools.len(),
        came: outcome.came,
        admitted: outcome.admitted,
        gave_up: outcome.gave_up,
        left: outcome
            .came
            .saturating_sub(outcome.admitted + outcome.gave_up),
        errors: outcome.errors,
        wait: outcome.wait,
        ended: outcome.ended,
        slowdown: outcome.slowdown,
        queue_empty_at: queue_empty_at(pool, outcome),
        used: outcome.used,
        most_in_flight: outcome.most_in_flight,
        jain: outcome.jain,
        promises_kept: outcome.covered,
        by_size: by_size(outcome),
    }
}

fn queue_empty_at(pool: &Pool, outcome: &PoolOutcome) -> Option<f64> {
    let mean = pool.backend.hash.as_secs_f64() * (pool.backend.spread.powi(2) / 2.0).exp();
    let ceiling = pool.admission.ceiling.unwrap_or(f64::INFINITY);
    let waits = |second: &einlass_simulator::Second| {
        let work = (f64::from(second.cores) / mean).min(ceiling);
        f64::from(second.waiting) > work.max(2.0)
    };
    let last = outcome.series.iter().rposition(waits);
    match last {
        None => Some(0.0),
        Some(last) if last + 1 == outcome.series.len() => None,
        Some(last) => Some((last + 1) as f64),
    }
}

fn by_size(outcome: &PoolOutcome) -> Vec<SizeClass> {
    let above = CLASSES.iter().copied().chain([u32::MAX]);
    let below = [0].into_iter().chain(CLASSES);
    let class = |(from, to): (u32, u32)| {
        let within = outcome
            .schools
            .iter()
            .filter(|s| (from..to).contains(&s.pupils));
        let mut waits: Vec<f64> = within
            .clone()
            .filter(|school| school.admitted > 0)
            .map(|school| school.wait.p50)
            .collect();
        SizeClass {
            label: match (from, to) {
                (0, to) => format!("under {to}"),
                (from, u32::MAX) => format!("{from} and more"),
                (from, to) => format!("{from} to {}", to - 1),
            },
            schools: within.count(),
            wait_p50: (!waits.is_empty()).then(|| Quantiles::of(&mut waits).p50),
        }
    };
    below.zip(above).map(class).collect()
}

/// Every region's own pool, and its schools' own servers together: the sum of those who came, the worst of the rest.
pub(super) fn rows(pools: &[PoolSummary]) -> Vec<PoolSummary> {
    let mut rows: Vec<PoolSummary> = Vec::new();
    for pool in pools {
        let same = rows
            .iter_mut()
            .find(|row| row.own_server && pool.own_server && row.region == pool.region);
        match same {
            Some(row) => row.add(pool),
            None => rows.push(pool.clone()),
        }
    }
    for row in rows
        .iter_mut()
        .filter(|row| row.own_server && row.schools > 1)
    {
        row.pool = format!("{}: {} own servers", row.region, row.schools);
    }
    rows
}

impl PoolSummary {
    fn add(&mut self, other: &Self) {
        self.schools += other.schools;
        self.came += other.came;
        self.admitted += other.admitted;
        self.gave_up += other.gave_up;
        self.left += other.left;
        self.errors += other.errors;
        for (mine, theirs) in [
            (&mut self.wait, &other.wait),
            (&mut self.slowdown, &other.slowdown),
        ] {
            mine.p50 = mine.p50.max(theirs.p50);
            mine.p90 = mine.p90.max(theirs.p90);
            mine.p99 = mine.p99.max(theirs.p99);
            mine.max = mine.max.max(theirs.max);
        }
        self.ended = self.ended.max(other.ended);
        self.queue_empty_at = self
            .queue_empty_at
            .zip(other.queue_empty_at)
            .map(|(mine, theirs)| mine.max(theirs));
        self.used = self.used.min(other.used);
        self.most_in_flight = self.most_in_flight.max(other.most_in_flight);
        self.jain = self.jain.into_iter().chain(other.jain).reduce(f64::min);
        self.promises_kept = self.promises_kept.min(other.promises_kept);
    }
}
