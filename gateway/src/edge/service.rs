//! The edge as a service: bound first, then run, then drained.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::HttpServerApp;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::app::LimitedApp;
use super::connection::{Shared, Transport};
use super::listener::Listener;
use super::proxy_protocol::Proxies;
use super::tls::Tls;
use super::{Certificates, EdgeCounters, EdgeError, EdgeSettings};

/// The public listener in front of an application.
///
/// It stops when its [`ShutdownWatch`] turns true: it accepts nothing more, closes what lies idle, lets
/// requests in flight finish within the drain timeout, and only then is its future done.
pub struct Edge<A> {
    listeners: Vec<Listener>,
    shared: Arc<Shared<A>>,
    slots: Arc<Semaphore>,
    drain_timeout: Duration,
}

impl<A> Edge<A>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    /// Reads the certificates and binds every address.
    ///
    /// # Errors
    /// [`EdgeError`] names the file or the address, and what to do about it.
    pub fn bind(settings: &EdgeSettings, app: A) -> Result<Self, EdgeError> {
        let tls = Tls::new(settings)?;
        let all: Vec<SocketAddr> = settings
            .listen
            .iter()
            .chain(&settings.listen_tls)
            .copied()
            .collect();
        if all.is_empty() {
            return Err(EdgeError::NowhereToListen);
        }
        let plain = settings
            .listen
            .iter()
            .map(|address| (*address, Transport::Plain));
        let secure = settings
            .listen_tls
            .iter()
            .map(|address| (*address, Transport::Tls));
        let listeners = plain
            .chain(secure)
            .map(|(address, transport)| Listener::bind(address, transport, &all))
            .collect::<Result<Vec<_>, _>>()?;
        let counters = Arc::new(EdgeCounters::default());
        let app = LimitedApp::new(
            app,
            settings.keepalive_timeout,
            settings.stall_timeout,
            Arc::clone(&counters),
        );
        let shared = Shared {
            app: Arc::new(app),
            tls,
            proxies: settings.proxy_protocol.clone().map(Proxies::new),
            handshakes: Semaphore::new(permits(settings.max_handshakes)),
            counters,
            handshake_timeout: settings.handshake_timeout,
            header_timeout: settings.header_timeout,
            keepalive_timeout: settings.keepalive_timeout,
        };
        Ok(Self {
            listeners,
            shared: Arc::new(shared),
            slots: Arc::new(Semaphore::new(permits(settings.max_connections))),
            drain_timeout: settings.drain_timeout,
        })
    }

    /// Where it listens, in the order of the settings: plain addresses, then those for HTTPS. Empty
    /// once the service runs.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// The counters, for the metrics.
    pub fn counters(&self) -> Arc<EdgeCounters> {
        Arc::clone(&self.shared.counters)
    }

    /// The certificates, to be reloaded while the edge runs. `None` without HTTPS.
    pub fn certificates(&self) -> Option<Arc<Certificates>> {
        self.shared
            .tls
            .as_ref()
            .map(|tls| Arc::clone(&tls.certificates))
    }
}

/// At least one, and no more than a semaphore can count.
fn permits(wanted: usize) -> usize {
    wanted.clamp(1, Semaphore::MAX_PERMITS)
}

#[async_trait]
impl<A> Service for Edge<A>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        mut shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
    ) {
        // Every connection and every request holds a copy of this receiver, so that the last one to
        // be dropped tells the end of the drain.
        let (stop, stopping) = watch::channel(false);
        let mut accepting = JoinSet::new();
        for listener in std::mem::take(&mut self.listeners) {
            let address = listener.address();
            let (shared, slots) = (Arc::clone(&self.shared), Arc::clone(&self.slots));
            let stopping = stopping.clone();
            accepting.spawn(async move {
                if let Err(error) = listener.run(shared, slots, stopping).await {
                    error!(%address, %error, "Cannot accept connections");
                }
            });
        }
        drop(stopping);
        // An error means that the sender is gone, and with it the server.
        let _ = shutdown.wait_for(|stop| *stop).await;
        stop.send_replace(true);
        while accepting.join_next().await.is_some() {}
        let open = self.shared.counters.counts().open;
        info!(open, "Stopped accepting");
        if timeout(self.drain_timeout, stop.closed()).await.is_err() {
            let open = self.shared.counters.counts().open;
            warn!(
                open,
                "Requests were still in flight at the end of the drain"
            );
        }
        self.shared.app.http_cleanup().await;
    }

    fn name(&self) -> &'static str {
        "edge"
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(
            self.listeners
                .iter()
                .map(|listener| listener.address().to_string())
                .collect(),
        )
    }
}
