//! How a pool's backends are talked to: protocol, TLS and deadlines.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::time::Duration;

use einlass_config::{Http, Pool, Upstream};
use pingora_core::upstreams::peer::HttpPeer;

use super::tls::{Identity, UpstreamError};

/// Requests on one HTTP/2 connection at a time.
const STREAMS: usize = 100;
/// So often an HTTP/2 connection is asked whether it still stands.
const PING: Duration = Duration::from_secs(10);

/// Makes pingora's peers for the backends of one pool.
pub(super) struct Peers {
    upstream: Upstream,
    identity: Option<Identity>,
    /// Pools share no connections, even if their names lead to the same server.
    group: u64,
}

impl Peers {
    pub(super) fn new(pool: &Pool) -> Result<Self, UpstreamError> {
        let mut hasher = DefaultHasher::new();
        pool.name.hash(&mut hasher);
        let tls = pool.upstream.tls.as_ref();
        Ok(Self {
            upstream: pool.upstream.clone(),
            identity: tls.map(Identity::load).transpose()?,
            group: hasher.finish(),
        })
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.upstream.connect_timeout
    }

    /// Every deadline set: pingora has none by itself.
    pub(super) fn at(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = match &self.identity {
            None => HttpPeer::new(address, false, String::new()),
            Some(identity) => {
                let mut peer = HttpPeer::new(address, true, identity.server_name.clone());
                peer.options.ca.clone_from(&identity.ca);
                peer.client_cert_key.clone_from(&identity.client);
                peer
            }
        };
        peer.group_key = self.group;
        if self.upstream.http == Http::Two {
            peer.options.set_http_version(2, 2);
            peer.options.max_h2_streams = STREAMS;
            peer.options.h2_ping_interval = Some(PING);
        }
        peer.options.connection_timeout = Some(self.upstream.connect_timeout);
        peer.options.total_connection_timeout = Some(self.upstream.connect_timeout);
        peer.options.read_timeout = Some(self.upstream.read_timeout);
        peer.options.write_timeout = Some(self.upstream.write_timeout);
        peer.options.idle_timeout = Some(self.upstream.idle_timeout);
        peer
    }

    /// For one request, on a connection of its own.
    pub(super) fn alone(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = self.at(address);
        peer.options.max_h2_streams = 1;
        peer
    }
}
