//! Requests as no browser sends them, and as some do: what is the gate, who is asked for, and when
//! there is an answer.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::backend::{Backend, FINE};
use common::{Gateway, Setup};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const GYM: &str = "gym.example";
/// Far less than a stalled client may take, which is a minute.
const SOON: Duration = Duration::from_secs(30);

async fn gateway(backend: &Backend) -> Gateway {
    Setup::default()
        .region(
            "north",
            &[backend.address],
            4,
            &[(GYM, 900)],
            "max_body = \"1KiB\"",
        )
        .start()
        .await
}

/// Sends bytes as they are and returns what comes back until the end of the connection.
async fn raw(edge: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(edge).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    // A reset after the answer is as good as an end.
    let _ = timeout(SOON, reading).await.expect("an answer and an end");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn an_answer_does_not_wait_for_a_body_that_does_not_come() {
    let backend = Backend::start(FINE).await;
    let gateway = gateway(&backend).await;
    let expects = "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    for (request, status) in [
        (
            format!("POST /login HTTP/1.1\r\nHost: x.example\r\n{expects}"),
            "421",
        ),
        (
            format!("POST /_einlass/enter HTTP/1.1\r\nHost: {GYM}\r\n{expects}"),
            "303",
        ),
        (
            format!("POST /login HTTP/1.1\r\nHost: {GYM}\r\nContent-Length: 5000000\r\n\r\nuser=x"),
            "413",
        ),
        (
            format!("POST /_einlass/enter HTTP/1.1\r\nHost: {GYM}\r\nContent-Length: 9\r\n\r\n"),
            "303",
        ),
    ] {
        let answer = raw(gateway.edge, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.to_lowercase().contains("connection: close"));
    }
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn who_expects_leave_to_send_a_login_gets_it() {
    let backend = Backend::start(FINE).await;
    let gateway = gateway(&backend).await;
    let mut stream = TcpStream::connect(gateway.edge).await.unwrap();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {GYM}\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut leave = [0; 25];
    let reading = stream.read_exact(&mut leave);
    timeout(SOON, reading).await.expect("in time").unwrap();
    assert_eq!(&leave, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"user=x").await.unwrap();
    let mut answer = [0; 15];
    let reading = stream.read_exact(&mut answer);
    timeout(SOON, reading).await.expect("in time").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_body_that_is_not_http_is_the_browsers_fault() {
    let backend = Backend::start(FINE).await;
    let gateway = gateway(&backend).await;
    for path in ["/login", "/page"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {GYM}\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\nx"
        );
        let answer = raw(gateway.edge, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
    }
}

/// RFC 9112, section 6.3.
#[tokio::test]
async fn one_request_is_never_two() {
    let backend = Backend::start(FINE).await;
    let gateway = gateway(&backend).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: gym.example\r\n\r\n";
    for path in ["/login", "/page"] {
        for framing in [
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5, 6",
            "Content-Length: +5",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Transfer-Encoding: xchunked\r\nContent-Length: 5",
            "Transfer-Encoding: chunked, identity\r\nContent-Length: 5",
            "Transfer-Encoding : chunked\r\nContent-Length: 5",
        ] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: {GYM}\r\n{framing}\r\n\r\n0\r\n\r\n{smuggled}"
            );
            raw(gateway.edge, &request).await;
            assert!(!backend.last().contains("smuggled"), "{path} {framing}");
        }
    }
}

#[tokio::test]
async fn a_request_for_two_hosts_is_refused_or_for_the_one_it_was_found_by() {
    let backend = Backend::start(FINE).await;
    let gateway = gateway(&backend).await;
    for head in [
        format!("GET / HTTP/1.1\r\nHost: {GYM}\r\nHost: bank.example"),
        format!("GET http://{GYM}/ HTTP/1.1\r\nHost: bank.example"),
        "GET / HTTP/1.1".to_owned(),
    ] {
        let answer = raw(
            gateway.edge,
            &format!("{head}\r\nConnection: close\r\n\r\n"),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{head}: {answer}");
    }
    assert_eq!(backend.count(), 0);
    for host in ["GYM.Example", "gym.example.", "gym.example:8080"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw(gateway.edge, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    let stream = TcpStream::connect(gateway.edge).await.unwrap();
    let (mut http2, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    for path in ["/page", "/login"] {
        let request = hyper::Request::post(format!("http://{GYM}{path}"))
            .header("host", "bank.example")
            .body(Full::new(Bytes::from("user=x")))
            .unwrap();
        let answer = http2.send_request(request).await.unwrap();
        answer.into_body().collect().await.unwrap();
        assert!(!backend.last().contains("bank.example"), "{path}");
    }
}

#[tokio::test]
async fn no_other_spelling_is_a_way_around_the_gate() {
    let backend = Backend::start(FINE).await;
    let gateway = gateway(&backend).await;
    for path in [
        "/login",
        "/login?next=/",
        "/login/",
        "/login//",
        "//login",
        "/./login",
        "/x/../login",
        "/x/%2e%2E/login",
        "/%6cogin",
        "/%6Cogin/",
        "/login;x=1",
        "/LOGIN",
        "/Login/",
        "/login#x",
    ] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {GYM}\r\nContent-Length: 6\r\nConnection: close\r\n\r\nuser=x"
        );
        let answer = raw(gateway.edge, &request).await;
        assert!(answer.contains("einlass_pass="), "{path}: {answer}");
    }
    // What a framework may take for the path, in a request for another one.
    let request = format!(
        "POST /page HTTP/1.1\r\nHost: {GYM}\r\nX-Original-URL: /login\r\nX-Rewrite-URL: /login\r\nContent-Length: 6\r\nConnection: close\r\n\r\nuser=x"
    );
    raw(gateway.edge, &request).await;
    assert!(!backend.last().contains("/login"), "{}", backend.last());
}
