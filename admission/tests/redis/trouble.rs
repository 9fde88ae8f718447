//! Servers that are of no use, and how that is said.

use std::time::Duration;

use einlass_admission::ledger::redis::{
    Address, LedgerError, Login, Server, Status, StoreSettings, Trouble,
};
use einlass_admission::ledger::{Caller, Join, MemberId, Seen};
use einlass_admission::{RoomKey, SchoolKey};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::reaching::{open, settings, settled};
use crate::saying::wants;
use crate::server::{RedisServer, Secured, older};

/// A server that takes connections and closes them: when each came.
async fn closing() -> (u16, mpsc::UnboundedReceiver<Instant>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (came, attempts) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
            if came.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    (port, attempts)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_of_no_use_is_tried_less_and_less_often_and_holds_up_nobody() {
    let (port, mut attempts) = closing().await;
    let ledger = open(settings(port));
    let mut times = Vec::new();
    while times.len() < 7 {
        let attempt = timeout(Duration::from_secs(30), attempts.recv()).await;
        times.push(attempt.expect("it goes on trying").unwrap());
    }
    // Pauses of 50, 100, 200 and three of 400 ms, each from half of it to all.
    let took = times[6].duration_since(times[0]);
    assert!(took >= Duration::from_millis(775), "{took:?}");
    assert!(matches!(ledger.status(), Status::Down(_)));
    // Meanwhile every call fails without one of its own.
    let room = ledger.room(RoomKey(1));
    for _ in 0..1_000 {
        let failed = room.exchange(&wants(1, 5, Seen::default())).await;
        failed.expect_err("nobody answers");
    }
    let mut more = 0;
    while attempts.try_recv().is_ok() {
        more += 1;
    }
    assert!(more <= 10, "{more} attempts");
}

/// What a gateway says that is to work with these settings, of which something is wrong.
async fn trouble(settings: StoreSettings) -> Trouble {
    let ledger = open(settings);
    let room = ledger.room(RoomKey(1));
    let done = match settled(&ledger, Duration::from_millis(1_500)).await {
        Ok(()) => {
            let call = Join {
                caller: Caller {
                    member: MemberId(1),
                    nonce: 5,
                    seen: Seen::default(),
                },
                schools: vec![(SchoolKey(1), 0, 1)],
            };
            room.join(&call).await.map(|_| ())
        }
        failed => failed,
    };
    match done {
        Err(LedgerError::Away(trouble)) => trouble,
        other => panic!("{other:?}"),
    }
}

/// One server, where it is reached by this name.
fn at(host: &str, port: u16, tls: bool) -> StoreSettings {
    let mut there = settings(port);
    there.server = Server::Single {
        address: Address {
            host: host.to_owned(),
            port,
            tls,
        },
        database: 0,
    };
    there
}

/// Whether an operator reads these words.
fn names(trouble: &Trouble, words: &[&str]) {
    let said = trouble.to_string();
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_way_in_is_named_with_the_setting() {
    // Only the first of a process can.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = RedisServer::start(&["--requirepass", "right"]);
    let with_password = |password: &str| StoreSettings {
        login: Some(Login {
            user: None,
            password: password.to_owned(),
        }),
        ..settings(server.port)
    };
    let wrong = trouble(with_password("wrong")).await;
    assert!(matches!(wrong, Trouble::Password(_)), "{wrong}");
    names(&wrong, &["password", "[store] user, password_file"]);
    let none = trouble(settings(server.port)).await;
    assert!(matches!(none, Trouble::Password(_)), "{none}");
    let right = open(with_password("right"));
    right.connected(Duration::from_secs(20)).await.unwrap();
    assert_eq!(right.status(), Status::Up);

    let tls = trouble(at("localhost", server.port, true)).await;
    assert!(matches!(tls, Trouble::Tls(_)), "{tls}");
    names(&tls, &["TLS", "[store] ca_file"]);
    let nowhere = trouble(at("no-such-host.invalid", 6_379, false)).await;
    assert!(matches!(nowhere, Trouble::Unreachable(_)), "{nowhere}");
    names(&nowhere, &["cannot be reached", "[store] redis"]);
    let refused = trouble(settings(1)).await;
    assert!(matches!(refused, Trouble::Unreachable(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_do_it_is_named_with_the_setting() {
    let master = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
    let replica = trouble(settings(replica.port)).await;
    assert_eq!(replica, Trouble::ReadOnly);
    names(&replica, &["read-only replica", "[store] redis"]);

    let full = RedisServer::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let full = trouble(settings(full.port)).await;
    assert_eq!(full, Trouble::Memory);
    names(&full, &["out of memory", "[store] redis"]);

    let limited = RedisServer::start(&["--user", "default", "on", "nopass", "~other:*", "+@all"]);
    let limited = trouble(settings(limited.port)).await;
    assert!(matches!(limited, Trouble::Permission(_)), "{limited}");
    names(&limited, &["permission", "[store] user"]);

    for (version, knows_hello) in [("6.2.0", true), ("5.0.14", false)] {
        let old = trouble(settings(older(version, knows_hello).await)).await;
        assert!(matches!(old, Trouble::TooOld(_)), "{version}: {old:?}");
        names(&old, &["needs 7.0 or later", "[store] redis"]);
        assert!(!knows_hello || old.to_string().contains(version), "{old}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_reached_by_tls_if_its_certificate_is_trusted() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let secured = Secured::new("right");
    let server = RedisServer::secured(&secured, &[]);
    let ca = std::fs::read(secured.certificate()).unwrap();
    let over_tls = |ca: Option<Vec<u8>>| StoreSettings {
        server: Server::Single {
            address: Address {
                host: "localhost".to_owned(),
                port: server.port,
                tls: true,
            },
            database: 2,
        },
        ca,
        login: Some(Login {
            user: None,
            password: secured.password.clone(),
        }),
        ..settings(server.port)
    };
    let trusted = open(over_tls(Some(ca)));
    trusted.connected(Duration::from_secs(20)).await.unwrap();
    let stranger = open(over_tls(None));
    let trouble = stranger.connected(Duration::from_secs(2)).await;
    assert!(
        matches!(&trouble, Err(LedgerError::Away(Trouble::Tls(_)))),
        "{trouble:?}"
    );
}
