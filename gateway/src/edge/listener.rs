//! The listening sockets, and the loop that accepts from them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::HttpServerApp;
use pingora_core::server::ShutdownWatch;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::warn;

use super::EdgeError;
use super::connection::{Shared, Transport};
use super::counters::Event;

/// Connections the kernel keeps ready for us: a second's worth of a rush. Capped by
/// `net.core.somaxconn`, 4096 by default.
const BACKLOG: i32 = 8192;
/// A client that is gone without a word is noticed after this and a few probes.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_mins(1))
    .with_interval(Duration::from_secs(15));
/// The pause after the first failure to accept, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// A bound socket.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    transport: Transport,
    address: SocketAddr,
}

impl Listener {
    /// Binds at once, so that what is wrong is known before anything runs. `others` are all addresses
    /// of the edge: `[::]:443` leaves IPv4 to `0.0.0.0:443` if both are wanted.
    pub(super) fn bind(
        address: SocketAddr,
        transport: Transport,
        others: &[SocketAddr],
    ) -> Result<Self, EdgeError> {
        let socket = bind(address, others).map_err(|source| EdgeError::Bind { address, source })?;
        let address = socket
            .local_addr()
            .map_err(|source| EdgeError::Bind { address, source })?;
        Ok(Self {
            socket,
            transport,
            address,
        })
    }

    /// Where it really listens: the port is known even if 0 was asked for.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `stop`. Must run inside a runtime.
    ///
    /// # Errors
    /// The runtime cannot watch the socket.
    pub(super) async fn run<A>(
        self,
        shared: Arc<Shared<A>>,
        slots: Arc<Semaphore>,
        stop: ShutdownWatch,
    ) -> io::Result<()>
    where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let listener = tokio::net::TcpListener::from_std(self.socket)?;
        let mut stopping = stop.clone();
        let mut pause = PAUSE.0;
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((tcp, peer)) => {
                    pause = PAUSE.0;
                    let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                        shared.counters.count(Event::Refused);
                        continue;
                    };
                    let open = shared.counters.opened();
                    let (shared, stop) = (Arc::clone(&shared), stop.clone());
                    tokio::spawn(async move {
                        shared.serve(tcp, peer, self.transport, stop).await;
                        drop((slot, open));
                    });
                }
                Err(error) if of_one_client(&error) => {}
                Err(error) => {
                    // Out of file descriptors or memory: asking again at once would only burn the
                    // time in which others could finish.
                    warn!(address = %self.address, %error, pause_ms = pause.as_millis(), "Cannot accept");
                    shared.counters.count(Event::AcceptError);
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }
}

/// The client left between connecting and being accepted.
fn of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn bind(address: SocketAddr, others: &[SocketAddr]) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Port 0 is another port each time.
        let shared = others
            .iter()
            .any(|other| other.is_ipv4() && other.port() == address.port() && address.port() != 0);
        socket.set_only_v6(shared)?;
    }
    // Accepted sockets inherit it.
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
