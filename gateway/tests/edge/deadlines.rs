//! Clients that keep the edge waiting.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{closed, get, get2, http2};
use crate::server::{PATIENCE, SHORT, Server, eventually};

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
