//! How each backend is.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::Pool;
use super::register::{register, register_seconds};
use crate::backends::{Gauge as Gauges, State};
use crate::site::Site;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolBackend {
    pool: String,
    backend: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BackendState {
    pool: String,
    backend: String,
    state: &'static str,
}

/// Gauges of each backend, and counters that the pools keep.
pub(super) struct Backends {
    state: Family<BackendState, Gauge>,
    in_flight: Family<PoolBackend, Gauge>,
    limit: Family<PoolBackend, Gauge>,
    unfinished: Family<PoolBackend, Gauge>,
    idle: Family<PoolBackend, Gauge<f64, AtomicU64>>,
    latency: Family<PoolBackend, Gauge<f64, AtomicU64>>,
    ejections: Family<PoolBackend, Counter>,
    retries: Family<Pool, Counter>,
    lookups_failed: Family<Pool, Counter>,
}

impl Backends {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            state: register(registry, "backend_state", "1 for how the backend is"),
            in_flight: register(
                registry,
                "backend_in_flight_requests",
                "Requests that the backend owes an answer",
            ),
            limit: register(
                registry,
                "backend_limit_requests",
                "Requests that the backend may owe an answer now",
            ),
            unfinished: register(
                registry,
                "backend_unfinished_requests",
                "Requests at the backend that are not over, streams included",
            ),
            idle: register_seconds(
                registry,
                "backend_idle",
                "How long no request has gone to the backend",
            ),
            latency: register_seconds(
                registry,
                "backend_login_latency",
                "Peak-sensitive average of the backend's logins",
            ),
            ejections: register(
                registry,
                "backend_ejections",
                "How often the backend was left out for its answers",
            ),
            retries: register(
                registry,
                "retries",
                "Second tries of requests of which nothing was sent",
            ),
            lookups_failed: register(
                registry,
                "name_lookup_failures",
                "Lookups of backends' names without an answer",
            ),
        }
    }

    /// What is known of every backend now. Those that a name no longer leads to are gone.
    pub(super) fn read(&self, site: &Site) {
        self.state.clear();
        self.in_flight.clear();
        self.limit.clear();
        self.unfinished.clear();
        self.idle.clear();
        self.latency.clear();
        self.ejections.clear();
        for pool in &site.pools {
            let label = Pool::of(&pool.name);
            let store = |counter: &Family<Pool, Counter>, value| {
                let counter = counter.get_or_create(&label);
                counter.inner().store(value, Ordering::Relaxed);
            };
            store(&self.retries, pool.backends.retries());
            store(&self.lookups_failed, pool.backends.lookups_failed());
            for gauge in pool.backends.gauges() {
                self.read_one(&pool.name, &gauge);
            }
        }
    }

    fn read_one(&self, pool: &str, gauge: &Gauges) {
        let label = PoolBackend {
            pool: pool.to_owned(),
            backend: gauge.address.to_string(),
        };
        for state in State::ALL {
            let with_state = BackendState {
                pool: label.pool.clone(),
                backend: label.backend.clone(),
                state: state.name(),
            };
            let is = i64::from(state == gauge.state);
            self.state.get_or_create(&with_state).set(is);
        }
        let set = |family: &Family<PoolBackend, Gauge>, value: u32| {
            family.get_or_create(&label).set(value.into());
        };
        set(&self.in_flight, gauge.in_flight);
        set(&self.limit, gauge.limit);
        set(&self.unfinished, gauge.unfinished);
        let idle = self.idle.get_or_create(&label);
        idle.set(gauge.idle.as_secs_f64());
        let ejections = self.ejections.get_or_create(&label);
        let count = gauge.ejections.into();
        ejections.inner().store(count, Ordering::Relaxed);
        if let Some(latency) = gauge.latency {
            self.latency.get_or_create(&label).set(latency);
        }
    }
}
