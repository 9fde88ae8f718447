//! A user with the rights that the handbook names.

use std::time::Duration;

use einlass_admission::ledger::redis::{LedgerError, Login, RedisLedger, Server, StoreSettings};
use einlass_admission::ledger::{Caller, Events, Exchange, Join, Leave, Merge, Seen, TicketKey};
use einlass_admission::{RoomKey, SchoolKey, Turn};

use crate::reaching::{address, open, settings, settled};
use crate::saying::{publication, wants};
use crate::server::RedisServer;

/// The rights that the handbook gives a user of Einlass's own.
const RIGHTS: [&str; 7] = [
    "~einlass:*",
    "+@read",
    "+@write",
    "-@dangerous",
    "+fcall",
    "+info",
    "+time",
];

/// `ACL SETUSER` for the user that the tests log in as.
fn limited(server: &RedisServer, rights: &[&str]) {
    let mut set = vec!["ACL", "SETUSER", "gate", "reset", "on", ">secret"];
    set.extend(rights);
    assert_eq!(server.cli(&set).trim(), "OK", "{rights:?}");
}

fn as_limited(port: u16) -> StoreSettings {
    StoreSettings {
        login: Some(Login {
            user: Some("gate".to_owned()),
            password: "secret".to_owned(),
        }),
        ..settings(port)
    }
}

/// Everything a gateway asks of the ledger.
async fn everything(ledger: &RedisLedger) -> Result<(), LedgerError> {
    settled(ledger, Duration::from_secs(20)).await?;
    let room = ledger.room(RoomKey(1));
    let ticket = TicketKey {
        epoch: 5,
        school: SchoolKey(1),
        tooth: 3,
    };
    let call = Exchange {
        events: Events {
            latencies: vec![1_000],
            arrived: vec![Turn(7)],
            ..Events::default()
        },
        learnt: vec![(SchoolKey(1), 9)],
        released: vec![ticket],
        sent: vec![ticket],
        keeps: vec![ticket],
        claims: vec![ticket],
        ..wants(1, 5, Seen::default())
    };
    let exchanged = room.exchange(&call).await?;
    let seen = exchanged.seen;
    let caller = Caller {
        seen,
        ..call.caller
    };
    let join = Join {
        caller,
        schools: vec![(SchoolKey(1), 0, 5)],
    };
    room.join(&join).await?;
    let merge = Merge {
        caller,
        last: vec![(SchoolKey(1), 20)],
        used: vec![(5, SchoolKey(1), 0, 7)],
    };
    assert!(room.merge(&merge).await?);
    if let Some(conduct) = exchanged.conduct {
        let publish = publication(1, seen.epoch, conduct.fence, 100, 4);
        assert!(room.publish(&publish).await?);
    }
    room.exchange(&Exchange { caller, ..call }).await?;
    let leave = Leave {
        member: caller.member,
        events: Events::default(),
        sent: vec![ticket],
        released: Vec::new(),
    };
    room.leave(&leave).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_the_rights_of_the_handbook_can_do_everything() {
    let server = RedisServer::start(&[]);
    limited(&server, &RIGHTS);
    everything(&open(as_limited(server.port))).await.unwrap();
    // And none of them is too much.
    for lacking in RIGHTS {
        server.cli(&["FLUSHALL"]);
        server.cli(&["FUNCTION", "FLUSH"]);
        if lacking.starts_with('-') {
            continue;
        }
        let rest: Vec<&str> = RIGHTS.into_iter().filter(|r| *r != lacking).collect();
        limited(&server, &rest);
        let done = everything(&open(as_limited(server.port))).await;
        if lacking == "+info" {
            // Only the version is not looked at.
            done.unwrap();
            continue;
        }
        let said = done.expect_err(lacking).to_string();
        assert!(said.contains("lacks a permission"), "{lacking}: {said}");
        assert!(said.contains("[store] user"), "{lacking}: {said}");
    }
    // What would hurt others is not among them.
    limited(&server, &RIGHTS);
    for harm in ["FLUSHALL", "KEYS *", "CONFIG GET dir", "SHUTDOWN"] {
        let who = ["--user", "gate", "--pass", "secret", "--no-auth-warning"];
        let words: Vec<&str> = who.into_iter().chain(harm.split(' ')).collect();
        let said = server.cli(&words);
        assert!(said.contains("NOPERM"), "{harm}: {said}");
    }
    // Another database has to be chosen.
    let mut second = as_limited(server.port);
    second.server = Server::Single {
        address: address(server.port),
        database: 2,
    };
    limited(&server, &RIGHTS);
    let said = everything(&open(second.clone())).await.unwrap_err();
    assert!(said.to_string().contains("lacks a permission"), "{said}");
    let rights = [&RIGHTS[..], &["+select"]].concat();
    limited(&server, &rights);
    everything(&open(second)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_the_rights_of_the_handbook_works_in_a_cluster_and_behind_sentinels() {
    let node = RedisServer::start(&["--cluster-enabled", "yes"]);
    node.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let begun = std::time::Instant::now();
    while !node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok") {
        assert!(begun.elapsed() < Duration::from_secs(20), "no cluster");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let rights = [&RIGHTS[..], &["+cluster", "+readonly", "+asking"]].concat();
    limited(&node, &rights);
    let mut cluster = as_limited(node.port);
    cluster.server = Server::Cluster {
        nodes: vec![address(node.port)],
    };
    everything(&open(cluster)).await.unwrap();

    let master = RedisServer::start(&[]);
    let sentinel = RedisServer::sentinel(master.port);
    let rights = [&RIGHTS[..], &["+role"]].concat();
    limited(&master, &rights);
    let mut watched = as_limited(master.port);
    watched.server = Server::Sentinel {
        sentinels: vec![address(sentinel.port)],
        master: "school".to_owned(),
        database: 0,
        login: None,
    };
    everything(&open(watched)).await.unwrap();
}
