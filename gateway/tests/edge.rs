//! The edge, over real sockets: what it serves, whom it closes, how it stops.

#![allow(clippy::expect_used, reason = "a helper that fails fails its test")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use einlass::edge::boot::{self, Ending, Services, StopOn};
use einlass::edge::{CertificateFiles, Certificates, Edge, EdgeCounters, EdgeCounts};
use einlass::edge::{EdgeError, EdgeSettings};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pingora_core::services::Service;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::ResponseHeader;
use pingora_proxy::{HttpProxy, ProxyHttp, Session, http_proxy};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// A deadline of the edge that a test waits for.
const SHORT: Duration = Duration::from_millis(300);

// === the application ===

/// Answers by itself: `/` with the client's address, `/slow` when it is let go, `/panic` never.
#[derive(Clone)]
struct App {
    slow: Arc<AtomicUsize>,
    go: Arc<Semaphore>,
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
    fn new() -> Self {
        Self {
            slow: Arc::default(),
            go: Arc::new(Semaphore::new(0)),
        }
    }

    fn proxy(&self) -> HttpProxy<Self> {
        http_proxy(&Arc::new(boot::server_conf(1)), self.clone())
    }

    /// Waits until that many requests for `/slow` have come.
    async fn slow_requests(&self, count: usize) {
        eventually(|| self.slow.load(Ordering::SeqCst) >= count).await;
    }
}

// === the server ===

struct Server {
    app: App,
    plain: SocketAddr,
    tls: SocketAddr,
    counters: Arc<EdgeCounters>,
    certificates: Arc<Certificates>,
    stop: watch::Sender<bool>,
    done: tokio::task::JoinHandle<()>,
    pki: Pki,
}

impl Server {
    fn start(change: impl FnOnce(&mut EdgeSettings)) -> Self {
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

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.plain).await.expect("connects")
    }

    async fn connect_tls(&self, alpn: &[&str]) -> TlsStream<TcpStream> {
        self.pki
            .connect(self.tls, "a.example", self.pki.client(alpn))
            .await
    }

    fn counts(&self) -> EdgeCounts {
        self.counters.counts()
    }
}

fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn settings() -> EdgeSettings {
    EdgeSettings {
        listen: vec![local()],
        ..EdgeSettings::default()
    }
}

// === certificates and clients ===

struct Pki {
    dir: TempDir,
    files: Vec<CertificateFiles>,
    roots: Vec<CertificateDer<'static>>,
}

impl Pki {
    /// One certificate of its own for each name.
    fn new(names: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let mut pki = Self {
            dir,
            files: Vec::new(),
            roots: Vec::new(),
        };
        for name in names {
            pki.add(name);
        }
        pki
    }

    fn add(&mut self, name: &str) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("certificate");
        let number = self.files.len();
        let chain = self.write(&format!("{number}.pem"), &made.cert.pem());
        let key = self.write(&format!("{number}.key"), &made.signing_key.serialize_pem());
        self.files.push(CertificateFiles { chain, key });
        self.roots.push(made.cert.der().clone());
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("file written");
        path
    }

    fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for root in &self.roots {
            roots.add(root.clone()).expect("root");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    async fn connect(
        &self,
        address: SocketAddr,
        name: &'static str,
        client: Arc<ClientConfig>,
    ) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(address).await.expect("connects");
        let name = ServerName::try_from(name).expect("name");
        TlsConnector::from(client)
            .connect(name, tcp)
            .await
            .expect("handshake")
    }

    /// Which of our certificates a client is shown that asks for `name`.
    async fn shown(&self, address: SocketAddr, name: &'static str) -> usize {
        let tls = self.connect(address, name, self.client(&[])).await;
        let shown = tls.get_ref().1.peer_certificates().expect("certificates")[0].clone();
        self.roots
            .iter()
            .position(|root| *root == shown)
            .expect("one of ours")
    }
}

/// Waits for a condition instead of a time.
async fn eventually(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .expect("the condition becomes true");
}

/// One HTTP/1.1 request on a connection that stays open: status and headers, and the body.
async fn get(io: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n");
    io.write_all(request.as_bytes())
        .await
        .expect("request written");
    answer(io).await
}

async fn answer(io: &mut (impl AsyncRead + Unpin)) -> (String, String) {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let (_, length) = head.split_once("content-length: ").expect("a length");
            let length: usize = length
                .lines()
                .next()
                .and_then(|length| length.parse().ok())
                .expect("a number");
            if body.len() >= length {
                return (head, body.to_owned());
            }
        }
        let count = timeout(PATIENCE, io.read_buf(&mut read))
            .await
            .expect("answered");
        assert_ne!(count.expect("readable"), 0, "closed after {text:?}");
    }
}

/// Waits for the other side to close, and tells what it said before.
async fn closed(io: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is as good as an end: it only means that something of ours lay unread.
    let _ = timeout(PATIENCE, io.read_to_end(&mut said))
        .await
        .expect("closed in time");
    said
}

type Http2 = hyper::client::conn::http2::SendRequest<Empty<Bytes>>;
type Driver = tokio::task::JoinHandle<()>;

async fn http2(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> (Http2, Driver) {
    let executor = TokioExecutor::new();
    let (client, connection) = hyper::client::conn::http2::handshake(executor, TokioIo::new(io))
        .await
        .expect("preface");
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    (client, driver)
}

async fn get2(client: &mut Http2, path: &str) -> (u16, String) {
    let uri = format!("http://a.example{path}");
    let request = hyper::Request::get(uri)
        .body(Empty::new())
        .expect("request");
    let answer = timeout(PATIENCE, client.send_request(request))
        .await
        .expect("answered");
    let answer = answer.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

// === what it serves ===

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_client_is_answered_and_known_by_its_address() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    let (head, body) = get(&mut client, "/").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(body, client.local_addr().expect("address").to_string());
    assert_eq!((server.counts().open, server.counts().accepted), (1, 1));
    drop(client);
    eventually(|| server.counts().open == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dual_stack_listener_reports_ipv4_clients_as_ipv4() {
    if std::net::TcpListener::bind("[::]:0").is_err() {
        return; // A machine without IPv6.
    }
    let server =
        Server::start(|settings| settings.listen = vec!["[::]:0".parse().expect("address")]);
    let port = server.plain.port();
    let mut client = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("connects");
    let (_, body) = get(&mut client, "/").await;
    assert_eq!(body, client.local_addr().expect("address").to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_clients_get_the_protocol_they_agree_on() {
    let server = Server::start(|_| {});
    for alpn in [&["http/1.1"][..], &[]] {
        let mut client = server.connect_tls(alpn).await;
        let (_, body) = get(&mut client, "/").await;
        assert_eq!(
            body,
            client
                .get_ref()
                .0
                .local_addr()
                .expect("address")
                .to_string()
        );
    }
    let client = server.connect_tls(&["h2", "http/1.1"]).await;
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let address = client
        .get_ref()
        .0
        .local_addr()
        .expect("address")
        .to_string();
    let (mut client, _driver) = http2(client).await;
    assert_eq!(get2(&mut client, "/").await, (200, address.clone()));
    assert_eq!(get2(&mut client, "/").await, (200, address));
}

#[tokio::test]
async fn a_proxy_says_whom_it_speaks_for_before_the_handshake() {
    let server = Server::start(|settings| {
        settings.proxy_protocol = Some(vec!["127.0.0.0/8".parse().expect("a network")]);
    });
    let mut tcp = TcpStream::connect(server.tls).await.expect("connects");
    tcp.write_all(b"PROXY TCP4 198.51.100.1 127.0.0.1 12345 443\r\n")
        .await
        .expect("header written");
    let name = ServerName::try_from("a.example").expect("name");
    let mut tls = TlsConnector::from(server.pki.client(&[]))
        .connect(name, tcp)
        .await
        .expect("handshake");
    assert_eq!(get(&mut tls, "/").await.1, "198.51.100.1:12345");
    // Without the header it is no handshake.
    let mut tcp = TcpStream::connect(server.tls).await.expect("connects");
    tcp.write_all(b"\x16\x03\x01\x00\x05hello")
        .await
        .expect("written");
    assert_eq!(closed(&mut tcp).await, b"");
    assert_eq!(server.counts().proxy_headers, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_needs_no_tls_if_the_client_knows() {
    let server = Server::start(|_| {});
    let client = server.connect().await;
    let address = client.local_addr().expect("address").to_string();
    let (mut client, _driver) = http2(client).await;
    assert_eq!(get2(&mut client, "/").await, (200, address));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_shorter_than_the_preface_are_answered() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .await
        .expect("written");
    let (head, _) = answer(&mut client).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    closed(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_requests_fit_on_one_connection() {
    // Longer than a busy machine needs for one request, and shorter than all of them take together.
    let limit = Duration::from_secs(2);
    let server = Server::start(|settings| {
        settings.header_timeout = limit;
        settings.keepalive_timeout = limit;
    });
    let mut client = server.connect().await;
    let request = b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let (begun, mut sent) = (Instant::now(), 0);
    while sent < 10_000 || begun.elapsed() < limit + SHORT {
        client.write_all(request).await.expect("written");
        let (head, _) = answer(&mut client).await;
        assert!(head.starts_with("http/1.1 200"), "kept open and answered");
        sent += 1;
    }
    assert_eq!(server.counts().accepted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_a_client_asks_for_picks_the_certificate() {
    let pki = Pki::new(&["a.example", "b.example", "*.c.example"]);
    let server = Server::start(|settings| settings.certificates.clone_from(&pki.files));
    assert_eq!(pki.shown(server.tls, "b.example").await, 1);
    assert_eq!(pki.shown(server.tls, "B.Example").await, 1);
    assert_eq!(pki.shown(server.tls, "gym.c.example").await, 2);
    assert_eq!(pki.shown(server.tls, "a.example").await, 0);
    // A name nobody has: the first certificate, which the client then refuses.
    let tcp = TcpStream::connect(server.tls).await.expect("connects");
    let name = ServerName::try_from("x.y.c.example").expect("name");
    let refused = TlsConnector::from(pki.client(&[])).connect(name, tcp).await;
    assert!(
        refused
            .expect_err("refused")
            .to_string()
            .contains("a.example")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificates_are_shown_without_a_restart() {
    let mut server = Server::start(|_| {});
    server.pki.add("a.example");
    assert_eq!(server.pki.shown(server.tls, "a.example").await, 0);
    server
        .certificates
        .reload(&server.pki.files[1..])
        .expect("reloads");
    assert_eq!(server.pki.shown(server.tls, "a.example").await, 1);
    let missing = PathBuf::from("/nowhere.pem");
    let bad = CertificateFiles {
        chain: missing.clone(),
        key: missing,
    };
    server
        .certificates
        .reload(&[bad])
        .expect_err("no such file");
    assert_eq!(server.pki.shown(server.tls, "a.example").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_handshake_resumes_the_first() {
    let server = Server::start(|_| {});
    let client = server.pki.client(&["http/1.1"]);
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut tls = server
            .pki
            .connect(server.tls, "a.example", Arc::clone(&client))
            .await;
        // The tickets come with the first answer.
        get(&mut tls, "/").await;
        kinds.push(tls.get_ref().1.handshake_kind());
    }
    assert_eq!(
        kinds,
        [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]
    );
}

// === whom it closes ===

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_shakes_hands_is_closed() {
    let server = Server::start(|settings| settings.handshake_timeout = SHORT);
    let mut silent = TcpStream::connect(server.tls).await.expect("connects");
    let mut halfway = TcpStream::connect(server.tls).await.expect("connects");
    halfway.write_all(&[22, 3, 1, 2, 0]).await.expect("written");
    closed(&mut silent).await;
    closed(&mut halfway).await;
    eventually(|| server.counts().handshake_timeouts == 2).await;
    assert_eq!(server.counts().handshake_failures, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_take_no_handshake_from_others() {
    let server = Server::start(|settings| settings.max_handshakes = 1);
    let _silent = TcpStream::connect(server.tls).await.expect("connects");
    let mut client = timeout(PATIENCE, server.connect_tls(&[]))
        .await
        .expect("not held up");
    get(&mut client, "/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_over_the_bound_wait_for_their_turn() {
    let server = Server::start(|settings| {
        settings.max_handshakes = 1;
        settings.handshake_timeout = SHORT;
    });
    let mut halfway = TcpStream::connect(server.tls).await.expect("connects");
    halfway.write_all(&[22, 3, 1, 2, 0]).await.expect("written");
    closed(&mut halfway).await;
    get(&mut server.connect_tls(&[]).await, "/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_is_counted_and_closed() {
    let server = Server::start(|_| {});
    let mut scanner = TcpStream::connect(server.tls).await.expect("connects");
    scanner
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .await
        .expect("written");
    closed(&mut scanner).await;
    eventually(|| server.counts().handshake_failures == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_agrees_on_http2_must_speak_it_in_time() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let mut silent = server.connect_tls(&["h2"]).await;
    closed(&mut silent).await;
    eventually(|| server.counts().head_timeouts == 1).await;
    let mut other = server.connect_tls(&["h2"]).await;
    other
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .await
        .expect("written");
    closed(&mut other).await;
    eventually(|| server.counts().handshake_failures == 1).await;
}

/// Sends a byte every 20 ms until the edge has had enough.
async fn dribble(client: TcpStream) -> Duration {
    let started = Instant::now();
    let (mut reading, mut writing) = client.into_split();
    let dribbling = tokio::spawn(async move {
        writing
            .write_all(b"GET / HTTP/1.1\r\nx: ")
            .await
            .expect("written");
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    closed(&mut reading).await;
    dribbling.abort();
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dribbled_head_is_cut_off_on_the_first_request_and_on_later_ones() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let first = dribble(server.connect().await).await;
    assert!(first >= SHORT / 2, "cut off after {first:?}");
    eventually(|| server.counts().head_timeouts == 1).await;
    let mut used = server.connect().await;
    get(&mut used, "/").await;
    let later = dribble(used).await;
    assert!(later >= SHORT / 2, "cut off after {later:?}");
    eventually(|| server.counts().head_timeouts == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_for_nothing_is_closed() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    closed(&mut server.connect().await).await;
    closed(&mut server.connect_tls(&["http/1.1"]).await).await;
    eventually(|| server.counts().head_timeouts == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_after_their_time() {
    let server = Server::start(|settings| settings.keepalive_timeout = SHORT);
    let mut plain = server.connect().await;
    get(&mut plain, "/").await;
    let started = Instant::now();
    closed(&mut plain).await;
    assert!(started.elapsed() >= SHORT / 2);
    let (mut client, driver) = http2(server.connect_tls(&["h2"]).await).await;
    get2(&mut client, "/").await;
    timeout(PATIENCE, driver)
        .await
        .expect("closed")
        .expect("no panic");
    assert_eq!(server.counts().head_timeouts, 0, "idle is no offence");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_is_not_a_slow_client() {
    let server = Server::start(|settings| {
        settings.header_timeout = SHORT;
        settings.keepalive_timeout = SHORT;
    });
    let mut client = server.connect().await;
    let (mut other, _driver) = http2(server.connect().await).await;
    let app = server.app.clone();
    let letting_go = tokio::spawn(async move {
        app.slow_requests(2).await;
        tokio::time::sleep(SHORT * 3).await;
        app.go.add_permits(2);
    });
    let ((head, _), (status, _)) =
        tokio::join!(get(&mut client, "/slow"), get2(&mut other, "/slow"));
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(status, 200);
    letting_go.await.expect("no panic");
    get(&mut client, "/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_an_end_is_cut_off() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client
        .write_all(b"GET / HTTP/1.1\r\nx: ")
        .await
        .expect("written");
    while client.write_all(&[b'x'; 4096]).await.is_ok() {}
    eventually(|| server.counts().heads_too_long == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_cap_are_closed_at_once_and_room_is_given_back() {
    let server = Server::start(|settings| settings.max_connections = 2);
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    get(&mut first, "/").await;
    get(&mut second, "/").await;
    assert!(closed(&mut server.connect().await).await.is_empty());
    assert_eq!((server.counts().open, server.counts().refused), (2, 1));
    drop(first);
    eventually(|| server.counts().open == 1).await;
    get(&mut server.connect().await, "/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_one_connection_and_is_counted() {
    let server = Server::start(|settings| settings.max_connections = 1);
    let mut client = server.connect().await;
    client
        .write_all(b"GET /panic HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("written");
    closed(&mut client).await;
    eventually(|| server.counts().panics == 1 && server.counts().open == 0).await;
    get(&mut server.connect().await, "/").await;
}

// === how it starts and stops ===

#[test]
fn wrong_certificate_files_are_named() {
    let pki = Pki::new(&["a.example", "b.example"]);
    let refusal = |chain: &PathBuf, key: &PathBuf| {
        let mut settings = settings();
        settings.listen_tls = vec![local()];
        settings.certificates = vec![CertificateFiles {
            chain: chain.clone(),
            key: key.clone(),
        }];
        Edge::bind(&settings, App::new().proxy())
            .err()
            .expect("refused")
    };
    let (good, other) = (&pki.files[0], &pki.files[1]);
    let missing = pki.dir.path().join("missing.pem");
    let empty = pki.write("empty.pem", "nothing here\n");
    let broken = pki.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    for bad in [&missing, &empty, &broken] {
        let error = refusal(bad, &good.key);
        assert!(
            matches!(&error, EdgeError::Chain { path, .. } if path == bad),
            "{error:?}"
        );
        assert!(
            error.to_string().contains(&bad.display().to_string()),
            "{error}"
        );
    }
    for bad in [&missing, &empty, &good.chain] {
        let error = refusal(&good.chain, bad);
        assert!(
            matches!(&error, EdgeError::Key { path, .. } if path == bad),
            "{error:?}"
        );
    }
    let error = refusal(&good.chain, &other.key);
    assert!(matches!(error, EdgeError::Mismatch { .. }), "{error:?}");
}

#[test]
fn nothing_to_listen_on_and_nothing_to_show_are_errors() {
    let nowhere = Edge::bind(&EdgeSettings::default(), App::new().proxy());
    assert!(matches!(nowhere, Err(EdgeError::NowhereToListen)));
    let mut settings = settings();
    settings.listen_tls = vec![local()];
    let nothing = Edge::bind(&settings, App::new().proxy());
    assert!(matches!(nothing, Err(EdgeError::NoCertificate { .. })));
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind(local()).expect("binds");
    let address = taken.local_addr().expect("address");
    let settings = EdgeSettings {
        listen: vec![address],
        ..EdgeSettings::default()
    };
    let error = Edge::bind(&settings, App::new().proxy())
        .err()
        .expect("refused");
    let message = error.to_string();
    assert!(message.contains(&address.to_string()), "{message}");
    assert!(message.contains("another program"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_finishes_what_runs_and_accepts_nothing_more() {
    let server = Server::start(|_| {});
    let mut idle = server.connect().await;
    get(&mut idle, "/").await;
    let mut running = server.connect().await;
    // Kept to the end: it is the server that closes.
    let (mut running2, driver) = http2(server.connect_tls(&["h2"]).await).await;
    let stopping = async {
        server.app.slow_requests(2).await;
        server.stop.send_replace(true);
        assert!(closed(&mut idle).await.is_empty(), "closed without a word");
        let refused = || async { TcpStream::connect(server.plain).await.is_err() };
        while !refused().await {
            tokio::task::yield_now().await;
        }
        assert!(!server.done.is_finished(), "requests are still running");
        server.app.go.add_permits(2);
    };
    let ((head, _), (status, _), ()) = tokio::join!(
        get(&mut running, "/slow"),
        get2(&mut running2, "/slow"),
        stopping
    );
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(status, 200);
    closed(&mut running).await;
    timeout(PATIENCE, driver)
        .await
        .expect("closed")
        .expect("no panic");
    timeout(PATIENCE, server.done)
        .await
        .expect("done")
        .expect("no panic");
    assert_eq!(server.counters.counts().open, 0);
    drop(running2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_has_an_end() {
    let server = Server::start(|settings| settings.drain_timeout = SHORT);
    let mut client = server.connect().await;
    client
        .write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("written");
    server.app.slow_requests(1).await;
    server.stop.send_replace(true);
    timeout(PATIENCE, server.done)
        .await
        .expect("done")
        .expect("no panic");
}

/// A whole server in a thread, as `main` runs it.
fn boot(app: &App) -> (SocketAddr, Arc<Notify>, std::thread::JoinHandle<()>) {
    let edge = Edge::bind(&settings(), app.proxy()).expect("binds");
    let address = edge.local_addrs()[0];
    let stop = Arc::new(Notify::new());
    let on = StopOn::Notified(Arc::clone(&stop));
    let services = Services {
        front: vec![Box::new(edge)],
        back: Vec::new(),
    };
    let ending = Ending {
        drain: PATIENCE,
        ..Ending::default()
    };
    let run = move || boot::serve(boot::server_conf(2), services, ending, on);
    (address, stop, std::thread::spawn(run))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_exits_at_once() {
    let (address, stop, thread) = boot(&App::new());
    let mut idle = TcpStream::connect(address).await.expect("connects");
    get(&mut idle, "/").await;
    let started = Instant::now();
    stop.notify_one();
    tokio::task::spawn_blocking(|| thread.join())
        .await
        .expect("joined")
        .expect("no panic");
    // It does not wait for what an idle connection might still send.
    let took = started.elapsed();
    assert!(took < PATIENCE / 2, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_told_to_stop_finishes_the_request_in_flight() {
    let app = App::new();
    let (address, stop, thread) = boot(&app);
    let mut client = TcpStream::connect(address).await.expect("connects");
    let stopping = async {
        app.slow_requests(1).await;
        stop.notify_one();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        app.go.add_permits(1);
    };
    let ((head, _), ()) = tokio::join!(get(&mut client, "/slow"), stopping);
    assert!(head.starts_with("http/1.1 200"), "{head}");
    tokio::task::spawn_blocking(|| thread.join())
        .await
        .expect("joined")
        .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn told_twice_a_server_waits_for_nobody() {
    let app = App::new();
    let (address, stop, thread) = boot(&app);
    let mut client = TcpStream::connect(address).await.expect("connects");
    client
        .write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("written");
    app.slow_requests(1).await;
    stop.notify_one();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stop.notify_one();
    closed(&mut client).await;
    tokio::task::spawn_blocking(|| thread.join())
        .await
        .expect("joined")
        .expect("no panic");
}
