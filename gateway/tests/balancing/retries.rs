//! What is tried a second time, and what is not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::common::{free_address, get, post, send};
use super::fickle::{self, Fickle};
use super::{GYM, QUICK, gateway, state};

/// Answers the first request on each connection and hangs up on the second.
async fn once_and_no_more() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                if fickle::read(&mut stream).await.is_some() {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    stream.write_all(answer).await.unwrap();
                    if fickle::read(&mut stream).await.is_some() {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    (address, seen)
}

#[tokio::test]
async fn only_what_changes_nothing_is_asked_for_again_on_a_fresh_connection() {
    let (address, seen) = once_and_no_more().await;
    let gateway = gateway(&[address], "").await;
    assert_eq!(send(gateway.edge, get("/", GYM)).await.text(), "ok");
    // The connection is kept, and closed under the next request.
    assert_eq!(send(gateway.edge, get("/", GYM)).await.text(), "ok");
    assert_eq!(seen.load(Ordering::SeqCst), 3);
    assert!(
        gateway
            .metric("einlass_retries_total{pool=\"north\"}")
            .await
            > 0.0
    );
    let answer = send(gateway.edge, post("/save", GYM, "text=x")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(seen.load(Ordering::SeqCst), 4, "it was sent once");
    assert_eq!(state(&gateway, address).await, "up", "it is nobody's fault");
}

#[tokio::test]
async fn without_a_budget_there_is_no_second_try() {
    let fine = Fickle::start(QUICK).await;
    let dead: Vec<SocketAddr> = (0..2).map(|_| free_address()).collect();
    let all: Vec<SocketAddr> = dead.iter().copied().chain([fine.address]).collect();
    let never = "[region.north.health]\ninterval = \"10m\"\n";
    let frugal = format!("{never}[region.north.balancing]\nretry_budget = 0.0\n");
    let gateway_without = gateway(&all, &frugal).await;
    let metric = "einlass_retries_total{pool=\"north\"}";
    for _ in 0..10 {
        let answer = send(gateway_without.edge, get("/", GYM)).await;
        assert!(
            answer.status == 200 || answer.status == 503,
            "{}",
            answer.status
        );
    }
    assert!(gateway_without.metric(metric).await == 0.0);
    let gateway_with = gateway(&all, never).await;
    for _ in 0..10 {
        assert_eq!(
            send(gateway_with.edge, get("/", GYM)).await.status,
            StatusCode::OK
        );
    }
}
