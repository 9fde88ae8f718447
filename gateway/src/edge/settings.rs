//! What the edge is told: where to listen, with which certificates, and how long it waits.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use einlass_config::IpNet;

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub chain: PathBuf,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// How the edge listens and what it tolerates.
#[derive(Clone, Debug)]
pub struct EdgeSettings {
    /// Addresses for plain HTTP/1.1, and HTTP/2 with prior knowledge (RFC 9113 section 3.3).
    pub listen: Vec<SocketAddr>,
    /// Addresses for HTTPS; HTTP/2 or HTTP/1.1 by ALPN.
    pub listen_tls: Vec<SocketAddr>,
    /// The networks of the proxies that speak PROXY protocol. `None`: clients come by themselves, or
    /// through proxies that speak HTTP.
    pub proxy_protocol: Option<Vec<IpNet>>,
    /// Chosen by the server name a client asks for; the first one is for everybody else.
    pub certificates: Vec<CertificateFiles>,
    /// Connections open at once, over all addresses. Those above are closed at once.
    pub max_connections: usize,
    /// TLS handshakes under way at once, counted from a client's first byte. Those above wait for
    /// their turn within their own deadline.
    pub max_handshakes: usize,
    /// From accepting a connection to the end of its handshake.
    pub handshake_timeout: Duration,
    /// For the complete head of a request: from the start of the connection (after the handshake) for
    /// the first, from its first byte for the later ones.
    pub header_timeout: Duration,
    /// How long a connection may lie idle between two requests.
    pub keepalive_timeout: Duration,
    /// How long one read of a request's body, or one write of a response, may stand still.
    pub stall_timeout: Duration,
    /// How long requests in flight may take to finish when the edge stops.
    pub drain_timeout: Duration,
}

impl Default for EdgeSettings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            listen_tls: Vec::new(),
            proxy_protocol: None,
            certificates: Vec::new(),
            max_connections: 65_536,
            max_handshakes: 4_096,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_mins(1),
            drain_timeout: Duration::from_secs(30),
        }
    }
}
