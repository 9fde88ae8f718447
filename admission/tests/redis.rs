//! The ledger in Redis against a real server: it answers as the one in memory does.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test may fail"
)]

mod server;

use std::time::Duration;

use einlass_admission::ledger::redis::{
    Address, LedgerError, Login, RedisLedger, RedisRoom, Server, Status, StoreSettings, Trouble,
};
use einlass_admission::ledger::{
    Caller, Events, Exchange, Exchanged, Join, MemberId, Merge, Notice, Publish, Registers, Report,
    Seen, TicketKey,
};
use einlass_admission::{Memory, RoomKey, SchoolKey, Serving, Turn};
use server::RedisServer;

fn settings(port: u16) -> StoreSettings {
    StoreSettings {
        server: Server::Single {
            address: Address {
                host: "127.0.0.1".to_owned(),
                port,
                tls: false,
            },
            database: 0,
        },
        login: None,
        ca: None,
        timeout: Duration::from_millis(500),
        prefix: "einlass".to_owned(),
    }
}

fn open(settings: StoreSettings) -> RedisLedger {
    RedisLedger::open(settings, Duration::from_hours(1), 7).unwrap()
}

async fn connected(server: &RedisServer) -> RedisLedger {
    let ledger = open(settings(server.port));
    ledger.connected(Duration::from_secs(20)).await.unwrap();
    ledger
}

/// Both ledgers, told the same.
struct Pair {
    redis: RedisRoom,
    memory: Registers,
    now: u64,
    seen: [Seen; 3],
    fences: [u64; 3],
    draws: u64,
}

impl Pair {
    fn draw(&mut self, below: u64) -> u64 {
        self.draws ^= self.draws << 13;
        self.draws ^= self.draws >> 7;
        self.draws ^= self.draws << 17;
        self.draws % below
    }

    fn school(&mut self) -> SchoolKey {
        SchoolKey(100 + self.draw(4))
    }

    fn ticket(&mut self) -> TicketKey {
        TicketKey {
            epoch: 1 + u32::try_from(self.draw(2)).unwrap(),
            school: self.school(),
            tooth: self.draw(1_500),
        }
    }

    fn tickets(&mut self) -> Vec<TicketKey> {
        (0..self.draw(4)).map(|_| self.ticket()).collect()
    }

    fn caller(&mut self, who: usize) -> Caller {
        Caller {
            member: MemberId(who as u64),
            nonce: 1 + u32::try_from(self.draw(1 << 30)).unwrap(),
            seen: self.seen[who],
        }
    }

    async fn exchange(&mut self, who: usize) -> Exchanged {
        let small = |n: u64| u32::try_from(n).unwrap();
        let learnt = (0..self.draw(2))
            .map(|_| (self.school(), self.draw(500)))
            .collect();
        let call = Exchange {
            caller: self.caller(who),
            serving: Serving(self.draw(1 << 20) << 43),
            share: small(self.draw(5)),
            report: Report {
                in_flight: small(self.draw(6)),
                buffered: small(self.draw(20)),
                down: self.draw(5) == 0,
            },
            events: Events {
                latencies: (0..self.draw(3)).map(|n| small(n) * 1_000).collect(),
                arrived: (0..self.draw(2)).map(|n| Turn(u64::MAX - n)).collect(),
                losses: small(self.draw(3)),
                pages: small(self.draw(2)),
                typed: small(self.draw(2)),
            },
            learnt,
            released: self.tickets(),
            sent: self.tickets(),
            keeps: self.tickets(),
            claims: self.tickets(),
        };
        let redis = self.redis.exchange(&call).await.unwrap();
        self.now = redis.now;
        let mut memory = self.memory.exchange(self.now, &call);
        let mut sorted = redis.clone();
        for reply in [&mut memory, &mut sorted] {
            if let Some(conduct) = &mut reply.conduct {
                conduct.members.sort_by_key(|(id, ..)| *id);
            }
        }
        assert_eq!(sorted, memory, "{call:?}");
        self.seen[who] = redis.seen;
        if let Some(conduct) = &redis.conduct {
            self.fences[who] = conduct.fence;
        }
        redis
    }

    async fn any(&mut self) {
        let who = usize::try_from(self.draw(3)).unwrap();
        match self.draw(5) {
            0 => {
                let call = Join {
                    caller: self.caller(who),
                    schools: (0..=self.draw(2))
                        .map(|_| (self.school(), self.draw(2_000), 3))
                        .collect(),
                };
                let redis = self.redis.join(&call).await.unwrap();
                assert_eq!(redis, self.memory.join(self.now, &call));
            }
            1 => {
                let call = Publish {
                    member: MemberId(who as u64),
                    epoch: self.seen[who].epoch,
                    fence: self.fences[who],
                    serving: Serving(self.draw(1 << 20) << 43),
                    cap: 10,
                    notice: Notice {
                        capacity: Some(12.5),
                        coming: self.draw(100),
                        memory: Memory {
                            no_load: Some(0.25),
                            cap: Some(17.5),
                            ..Memory::default()
                        },
                        ..Notice::default()
                    },
                    shares: (0..3).map(|id| (MemberId(id), 3)).collect(),
                };
                let redis = self.redis.publish(&call).await.unwrap();
                assert_eq!(redis, self.memory.publish(&call));
            }
            2 => {
                let call = Merge {
                    caller: self.caller(who),
                    last: vec![(self.school(), self.draw(3_000))],
                    used: (0..self.draw(5))
                        .map(|_| (1, self.school(), self.draw(20), self.draw(u64::MAX)))
                        .collect(),
                };
                let redis = self.redis.merge(&call).await.unwrap();
                assert_eq!(redis, self.memory.merge(self.now, &call));
            }
            _ => {
                self.exchange(who).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_in_redis_answers_as_the_one_in_memory() {
    let mut server = RedisServer::start(&[]);
    for draws in [11, 12, 13] {
        server.cli(&["FLUSHALL"]);
        let ledger = connected(&server).await;
        let mut pair = Pair {
            redis: ledger.room(RoomKey(5)),
            memory: Registers::default(),
            now: u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap(),
            seen: [Seen::default(); 3],
            fences: [0; 3],
            draws,
        };
        for _ in 0..150 {
            pair.any().await;
        }
        // After the time of recovery claims are decided and shares given.
        while pair.exchange(0).await.recovering {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for _ in 0..400 {
            pair.any().await;
        }
        // All leases run out.
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        for _ in 0..150 {
            pair.any().await;
        }
    }
    // A server that starts again does not believe what it reads.
    let ledger = connected(&server).await;
    let room = ledger.room(RoomKey(6));
    let call = Join {
        caller: Caller {
            member: MemberId(1),
            nonce: 77,
            seen: Seen::default(),
        },
        schools: vec![(SchoolKey(1), 0, 5)],
    };
    assert_eq!(room.join(&call).await.unwrap().epoch, 77);
    let next = Join {
        caller: Caller {
            nonce: 78,
            ..call.caller
        },
        ..call.clone()
    };
    assert_eq!(room.join(&next).await.unwrap().epoch, 77);
    server.cli(&["SAVE"]);
    server.restart();
    let ledger = connected(&server).await;
    let room = ledger.room(RoomKey(6));
    let joined = room.join(&next).await.unwrap();
    assert_eq!((joined.epoch, joined.upto), (78, vec![15]));
}

#[tokio::test(flavor = "multi_thread")]
async fn flushed_functions_are_loaded_again() {
    let server = RedisServer::start(&[]);
    let ledger = connected(&server).await;
    let room = ledger.room(RoomKey(5));
    let mut call = Join {
        caller: Caller {
            member: MemberId(1),
            nonce: 5,
            seen: Seen::default(),
        },
        schools: vec![(SchoolKey(1), 0, 1)],
    };
    room.join(&call).await.unwrap();
    server.cli(&["FUNCTION", "FLUSH"]);
    call.caller.nonce = 6;
    let begun = std::time::Instant::now();
    let joined = loop {
        match room.join(&call).await {
            Ok(joined) => break joined,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(5), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!((joined.epoch, joined.upto), (6, vec![2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_with_the_setting() {
    // Only the first of a process can.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wait = Duration::from_millis(1_500);
    let trouble = async |settings: StoreSettings| {
        let ledger = open(settings);
        let room = ledger.room(RoomKey(1));
        match ledger.connected(wait).await {
            Err(LedgerError::Away(trouble)) => trouble,
            Err(other) => panic!("{other}"),
            Ok(()) => {
                let call = Join {
                    caller: Caller {
                        member: MemberId(1),
                        nonce: 5,
                        seen: Seen::default(),
                    },
                    schools: vec![(SchoolKey(1), 0, 1)],
                };
                match room.join(&call).await {
                    Err(LedgerError::Away(trouble)) => trouble,
                    other => panic!("{other:?}"),
                }
            }
        }
    };
    let server = RedisServer::start(&["--requirepass", "right"]);
    let login = |password: &str| Login {
        user: None,
        password: password.to_owned(),
    };
    let wrong = trouble(StoreSettings {
        login: Some(login("wrong")),
        ..settings(server.port)
    })
    .await;
    assert!(matches!(wrong, Trouble::Password(_)), "{wrong}");
    let none = trouble(settings(server.port)).await;
    assert!(matches!(none, Trouble::Password(_)), "{none}");
    let right = open(StoreSettings {
        login: Some(login("right")),
        ..settings(server.port)
    });
    right.connected(Duration::from_secs(20)).await.unwrap();
    assert_eq!(right.status(), Status::Up);

    let mut tls = settings(server.port);
    tls.server = Server::Single {
        address: Address {
            host: "localhost".to_owned(),
            port: server.port,
            tls: true,
        },
        database: 0,
    };
    let tls = trouble(tls).await;
    assert!(matches!(tls, Trouble::Tls(_)), "{tls}");

    let mut nowhere = settings(server.port);
    nowhere.server = Server::Single {
        address: Address {
            host: "no-such-host.invalid".to_owned(),
            port: 6379,
            tls: false,
        },
        database: 0,
    };
    let nowhere = trouble(nowhere).await;
    assert!(matches!(nowhere, Trouble::Unreachable(_)), "{nowhere}");
    let refused = trouble(settings(1)).await;
    assert!(matches!(refused, Trouble::Unreachable(_)), "{refused}");

    let master = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
    let replica = trouble(settings(replica.port)).await;
    assert_eq!(replica, Trouble::ReadOnly);

    let full = RedisServer::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let full = trouble(settings(full.port)).await;
    assert_eq!(full, Trouble::Memory);

    let limited = RedisServer::start(&["--user", "default", "on", "nopass", "~other:*", "+@all"]);
    let limited = trouble(settings(limited.port)).await;
    assert!(matches!(limited, Trouble::Permission(_)), "{limited}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_reached_by_tls_if_its_certificate_is_trusted() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls_port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .unwrap()
        .port();
    let _server = RedisServer::start(&[
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        cert.to_str().unwrap(),
        "--tls-key-file",
        key.to_str().unwrap(),
        "--tls-auth-clients",
        "no",
    ]);
    let over_tls = |ca: Option<Vec<u8>>| StoreSettings {
        server: Server::Single {
            address: Address {
                host: "localhost".to_owned(),
                port: tls_port,
                tls: true,
            },
            database: 2,
        },
        ca,
        ..settings(tls_port)
    };
    let trusted = open(over_tls(Some(made.cert.pem().into_bytes())));
    trusted.connected(Duration::from_secs(20)).await.unwrap();
    let stranger = open(over_tls(None));
    let trouble = stranger.connected(Duration::from_secs(2)).await;
    assert!(
        matches!(&trouble, Err(LedgerError::Away(Trouble::Tls(_)))),
        "{trouble:?}"
    );
}
