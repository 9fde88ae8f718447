//! Behind a proxy that passes bytes on: only its PROXY header says who the client is.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::backend::{Backend, FINE};
use common::{Gateway, Setup, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const GYM: &str = "gym.example";
const REQUEST: &str = "GET /page HTTP/1.1\r\nHost: gym.example\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n";
const V1: &[u8] = b"PROXY TCP4 198.51.100.1 127.0.0.1 12345 80\r\n";
/// Far longer than anything here takes.
const SOON: Duration = Duration::from_secs(30);
const REFUSED: &str = "einlass_edge_events{event=\"proxy_header\"}";

/// Believes 127.0.0.1 and no other address of this machine.
async fn gateway(backend: &Backend) -> Gateway {
    Setup::default()
        .edge("proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\nheader_timeout = \"1s\"")
        .region("north", &[backend.address], 4, &[(GYM, 900)], "")
        .start()
        .await
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    let start = b"\r\n\r\n\0\r\nQUIT\n";
    [&start[..], &[0x20 | command, family], &length, rest].concat()
}

/// Sends these pieces, each on its way before the next, and returns what comes back until the end.
async fn raw(edge: SocketAddr, from: &str, pieces: &[&[u8]]) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(edge).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        // The other side may have hung up.
        let _ = stream.write_all(piece).await;
        let _ = stream.flush().await;
        tokio::task::yield_now().await;
    }
    end(stream).await
}

async fn end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    // A reset is as good as an end.
    let _ = timeout(SOON, reading).await.expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_header_of_a_trusted_proxy_says_who_the_client_is() {
    let backend = Backend::start(FINE).await;
    let gateway = gateway(&backend).await;
    let addresses = [198, 51, 100, 1, 127, 0, 0, 1, 0x30, 0x39, 0, 80];
    let v6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 12345 80\r\n";
    for (header, client) in [
        (V1.to_vec(), Some("198.51.100.1")),
        (v6.to_vec(), Some("2001:db8::7")),
        (v2(1, 0x11, &addresses), Some("198.51.100.1")),
        // The proxy itself, and so believed in what it says of others.
        (v2(0, 0, &[]), Some("203.0.113.9")),
        // Somebody, who may say what he likes.
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (v2(1, 0, &[]), None),
    ] {
        let request = REQUEST.as_bytes();
        let answer = raw(gateway.edge, "127.0.0.1", &[&header, request]).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{header:?}: {answer}");
        let seen = backend.last();
        let told = seen
            .lines()
            .find_map(|line| line.strip_prefix("x-forwarded-for: "));
        assert_eq!(told, client, "{header:?}");
    }
}

#[tokio::test]
async fn a_header_may_come_in_any_number_of_segments() {
    let backend = Backend::start(FINE).await;
    let gateway = gateway(&backend).await;
    let addresses = [198, 51, 100, 1, 127, 0, 0, 1, 0x30, 0x39, 0, 80];
    for header in [V1.to_vec(), v2(1, 0x11, &addresses)] {
        let mut stream = TcpStream::connect(gateway.edge).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in &header {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stream.write_all(REQUEST.as_bytes()).await.unwrap();
        let answer = end(stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let seen = backend.last();
        assert!(seen.contains("\r\nx-forwarded-for: 198.51.100.1\r\n"));
    }
}

#[tokio::test]
async fn without_a_good_header_of_a_trusted_proxy_there_is_no_answer() {
    let backend = Backend::start(FINE).await;
    let gateway = gateway(&backend).await;
    let request = REQUEST.as_bytes();
    let garbage = b"PROXY TCP4 x y z\r\n";
    let mut refused = 0.0;
    for (from, pieces) in [
        ("127.0.0.2", vec![V1, request]),
        ("127.0.0.2", vec![request]),
        ("127.0.0.1", vec![request]),
        ("127.0.0.1", vec![garbage, request]),
        (
            "127.0.0.1",
            vec![b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0", request],
        ),
        // The rest never comes, and the header timeout ends it.
        ("127.0.0.1", vec![b"PROXY TCP4 198.51.100.1 "]),
    ] {
        assert_eq!(raw(gateway.edge, from, &pieces).await, "", "{pieces:?}");
        refused += 1.0;
        let gateway = &gateway;
        let counted = async || gateway.metric(REFUSED).await >= refused;
        assert!(eventually(counted).await, "{pieces:?}");
    }
    assert_eq!(backend.count(), 0);
    let lines = gateway.log().matches("Connection closed at once").count();
    assert_eq!(lines, 1, "one line for all of them");
}

#[tokio::test]
async fn a_look_whether_the_port_is_open_is_no_offence() {
    let backend = Backend::start(FINE).await;
    let gateway = gateway(&backend).await;
    drop(TcpStream::connect(gateway.edge).await.unwrap());
    let gateway = &gateway;
    let accepted = async || {
        let open = gateway.metric("einlass_edge_open_connections").await;
        let accepted = "einlass_edge_events{event=\"accepted\"}";
        open < 1.0 && gateway.metric(accepted).await > 0.0
    };
    assert!(eventually(accepted).await);
    assert!(gateway.metric(REFUSED).await < 1.0);
    assert!(!gateway.log().contains("Connection closed at once"));
}
