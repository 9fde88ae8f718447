//! The backends of a pool: who gets the next request, who is left out, and how they are reached.
//!
//! `balancer` decides, with a [`member`] for each backend; both are told the time and do no I/O.
//! Here is the shell around them: the lock, the clock, and the log.

mod affinity;
mod awaited;
mod balancer;
mod budget;
mod busy;
mod check;
mod checks;
mod ewma;
mod latency;
mod member;
mod names;
mod peer;
mod placing;
mod priority;
mod quiet;
mod ramp;
mod signals;
mod slow;
mod sockets;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use einlass_config::{Backend, Check, Endpoint, Health, Pool};
use parking_lot::{Mutex, MutexGuard};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::random;
use awaited::Awaited;
use balancer::{Balancer, Comparison};
use checks::Finding;
use member::{Id, Out};
use peer::Peers;
use priority::Parts;

pub(crate) use affinity::{Home, Stay, has_cookie};
pub(crate) use balancer::Gauge;
pub(crate) use busy::Busy;
pub(crate) use check::Checker;
pub(crate) use names::follow;
pub(crate) use placing::Unplaced;
pub(crate) use priority::Rank;
pub use tls::UpstreamError;

/// How long a page waits for a sign of life of a pool that has given none for long.
const TRY: Duration = Duration::from_secs(3);

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
    /// Not everybody is treated alike.
    ranked: bool,
    peers: Peers,
    /// As the operator has written them, and for each name the addresses found last.
    written: Vec<Backend>,
    found: Mutex<Vec<Vec<IpAddr>>>,
    resolver: Option<SocketAddr>,
    lookups_failed: AtomicU64,
    health: Health,
    /// What checks ask for if nothing else is written.
    host: String,
    login_page: String,
}

/// What a request at a backend shares with its pool.
struct Shared {
    pool: String,
    clock: Clock,
    balancer: Mutex<Balancer>,
    /// A place has become free: for whoever waits, and for whoever goes first.
    freed: Notify,
    freed_first: Notify,
    /// Of those who do not go first, so many wait for one.
    in_line: AtomicU32,
    awaited: Arc<Awaited>,
}

impl Backends {
    pub(crate) fn new(clock: Clock, pool: &Pool) -> Result<Self, UpstreamError> {
        let parts = pool.priorities.as_ref().map(Parts::of);
        let seed = u64::from_be_bytes(random::bytes());
        let mut balancer = Balancer::new(pool.balancing, seed).with_parts(parts);
        let found = vec![Vec::new(); pool.backends.len()];
        balancer.set(&names::sites(&pool.backends, &found));
        Ok(Self {
            shared: Arc::new(Shared {
                pool: pool.name.clone(),
                clock,
                balancer: Mutex::new(balancer),
                freed: Notify::new(),
                freed_first: Notify::new(),
                in_line: AtomicU32::new(0),
                awaited: Arc::default(),
            }),
            ranked: parts.is_some(),
            peers: Peers::new(pool)?,
            written: pool.backends.clone(),
            found: Mutex::new(found),
            resolver: pool.upstream.resolver,
            lookups_failed: AtomicU64::new(0),
            health: pool.health.clone(),
            login_page: pool
                .gate
                .page
                .first()
                .or(pool.gate.submit.first())
                .map_or("/", |rule| rule.path().trim_end_matches('*'))
                .to_owned(),
            host: pool
                .schools
                .first()
                .map_or_else(String::new, |school| school.host.to_string()),
        })
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

    /// No backend can be reached, or none answers anything.
    pub(crate) fn down(&self) -> bool {
        self.shared.lock().down()
    }

    /// Requests that all of them together may owe an answer now.
    pub(crate) fn limit(&self) -> u32 {
        let now = self.shared.clock.now();
        self.shared.lock().limit(now)
    }

    /// Logins that may be in flight when so many are: all that the backends may owe an answer, or
    /// where sessions go first, what those leave.
    pub(crate) fn room_for_logins(&self, in_flight: u32) -> u32 {
        let now = self.shared.clock.now();
        let balancer = self.shared.lock();
        let left = balancer.places(now, Rank::Login);
        left.map_or_else(
            || balancer.limit(now),
            |left| left.saturating_add(in_flight),
        )
    }

    /// Whether what is left is for others than this rank.
    pub(crate) fn sheds(&self, rank: Rank) -> bool {
        let now = self.shared.clock.now();
        self.shared.lock().places(now, rank) == Some(0)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.shared.lock().len()
    }

    pub(crate) fn gauges(&self) -> Vec<Gauge> {
        let now = self.shared.clock.now();
        self.shared.lock().gauges(now)
    }

    /// How pingora reaches the backend of a request, every deadline set.
    pub(crate) fn peer(&self, busy: &Busy, upgrades: bool) -> HttpPeer {
        let mut peer = if upgrades {
            self.peers.for_upgrade(busy.address)
        } else {
            self.peers.at(busy.address)
        };
        self.peers.follow(&mut peer);
        if busy.tries {
            let patience = peer.options.read_timeout.unwrap_or(TRY).min(TRY);
            peer.options.read_timeout = Some(patience);
        }
        peer
    }

    /// The connection of a request stands; `socket` is the number that pingora knows it by.
    pub(crate) fn connected(&self, busy: &mut Busy, socket: RawFd) {
        busy.connected();
        if let Some(socket) = self.peers.sockets.find(socket) {
            busy.waits_on(socket);
        }
    }

    /// What a request that we send ourselves lacks for HTTP/2.
    pub(crate) fn complete(&self, header: &mut RequestHeader) -> pingora_core::Result<()> {
        self.peers.complete(header)
    }

    /// The same for one request on a connection of its own.
    pub(crate) fn peer_alone(&self, address: SocketAddr) -> HttpPeer {
        self.peers.alone(address)
    }

    /// Moves on by itself what needs no request; several times a second.
    pub(crate) fn tick(&self) {
        let now = self.shared.clock.now();
        let mute = {
            let mut balancer = self.shared.lock();
            balancer.tick(now);
            balancer.mute(now)
        };
        if !mute.is_empty() {
            let pages = self.shared.awaited.give_up(now, &mute);
            if pages > 0 {
                let pool = &self.shared.pool;
                tracing::warn!(pool, pages, "Gave up pages that a backend does not answer");
            }
        }
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

    /// A page that is asked for, its host and its path: what checks ask for, or the first.
    fn page(&self) -> (&str, &str) {
        match &self.health.check {
            Check::Http { path, host, .. } => (host.as_deref().unwrap_or(&self.host), path),
            Check::Login { .. } => self.login_page(),
            Check::Tcp => (&self.host, "/"),
        }
    }

    /// The page with the login form, its host and its path: of all pages the one that is most like the others.
    fn login_page(&self) -> (&str, &str) {
        let (host, path) = match &self.health.check {
            Check::Login { path, host } => (host.as_deref(), path.as_deref()),
            Check::Http { .. } | Check::Tcp => (None, None),
        };
        (host.unwrap_or(&self.host), path.unwrap_or(&self.login_page))
    }

    /// The backends whose check is due.
    fn due(&self) -> Vec<(Id, SocketAddr)> {
        let now = self.shared.clock.now();
        self.shared.lock().due(now)
    }

    /// The backends that are to be asked whether they answer at all, and how long for.
    fn knocks(&self) -> Vec<(Id, SocketAddr, Duration)> {
        let now = self.shared.clock.now();
        self.shared.lock().knocks(now)
    }

    fn knocked(&self, id: Id, answered: bool) {
        let now = self.shared.clock.now();
        let (before, after) = {
            let mut balancer = self.shared.lock();
            let before = balancer.is_mute();
            balancer.knocked(now, id, answered);
            (before, balancer.is_mute())
        };
        if after && !before {
            let pool = &self.shared.pool;
            tracing::warn!(
                pool,
                "No backend answers anything; pages are refused at once"
            );
        }
        self.shared.tell();
    }

    /// Whether the answer to a knock that came too late is to be waited for.
    fn waits_on(&self, id: Id) -> bool {
        self.shared.lock().waits_on(id)
    }

    /// The answer to a late knock has come, after so long; or none will.
    fn late(&self, id: Id, took: Option<Duration>) {
        let now = self.shared.clock.now();
        self.shared.lock().late(now, id, took);
        self.shared.tell();
    }

    /// The backends that are to be compared with another one.
    fn comparisons(&self) -> Vec<Comparison> {
        let now = self.shared.clock.now();
        self.shared.lock().comparisons(now)
    }

    /// Whether one was slow, compared with the other; `None` if one of both gave no answer.
    fn compared(&self, id: Id, slow: Option<bool>) {
        let now = self.shared.clock.now();
        self.shared.lock().compared(now, id, slow);
        self.shared.tell();
    }

    fn checked(&self, id: Id, finding: Finding) {
        let now = self.shared.clock.now();
        let (before, after) = {
            let mut balancer = self.shared.lock();
            let before = balancer.is_lenient();
            balancer.checked(now, id, finding, &self.health);
            (before, balancer.is_lenient())
        };
        if after && !before {
            let pool = &self.shared.pool;
            tracing::error!(
                pool,
                "No backend gives the answer that its check expects; those that answer are used all the same"
            );
        }
        self.shared.tell();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Balancer> {
        self.balancer.lock()
    }

    /// What those hear of who wait for a place.
    fn freed(&self, ahead: bool) -> &Notify {
        if ahead {
            &self.freed_first
        } else {
            &self.freed
        }
    }

    /// Writes down what has happened to backends.
    fn tell(&self) {
        let events = self.lock().events();
        for event in events {
            let (before, after) = (event.before.name(), event.after.name());
            let (pool, backend) = (&self.pool, event.address);
            if matches!(event.after, State::Ejected | State::Down) {
                let why = event.why.map(Out::name);
                tracing::warn!(pool, %backend, before, after, why, "Backend left out");
            } else {
                tracing::info!(pool, %backend, before, after, "Backend changed");
            }
        }
    }
}
