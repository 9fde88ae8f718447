//! How the edge stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use einlass::edge::Edge;
use einlass::edge::boot::{self, Ending, Services, StopOn};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::client::{closed, get, get2, http2};
use crate::server::{App, PATIENCE, SHORT, Server, settings};

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
