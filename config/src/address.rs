//! Addresses: where we listen, where the backends are, which proxies are believed.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::backend::Endpoint;
use crate::report::Problem;

/// An address to listen on. Port 0 lets the system choose.
pub(crate) fn listen(written: &str) -> Result<SocketAddr, Problem> {
    written.parse().map_err(|_| {
        Problem::new(format!("{written:?} is not an address to listen on"))
            .help(r#"write address and port, as in "0.0.0.0:8080" or "[::]:8080""#)
    })
}

/// A backend: an address, or a name that is looked up in the background.
pub(crate) fn backend(written: &str) -> Result<Endpoint, Problem> {
    const FORM: &str = r#"write address and port, as in "10.1.0.11:8080", or a name and port, as in "app.example:8080""#;
    let Ok(address) = written.parse().map(without_mapping) else {
        if let Some(name) = name(written) {
            return Ok(name);
        }
        let message = if written.contains("://") {
            format!("{written:?} is a URL; a backend is only an address and a port")
        } else if written.parse::<IpAddr>().is_ok() || is_host(written) {
            format!("the backend {written:?} has no port")
        } else {
            format!("{written:?} is not the address of a backend")
        };
        return Err(Problem::new(message).help(FORM));
    };
    if address.ip().is_unspecified() || address.ip().is_multicast() {
        return Err(
            Problem::new(format!("no backend can be reached at {}", address.ip())).help(FORM),
        );
    }
    if address.port() == 0 {
        return Err(Problem::new("no backend can be reached at port 0").help(FORM));
    }
    Ok(Endpoint::Address(address))
}

/// A server for names. Default port: 53.
pub(crate) fn resolver(written: &str) -> Result<SocketAddr, Problem> {
    let alone = written.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    written.parse().or(alone).map_err(|_| {
        Problem::new(format!(
            "{written:?} is not the address of a server for names"
        ))
        .help(r#"write it like "10.0.0.53" or "127.0.0.1:5353""#)
    })
}

/// A network, or a single address.
pub(crate) fn network(written: &str) -> Result<IpNet, Problem> {
    let network = written
        .parse::<IpNet>()
        .or_else(|_| written.parse::<IpAddr>().map(IpNet::from));
    network.map(|network| network.trunc()).map_err(|_| {
        Problem::new(format!("{written:?} is neither a network nor an address"))
            .help(r#"write it like "10.0.0.0/8", "2001:db8::/32" or "192.0.2.7""#)
    })
}

/// Whether two listening sockets would get in each other's way: the same port on the same address, or on all of them.
pub(crate) fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = |address: SocketAddr| address.ip().is_unspecified();
    // `[::]` also takes the port of IPv4, unlike `0.0.0.0`, which leaves IPv6 addresses alone.
    let covers = |wide: SocketAddr, narrow: SocketAddr| {
        everywhere(wide) && (wide.is_ipv6() || narrow.is_ipv4())
    };
    one.port() != 0
        && one.port() == other.port()
        && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
}

/// Whether a connection to `backend` would arrive at a socket listening on `listen` of this machine.
pub(crate) fn leads_to(backend: SocketAddr, listen: SocketAddr) -> bool {
    let same = backend == without_mapping(listen);
    same || backend.ip().is_loopback() && clash(backend, listen)
}

/// `[::ffff:10.1.0.11]:8080` is `10.1.0.11:8080`.
fn without_mapping(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// `name:port`.
fn name(written: &str) -> Option<Endpoint> {
    let (host, port) = written.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let host = host.strip_suffix('.').unwrap_or(host);
    let host = idna::domain_to_ascii(host).ok()?;
    is_host(&host).then_some(Endpoint::Name { host, port })
}

/// Labels of letters, digits, `-` and `_`. The last one is no number, or it would be a mistyped address.
fn is_host(written: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(fits);
    let last = written.rsplit('.').next().unwrap_or(written);
    written.len() <= 253
        && written.split('.').all(label)
        && !last.chars().all(|c| c.is_ascii_digit())
}
