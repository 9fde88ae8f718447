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
    Caller, Events, Exchange, Exchanged, Join, Leave, MemberId, Merge, Notice, PACER_LEASE,
    Publish, Registers, Report, Seen, TicketKey,
};
use einlass_admission::{Memory, RoomKey, SchoolKey, Serving, Turn};
use server::{RedisServer, Secured, older};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

fn address(port: u16) -> Address {
    Address {
        host: "127.0.0.1".to_owned(),
        port,
        tls: false,
    }
}

fn settings(port: u16) -> StoreSettings {
    StoreSettings {
        server: Server::Single {
            address: address(port),
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
                refused: 0,
                pages: small(self.draw(2)),
                typed: small(self.draw(2)),
                left: small(self.draw(2)),
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
        match self.draw(6) {
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
            3 if self.draw(3) == 0 => {
                let call = Leave {
                    member: MemberId(who as u64),
                    events: Events {
                        left: 1,
                        ..Events::default()
                    },
                    sent: self.tickets(),
                    released: self.tickets(),
                };
                self.redis.leave(&call).await.unwrap();
                self.memory.leave(&call);
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
        // Nobody is new to the ledger in what follows, whatever is drawn first.
        for who in 0..3 {
            pair.exchange(who).await;
        }
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
        pair.exchange(0).await;
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

/// A call of member `id` that wants a slot and knows what it has seen.
fn wants(id: u64, nonce: u32, seen: Seen) -> Exchange {
    Exchange {
        caller: Caller {
            member: MemberId(id),
            nonce,
            seen,
        },
        serving: Serving(1),
        share: 0,
        report: Report {
            in_flight: 0,
            buffered: 3,
            down: false,
        },
        events: Events::default(),
        learnt: Vec::new(),
        released: Vec::new(),
        sent: Vec::new(),
        keeps: Vec::new(),
        claims: Vec::new(),
    }
}

fn publication(id: u64, epoch: u32, fence: u64, serving: u64, cap: u32) -> Publish {
    Publish {
        member: MemberId(id),
        epoch,
        fence,
        serving: Serving(serving),
        cap,
        notice: Notice::default(),
        shares: vec![(MemberId(1), cap), (MemberId(2), 0)],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pacer_that_was_stopped_can_publish_nothing() {
    let server = RedisServer::start(&[]);
    let ledger = connected(&server).await;
    let room = ledger.room(RoomKey(9));
    let first = room.exchange(&wants(1, 5, Seen::default())).await.unwrap();
    let epoch = first.seen.epoch;
    let old = first.conduct.expect("the first is the pacer").fence;
    let publish = publication(1, epoch, old, 100, 4);
    assert!(room.publish(&publish).await.unwrap());
    // While its lease runs it stays the pacer, and nobody else can say anything with its fence.
    let second = room.exchange(&wants(2, 6, Seen::default())).await.unwrap();
    assert_eq!((second.conduct, second.cap), (None, 4));
    let stolen = publication(2, epoch, old, 900, 99);
    assert!(!room.publish(&stolen).await.unwrap());
    tokio::time::sleep(PACER_LEASE + Duration::from_millis(100)).await;
    let second = room.exchange(&wants(2, 7, second.seen)).await.unwrap();
    let new = second.conduct.expect("nobody else asked in time").fence;
    assert!(new > old, "{new} after {old}");
    // The first wakes up in the middle of what it was about to say, with each fence it could have.
    for (member, fence) in [(1, old), (1, new), (2, old)] {
        let late = publication(member, epoch, fence, 500, 99);
        assert!(!room.publish(&late).await.unwrap(), "{member} with {fence}");
    }
    let seen = room.exchange(&wants(2, 8, second.seen)).await.unwrap();
    assert_eq!((seen.cap, seen.serving), (4, Serving(100)));
    let right = publication(2, epoch, new, 200, 6);
    assert!(room.publish(&right).await.unwrap());
    let seen = room.exchange(&wants(1, 9, first.seen)).await.unwrap();
    assert_eq!((seen.cap, seen.serving), (6, Serving(200)));
    assert_eq!(seen.conduct, None, "the first is the pacer no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_good_bye_leaves_slots_at_once_and_its_tickets_used() {
    let server = RedisServer::start(&[]);
    let ledger = connected(&server).await;
    let room = ledger.room(RoomKey(3));
    let ticket = |tooth| TicketKey {
        epoch: 5,
        school: SchoolKey(1),
        tooth,
    };
    let first = room.exchange(&wants(1, 5, Seen::default())).await.unwrap();
    let second = room.exchange(&wants(2, 6, Seen::default())).await.unwrap();
    let fence = first.conduct.expect("the first is the pacer").fence;
    // Nothing is decided in the first second.
    let mut last = second;
    while last.recovering {
        tokio::time::sleep(Duration::from_millis(50)).await;
        room.exchange(&wants(1, 7, first.seen)).await.unwrap();
        last = room.exchange(&wants(2, 8, last.seen)).await.unwrap();
    }
    let claims = Exchange {
        claims: vec![ticket(1), ticket(2)],
        ..wants(1, 9, first.seen)
    };
    assert_eq!(room.exchange(&claims).await.unwrap().refused, []);
    let publish = publication(1, first.seen.epoch, fence, 1, 4);
    assert!(room.publish(&publish).await.unwrap());
    assert_eq!(
        room.exchange(&wants(1, 10, first.seen))
            .await
            .unwrap()
            .share,
        4
    );
    let leave = Leave {
        member: MemberId(1),
        events: Events {
            left: 1,
            ..Events::default()
        },
        sent: vec![ticket(1)],
        released: vec![ticket(2)],
    };
    room.leave(&leave).await.unwrap();
    let claims = Exchange {
        claims: vec![ticket(1), ticket(2)],
        ..wants(2, 11, last.seen)
    };
    let after = room.exchange(&claims).await.unwrap();
    assert_eq!(after.refused, [ticket(1)]);
    let conduct = after.conduct.expect("nobody else is left to be the pacer");
    assert_eq!(conduct.members.len(), 1);
    assert_eq!(conduct.events.iter().map(|e| e.left).sum::<u32>(), 1);
    let all = Publish {
        shares: vec![(MemberId(2), 4)],
        ..publication(2, after.seen.epoch, conduct.fence, 1, 4)
    };
    assert!(room.publish(&all).await.unwrap());
    assert_eq!(
        room.exchange(&wants(2, 12, after.seen))
            .await
            .unwrap()
            .share,
        4
    );
}

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
    ledger.connected(Duration::from_secs(5)).await?;
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
    let names = |trouble: &Trouble, words: &[&str]| {
        let said = trouble.to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
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
    names(&wrong, &["password", "[store] user, password_file"]);
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
    names(&tls, &["TLS", "[store] ca_file"]);

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
    names(&nowhere, &["cannot be reached", "[store] redis"]);
    let refused = trouble(settings(1)).await;
    assert!(matches!(refused, Trouble::Unreachable(_)), "{refused}");

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
