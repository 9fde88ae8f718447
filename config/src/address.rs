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

/// A backend. Only addresses: a name would have to be looked up again and again, and a lookup can fail at eight.
pub(crate) fn backend(written: &str) -> Result<Endpoint, Problem> {
    const FORM: &str = r#"write address and port, as in "10.1.0.11:8080""#;
    let Ok(address) = written.parse().map(without_mapping) else {
        let message = if written.contains("://") {
            format!("{written:?} is a URL; a backend is only an address and a port")
        } else if written.parse::<IpAddr>().is_ok() {
            format!("the backend {written:?} has no port")
        } else if is_name(written) {
            format!("the backend {written:?} is a name; only addresses are accepted")
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

fn is_name(written: &str) -> bool {
    let name = written.rsplit_once(':').map_or(written, |(name, _)| name);
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    name.chars().all(fits) && name.chars().any(char::is_alphabetic)
}
