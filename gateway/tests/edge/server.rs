//! An application behind an edge, and how a test waits for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use einlass::edge::boot::{self};
use einlass::edge::{Certificates, Edge, EdgeCounters, EdgeCounts, EdgeSettings};
use pingora_core::services::Service;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::ResponseHeader;
use pingora_proxy::{HttpProxy, ProxyHttp, Session, http_proxy};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::pki::Pki;

/// Longer than anything here takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A deadline of the edge that a test waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// Answers by itself: `/` with the client's address, `/slow` when it is let go, `/panic` never.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) slow: Arc<AtomicUsize>,
    pub(crate) go: Arc<Semaphore>,
}

#[async_trait]
impl ProxyHttp for App {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(
        &self,
        _: &mut Session,
        (): &mut (),
    ) -> pingora_core::Result<Box<HttpPeer>> {
        pingora_core::Error::e_explain(pingora_core::ErrorType::ConnectError, "no backend")
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        (): &mut (),
    ) -> pingora_core::Result<bool> {
        match session.req_header().uri.path() {
            "/slow" => {
                self.slow.fetch_add(1, Ordering::SeqCst);
                self.go.acquire().await.expect("never closed").forget();
            }
            "/panic" => panic!("as asked"),
            _ => {}
        }
        let client = session
            .client_addr()
            .map(ToString::to_string)
            .unwrap_or_default();
        let mut header = ResponseHeader::build(200, None)?;
        header.insert_header("content-length", client.len())?;
        session
            .write_response_header(Box::new(header), false)
            .await?;
        session
            .write_response_body(Some(Bytes::from(client)), true)
            .await?;
        Ok(true)
    }
}

impl App {
    pub(crate) fn new() -> Self {
        Self {
            slow: Arc::default(),
            go: Arc::new(Semaphore::new(0)),
        }
    }

    pub(crate) fn proxy(&self) -> HttpProxy<Self> {
        http_proxy(&Arc::new(boot::server_conf(1)), self.clone())
    }

    /// Waits until that many requests for `/slow` have come.
    pub(crate) async fn slow_requests(&self, count: usize) {
        eventually(|| self.slow.load(Ordering::SeqCst) >= count).await;
    }
}

pub(crate) struct Server {
    pub(crate) app: App,
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) counters: Arc<EdgeCounters>,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) done: tokio::task::JoinHandle<()>,
    pub(crate) pki: Pki,
}

impl Server {
    pub(crate) fn start(change: impl FnOnce(&mut EdgeSettings)) -> Self {
        let pki = Pki::new(&["a.example"]);
        let mut settings = settings();
        settings.listen_tls = vec![local()];
        settings.certificates.clone_from(&pki.files);
        change(&mut settings);
        let app = App::new();
        let mut edge = Edge::bind(&settings, app.proxy()).expect("binds");
        let addresses = edge.local_addrs();
        let counters = edge.counters();
        let certificates = edge.certificates().expect("has TLS");
        let (stop, stopping) = watch::channel(false);
        let done = tokio::spawn(async move { edge.start_service(None, stopping, 1).await });
        let (plain, tls) = (addresses[0], addresses[1]);
        Self {
            app,
            plain,
            tls,
            counters,
            certificates,
            stop,
            done,
            pki,
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.plain).await.expect("connects")
    }

    pub(crate) async fn connect_tls(&self, alpn: &[&str]) -> TlsStream<TcpStream> {
        self.pki
            .connect(self.tls, "a.example", self.pki.client(alpn))
            .await
    }

    pub(crate) fn counts(&self) -> EdgeCounts {
        self.counters.counts()
    }
}

pub(crate) fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) fn settings() -> EdgeSettings {
    EdgeSettings {
        listen: vec![local()],
        ..EdgeSettings::default()
    }
}

/// Waits for a condition instead of a time.
pub(crate) async fn eventually(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .expect("the condition becomes true");
}
