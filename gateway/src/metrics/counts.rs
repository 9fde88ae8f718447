//! What requests count: what was asked for, what became of it, and of logins what the backend made of them.

use std::collections::HashMap;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Metrics;
use super::labels::{LoginAnswer, Outcome, Pool, Staff};
use super::register::register;
use super::tally::Tally;
use crate::backends::Rank;
use crate::login::{Answer, Failure};
use crate::verdict::Class;

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolStaff {
    pool: String,
    event: Staff,
}

/// Counters that requests bump.
pub(super) struct Counts {
    /// By the name of the pool.
    tallies: HashMap<String, Tally>,
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
}

impl Counts {
    pub(super) fn new<'a>(registry: &mut Registry, pools: impl Iterator<Item = &'a str>) -> Self {
        Self {
            tallies: pools
                .map(|pool| (pool.to_owned(), Tally::default()))
                .collect(),
            requests: register(registry, "requests", "Requests of a pool's schools"),
            failures: register(
                registry,
                "request_failures",
                "Requests that ended in an error",
            ),
            shed: register(
                registry,
                "shed_requests",
                "Pages not shown, and logins that took a turn, because others go first",
            ),
            polls: register(registry, "polls", "Polls of the turn"),
            turns: register(registry, "turns", "Logins that took a turn"),
            logins: register(
                registry,
                "logins",
                "Logins performed, by the backend's answer",
            ),
            classes: register(
                registry,
                "login_classes",
                "Logins performed, by what the backend made of them",
            ),
            bad_tickets: register(
                registry,
                "bad_tickets",
                "Tickets not believed: forged, foreign or expired",
            ),
            staff: register(registry, "staff_events", "What happened with staff passes"),
            unknown_hosts: register(
                registry,
                "unknown_hosts",
                "Requests for a host of no school",
            ),
            state_errors: register(
                registry,
                "state_file_errors",
                "Failed writes of the state file",
            ),
        }
    }
}

impl Metrics {
    pub(crate) fn request(&self, pool: &str, failed: bool) {
        let Some(tally) = self.counts.tallies.get(pool) else {
            return;
        };
        tally
            .requests
            .count(0, || of_pool(&self.counts.requests, pool));
        if failed {
            tally
                .failures
                .count(0, || of_pool(&self.counts.failures, pool));
        }
    }

    /// A request was shed, or a login had to take a turn, because others go first.
    pub(crate) fn shed(&self, pool: &str, rank: Rank) {
        if let Some(tally) = self.counts.tallies.get(pool) {
            let find = || {
                let pool = pool.to_owned();
                self.counts
                    .shed
                    .get_or_create(&PoolRank { pool, rank })
                    .clone()
            };
            tally.shed.count(rank as usize, find);
        }
    }

    /// How many that were of this rank.
    pub(crate) fn shed_so_far(&self, pool: &str, rank: Rank) -> u64 {
        let pool = pool.to_owned();
        self.counts
            .shed
            .get_or_create(&PoolRank { pool, rank })
            .get()
    }

    pub(crate) fn poll(&self, pool: &str) {
        if let Some(tally) = self.counts.tallies.get(pool) {
            tally.polls.count(0, || of_pool(&self.counts.polls, pool));
        }
    }

    pub(crate) fn admitted(&self, pool: &str, outcome: Outcome) {
        if let Some(tally) = self.counts.tallies.get(pool) {
            let find = || {
                let pool = pool.to_owned();
                let label = PoolOutcome { pool, outcome };
                self.counts.turns.get_or_create(&label).clone()
            };
            tally.turns.count(outcome as usize, find);
        }
    }

    pub(crate) fn login(&self, pool: &str, answer: &Result<Answer, Failure>) {
        let answer = LoginAnswer::of(answer);
        if let Some(tally) = self.counts.tallies.get(pool) {
            let find = || {
                let pool = pool.to_owned();
                let label = PoolAnswer { pool, answer };
                self.counts.logins.get_or_create(&label).clone()
            };
            tally.logins.count(answer as usize, find);
        }
    }

    pub(crate) fn login_class(&self, pool: &str, class: Class) {
        if let Some(tally) = self.counts.tallies.get(pool) {
            let find = || {
                let pool = pool.to_owned();
                let label = PoolClass { pool, class };
                self.counts.classes.get_or_create(&label).clone()
            };
            tally.classes.count(class as usize, find);
        }
    }

    pub(crate) fn bad_ticket(&self, pool: &str) {
        if let Some(tally) = self.counts.tallies.get(pool) {
            tally
                .bad_tickets
                .count(0, || of_pool(&self.counts.bad_tickets, pool));
        }
    }

    pub(crate) fn staff(&self, pool: &str, event: Staff) {
        if let Some(tally) = self.counts.tallies.get(pool) {
            let find = || {
                let pool = pool.to_owned();
                self.counts
                    .staff
                    .get_or_create(&PoolStaff { pool, event })
                    .clone()
            };
            tally.staff.count(event as usize, find);
        }
    }

    pub(crate) fn unknown_host(&self) {
        self.counts.unknown_hosts.inc();
    }

    pub(crate) fn state_error(&self) {
        self.counts.state_errors.inc();
    }
}

fn of_pool(family: &Family<Pool, Counter>, pool: &str) -> Counter {
    family.get_or_create(&Pool::of(pool)).clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_counter_is_looked_up_once() {
        let metrics = Metrics::new(["north"].into_iter());
        metrics.request("north", false);
        metrics.poll("north");
        metrics.shed("north", Rank::Page);
        let label = Pool::of("north");
        let held = metrics.counts.requests.get_or_create(&label).clone();
        assert_eq!(held.get(), 1);
        assert_eq!(metrics.shed_so_far("north", Rank::Page), 1);
        // Whoever looked again would find nothing, and make another one.
        metrics.counts.requests.clear();
        metrics.request("north", true);
        assert_eq!(held.get(), 2);
        assert_eq!(metrics.counts.failures.get_or_create(&label).get(), 1);
    }
}
