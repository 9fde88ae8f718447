//! One listener of the platform.

use std::net::SocketAddr;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::PlatformError;

/// Connections that may wait to be accepted. A rush opens thousands within one scheduling delay; the kernel caps this
/// at `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// Accepts until it is stopped or dropped.
pub(super) struct Backend {
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Backend {
    pub(super) fn start(address: SocketAddr, router: Router) -> Result<Self, PlatformError> {
        let refused = |source| PlatformError::Listen { address, source };
        let listener = listen(address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        // As the servers of real platforms do: the last piece of an answer would else wait up to 40 ms for
        // the client to acknowledge the one before. A stream that cannot be set is gone.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let (stopping, mut stopped) = watch::channel(false);
        let serving = tokio::spawn(async move {
            let stop = async move {
                // An error means that the backend was dropped: stop as well.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            // `axum::serve` handles accept errors itself and never fails.
            let _ = axum::serve(listener, router)
                .with_graceful_shutdown(stop)
                .await;
        });
        Ok(Self {
            address,
            stopping,
            serving,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the listener and returns when every connection has ended.
    pub(super) async fn stop(&mut self) {
        self.stopping.send_replace(true);
        if !self.serving.is_finished() {
            let _ = (&mut self.serving).await;
        }
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
