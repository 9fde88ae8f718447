//! What nobody may gain, and nobody may read afterwards.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::net::SocketAddr;

use common::backend::Backend;
use common::school::{GYM, NOBODY_IS_HELD, OneSchool};
use common::{Answer, Setup, get, post, send, try_send};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

/// One request from an address of the loopback range.
async fn from(source: &str, target: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    let stream = socket.connect(target).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    Answer::read(sender.send_request(request).await.unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn nobody_is_sent_to_another_host() {
    let school = OneSchool::start(1, NOBODY_IS_HELD).await;
    for path in [
        "//evil.example/x/..;/..;/login",
        "/%2e/login",
        "///login",
        "/login?next=//evil.example",
    ] {
        let (mut browser, form) = school.pupil().await;
        let busy = school.occupy().await;
        let queued = browser.post(path, &form).await;
        assert_eq!(queued.location(), "/_einlass/wait", "{path}");
        school.work_on();
        busy.await.unwrap();
        browser.until("ready").await;

        let sent = browser.post("/_einlass/enter", "einlass=enter").await;

        assert_eq!(sent.status, StatusCode::TEMPORARY_REDIRECT, "{path}");
        let to = sent.location().to_owned();
        assert!(to.starts_with('/') && !to.starts_with("//"), "{path}: {to}");
        assert!(!to.contains('\\'), "{path}: {to}");
        let answer = browser.post(&to, "einlass=enter").await;
        assert!(!answer.location().contains("evil"), "{path}");
    }
}

#[tokio::test]
async fn the_log_holds_nothing_about_a_pupil_at_any_level() {
    let told_all = |setup: Setup| setup.log("trace");
    let school = OneSchool::start_with(1, NOBODY_IS_HELD, told_all).await;
    let edge = school.gateway.edge;
    let (mut browser, form) = school.pupil().await;
    let busy = school.occupy_by("/login?token=geheim").await;
    browser.post("/login", &form).await;
    school.work_on();
    busy.await.unwrap();
    let secrets: Vec<String> = browser.cookies.values().cloned().collect();
    browser.until("ready").await;
    browser.enter().await;
    assert!(browser.logged_in());
    let request = post("/login", GYM, "username=pupil777&password=falsch-getippt");
    from("127.77.66.55", edge, request).await;
    // Broken requests make noise, too.
    let broken = get("/_einlass/turn?x=127.77.66.55", "unknown.example");
    from("127.77.66.55", edge, broken).await;
    send(edge, post("/_einlass/turn", GYM, "password=demo-password")).await;
    let log = school.gateway.log();
    assert!(log.contains("Edge listens"), "{log}");
    let words = [
        "demo-password",
        "pupil001",
        "pupil777",
        "falsch-getippt",
        "geheim",
        "127.77.66.55",
    ];
    for secret in words.into_iter().chain(secrets.iter().map(String::as_str)) {
        assert!(!log.contains(secret), "{secret} in\n{log}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_as_http_is_not_quoted_in_the_log() {
    let answers: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nSet-Cookie: session=geheim\r\nbad\x01name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ngeheim\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: geheim\r\n\r\n",
    ];
    for answer in answers {
        let backend = Backend::start(answer).await;
        let gateway = Setup::default()
            .region("north", &[backend.address], 1, &[(GYM, 900)], "")
            .log("trace")
            .start()
            .await;
        // Some of these end in the middle of the answer.
        let _ = try_send(gateway.edge, post("/login", GYM, "user=geheim")).await;
        let _ = try_send(gateway.edge, get("/page?geheim", GYM)).await;
        for request in [
            "POST /login HTTP/1.1\r\nHost: gym.example\r\nCookie: geheim\r\nbad\x01name: x\r\n\r\n",
            "POST /login HTTP/1.1\r\nHost: gym.example\r\nContent-Length: geheim\r\n\r\n",
            "POST /login HTTP/1.1\r\nHost: gym.example\r\nTransfer-Encoding: chunked\r\n\r\ngeheim\r\n\r\n",
            "POST /page HTTP/1.1\r\nHost: gym.example\r\nTransfer-Encoding: chunked\r\n\r\ngeheim\r\n\r\n",
            "POST /login?geheim HTTP/1.1\r\nHost: gym.example\r\nTransfer-Encoding: geheim\r\n\r\n",
            "GET /geheim\r\n\r\n",
        ] {
            let mut stream = tokio::net::TcpStream::connect(gateway.edge).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said).await;
        }
        let log = gateway.log();
        assert!(log.contains("Edge listens"), "{log}");
        assert!(!log.contains("geheim"), "{log}");
    }
}
