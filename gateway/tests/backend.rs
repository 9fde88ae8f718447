//! What backends get to see, and what happens when they do not behave: raw sockets on both sides.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::backend::{Backend, FINE};
use common::{Browser, Setup, eventually, free_address, get, platform, post, send};
use einlass_benches::platform::HashCost;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const GYM: &str = "gym.example";

#[tokio::test]
async fn a_backend_is_told_the_truth_about_the_client() {
    let backend = Backend::start(FINE).await;
    let gateway = Setup::default()
        .region("north", &[backend.address], 4, &[(GYM, 900)], "")
        .start()
        .await;
    let lies = |mut request: hyper::Request<Full<Bytes>>| {
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        headers.insert("x-forwarded-host", "bank.example".parse().unwrap());
        headers.insert("x-real-ip", "203.0.113.9".parse().unwrap());
        headers.insert("forwarded", "for=203.0.113.9".parse().unwrap());
        headers.insert("x-forwarded-prefix", "/einlass".parse().unwrap());
        headers.insert("true-client-ip", "203.0.113.9".parse().unwrap());
        headers.append("cookie", "a=1; einlass_ticket=x".parse().unwrap());
        headers.append("cookie", "einlass_pass=y; b=2".parse().unwrap());
        headers.insert("einlass-ticket", "z".parse().unwrap());
        request
    };
    for request in [get("/page?q=1", GYM), post("/login", GYM, "user=x")] {
        assert_eq!(
            send(gateway.edge, lies(request)).await.status,
            StatusCode::OK
        );
        let seen = backend.last();
        assert!(seen.contains("\r\nhost: gym.example\r\n"), "{seen}");
        assert!(
            seen.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"),
            "{seen}"
        );
        assert!(seen.contains("\r\nx-forwarded-proto: http\r\n"), "{seen}");
        assert!(
            seen.contains("\r\nx-forwarded-host: gym.example\r\n"),
            "{seen}"
        );
        assert!(seen.contains("\r\nx-forwarded-port: 80\r\n"), "{seen}");
        assert!(seen.contains("\r\nx-real-ip: 127.0.0.1\r\n"), "{seen}");
        let forwarded = "\r\nforwarded: for=127.0.0.1;host=\"gym.example\";proto=http\r\n";
        assert!(seen.contains(forwarded), "{seen}");
        assert!(seen.contains("\r\ncookie: a=1; b=2\r\n"), "{seen}");
        assert!(
            !seen.contains("einlass") && !seen.contains("203.0.113.9"),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let backend = Backend::start(FINE).await;
    let gateway = Setup::default()
        .edge("trusted_proxies = [\"127.0.0.0/8\"]")
        .region("north", &[backend.address], 4, &[(GYM, 900)], "")
        .start()
        .await;
    let mut request = post("/login", GYM, "user=x");
    let headers = request.headers_mut();
    headers.insert(
        "x-forwarded-for",
        "198.51.100.1, 203.0.113.9, 127.0.0.2".parse().unwrap(),
    );
    headers.insert("x-forwarded-proto", "https".parse().unwrap());
    let answer = send(gateway.edge, request).await;
    let seen = backend.last();
    assert!(
        seen.contains("\r\nx-forwarded-for: 203.0.113.9\r\n"),
        "{seen}"
    );
    assert!(seen.contains("\r\nx-forwarded-proto: https\r\n"), "{seen}");
    let pass = answer.headers["set-cookie"].to_str().unwrap();
    assert!(pass.contains("Secure"), "the browser came by TLS: {pass}");
    // One that speaks only the newer language.
    let mut request = get("/page", GYM);
    let element = "for=\"[2001:db8::7]:4711\";proto=https, for=127.0.0.2";
    let headers = request.headers_mut();
    headers.insert("forwarded", element.parse().unwrap());
    send(gateway.edge, request).await;
    let seen = backend.last();
    assert!(
        seen.contains("\r\nx-forwarded-for: 2001:db8::7\r\n"),
        "{seen}"
    );
    assert!(seen.contains("\r\nx-forwarded-proto: https\r\n"), "{seen}");
}

/// RFC 9110, section 7.6.1.
#[tokio::test]
async fn what_is_for_one_hop_goes_no_further() {
    let backend = Backend::start(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close, X-Inner, Upgrade\r\n\
          X-Inner: 1\r\nUpgrade: h2c\r\nKeep-Alive: timeout=5\r\nX-Outer: 2\r\n\r\nok",
    )
    .await;
    let gateway = Setup::default()
        .region("north", &[backend.address], 4, &[(GYM, 900)], "")
        .start()
        .await;
    for mut request in [get("/page", GYM), post("/login", GYM, "user=x")] {
        let headers = request.headers_mut();
        headers.insert("connection", "X-Hop".parse().unwrap());
        headers.insert("x-hop", "1".parse().unwrap());
        headers.insert("x-end", "2".parse().unwrap());
        let answer = send(gateway.edge, request).await;
        assert_eq!(answer.text(), "ok");
        for name in ["x-inner", "upgrade", "keep-alive"] {
            assert!(!answer.headers.contains_key(name), "{name}");
        }
        assert_eq!(answer.headers["x-outer"], "2");
        let seen = backend.last();
        assert!(!seen.contains("\r\nx-hop: "), "{seen}");
        assert!(seen.contains("\r\nx-end: 2\r\n"), "{seen}");
        let truth = "\r\nx-forwarded-for: 127.0.0.1\r\n";
        assert!(seen.contains(truth), "{seen}");
    }
}

#[tokio::test]
async fn a_login_goes_to_the_next_backend_if_the_first_does_not_accept_it() {
    let platform = platform(1, 2, HashCost::QUICK).await;
    let backends = [free_address(), platform.backends()[0], free_address()];
    let gateway = Setup::default()
        .region("north", &backends, 4, &[(GYM, 900)], "")
        .start()
        .await;
    for _ in 0..6 {
        let mut browser = Browser::new(gateway.edge, GYM);
        let form = browser.form().await;
        let answer = browser.post("/login", &form).await;
        assert_eq!(
            (answer.status, answer.location()),
            (StatusCode::SEE_OTHER, "/")
        );
        assert_eq!(browser.get("/").await.status, StatusCode::OK);
    }
    assert_eq!(
        platform.snapshot(false).totals.received,
        6,
        "none was sent twice"
    );
}

#[tokio::test]
async fn a_login_without_an_answer_ends_with_a_page_and_a_free_slot() {
    let broken: [&'static [u8]; 6] = [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello",
        b"",
        b"this is not HTTP\r\n\r\n",
        b"HTTP/1.1 200 O",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nwhat",
    ];
    for answer in broken {
        let backend = Backend::start(answer).await;
        let gateway = Setup::default()
            .region("north", &[backend.address], 1, &[(GYM, 900)], "")
            .text("[region.north.upstream]\nlogin_timeout = \"1s\"\n")
            .start()
            .await;
        let what = String::from_utf8_lossy(answer);
        let page = send(gateway.edge, post("/login", GYM, "user=x")).await;
        assert_eq!(page.status, StatusCode::GATEWAY_TIMEOUT, "{what:?}");
        assert!(page.text().contains("nicht wieder anstellen"), "{what:?}");
        let pass = page.headers["set-cookie"].to_str().unwrap();
        assert!(pass.starts_with("einlass_pass="), "{what:?}");
        assert_eq!(backend.count(), 1, "never sent twice: {what:?}");
        let gateway = &gateway;
        let idle = || async {
            gateway
                .metric("einlass_in_flight_logins{pool=\"north\"}")
                .await
                == 0.0
        };
        assert!(eventually(idle).await, "{what:?}");
    }
}

#[tokio::test]
async fn a_large_answer_to_a_login_is_streamed_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut request = Vec::new();
        let (mut stream, _) = listener.accept().await.unwrap();
        // Closing with something unread would reset the connection.
        while !request.ends_with(b"user=x") {
            if stream.read_buf(&mut request).await.unwrap() == 0 {
                // That was a check.
                (stream, _) = listener.accept().await.unwrap();
            }
        }
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let chunk = vec![b'x'; 0x8000];
        for _ in 0..100 {
            stream.write_all(b"8000\r\n").await.unwrap();
            stream.write_all(&chunk).await.unwrap();
            stream.write_all(b"\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    });
    let gateway = Setup::default()
        .region("north", &[address], 1, &[(GYM, 900)], "")
        .start()
        .await;
    let answer = send(gateway.edge, post("/login", GYM, "user=x")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body.len(), 100 * 0x8000);
}

#[tokio::test]
async fn over_tls_cookies_are_secure_and_the_backend_knows() {
    let backend = Backend::start(FINE).await;
    let files = tempfile::TempDir::new().unwrap();
    let made = rcgen::generate_simple_self_signed(vec![GYM.to_owned()]).unwrap();
    let (chain, key) = (files.path().join("chain.pem"), files.path().join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = free_address();
    let gateway = Setup::default()
        .edge(&format!(
            "listen_tls = [\"{tls}\"]\n[[edge.certificate]]\nchain = \"{}\"\nkey = \"{}\"\n",
            chain.display(),
            key.display()
        ))
        .region("north", &[backend.address], 1, &[(GYM, 900)], "")
        .start()
        .await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(tls).await.unwrap();
    let name = GYM.try_into().unwrap();
    let connecting = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = tokio::time::timeout(Duration::from_secs(20), connecting)
        .await
        .unwrap()
        .unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let answer = sender
        .send_request(post("/login", GYM, "user=x"))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let pass = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(pass.contains("Secure"), "{pass}");
    assert!(backend.last().contains("\r\nx-forwarded-proto: https\r\n"));
    drop(gateway);
}

/// A connection of a browser that stays.
async fn connected(edge: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(edge).await.unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn open_files_are_asked_for_and_browsers_do_not_take_all_of_them() {
    let backend = Backend::start(FINE).await;
    let gateway = Setup::default()
        .region("north", &[backend.address], 4, &[(GYM, 900)], "")
        .open_files("128:1000")
        .start()
        .await;
    let limit = gateway.metric("einlass_open_files_limit").await;
    assert!((limit - 1_000.0).abs() < 0.5, "{limit}");
    assert!(gateway.log().contains("the edge takes 500 connections"));
    let mut first = connected(gateway.edge).await;
    let mut held = Vec::new();
    for _ in 0..600 {
        held.push(TcpStream::connect(gateway.edge).await.unwrap());
    }
    let refused = async || {
        gateway
            .metric("einlass_edge_events{event=\"refused\"}")
            .await
            > 90.0
    };
    assert!(eventually(refused).await);
    assert!(gateway.metric("einlass_open_files").await < 700.0);
    // There is a file left for the connection to the backend.
    let answer = first.send_request(get("/page", GYM)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    drop(held);
    let served = async || {
        let mut next = connected(gateway.edge).await;
        let answer = next.send_request(get("/page", GYM)).await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    };
    assert!(eventually(served).await);
}

#[tokio::test]
async fn a_backend_is_not_left_out_because_the_gateway_is_out_of_open_files() {
    let backend = Backend::start(FINE).await;
    let gateway = Setup::default()
        .region("north", &[backend.address], 4, &[(GYM, 900)], "")
        .text("[region.north.health]\ninterval = \"200ms\"\nfall = 1\n")
        .start()
        .await;
    // An answer that says what failed is the last one on its connection.
    let mut browsers = Vec::new();
    for _ in 0..40 {
        browsers.push(connected(gateway.edge).await);
    }
    let mut status = async || {
        let mut browser = browsers.pop().unwrap();
        let answer = browser.send_request(get("/page", GYM)).await.unwrap();
        answer.status()
    };
    assert_eq!(status().await, StatusCode::OK);
    // So few, of which all are in use.
    gateway.set_open_files("5:1000");
    // Meanwhile some checks cannot be made.
    for _ in 0..30 {
        assert_eq!(status().await, StatusCode::SERVICE_UNAVAILABLE);
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    gateway.set_open_files("1000:1000");
    assert_eq!(status().await, StatusCode::OK);
    assert!(
        !gateway.log().contains("Backend left out"),
        "{}",
        gateway.log()
    );
}
