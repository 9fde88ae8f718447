//! Who the client is, and what the backend is told about it.

use std::net::IpAddr;

use einlass_config::IpNet;
use http::{HeaderMap, HeaderName};
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const HOST: &str = "x-forwarded-host";

/// Fields of a single hop (RFC 9110, 7.6.1), never passed on by our own client.
pub(crate) const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

/// The origin of a request.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The client, as far as trusted proxies tell.
    pub(crate) client: Option<IpAddr>,
    /// The browser came by TLS.
    pub(crate) secure: bool,
}

impl Origin {
    pub(crate) fn of(session: &Session, trusted: &[IpNet]) -> Self {
        let peer = session
            .client_addr()
            .and_then(|addr| addr.as_inet())
            .map(|addr| addr.ip().to_canonical());
        let tls = session.digest().is_some_and(|d| d.ssl_digest.is_some());
        let believed = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
        if !peer.as_ref().is_some_and(believed) {
            return Self {
                client: peer,
                secure: tls,
            };
        }
        let headers = &session.req_header().headers;
        let secure = headers
            .get(PROTO)
            .map_or(tls, |proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
        Self {
            client: nearest_untrusted(headers, believed).or(peer),
            secure,
        }
    }

    /// What the backend is told. What the client said of these fields is dropped.
    pub(crate) fn apply(&self, header: &mut RequestHeader, host: &str) -> Result<()> {
        for name in ["forwarded", FOR, PROTO, HOST, "x-real-ip"] {
            header.remove_header(name);
        }
        // Some frameworks take these for the path: a way around the gate.
        for name in ["x-original-url", "x-rewrite-url"] {
            header.remove_header(name);
        }
        if let Some(client) = self.client {
            header.insert_header(HeaderName::from_static(FOR), client.to_string())?;
        }
        let proto = if self.secure { "https" } else { "http" };
        header.insert_header(HeaderName::from_static(PROTO), proto)?;
        header.insert_header(HeaderName::from_static(HOST), host)
    }
}

/// The last address in the chain that is not one of our own proxies.
fn nearest_untrusted(headers: &HeaderMap, believed: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
    let fields: Vec<&str> = headers
        .get_all(FOR)
        .into_iter()
        .filter_map(|field| field.to_str().ok())
        .collect();
    let chain = fields.iter().rev().flat_map(|field| field.rsplit(','));
    let mut last = None;
    for address in chain {
        let Ok(ip) = address.trim().parse::<IpAddr>() else {
            break;
        };
        let ip = ip.to_canonical();
        last = Some(ip);
        if !believed(&ip) {
            break;
        }
    }
    last
}
