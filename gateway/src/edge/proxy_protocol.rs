//! The PROXY protocol: a proxy that passes bytes on unread says first whom it speaks for.
//!
//! Both versions are described in the `proxy-protocol.txt` of those who made it. Here is how much of a
//! connection belongs to the header, so that not a byte of what follows is taken; what the header says is
//! read by the crate `proxy-header`.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use einlass_config::IpNet;
use parking_lot::Mutex;
use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, error::Elapsed, timeout};
use tracing::{debug, warn};

use super::counters::{EdgeCounters, Event};

/// How version 1 begins, and the most bytes it may have (section 2.1).
const V1: &[u8] = b"PROXY ";
const V1_LONGEST: usize = 107;
/// How version 2 begins, and the bytes after which its length is known (section 2.2).
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD: usize = 16;
/// Addresses take 216 bytes at most; the rest is for fields such as the name asked for by TLS.
const V2_LONGEST: usize = 4_096;
/// One line in the log for so long, however many connections are closed.
const QUIET: Duration = Duration::from_secs(10);

/// The proxies in front of the edge that speak it.
#[derive(Debug)]
pub(super) struct Proxies {
    trusted: Vec<IpNet>,
    log: Mutex<Option<Instant>>,
    untold: AtomicU64,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// The client itself, as far as is known.
    At(SocketAddr),
    /// The proxy, on its own behalf: its health check.
    Proxy,
    /// Somebody the proxy does not name.
    Unknown,
}

/// Why a connection is closed before it begins.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("it comes from outside `edge.trusted_proxies`")]
    Untrusted,
    #[error("its PROXY header is malformed, or there is none")]
    Malformed,
    #[error("its PROXY header was cut off")]
    CutOff,
    #[error("its PROXY header did not come in time")]
    Late,
    /// Nothing was said at all: how load balancers look whether a port is open.
    #[error("it said nothing")]
    Silent,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Proxies {
    pub(super) fn new(trusted: Vec<IpNet>) -> Self {
        Self {
            trusted,
            log: Mutex::new(None),
            untold: AtomicU64::new(0),
        }
    }

    /// Takes the header off a new connection. `None`: there is no good one, and the connection is to be
    /// closed.
    pub(super) async fn client(
        &self,
        tcp: &mut TcpStream,
        peer: SocketAddr,
        within: Duration,
        counters: &EdgeCounters,
    ) -> Option<Client> {
        let ip = peer.ip().to_canonical();
        let told = if self.trusted.iter().any(|net| net.contains(&ip)) {
            match timeout(within, read(tcp)).await {
                Ok(told) => told,
                Err(Elapsed { .. }) => Err(Refused::Late),
            }
        } else {
            Err(Refused::Untrusted)
        };
        match told {
            Ok(client) => Some(client),
            Err(why @ (Refused::Silent | Refused::Io(_))) => {
                debug!(%why, "Proxy went away");
                None
            }
            Err(why) => {
                counters.count(Event::ProxyHeader);
                self.tell(&why);
                None
            }
        }
    }

    /// Logs a refusal, unless there was one a moment ago. Without the address: it may be a pupil's.
    fn tell(&self, why: &Refused) {
        let mut last = self.log.lock();
        if last.is_some_and(|last| last.elapsed() < QUIET) {
            self.untold.fetch_add(1, Ordering::Relaxed);
            return;
        }
        *last = Some(Instant::now());
        let untold = self.untold.swap(0, Ordering::Relaxed);
        warn!(%why, untold, "Connection closed at once");
    }
}

/// Reads the header and nothing after it.
async fn read(tcp: &mut TcpStream) -> Result<Client, Refused> {
    let mut header = Vec::with_capacity(V1_LONGEST);
    loop {
        let mut ahead = [0; 256];
        let seen = tcp.peek(&mut ahead).await?;
        if seen == 0 {
            return Err(if header.is_empty() {
                Refused::Silent
            } else {
                Refused::CutOff
            });
        }
        let before = header.len();
        header.extend_from_slice(&ahead[..seen]);
        let end = end(&header)?;
        header.truncate(end.unwrap_or(header.len()));
        // It was there a moment ago, so this does not wait.
        tcp.read_exact(&mut ahead[..header.len() - before]).await?;
        if end.is_some() {
            return parse(&header);
        }
    }
}

/// Where the header ends that these bytes begin with; `None`: not yet.
fn end(bytes: &[u8]) -> Result<Option<usize>, Refused> {
    if begins(bytes, V2) {
        let Some(length) = bytes.get(V2_HEAD - 2..V2_HEAD) else {
            return Ok(None);
        };
        let end = V2_HEAD + usize::from(u16::from_be_bytes([length[0], length[1]]));
        return match end {
            0..=V2_LONGEST => Ok((bytes.len() >= end).then_some(end)),
            _ => Err(Refused::Malformed),
        };
    }
    if !begins(bytes, V1) {
        return Err(Refused::Malformed);
    }
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .map(|at| at + 1);
    match end {
        Some(end) if end <= V1_LONGEST => Ok(Some(end)),
        None if bytes.len() < V1_LONGEST => Ok(None),
        _ => Err(Refused::Malformed),
    }
}

/// Whether bytes begin like that, as far as they have come.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    let both = bytes.len().min(with.len());
    bytes[..both] == with[..both]
}

/// What a whole header says.
fn parse(header: &[u8]) -> Result<Client, Refused> {
    let (parsed, length) =
        ProxyHeader::parse(header, ParseConfig::default()).map_err(|_| Refused::Malformed)?;
    if length != header.len() {
        return Err(Refused::Malformed);
    }
    match parsed.proxied_address() {
        Some(address) if address.protocol == Protocol::Stream => {
            let ip = address.source.ip().to_canonical();
            Ok(Client::At(SocketAddr::new(ip, address.source.port())))
        }
        Some(_) => Err(Refused::Malformed),
        // Version 2, command LOCAL.
        None if begins(header, V2) && header[V2.len()] == 0x20 => Ok(Client::Proxy),
        None => Ok(Client::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&V2[..], &[0x20 | command, family], &length, rest].concat()
    }

    const ADDRESSES: [u8; 12] = [198, 51, 100, 1, 10, 0, 0, 1, 0x30, 0x39, 0, 80];

    /// As it is read from a connection, in two pieces.
    fn heard(bytes: &[u8]) -> Option<(Client, usize)> {
        for cut in 0..bytes.len() {
            match end(&bytes[..cut]) {
                Ok(None) => {}
                Ok(Some(end)) => return parse(&bytes[..end]).ok().map(|client| (client, end)),
                Err(_) => return None,
            }
        }
        let end = end(bytes).ok()??;
        parse(&bytes[..end]).ok().map(|client| (client, end))
    }

    fn at(address: &str) -> Client {
        Client::At(address.parse().unwrap())
    }

    #[test]
    fn both_versions_name_the_client_and_end_where_the_request_begins() {
        let fields = [&ADDRESSES[..], &[0x02, 0, 3, b'a', b'.', b'b']].concat();
        for (header, client) in [
            (
                b"PROXY TCP4 198.51.100.1 10.0.0.1 12345 80\r\n".to_vec(),
                at("198.51.100.1:12345"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 2001:db8::2 12345 80\r\n".to_vec(),
                at("[2001:db8::1]:12345"),
            ),
            (
                b"PROXY TCP6 ::ffff:198.51.100.1 ::1 12345 80\r\n".to_vec(),
                at("198.51.100.1:12345"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), Client::Unknown),
            (
                b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
                Client::Unknown,
            ),
            (v2(1, 0x11, &ADDRESSES), at("198.51.100.1:12345")),
            (v2(1, 0x11, &fields), at("198.51.100.1:12345")),
            (v2(1, 0x31, &[0; 216]), Client::Unknown),
            (v2(1, 0, &[]), Client::Unknown),
            (v2(0, 0, &[]), Client::Proxy),
            (v2(0, 0x11, &ADDRESSES), Client::Proxy),
        ] {
            let whole = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(heard(&whole), Some((client, header.len())), "{header:?}");
        }
    }

    #[test]
    fn whatever_is_not_a_header_is_none() {
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat();
        let huge = [&V2[..], &[0x21, 0x11, 0xFF, 0xFF]].concat();
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 198.51.100.1 10.0.0.1 12345\r\n",
            b"PROXY TCP4 198.51.100.256 10.0.0.1 12345 80\r\n",
            b"PROXY TCP4 198.51.100.1 10.0.0.1 12345 80\n",
            b"PROXY TCP4 198.51.100.1 10.0.0.1 12345 80 x\r\n",
            b"PROXY UDP4 198.51.100.1 10.0.0.1 12345 80\r\n",
            b"PROXY\tTCP4 198.51.100.1 10.0.0.1 12345 80\r\n",
            &long,
            &huge,
            &v2(1, 0x11, &ADDRESSES[..11]),
            &v2(1, 0x12, &ADDRESSES),
            &v2(2, 0x11, &ADDRESSES),
            b"\x16\x03\x01",
        ] {
            assert_eq!(heard(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_header_that_has_not_come_whole_is_waited_for() {
        let whole = v2(1, 0x11, &ADDRESSES);
        for cut in 0..whole.len() {
            assert!(matches!(end(&whole[..cut]), Ok(None)), "{cut}");
        }
        assert!(matches!(end(b"PROXY TCP4 198.51"), Ok(None)));
    }
}
