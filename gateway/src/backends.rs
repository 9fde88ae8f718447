//! The backends of a pool: least in flight, and a rest for those that do not answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use einlass_config::Upstream;
use pingora_core::upstreams::peer::HttpPeer;

use crate::clock::Clock;

/// The first rest after a failed connect; doubles with every further one.
const REST: Duration = Duration::from_millis(500);
const LONGEST_REST: Duration = Duration::from_secs(8);

/// One backend.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    in_flight: AtomicU32,
    failures: AtomicU32,
    /// Milliseconds of the gateway's clock until which it rests.
    rests_until: AtomicU64,
}

/// All backends of a pool.
pub(crate) struct Backends {
    clock: Clock,
    upstream: Upstream,
    all: Vec<Arc<Backend>>,
    /// Where the search begins, so that equals take turns.
    next: AtomicUsize,
}

/// A request at a backend; dropping it ends the count.
pub(crate) struct Busy(Arc<Backend>);

impl Backends {
    pub(crate) fn new(clock: Clock, upstream: Upstream, addresses: &[SocketAddr]) -> Self {
        let all = addresses.iter().map(|address| {
            Arc::new(Backend {
                address: *address,
                in_flight: AtomicU32::new(0),
                failures: AtomicU32::new(0),
                rests_until: AtomicU64::new(0),
            })
        });
        Self {
            clock,
            upstream,
            all: all.collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// The one with the fewest requests in flight, of those not `tried` yet; resting ones only if
    /// there is no other. `None` when all have been tried.
    pub(crate) fn pick(&self, tried: &[SocketAddr]) -> Option<Busy> {
        let now = self.clock.now().as_millis();
        let from = self.next.fetch_add(1, Ordering::Relaxed);
        let (before, after) = self.all.split_at(from % self.all.len().max(1));
        let best = after
            .iter()
            .chain(before)
            .filter(|b| !tried.contains(&b.address))
            .min_by_key(|b| (b.rests(now), b.in_flight.load(Ordering::Relaxed)))?;
        best.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Busy(Arc::clone(best)))
    }

    /// No connect has succeeded at any backend since the last one failed there.
    pub(crate) fn down(&self) -> bool {
        self.all
            .iter()
            .all(|b| b.failures.load(Ordering::Relaxed) > 0)
    }

    /// Backends whose last connect failed, to be probed.
    pub(crate) fn failed(&self) -> impl Iterator<Item = Arc<Backend>> + '_ {
        let failed = |b: &&Arc<Backend>| b.failures.load(Ordering::Relaxed) > 0;
        self.all.iter().filter(failed).cloned()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.upstream.connect_timeout
    }

    pub(crate) fn connect_failed(&self, backend: &Backend) {
        let failures = backend.failures.fetch_add(1, Ordering::Relaxed).min(8);
        let rest = (REST * 2_u32.pow(failures)).min(LONGEST_REST);
        let until = (self.clock.now() + rest).as_millis();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        backend.rests_until.store(until, Ordering::Relaxed);
    }

    /// How pingora reaches a backend, every deadline set.
    pub(crate) fn peer(&self, backend: &Backend) -> HttpPeer {
        let mut peer = HttpPeer::new(backend.address, false, String::new());
        peer.options.connection_timeout = Some(self.upstream.connect_timeout);
        peer.options.total_connection_timeout = Some(self.upstream.connect_timeout);
        peer.options.read_timeout = Some(self.upstream.read_timeout);
        peer.options.write_timeout = Some(self.upstream.write_timeout);
        peer.options.idle_timeout = Some(self.upstream.idle_timeout);
        peer
    }
}

impl Backend {
    /// A connect has succeeded.
    pub(crate) fn connected(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.rests_until.store(0, Ordering::Relaxed);
    }

    fn rests(&self, now: u128) -> bool {
        u128::from(self.rests_until.load(Ordering::Relaxed)) > now
    }
}

impl std::ops::Deref for Busy {
    type Target = Backend;
    fn deref(&self) -> &Backend {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
