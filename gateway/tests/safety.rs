//! What nobody may gain, and nobody may read afterwards.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Answer, Browser, Setup, eventually, platform, send};
use einlass_benches::platform::HashCost;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;

const GYM: &str = "gym.example";

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
    let slow = HashCost::about(Duration::from_millis(300)).unwrap();
    let platform = platform(1, 1, slow).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(GYM, 900)],
            "hold = \"0s\"",
        )
        .start()
        .await;
    for path in [
        "//evil.example/x/..;/..;/login",
        "/%2e/login",
        "///login",
        "/login?next=//evil.example",
    ] {
        let mut other = Browser::new(gateway.edge, GYM);
        let form = other.form().await;
        let busy = tokio::spawn(async move { other.post("/login", &form).await });
        assert!(eventually(async || platform.in_flight() > 0).await);
        let mut browser = Browser::new(gateway.edge, GYM);
        let form = browser.form().await;
        let queued = browser.post(path, &form).await;
        assert_eq!(queued.location(), "/_einlass/wait", "{path}");
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
    let slow = HashCost::about(Duration::from_millis(300)).unwrap();
    let platform = platform(1, 1, slow).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(GYM, 900)],
            "hold = \"0s\"",
        )
        .log("trace")
        .start()
        .await;
    let mut other = Browser::new(gateway.edge, GYM);
    let form = other.form().await;
    let busy = tokio::spawn(async move { other.post("/login?token=geheim", &form).await });
    assert!(eventually(async || platform.in_flight() > 0).await);
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    browser.post("/login", &form).await;
    busy.await.unwrap();
    let secrets: Vec<String> = browser.cookies.values().cloned().collect();
    browser.until("ready").await;
    browser.enter().await;
    assert!(browser.logged_in());
    let request = common::post("/login", GYM, "username=pupil777&password=falsch-getippt");
    from("127.77.66.55", gateway.edge, request).await;
    // Broken requests make noise, too.
    let broken = common::get("/_einlass/turn?x=127.77.66.55", "unknown.example");
    from("127.77.66.55", gateway.edge, broken).await;
    send(
        gateway.edge,
        common::post("/_einlass/turn", GYM, "password=demo-password"),
    )
    .await;
    let log = gateway.log();
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
