//! The backends of a pool: who gets the next request, who is left out, and how they are reached.
//!
//! `balancer` decides, with a [`member`] for each backend; both are told the time and do no I/O.
//! Here is the shell around them: the lock, the clock, and the log.

mod affinity;
mod balancer;
mod budget;
mod busy;
mod check;
mod checks;
mod ewma;
mod member;
mod names;
mod peer;
mod ramp;
mod signals;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use einlass_config::{Backend, Endpoint, Health, Pool};
use parking_lot::{Mutex, MutexGuard};
use pingora_core::upstreams::peer::HttpPeer;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::random;
use balancer::{Balancer, Choice, Wish};
use member::Id;
use peer::Peers;

pub(crate) use affinity::{Home, Stay};
pub(crate) use balancer::Gauge;
pub(crate) use busy::Busy;
pub(crate) use check::Checker;
pub(crate) use names::follow;
pub use tls::UpstreamError;

/// While all are at their bound, it is looked so often whether one has grown.
const AGAIN: Duration = Duration::from_millis(25);

/// What kind of request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A login: what the backend's capacity is spent on.
    Login,
    /// A request that changes nothing; its answer should be quick.
    Read,
    /// Any other. How long it takes depends on what the browser sends.
    Write,
}

/// How a backend is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// In use.
    Up,
    /// In use for those who are there.
    Draining,
    /// Left out for what it answered.
    Ejected,
    /// The next login decides.
    Trial,
    /// No connection stands, or the checks fail.
    Down,
    /// The pool's name no longer leads there.
    Leaving,
}

impl State {
    pub(crate) const ALL: [Self; 6] = [
        Self::Up,
        Self::Draining,
        Self::Ejected,
        Self::Trial,
        Self::Down,
        Self::Leaving,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Ejected => "ejected",
            Self::Trial => "trial",
            Self::Down => "down",
            Self::Leaving => "leaving",
        }
    }
}

/// All backends of a pool.
pub(crate) struct Backends {
    shared: Arc<Shared>,
    peers: Peers,
    /// As the operator has written them, and for each name the addresses found last.
    written: Vec<Backend>,
    found: Mutex<Vec<Vec<IpAddr>>>,
    resolver: Option<SocketAddr>,
    lookups_failed: AtomicU64,
    health: Health,
    /// What checks ask for if nothing else is written.
    host: String,
}

/// What a request at a backend shares with its pool.
struct Shared {
    pool: String,
    clock: Clock,
    balancer: Mutex<Balancer>,
    /// A place has become free.
    freed: Notify,
}

impl Backends {
    pub(crate) fn new(clock: Clock, pool: &Pool) -> Result<Self, UpstreamError> {
        let mut balancer = Balancer::new(pool.balancing, u64::from_be_bytes(random::bytes()));
        let found = vec![Vec::new(); pool.backends.len()];
        balancer.set(&names::sites(&pool.backends, &found));
        Ok(Self {
            shared: Arc::new(Shared {
                pool: pool.name.clone(),
                clock,
                balancer: Mutex::new(balancer),
                freed: Notify::new(),
            }),
            peers: Peers::new(pool)?,
            written: pool.backends.clone(),
            found: Mutex::new(found),
            resolver: pool.upstream.resolver,
            lookups_failed: AtomicU64::new(0),
            health: pool.health.clone(),
            host: pool
                .schools
                .first()
                .map_or_else(String::new, |school| school.host.to_string()),
        })
    }

    /// A backend for a request, of those not `tried` yet. If all are at their bound, one is waited
    /// for, as long as a connection might take; one that is being restarted is waited for by its
    /// sessions, for some seconds. `None`: there is none.
    pub(crate) async fn place(
        &self,
        kind: Kind,
        home: Home,
        mut tried: &[SocketAddr],
    ) -> Option<Busy> {
        if tried.is_empty() {
            self.shared.lock().budget.earn();
        }
        let patience = self.peers.connect_timeout();
        let mut waited_since = self.shared.clock.now();
        loop {
            let freed = self.shared.freed.notified();
            let now = self.shared.clock.now();
            let choice = self.shared.lock().choose(now, Wish { kind, home, tried });
            match choice {
                Choice::At(id, address) => {
                    return Some(Busy::new(&self.shared, id, address, kind));
                }
                Choice::Nobody => return None,
                Choice::Full if now.saturating_sub(waited_since) >= patience => return None,
                Choice::Full => {}
                // That has an end of its own. Whoever has waited for it may try it again, also when
                // it has taken up its work in the meantime.
                Choice::Away => {
                    waited_since = now;
                    tried = &[];
                }
            }
            let _ = tokio::time::timeout(AGAIN, freed).await;
        }
    }

    /// Whether there may be a second try, which then counts as made.
    pub(crate) fn may_retry(&self) -> bool {
        let now = self.shared.clock.now();
        self.shared.lock().budget.spend(now)
    }

    /// How many second tries there have been.
    pub(crate) fn retries(&self) -> u64 {
        self.shared.lock().budget.spent()
    }

    /// From now on nobody new is sent to a backend, or again. False if the pool has no such backend.
    pub(crate) fn drain(&self, address: SocketAddr, drain: bool) -> bool {
        let known = self.shared.lock().drain(address, drain);
        self.shared.tell();
        known
    }

    /// No backend can be reached.
    pub(crate) fn down(&self) -> bool {
        self.shared.lock().down()
    }

    /// Requests that all of them together may owe an answer now.
    pub(crate) fn limit(&self) -> u32 {
        let now = self.shared.clock.now();
        self.shared.lock().limit(now)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.shared.lock().len()
    }

    pub(crate) fn gauges(&self) -> Vec<Gauge> {
        let now = self.shared.clock.now();
        self.shared.lock().gauges(now)
    }

    /// How pingora reaches a backend, every deadline set.
    pub(crate) fn peer(&self, address: SocketAddr) -> HttpPeer {
        self.peers.at(address)
    }

    /// The same for one request on a connection of its own.
    pub(crate) fn peer_alone(&self, address: SocketAddr) -> HttpPeer {
        self.peers.alone(address)
    }

    /// Moves on by itself what needs no request; several times a second.
    pub(crate) fn tick(&self) {
        let now = self.shared.clock.now();
        self.shared.lock().tick(now);
        self.shared.tell();
    }

    /// The backends that are names, by their place in the list.
    fn names(&self) -> impl Iterator<Item = (usize, &Backend)> {
        let named = |(_, backend): &(usize, &Backend)| matches!(backend.at, Endpoint::Name { .. });
        self.written.iter().enumerate().filter(named)
    }

    fn resolver(&self) -> Option<SocketAddr> {
        self.resolver
    }

    /// The name at this place in the list leads to these addresses now.
    fn found(&self, index: usize, addresses: &[IpAddr]) {
        let mut found = self.found.lock();
        if let Some(old) = found.get_mut(index) {
            *old = addresses.to_vec();
        }
        let sites = names::sites(&self.written, &found);
        self.shared.lock().set(&sites);
        drop(found);
        self.shared.tell();
    }

    fn lookup_failed(&self) {
        self.lookups_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Lookups of names without an answer.
    pub(crate) fn lookups_failed(&self) -> u64 {
        self.lookups_failed.load(Ordering::Relaxed)
    }

    /// The backends whose check is due.
    fn due(&self) -> Vec<(Id, SocketAddr)> {
        let now = self.shared.clock.now();
        self.shared.lock().due(now)
    }

    fn checked(&self, id: Id, passed: bool) {
        let now = self.shared.clock.now();
        self.shared.lock().checked(now, id, passed, &self.health);
        self.shared.tell();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Balancer> {
        self.balancer.lock()
    }

    /// Writes down what has happened to backends.
    fn tell(&self) {
        let events = self.lock().events();
        for event in events {
            let (before, after) = (event.before.name(), event.after.name());
            let (pool, backend) = (&self.pool, event.address);
            if matches!(event.after, State::Ejected | State::Down) {
                tracing::warn!(pool, %backend, before, after, "Backend left out");
            } else {
                tracing::info!(pool, %backend, before, after, "Backend changed");
            }
        }
    }
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
