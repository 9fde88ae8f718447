//! How a pool's backends are talked to: protocol, TLS and deadlines.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::time::Duration;

use einlass_config::{Http, Pool, Upstream};
use http::Uri;
use http::header::HOST;
use http::uri::Scheme;
use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{ErrorType, OrErr as _};
use pingora_http::RequestHeader;

use super::sockets::Sockets;
use super::tls::{Identity, UpstreamError};

/// Requests on one HTTP/2 connection at a time.
const STREAMS: u32 = 100;
/// What one stream may send before it is read: a browser that pauses its download leaves that much in
/// our memory. And the whole connection: as much for each of its streams, so that none holds up the
/// others (RFC 9113, section 5.2).
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS;
/// So often an HTTP/2 connection is asked whether it still stands.
const PING: Duration = Duration::from_secs(10);

/// Makes pingora's peers for the backends of one pool.
pub(super) struct Peers {
    upstream: Upstream,
    identity: Option<Identity>,
    /// Pools share no connections, even if their names lead to the same server.
    group: u64,
    /// Those of connections on which one request waits at a time.
    pub(super) sockets: Sockets,
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
            sockets: Sockets::default(),
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
            peer.options.max_h2_streams = STREAMS as usize;
            peer.options.h2_ping_interval = Some(PING);
            peer.options.h2_stream_window_size = Some(STREAM_WINDOW);
            peer.options.h2_connection_window_size = Some(CONNECTION_WINDOW);
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

    /// For a request to change the protocol, which only HTTP/1.1 knows.
    pub(super) fn for_upgrade(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = self.at(address);
        peer.options.set_http_version(1, 1);
        peer
    }

    /// Whoever waits for an answer on the connection to this peer can be given up. Over HTTP/2 others wait
    /// on it as well: there the connection itself is asked for a sign of life.
    pub(super) fn follow(&self, peer: &mut HttpPeer) {
        if !matches!(peer.options.alpn, ALPN::H2) {
            self.sockets.follow(peer);
        }
    }

    /// Makes the target of a request that we send ourselves whole, with scheme and host, as HTTP/2 wants
    /// it (RFC 9113, section 8.3.1).
    pub(super) fn complete(&self, header: &mut RequestHeader) -> pingora_core::Result<()> {
        let scheme = if self.identity.is_some() {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        let host = header
            .headers
            .get(HOST)
            .map_or(&b""[..], |host| host.as_bytes());
        let path = header.raw_path();
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(host)
            .path_and_query(path);
        let uri = uri
            .build()
            .or_err(ErrorType::InvalidHTTPHeader, "not a target for HTTP/2")?;
        header.set_uri(uri);
        Ok(())
    }
}
