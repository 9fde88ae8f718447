//! A small school platform: a login form, real password hashing by a bounded number of workers, and some pages.
//!
//! One [`Platform`] is one region's pool: several backends (listeners) that share one hashing capacity and one
//! session store. Its truth about what it had to bear is read with [`Platform::snapshot`] or from its control
//! listener, which the gateway never reaches.

mod backend;
mod control;
mod hashing;
mod hole;
mod pages;
mod record;
mod sessions;
mod site;
mod streams;
mod workers;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use argon2::password_hash;
use tokio::sync::Semaphore;

pub use hashing::HashCost;
pub use hole::Hole;
pub use record::{BUCKET_MILLIS, LoginRecord, Outcome, Snapshot, Totals};

use backend::Backend;
use hashing::Entry;
use record::Record;
use sessions::Sessions;
use streams::Streams;
use workers::Workers;

/// The password of every user; any other is a mistyped one.
pub const PASSWORD: &str = "demo-password";
/// The cookie of somebody who is in.
pub const SESSION_COOKIE: &str = "schule_session";
/// The cookie that the form's hidden field must agree with.
pub const CSRF_COOKIE: &str = "schule_csrf";
/// A request header kept in the record, so that an analysis can follow one pupil.
pub const TAG_HEADER: &str = "x-rush-pupil";

/// What to start. The default is one backend on a free port with one worker and a quick hash.
#[derive(Debug, Clone)]
pub struct PlatformOptions {
    /// For reports.
    pub name: String,
    /// One backend listens on each; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// The control listener, if wanted.
    pub control: Option<SocketAddr>,
    /// Threads that hash: the region's capacity.
    pub workers: usize,
    /// What one login costs.
    pub cost: HashCost,
    /// At least so long a worker is busy with one: plays machines of their own, of different speed, on one machine
    /// that could not hash so much. By default as long as the hash takes.
    pub least: Duration,
    /// By which part of `least` logins differ from one another, at most: drawn evenly from both sides. Users with
    /// one and the same length would log in in waves.
    pub spread: f64,
    /// Logins that may wait for a worker before further ones get `503`. By default 30 s worth of work.
    pub queue_limit: Option<usize>,
    /// Requests of any kind served at once, further ones wait: the application server's own workers. By default unbounded.
    pub places: Option<usize>,
    /// How long a login form may be submitted after it was served.
    pub csrf_lifetime: Duration,
}

impl Default for PlatformOptions {
    fn default() -> Self {
        Self {
            name: "platform".to_owned(),
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
            control: None,
            workers: 1,
            cost: HashCost::QUICK,
            least: Duration::ZERO,
            spread: 0.0,
            queue_limit: None,
            places: None,
            csrf_lifetime: Duration::from_hours(2),
        }
    }
}

/// Why a platform does not start.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// The address is taken or not one of this machine: choose another.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// argon2 refuses the parameters: memory below 8 KiB, or no passes.
    #[error("cannot hash at this cost: {0}")]
    Cost(#[from] password_hash::Error),
    /// There is no such backend.
    #[error("there is no backend number {0}")]
    NoSuchBackend(usize),
}

/// What all backends of a pool share.
struct Region {
    name: String,
    record: Record,
    workers: Workers,
    sessions: Sessions,
    streams: Streams,
    hash_millis: f64,
    queue_limit: usize,
    places: Option<Arc<Semaphore>>,
    csrf_lifetime: Duration,
}

impl Region {
    fn snapshot(&self, logins: bool) -> Snapshot {
        let name = self.name.clone();
        let workers = self.workers.wanted();
        Snapshot {
            name,
            workers,
            hash_millis: self.hash_millis,
            ..self.record.snapshot(logins)
        }
    }
}

/// A running region. Its listeners close when it is dropped.
pub struct Platform {
    region: Arc<Region>,
    backends: Vec<Backend>,
    control: Option<Backend>,
    addresses: Vec<SocketAddr>,
}

impl Platform {
    /// Binds the listeners, hashes the stored password and starts the workers.
    pub async fn start(options: PlatformOptions) -> Result<Self, PlatformError> {
        let hash_time = options.cost.measure()?.max(options.least);
        let worth_30s = 30.0 * options.workers.max(1) as f64 / hash_time.as_secs_f64();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and `as` saturates"
        )]
        let queue_limit = options.queue_limit.unwrap_or(worth_30s.max(64.0) as usize);
        let region = Arc::new(Region {
            name: options.name,
            record: Record::new(),
            workers: Workers::new(
                Entry::new(options.cost, PASSWORD)?,
                options.workers,
                options.least,
                options.spread,
            ),
            sessions: Sessions::default(),
            streams: Streams::default(),
            hash_millis: hash_time.as_secs_f64() * 1000.0,
            queue_limit,
            places: options
                .places
                .map(|places| Arc::new(Semaphore::new(places))),
            csrf_lifetime: options.csrf_lifetime,
        });
        let mut backends = Vec::with_capacity(options.listen.len());
        for address in options.listen {
            backends.push(Backend::start(address, site::router(Arc::clone(&region)))?);
        }
        let control = match options.control {
            Some(address) => Some(Backend::start(
                address,
                control::router(Arc::clone(&region)),
            )?),
            None => None,
        };
        // Lets the accept loops begin before the first caller connects.
        tokio::task::yield_now().await;
        let addresses = backends.iter().map(Backend::address).collect();
        Ok(Self {
            region,
            backends,
            control,
            addresses,
        })
    }

    /// The backends' addresses, with the real ports.
    pub fn backends(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The control listener's address, if there is one.
    pub fn control(&self) -> Option<SocketAddr> {
        self.control.as_ref().map(Backend::address)
    }

    /// Changes the capacity at run time; 0 stops all hashing until it is raised again.
    pub fn set_workers(&self, workers: usize) {
        self.region.workers.resize(workers);
    }

    /// Login requests received and not yet answered.
    pub fn in_flight(&self) -> usize {
        self.region.record.in_flight()
    }

    /// Bytes of downloads that have been asked for by the network, and of uploads that have been read.
    pub fn streamed(&self) -> (u64, u64) {
        let streams = &self.region.streams;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&streams.sent), read(&streams.received))
    }

    /// The record so far, with the single logins if asked for.
    pub fn snapshot(&self, logins: bool) -> Snapshot {
        self.region.snapshot(logins)
    }

    /// Closes one backend: connections are refused, what it has begun is still answered.
    pub async fn stop_backend(&mut self, index: usize) -> Result<(), PlatformError> {
        self.backends
            .get_mut(index)
            .ok_or(PlatformError::NoSuchBackend(index))?
            .stop()
            .await;
        Ok(())
    }

    /// Opens a stopped backend again on the same address.
    pub async fn restart_backend(&mut self, index: usize) -> Result<(), PlatformError> {
        let backend = self
            .backends
            .get_mut(index)
            .ok_or(PlatformError::NoSuchBackend(index))?;
        backend.stop().await;
        *backend = Backend::start(backend.address(), site::router(Arc::clone(&self.region)))?;
        Ok(())
    }
}
