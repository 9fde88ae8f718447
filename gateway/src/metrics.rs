//! What the desk exports for Prometheus.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use einlass_admission::{Mode, Reason, Scores};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::backends::{Rank, State};
use crate::edge::EdgeCounters;
use crate::login::{Answer, Failure, Lost};
use crate::open_files;
use crate::site::Site;
use crate::tally::Tally;
use crate::verdict::Class;

/// How a login that had to take a turn went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    /// Its turn came within the hold time.
    Held,
    /// It was sent to the waiting page.
    Queued,
}

/// What happens with staff passes. Nobody is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Staff {
    /// A place in the line of a school's staff.
    Placed,
    /// A place among the pupils, with a good pass: it came no later.
    Ordinary,
    /// Let in by a place among the staff.
    Admitted,
    /// A pass that gains nothing: forged, another school's, or expired.
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolStaff {
    pool: String,
    event: Staff,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pool {
    pool: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolOutcome {
    pool: String,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolRank {
    pool: String,
    rank: Rank,
}

/// What a backend made of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum LoginAnswer {
    Redirect,
    Page,
    ClientError,
    ServerError,
    Timeout,
    Broken,
    Unreachable,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolAnswer {
    pool: String,
    answer: LoginAnswer,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolClass {
    pool: String,
    class: Class,
}

/// All metrics. Counters are bumped by requests, gauges are read when somebody scrapes.
pub(crate) struct Metrics {
    registry: Registry,
    /// By the name of the pool.
    tallies: HashMap<String, Tally>,
    backend_state: Family<BackendState, Gauge>,
    backend_in_flight: Family<PoolBackend, Gauge>,
    backend_limit: Family<PoolBackend, Gauge>,
    backend_unfinished: Family<PoolBackend, Gauge>,
    backend_idle: Family<PoolBackend, Gauge<f64, AtomicU64>>,
    backend_latency: Family<PoolBackend, Gauge<f64, AtomicU64>>,
    backend_ejections: Family<PoolBackend, Counter>,
    retries: Family<Pool, Counter>,
    lookups_failed: Family<Pool, Counter>,
    requests: Family<Pool, Counter>,
    failures: Family<Pool, Counter>,
    shed: Family<PoolRank, Counter>,
    polls: Family<Pool, Counter>,
    turns: Family<PoolOutcome, Counter>,
    logins: Family<PoolAnswer, Counter>,
    classes: Family<PoolClass, Counter>,
    bad_tickets: Family<Pool, Counter>,
    staff: Family<PoolStaff, Counter>,
    unknown_hosts: Counter,
    state_errors: Counter,
    waiting: Family<Pool, Gauge>,
    staff_waiting: Family<Pool, Gauge>,
    buffered: Family<Pool, Gauge>,
    in_flight: Family<Pool, Gauge>,
    cap: Family<Pool, Gauge>,
    capacity: Family<Pool, Gauge<f64, AtomicU64>>,
    serving: Family<Pool, Gauge>,
    down: Family<Pool, Gauge>,
    overflow_in_flight: Family<Way, Gauge>,
    overflow_limit: Family<Way, Gauge>,
    overflow_logins: Family<Way, Counter>,
    ledger: Family<PoolMode, Gauge>,
    ledger_seconds: Family<Pool, Gauge<f64, AtomicU64>>,
    forecasts: Family<PoolResult, Counter>,
    revisions: Family<PoolReason, Counter>,
    forecast_wait: Family<Pool, Counter<f64, AtomicU64>>,
    forecast_error: Family<Pool, Counter<f64, AtomicU64>>,
    edge_open: Gauge,
    open_files: Gauge,
    open_files_limit: Gauge,
    edge: Family<EdgeEvent, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolMode {
    pool: String,
    mode: &'static str,
}

/// From a room to another region's backends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    pool: String,
    to: String,
}

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EdgeEvent {
    event: &'static str,
}

impl Metrics {
    #[allow(
        clippy::too_many_lines,
        reason = "a list with an entry for each metric"
    )]
    pub(crate) fn new<'a>(pools: impl Iterator<Item = &'a str>) -> Self {
        let mut registry = Registry::with_prefix("einlass");
        macro_rules! register {
            ($name:literal, $help:literal) => {{
                let metric = Default::default();
                registry.register($name, $help, Clone::clone(&metric));
                metric
            }};
        }
        macro_rules! seconds {
            ($name:literal, $help:literal) => {{
                let metric = Default::default();
                let copy = Clone::clone(&metric);
                registry.register_with_unit($name, $help, Unit::Seconds, copy);
                metric
            }};
        }
        let capacity: Family<Pool, Gauge<f64, AtomicU64>> = Family::default();
        registry.register_with_unit(
            "capacity_logins",
            "What the pool is believed to complete with its cap used up",
            Unit::Other("per_second".to_owned()),
            capacity.clone(),
        );
        Self {
            tallies: pools
                .map(|pool| (pool.to_owned(), Tally::default()))
                .collect(),
            forecasts: register!(
                "eta_forecasts",
                "Turns whose time was forecast: called below, inside or above the interval"
            ),
            revisions: register!(
                "eta_revisions",
                "Forecasts that became later by more than 5 s or a tenth, by the reason shown"
            ),
            forecast_wait: seconds!(
                "eta_wait",
                "Real waits of the turns whose time was forecast"
            ),
            forecast_error: seconds!(
                "eta_error",
                "How far those waits were from the likely ones, without the sign"
            ),
            backend_latency: seconds!(
                "backend_login_latency",
                "Peak-sensitive average of the backend's logins"
            ),
            backend_idle: seconds!(
                "backend_idle",
                "How long no request has gone to the backend"
            ),
            backend_state: register!("backend_state", "1 for how the backend is"),
            backend_in_flight: register!(
                "backend_in_flight_requests",
                "Requests that the backend owes an answer"
            ),
            backend_limit: register!(
                "backend_limit_requests",
                "Requests that the backend may owe an answer now"
            ),
            backend_unfinished: register!(
                "backend_unfinished_requests",
                "Requests at the backend that are not over, streams included"
            ),
            backend_ejections: register!(
                "backend_ejections",
                "How often the backend was left out for its answers"
            ),
            lookups_failed: register!(
                "name_lookup_failures",
                "Lookups of backends' names without an answer"
            ),
            retries: register!(
                "retries",
                "Second tries of requests of which nothing was sent"
            ),
            overflow_in_flight: register!(
                "overflow_in_flight_logins",
                "Logins in flight at another region's backends"
            ),
            overflow_limit: register!(
                "overflow_limit_logins",
                "Logins that may be in flight there now"
            ),
            overflow_logins: register!(
                "overflow_logins",
                "Logins sent to another region's backends"
            ),
            ledger: register!("ledger_mode", "1 for how the room's ledger is"),
            ledger_seconds: seconds!(
                "ledger_mode_age",
                "How long the room's ledger has been as it is"
            ),
            requests: register!("requests", "Requests of a pool's schools"),
            failures: register!("request_failures", "Requests that ended in an error"),
            shed: register!(
                "shed_requests",
                "Pages not shown, and logins that took a turn, because others go first"
            ),
            polls: register!("polls", "Polls of the turn"),
            turns: register!("turns", "Logins that took a turn"),
            logins: register!("logins", "Logins performed, by the backend's answer"),
            classes: register!(
                "login_classes",
                "Logins performed, by what the backend made of them"
            ),
            bad_tickets: register!(
                "bad_tickets",
                "Tickets not believed: forged, foreign or expired"
            ),
            staff: register!("staff_events", "What happened with staff passes"),
            unknown_hosts: register!("unknown_hosts", "Requests for a host of no school"),
            state_errors: register!("state_file_errors", "Failed writes of the state file"),
            waiting: register!("waiting_pupils", "Pupils waiting in the room"),
            staff_waiting: register!(
                "waiting_staff",
                "Of the pupils waiting, those in the lines of staff"
            ),
            buffered: register!("buffered_logins", "Released logins waiting for a slot"),
            in_flight: register!("in_flight_logins", "Logins in flight at the pool"),
            cap: register!("in_flight_cap_logins", "Logins that may be in flight"),
            serving: register!("serving", "The watermark"),
            down: register!(
                "pool_down",
                "1 while no backend of the pool can be reached, or none answers"
            ),
            edge_open: register!("edge_open_connections", "Connections open at the edge"),
            open_files: register!("open_files", "Files and connections open in this process"),
            open_files_limit: register!(
                "open_files_limit",
                "How many may be open; 0 without a limit"
            ),
            edge: register!("edge_events", "What happened at the edge since the start"),
            capacity,
            registry,
        }
    }

    pub(crate) fn request(&self, pool: &str, failed: bool) {
        let Some(tally) = self.tallies.get(pool) else {
            return;
        };
        tally.requests.count(0, || of_pool(&self.requests, pool));
        if failed {
            tally.failures.count(0, || of_pool(&self.failures, pool));
        }
    }

    /// A request was shed, or a login had to take a turn, because others go first.
    pub(crate) fn shed(&self, pool: &str, rank: Rank) {
        if let Some(tally) = self.tallies.get(pool) {
            let find = || {
                let pool = pool.to_owned();
                self.shed.get_or_create(&PoolRank { pool, rank }).clone()
            };
            tally.shed.count(rank as usize, find);
        }
    }

    /// How many that were of this rank.
    pub(crate) fn shed_so_far(&self, pool: &str, rank: Rank) -> u64 {
        let pool = pool.to_owned();
        self.shed.get_or_create(&PoolRank { pool, rank }).get()
    }

    pub(crate) fn poll(&self, pool: &str) {
        if let Some(tally) = self.tallies.get(pool) {
            tally.polls.count(0, || of_pool(&self.polls, pool));
        }
    }

    pub(crate) fn admitted(&self, pool: &str, outcome: Outcome) {
        if let Some(tally) = self.tallies.get(pool) {
            let find = || {
                let pool = pool.to_owned();
                let label = PoolOutcome { pool, outcome };
                self.turns.get_or_create(&label).clone()
            };
            tally.turns.count(outcome as usize, find);
        }
    }

    pub(crate) fn login(&self, pool: &str, answer: &Result<Answer, Failure>) {
        let answer = LoginAnswer::of(answer);
        if let Some(tally) = self.tallies.get(pool) {
            let find = || {
                let pool = pool.to_owned();
                let label = PoolAnswer { pool, answer };
                self.logins.get_or_create(&label).clone()
            };
            tally.logins.count(answer as usize, find);
        }
    }

    pub(crate) fn login_class(&self, pool: &str, class: Class) {
        if let Some(tally) = self.tallies.get(pool) {
            let find = || {
                let pool = pool.to_owned();
                let label = PoolClass { pool, class };
                self.classes.get_or_create(&label).clone()
            };
            tally.classes.count(class as usize, find);
        }
    }

    pub(crate) fn bad_ticket(&self, pool: &str) {
        if let Some(tally) = self.tallies.get(pool) {
            tally
                .bad_tickets
                .count(0, || of_pool(&self.bad_tickets, pool));
        }
    }

    pub(crate) fn staff(&self, pool: &str, event: Staff) {
        if let Some(tally) = self.tallies.get(pool) {
            let find = || {
                let pool = pool.to_owned();
                self.staff.get_or_create(&PoolStaff { pool, event }).clone()
            };
            tally.staff.count(event as usize, find);
        }
    }

    pub(crate) fn unknown_host(&self) {
        self.unknown_hosts.inc();
    }

    pub(crate) fn state_error(&self) {
        self.state_errors.inc();
    }

    /// The text a scraper gets.
    pub(crate) fn scrape(&self, site: &Site, edge: &Arc<EdgeCounters>) -> String {
        for pool in &site.pools {
            let label = Pool::of(&pool.name);
            let gauges = pool.room.gauges();
            let set = |family: &Family<Pool, Gauge>, value: u64| {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                family.get_or_create(&label).set(value);
            };
            set(&self.waiting, gauges.waiting);
            set(&self.staff_waiting, gauges.staff);
            set(&self.buffered, gauges.buffered as u64);
            set(&self.in_flight, gauges.in_flight.into());
            set(&self.cap, gauges.cap.into());
            set(&self.serving, pool.room.serving().0);
            let down = pool.room.is_down() || pool.backends.down();
            set(&self.down, down.into());
            let (mode, since) = pool.room.mode();
            for each in Mode::ALL {
                let label = PoolMode {
                    pool: pool.name.clone(),
                    mode: each.name(),
                };
                let is = i64::from(each == mode);
                self.ledger.get_or_create(&label).set(is);
            }
            self.ledger_seconds
                .get_or_create(&label)
                .set(since.as_secs_f64());
            self.forecasts(&pool.name, &gauges.forecasts);
            if let Some(capacity) = gauges.capacity {
                self.capacity.get_or_create(&label).set(capacity);
            }
        }
        self.overflow(site);
        self.backends(site);
        self.edge(edge);
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }

    /// How good the promises of one room were.
    fn forecasts(&self, pool: &str, scores: &Scores) {
        let store = |counter: &Counter, value| counter.inner().store(value, Ordering::Relaxed);
        for (result, value) in [
            ("below", scores.below),
            ("inside", scores.inside),
            ("above", scores.above),
        ] {
            let pool = pool.to_owned();
            let label = PoolResult { pool, result };
            store(&self.forecasts.get_or_create(&label), value);
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

    fn overflow(&self, site: &Site) {
        for outlet in &site.outlets {
            let label = Way {
                pool: outlet.from.name.clone(),
                to: outlet.to.name.clone(),
            };
            let in_flight = self.overflow_in_flight.get_or_create(&label);
            in_flight.set(outlet.guests().into());
            let limit = self.overflow_limit.get_or_create(&label);
            limit.set(outlet.allowed().into());
            let logins = self.overflow_logins.get_or_create(&label);
            logins.inner().store(outlet.sent(), Ordering::Relaxed);
        }
    }

    /// What is known of every backend now. Those that a name no longer leads to are gone.
    fn backends(&self, site: &Site) {
        self.backend_state.clear();
        self.backend_in_flight.clear();
        self.backend_limit.clear();
        self.backend_unfinished.clear();
        self.backend_idle.clear();
        self.backend_latency.clear();
        self.backend_ejections.clear();
        for pool in &site.pools {
            let retries = self.retries.get_or_create(&Pool::of(&pool.name)).clone();
            retries
                .inner()
                .store(pool.backends.retries(), Ordering::Relaxed);
            let lookups = self
                .lookups_failed
                .get_or_create(&Pool::of(&pool.name))
                .clone();
            lookups
                .inner()
                .store(pool.backends.lookups_failed(), Ordering::Relaxed);
            for gauge in pool.backends.gauges() {
                let label = PoolBackend {
                    pool: pool.name.clone(),
                    backend: gauge.address.to_string(),
                };
                for state in State::ALL {
                    let with_state = BackendState {
                        pool: label.pool.clone(),
                        backend: label.backend.clone(),
                        state: state.name(),
                    };
                    let is = i64::from(state == gauge.state);
                    self.backend_state.get_or_create(&with_state).set(is);
                }
                self.backend_in_flight
                    .get_or_create(&label)
                    .set(gauge.in_flight.into());
                self.backend_limit
                    .get_or_create(&label)
                    .set(gauge.limit.into());
                self.backend_unfinished
                    .get_or_create(&label)
                    .set(gauge.unfinished.into());
                self.backend_idle
                    .get_or_create(&label)
                    .set(gauge.idle.as_secs_f64());
                self.backend_ejections
                    .get_or_create(&label)
                    .inner()
                    .store(gauge.ejections.into(), Ordering::Relaxed);
                if let Some(latency) = gauge.latency {
                    self.backend_latency.get_or_create(&label).set(latency);
                }
            }
        }
    }

    fn edge(&self, edge: &EdgeCounters) {
        let counts = edge.counts();
        let number = |value| i64::try_from(value).unwrap_or(i64::MAX);
        self.edge_open.set(number(counts.open));
        let files = open_files::open().unwrap_or(0);
        self.open_files
            .set(i64::try_from(files).unwrap_or(i64::MAX));
        self.open_files_limit
            .set(number(open_files::limit().unwrap_or(0)));
        for (event, value) in [
            ("accepted", counts.accepted),
            ("refused", counts.refused),
            ("accept_error", counts.accept_errors),
            ("handshake_failure", counts.handshake_failures),
            ("handshake_timeout", counts.handshake_timeouts),
            ("head_timeout", counts.head_timeouts),
            ("head_too_long", counts.heads_too_long),
            ("proxy_header", counts.proxy_headers),
            ("panic", counts.panics),
        ] {
            self.edge
                .get_or_create(&EdgeEvent { event })
                .set(number(value));
        }
    }
}

impl Pool {
    fn of(pool: &str) -> Self {
        Self {
            pool: pool.to_owned(),
        }
    }
}

impl LoginAnswer {
    fn of(answer: &Result<Answer, Failure>) -> Self {
        match answer {
            Ok(answer) if answer.header.status.is_redirection() => Self::Redirect,
            Ok(answer) if answer.header.status.is_client_error() => Self::ClientError,
            Ok(answer) if answer.header.status.is_server_error() => Self::ServerError,
            Ok(_) => Self::Page,
            Err(Failure::Unreachable) => Self::Unreachable,
            Err(Failure::Lost(Lost::Timeout)) => Self::Timeout,
            Err(Failure::Lost(Lost::Broken)) => Self::Broken,
        }
    }
}

fn of_pool(family: &Family<Pool, Counter>, pool: &str) -> Counter {
    family.get_or_create(&Pool::of(pool)).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_looked_up_once() {
        let metrics = Metrics::new(["north"].into_iter());
        metrics.request("north", false);
        metrics.poll("north");
        metrics.shed("north", Rank::Page);
        let label = Pool::of("north");
        let held = metrics.requests.get_or_create(&label).clone();
        assert_eq!(held.get(), 1);
        assert_eq!(metrics.shed_so_far("north", Rank::Page), 1);
        // Whoever looked again would find nothing, and make another one.
        metrics.requests.clear();
        metrics.request("north", true);
        assert_eq!(held.get(), 2);
        assert_eq!(metrics.failures.get_or_create(&label).get(), 1);
    }
}
