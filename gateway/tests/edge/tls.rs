//! Certificates and handshakes.

use std::path::PathBuf;
use std::sync::Arc;

use einlass::edge::{CertificateFiles, Edge, EdgeError};
use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::client::{closed, get, get2, http2};
use crate::pki::Pki;
use crate::server::{App, PATIENCE, SHORT, Server, eventually, local, settings};

#[tokio::test(flavor = "multi_thread")]
async fn tls_clients_get_the_protocol_they_agree_on() {
    let server = Server::start(|_| {});
    for alpn in [&["http/1.1"][..], &[]] {
        let mut client = server.connect_tls(alpn).await;
        let (_, body) = get(&mut client, "/").await;
        assert_eq!(
            body,
            client
                .get_ref()
                .0
                .local_addr()
                .expect("address")
                .to_string()
        );
    }
    let client = server.connect_tls(&["h2", "http/1.1"]).await;
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let address = client
        .get_ref()
        .0
        .local_addr()
        .expect("address")
        .to_string();
    let (mut client, _driver) = http2(client).await;
    assert_eq!(get2(&mut client, "/").await, (200, address.clone()));
    assert_eq!(get2(&mut client, "/").await, (200, address));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_a_client_asks_for_picks_the_certificate() {
    let pki = Pki::new(&["a.example", "b.example", "*.c.example"]);
    let server = Server::start(|settings| settings.certificates.clone_from(&pki.files));
    assert_eq!(pki.shown(server.tls, "b.example").await, 1);
    assert_eq!(pki.shown(server.tls, "B.Example").await, 1);
    assert_eq!(pki.shown(server.tls, "gym.c.example").await, 2);
    assert_eq!(pki.shown(server.tls, "a.example").await, 0);
    // A name nobody has: the first certificate, which the client then refuses.
    let tcp = TcpStream::connect(server.tls).await.expect("connects");
    let name = ServerName::try_from("x.y.c.example").expect("name");
    let refused = TlsConnector::from(pki.client(&[])).connect(name, tcp).await;
    assert!(
        refused
            .expect_err("refused")
            .to_string()
            .contains("a.example")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificates_are_shown_without_a_restart() {
    let mut server = Server::start(|_| {});
    server.pki.add("a.example");
    assert_eq!(server.pki.shown(server.tls, "a.example").await, 0);
    server
        .certificates
        .reload(&server.pki.files[1..])
        .expect("reloads");
    assert_eq!(server.pki.shown(server.tls, "a.example").await, 1);
    let missing = PathBuf::from("/nowhere.pem");
    let bad = CertificateFiles {
        chain: missing.clone(),
        key: missing,
    };
    server
        .certificates
        .reload(&[bad])
        .expect_err("no such file");
    assert_eq!(server.pki.shown(server.tls, "a.example").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_handshake_resumes_the_first() {
    let server = Server::start(|_| {});
    let client = server.pki.client(&["http/1.1"]);
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut tls = server
            .pki
            .connect(server.tls, "a.example", Arc::clone(&client))
            .await;
        // The tickets come with the first answer.
        get(&mut tls, "/").await;
        kinds.push(tls.get_ref().1.handshake_kind());
    }
    assert_eq!(
        kinds,
        [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_shakes_hands_is_closed() {
    let server = Server::start(|settings| settings.handshake_timeout = SHORT);
    let mut silent = TcpStream::connect(server.tls).await.expect("connects");
    let mut halfway = TcpStream::connect(server.tls).await.expect("connects");
    halfway.write_all(&[22, 3, 1, 2, 0]).await.expect("written");
    closed(&mut silent).await;
    closed(&mut halfway).await;
    eventually(|| server.counts().handshake_timeouts == 2).await;
    assert_eq!(server.counts().handshake_failures, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_take_no_handshake_from_others() {
    let server = Server::start(|settings| settings.max_handshakes = 1);
    let _silent = TcpStream::connect(server.tls).await.expect("connects");
    let mut client = timeout(PATIENCE, server.connect_tls(&[]))
        .await
        .expect("not held up");
    get(&mut client, "/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_over_the_bound_wait_for_their_turn() {
    let server = Server::start(|settings| {
        settings.max_handshakes = 1;
        settings.handshake_timeout = SHORT;
    });
    let mut halfway = TcpStream::connect(server.tls).await.expect("connects");
    halfway.write_all(&[22, 3, 1, 2, 0]).await.expect("written");
    closed(&mut halfway).await;
    get(&mut server.connect_tls(&[]).await, "/").await;
}

#[test]
fn wrong_certificate_files_are_named() {
    let pki = Pki::new(&["a.example", "b.example"]);
    let refusal = |chain: &PathBuf, key: &PathBuf| {
        let mut settings = settings();
        settings.listen_tls = vec![local()];
        settings.certificates = vec![CertificateFiles {
            chain: chain.clone(),
            key: key.clone(),
        }];
        Edge::bind(&settings, App::new().proxy())
            .err()
            .expect("refused")
    };
    let (good, other) = (&pki.files[0], &pki.files[1]);
    let missing = pki.dir.path().join("missing.pem");
    let empty = pki.write("empty.pem", "nothing here\n");
    let broken = pki.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    for bad in [&missing, &empty, &broken] {
        let error = refusal(bad, &good.key);
        assert!(
            matches!(&error, EdgeError::Chain { path, .. } if path == bad),
            "{error:?}"
        );
        assert!(
            error.to_string().contains(&bad.display().to_string()),
            "{error}"
        );
    }
    for bad in [&missing, &empty, &good.chain] {
        let error = refusal(&good.chain, bad);
        assert!(
            matches!(&error, EdgeError::Key { path, .. } if path == bad),
            "{error:?}"
        );
    }
    let error = refusal(&good.chain, &other.key);
    assert!(matches!(error, EdgeError::Mismatch { .. }), "{error:?}");
}
