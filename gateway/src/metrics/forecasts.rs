//! How good the promises of the rooms were.

use std::sync::atomic::{AtomicU64, Ordering};

use einlass_admission::{Reason, Scores};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::labels::Pool;
use super::register::{register, register_seconds};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolResult {
    pool: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolReason {
    pool: String,
    reason: &'static str,
}

/// Counters of forecasts, which the rooms keep.
pub(super) struct Forecasts {
    results: Family<PoolResult, Counter>,
    revisions: Family<PoolReason, Counter>,
    forecast_wait: Family<Pool, Counter<f64, AtomicU64>>,
    forecast_error: Family<Pool, Counter<f64, AtomicU64>>,
}

impl Forecasts {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            results: register(
                registry,
                "eta_forecasts",
                "Turns whose time was forecast: called below, inside or above the interval",
            ),
            revisions: register(
                registry,
                "eta_revisions",
                "Forecasts that became later by more than 5 s or a tenth, by the reason shown",
            ),
            forecast_wait: register_seconds(
                registry,
                "eta_wait",
                "Real waits of the turns whose time was forecast",
            ),
            forecast_error: register_seconds(
                registry,
                "eta_error",
                "How far those waits were from the likely ones, without the sign",
            ),
        }
    }

    /// What one room has counted so far.
    pub(super) fn read(&self, pool: &str, scores: &Scores) {
        let store = |counter: &Counter, value| counter.inner().store(value, Ordering::Relaxed);
        for (result, value) in [
            ("below", scores.below),
            ("inside", scores.inside),
            ("above", scores.above),
        ] {
            let pool = pool.to_owned();
            let label = PoolResult { pool, result };
            store(&self.results.get_or_create(&label), value);
        }
        let named = Reason::ALL.iter().map(|reason| reason.name());
        let counts = scores.revised.iter().copied();
        let unexplained = std::iter::once(("none", scores.revised_unexplained));
        for (reason, value) in named.zip(counts).chain(unexplained) {
            let pool = pool.to_owned();
            let label = PoolReason { pool, reason };
            store(&self.revisions.get_or_create(&label), value);
        }
        for (family, seconds) in [
            (&self.forecast_wait, scores.waited),
            (&self.forecast_error, scores.error),
        ] {
            let counter = family.get_or_create(&Pool::of(pool));
            counter.inner().store(seconds.to_bits(), Ordering::Relaxed);
        }
    }
}
