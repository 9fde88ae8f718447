//! Backends behind TLS, with certificates on both sides, and by HTTP/2.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::common::{Browser, Gateway, Setup, eventually, get, post, send};
use super::secure::{Authority, Secure, Seen};
use super::{GYM, gateway, state};

/// A region whose backends are reached with these upstream settings.
async fn upstream(backend: SocketAddr, settings: &str) -> Gateway {
    let more =
        format!("[region.north.health]\ninterval = \"300ms\"\n[region.north.upstream]\n{settings}");
    gateway(&[backend], &more).await
}

/// A page and a login come through, by this version.
async fn comes_through(gateway: &Gateway, backend: &Secure, version: &str) {
    let up = async || state(gateway, backend.address).await == "up";
    assert!(eventually(up).await);
    let page = send(gateway.edge, get("/page?q=1", GYM)).await;
    assert_eq!(
        (page.status, page.text().as_str()),
        (StatusCode::OK, version)
    );
    let login = send(gateway.edge, post("/login", GYM, "user=x")).await;
    assert_eq!(
        (login.status, login.text().as_str()),
        (StatusCode::OK, version)
    );
    let saved = send(gateway.edge, post("/save", GYM, "text=y")).await;
    assert_eq!(
        (saved.status, saved.text().as_str()),
        (StatusCode::OK, version)
    );
    let seen = backend.seen();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen.iter().all(|request| request.host == GYM), "{seen:?}");
    assert_eq!(
        (seen[1].method.as_str(), &seen[1].body[..]),
        ("POST", &b"user=x"[..])
    );
    assert_eq!(&seen[2].body[..], b"text=y");
}

/// What the requests that a backend saw said of their scheme.
fn schemes(backend: &Secure) -> Vec<String> {
    let seen = backend.seen().into_iter();
    let mut schemes: Vec<String> = seen.map(|request| request.scheme).collect();
    schemes.dedup();
    schemes
}

/// Nobody is let through: pages say that the server does not answer, logins keep their place.
async fn is_refused(gateway: &Gateway, backend: &Secure) {
    let page = send(gateway.edge, get("/", GYM)).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text().contains("antwortet"), "{}", page.text());
    let mut browser = Browser::new(gateway.edge, GYM);
    let sent = browser.post("/login", "user=x").await;
    assert_eq!(sent.location(), "/_einlass/wait");
    browser.until("held").await;
    assert_eq!(backend.seen().len(), 0, "nothing was sent");
}

#[tokio::test]
async fn over_tls_the_right_authority_and_name_are_believed() {
    let folder = tempfile::TempDir::new().unwrap();
    let authority = Authority::new(folder.path(), "ours");
    let backend = Secure::start(Some(&authority.sign("app.example")), None).await;
    for (http, version) in [("1.1", "HTTP/1.1"), ("2", "HTTP/2.0")] {
        let settings = format!(
            "tls = true\nserver_name = \"app.example\"\nca_file = \"{}\"\nhttp = \"{http}\"\n",
            authority.file.display()
        );
        let backend = if http == "2" {
            &Secure::start(Some(&authority.sign("app.example")), None).await
        } else {
            &backend
        };
        let gateway = upstream(backend.address, &settings).await;
        comes_through(&gateway, backend, version).await;
        let seen = backend.seen();
        let named = |request: &Seen| request.sni.as_deref() == Some("app.example");
        assert!(seen.iter().all(named), "{seen:?}");
        if http == "2" {
            assert_eq!(schemes(backend), ["https"]);
        }
    }
}

#[tokio::test]
async fn over_tls_another_authority_or_name_is_not_believed() {
    let folder = tempfile::TempDir::new().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let theirs = Authority::new(folder.path(), "theirs");
    for (signed_by, name) in [(&theirs, "app.example"), (&ours, "other.example")] {
        let backend = Secure::start(Some(&signed_by.sign(name)), None).await;
        let settings = format!(
            "tls = true\nserver_name = \"app.example\"\nca_file = \"{}\"\n",
            ours.file.display()
        );
        let gateway = upstream(backend.address, &settings).await;
        is_refused(&gateway, &backend).await;
    }
}

#[tokio::test]
async fn a_backend_that_asks_for_a_certificate_gets_ours() {
    let folder = tempfile::TempDir::new().unwrap();
    let authority = Authority::new(folder.path(), "ours");
    let backend = Secure::start(Some(&authority.sign("app.example")), Some(&authority)).await;
    let settings = format!(
        "tls = true\nserver_name = \"app.example\"\nca_file = \"{}\"\n",
        authority.file.display()
    );
    let own = authority.sign("gateway.example");
    let with = format!(
        "{settings}client_certificate = \"{}\"\nclient_key = \"{}\"\n",
        own.chain.display(),
        own.key.display()
    );
    let without = upstream(backend.address, &settings).await;
    let page = send(without.edge, get("/", GYM)).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(backend.seen().len(), 0, "nobody is let in without");
    let gateway = upstream(backend.address, &with).await;
    comes_through(&gateway, &backend, "HTTP/1.1").await;
    let other = authority.sign("other.example");
    let mixed = format!(
        "{settings}client_certificate = \"{}\"\nclient_key = \"{}\"\n",
        own.chain.display(),
        other.key.display()
    );
    let said = Setup::default()
        .region("north", &[backend.address], 4, &[(GYM, 900)], "")
        .text(&format!("[region.north.upstream]\n{mixed}"))
        .refused();
    assert!(said.contains("gateway.example.chain"), "{said}");
}

#[tokio::test]
async fn backends_may_speak_http_2_without_tls() {
    let backend = Secure::start(None, None).await;
    let gateway = upstream(backend.address, "http = \"2\"\n").await;
    comes_through(&gateway, &backend, "HTTP/2.0").await;
    assert_eq!(schemes(&backend), ["http"]);
}

/// Of a hundred requests on one connection one is not read on: the others go on all the same.
#[tokio::test]
async fn a_download_that_pauses_holds_up_nobody_over_http_2() {
    let backend = Secure::start(None, None).await;
    let gateway = upstream(backend.address, "http = \"2\"\n").await;
    let up = async || state(&gateway, backend.address).await == "up";
    assert!(eventually(up).await);
    let mut paused = TcpStream::connect(gateway.edge).await.unwrap();
    let request = format!("GET /large HTTP/1.1\r\nHost: {GYM}\r\n\r\n");
    paused.write_all(request.as_bytes()).await.unwrap();
    assert!(eventually(async || backend.seen().len() == 1).await);
    // Until all that fits on the way has come.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..20 {
        let small = send(gateway.edge, get("/small", GYM));
        let small = tokio::time::timeout(Duration::from_secs(20), small).await;
        let small = small.expect("nobody waits for the one that pauses");
        assert_eq!(small.body.len(), 64 << 10);
    }
    drop(paused);
}

/// A WebSocket needs HTTP/1.1, which is spoken for it wherever the others are HTTP/2.
#[tokio::test]
async fn a_websocket_passes_where_backends_speak_http_2() {
    let backend = Secure::start(None, None).await;
    let gateway = upstream(backend.address, "http = \"2\"\n").await;
    let up = async || state(&gateway, backend.address).await == "up";
    assert!(eventually(up).await);
    let mut stream = TcpStream::connect(gateway.edge).await.unwrap();
    let request = format!(
        "GET /socket HTTP/1.1\r\nHost: {GYM}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(eventually(async || backend.seen().len() == 1).await);
    let seen = backend.seen();
    assert_eq!(seen[0].version, hyper::Version::HTTP_11);
    assert!(seen[0].upgrade, "{seen:?}");
}
