//! `einlass run`: everything put together and started.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use einlass_admission::ledger::MemberId;
use einlass_admission::ledger::redis::LedgerError;
use einlass_admission::state::{State, StateError};
use einlass_config::{Config, Mistakes};
use pingora_core::connectors::http::Connector;
use pingora_core::server::configuration::ServerConf;
use pingora_core::services::background::GenBackgroundService;
use pingora_core::services::listening::Service;
use pingora_proxy::HttpProxy;

use crate::clock::{Clock, wall};
use crate::desk::Desk;
use crate::edge::boot::{Ending, Services, StopOn, serve, server_conf};
use crate::edge::{CertificateFiles, Edge, EdgeError, EdgeSettings};
use crate::keeper::Keeper;
use crate::key_file::{self, KeyFileError};
use crate::metrics::Metrics;
use crate::open_files;
use crate::proxy::Gateway;
use crate::random;
use crate::scribe::Scribe;
use crate::site::Site;
use crate::store;

pub use crate::backends::UpstreamError;

/// How long requests in flight may take to finish when the gateway stops.
const DRAIN: Duration = Duration::from_secs(35);

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration has mistakes.
    #[error("{0}")]
    Config(#[from] Mistakes),
    /// There are no keys to sign with.
    #[error("{0}")]
    Keys(#[from] KeyFileError),
    /// The state of an earlier run cannot be read.
    #[error("{0}")]
    State(#[from] StateError),
    /// The ledger cannot be reached, and the operator wants no gateway without it.
    #[error("{0}\n[store] required = true: the gateway does not start without its ledger")]
    Store(#[from] LedgerError),
    /// A pool's backends cannot be talked to over TLS.
    #[error("{0}")]
    Upstream(#[from] UpstreamError),
    /// The edge cannot listen.
    #[error("{0}")]
    Edge(#[from] EdgeError),
}

/// Starts the gateway and blocks until it is told to stop.
pub fn run(config: &Path) -> Result<(), RunError> {
    let config = einlass_config::load(config)?;
    // There is one TLS in the process. A second call, in a test, changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let keys = key_file::load(&config.state.directory)?;
    let state_file = config.state.directory.join("rooms.json");
    let state = match State::load(&state_file) {
        Err(error @ (StateError::Damaged { .. } | StateError::Version { .. })) => {
            // Neither a file cut off by a full disk nor one of another version must keep a school
            // out: the rooms learn again. Whoever wants to know what was in it finds it.
            let aside = state_file.with_extension("set-aside");
            let kept = std::fs::rename(&state_file, &aside).is_ok();
            tracing::error!(%error, kept, aside = %aside.display(), "State file set aside: the rooms are learnt again from the tickets");
            None
        }
        state => state?,
    };
    let store = config.store.as_ref().map(store::settings);
    if let Some(settings) = &store
        && config.store.as_ref().is_some_and(|store| store.required)
    {
        store::reach(settings.clone())?;
    }
    // Several gateways may start in the same second, one does not start twice in it.
    let (epoch, member) = if store.is_some() {
        let member = MemberId(u64::from_be_bytes(random::bytes()));
        (random::nonce(), Some(member))
    } else {
        (u32::try_from(wall().0).unwrap_or(u32::MAX), None)
    };
    let site = Arc::new(Site::build(&config, Clock::start(), epoch, member, state)?);
    let metrics = Arc::new(Metrics::new(
        site.pools.iter().map(|pool| pool.name.as_str()),
    ));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let idle: u32 = config.pools().iter().map(|p| p.upstream.max_idle).sum();
    let conf = || ServerConf {
        upstream_keepalive_pool_size: idle as usize,
        // Tries of a request. How many there are is for each pool's retry budget to say.
        max_retries: 4,
        ..server_conf(threads)
    };

    let gateway = Gateway {
        site: Arc::clone(&site),
        keys: Arc::new(keys),
        metrics: Arc::clone(&metrics),
        trusted_proxies: config.edge.trusted_proxies.clone(),
        logins: Arc::new(Connector::new(None)),
    };
    let mut proxy = HttpProxy::new(gateway, Arc::new(conf()));
    proxy.handle_init_modules();
    let files = open_files::raise_limit();
    let edge = Edge::bind(&edge_settings(&config, files), proxy)?;
    tracing::info!(addresses = ?edge.local_addrs(), pools = site.pools.len(), schools = site.hosts.len(), "Edge listens");

    let ending = Ending {
        delay: config.edge.stop_delay,
        drain: DRAIN,
        ..Ending::default()
    };
    let mut desk = Service::new(
        "desk".to_owned(),
        Desk {
            site: Arc::clone(&site),
            metrics: Arc::clone(&metrics),
            edge: edge.counters(),
            stopping: Arc::clone(&ending.told),
        },
    );
    desk.add_tcp(&config.desk.listen.to_string());
    let keeper = Keeper {
        scribe: Scribe::new(Arc::clone(&site), metrics, state_file),
        site,
        store,
    };
    let keeper = GenBackgroundService::new("keeper".to_owned(), Arc::new(keeper));
    let services = Services {
        front: vec![Box::new(edge)],
        back: vec![Box::new(keeper), Box::new(desk)],
    };
    serve(conf(), services, ending, StopOn::Signals);
    Ok(())
}

/// `files`: how many may be open.
fn edge_settings(config: &Config, files: Option<u64>) -> EdgeSettings {
    let edge = &config.edge;
    let certificates = edge.certificates.iter().map(|c| CertificateFiles {
        chain: c.chain.clone(),
        key: c.key.clone(),
    });
    EdgeSettings {
        listen: edge.listen.clone(),
        listen_tls: edge.listen_tls.clone(),
        proxy_protocol: edge.proxy_protocol.then(|| edge.trusted_proxies.clone()),
        certificates: certificates.collect(),
        max_connections: open_files::most_connections(edge.max_connections as usize, files),
        handshake_timeout: edge.handshake_timeout,
        header_timeout: edge.header_timeout,
        keepalive_timeout: edge.keepalive_timeout,
        drain_timeout: DRAIN,
        ..EdgeSettings::default()
    }
}
