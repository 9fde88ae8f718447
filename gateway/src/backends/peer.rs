//! How a pool's backends are talked to: protocol and deadlines.

use std::net::SocketAddr;
use std::time::Duration;

use einlass_config::{Pool, Upstream};
use pingora_core::upstreams::peer::HttpPeer;

/// Makes pingora's peers for the backends of one pool.
pub(super) struct Peers {
    upstream: Upstream,
}

impl Peers {
    pub(super) fn new(pool: &Pool) -> Self {
        Self {
            upstream: pool.upstream.clone(),
        }
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.upstream.connect_timeout
    }

    /// Every deadline set: pingora has none by itself.
    pub(super) fn at(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = HttpPeer::new(address, false, String::new());
        peer.options.connection_timeout = Some(self.upstream.connect_timeout);
        peer.options.total_connection_timeout = Some(self.upstream.connect_timeout);
        peer.options.read_timeout = Some(self.upstream.read_timeout);
        peer.options.write_timeout = Some(self.upstream.write_timeout);
        peer.options.idle_timeout = Some(self.upstream.idle_timeout);
        peer
    }
}
