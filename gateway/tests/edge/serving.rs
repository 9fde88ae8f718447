//! What the edge serves, to whom.

use std::time::{Duration, Instant};

use einlass::edge::{Edge, EdgeError, EdgeSettings};
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::{answer, closed, get, get2, http2};
use crate::server::{App, SHORT, Server, eventually, local, settings};

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
