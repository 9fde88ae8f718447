//! Sockets for tens of thousands of pupils on one machine.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpSocket, TcpStream};

/// A source address has about 28,000 ports, and a closed connection keeps its port for a minute.
const PUPILS_PER_SOURCE: u32 = 200;
const SOURCES_PER_SCHOOL: u32 = 250;

/// Raises the soft limit of open files to the hard one: a socket is a file.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Without it the crowd may be too big; the report then says so (`no_local_socket`).
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}

/// The loopback address that a pupil's connections come from: as few per school as its size allows, because a school
/// sits behind one address.
pub(super) fn source(school: u16, number: u32, pupils_of_school: u32) -> Ipv4Addr {
    let sources = (pupils_of_school / PUPILS_PER_SOURCE + 1).min(SOURCES_PER_SCHOOL);
    let [high, low] = school.to_be_bytes();
    // 127.0/16 is left to the servers; 250 is below u8::MAX, so the last part is never the all-ones address.
    let last = u8::try_from(number % sources + 1).unwrap_or(1);
    Ipv4Addr::new(127, high.saturating_add(1), low, last)
}

/// Connects from `source`, where the target's family allows it.
pub(super) async fn connect(source: Ipv4Addr, target: SocketAddr) -> io::Result<TcpStream> {
    let stream = if target.is_ipv4() {
        let mut tries = 0;
        loop {
            let socket = TcpSocket::new_v4()?;
            // A port in TIME_WAIT may be taken again, because the pair with the target is what must be unique.
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::from((source, 0)))?;
            match socket.connect(target).await {
                // The port drawn is still in TIME_WAIT towards this target: draw another.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable && tries < 8 => {
                    tries += 1;
                }
                other => break other?,
            }
        }
    } else {
        TcpSocket::new_v6()?.connect(target).await?
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_school_sits_behind_one_address_and_a_crowd_behind_several() {
        assert_eq!(source(0, 7, 150), source(0, 8, 150));
        assert_ne!(source(0, 7, 5000), source(0, 8, 5000));
        assert_ne!(source(0, 7, 150), source(1, 7, 150));
        assert!(source(1999, 50_000, 50_000).is_loopback());
    }
}
