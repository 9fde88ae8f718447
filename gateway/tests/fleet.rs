//! Several gateways and a real Redis, with a crowd that moves between them from request to request.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;
#[path = "../../admission/tests/server/mod.rs"]
mod redis_server;

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use common::judge::{BEFORE, Crowd, Trouble, complaints};
use common::{Browser, Gateway, Setup, eventually, platform, timed_platform};
use einlass_benches::platform::{HashCost, Platform};
use einlass_benches::rush::{Plan, Report, School, Waits, run};
use redis_server::RedisServer;

const SMALL: &str = "small.example";
const LARGE: &str = "large.example";
/// Many, so that one slot more or less hardly shows.
const CAP: usize = 40;
/// What a login takes on average. The platform has a worker for every slot: a slot that stands empty is a
/// login that is not done.
const COST: Duration = Duration::from_millis(800);

/// 85, 10 and 5 of a hundred requests come to the first, second and third gateway.
const WEIGHTS: [usize; 3] = [17, 2, 1];

/// A way to Redis that can be interrupted: what is sent then arrives late or never.
struct Cable {
    port: u16,
    cut: watch::Sender<bool>,
}

async fn until(state: &mut watch::Receiver<bool>, cut: bool) {
    while *state.borrow_and_update() != cut {
        if state.changed().await.is_err() {
            return;
        }
    }
}

impl Cable {
    async fn to(redis: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = watch::Sender::new(false);
        let state = cut.clone();
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let mut state = state.subscribe();
                tokio::spawn(async move {
                    until(&mut state, false).await;
                    let Ok(mut to) = TcpStream::connect(("127.0.0.1", redis)).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut from, &mut to) => {}
                        // Both ends stay open meanwhile: nobody is told.
                        () = until(&mut state, true) => {}
                    }
                    until(&mut state, false).await;
                });
            }
        });
        Self { port, cut }
    }
}

struct Fleet {
    redis: RedisServer,
    /// From the first gateway to Redis.
    cable: Cable,
    platform: Platform,
    gateways: Vec<Gateway>,
}

impl Fleet {
    async fn start(gateways: usize) -> Self {
        Self::start_with(gateways, &[]).await
    }

    /// Gateways whose clocks are that much ahead.
    async fn start_with(gateways: usize, clocks: &[&str]) -> Self {
        let platform = timed_platform(2, CAP, COST).await;
        let redis = RedisServer::start(&[]);
        let cable = Cable::to(redis.port).await;
        let setup = |port: u16, number: usize| {
            let store = format!("[store]\nredis = \"redis://127.0.0.1:{port}\"\n");
            let schools = [(SMALL, 100), (LARGE, 1_000)];
            Setup::default()
                .region("north", platform.backends(), CAP, &schools, "")
                .text(&store)
                .clock(clocks.get(number).copied())
        };
        let first = setup(cable.port, 0).start().await;
        let mut all = vec![first];
        while all.len() < gateways {
            all.push(setup(redis.port, all.len()).start_beside(&all[0]).await);
        }
        for gateway in &all {
            gateway.until_mode("shared").await;
        }
        Self {
            redis,
            cable,
            platform,
            gateways: all,
        }
    }

    fn skewed(&self) -> Vec<SocketAddr> {
        let mut targets = Vec::new();
        for (gateway, weight) in self.gateways.iter().zip(WEIGHTS) {
            targets.extend(std::iter::repeat_n(gateway.edge, weight));
        }
        targets
    }

    /// The requests of the crowd came in the parts they should.
    async fn was_skewed(&self) {
        let mut polls = Vec::new();
        for gateway in &self.gateways {
            polls.push(gateway.metric("einlass_polls_total{pool=\"north\"}").await);
        }
        let all: f64 = polls.iter().sum();
        let weights = &WEIGHTS[..polls.len()];
        let total: usize = weights.iter().sum();
        for (polls, weight) in polls.iter().zip(weights) {
            let (part, right) = (polls / all, *weight as f64 / total as f64);
            assert!(
                (part - right).abs() < 0.05,
                "{part} of the polls, not {right}"
            );
        }
    }

    /// Returns when the others have the slots of the first gateway: how long after `since`.
    async fn taken_over(&self, since: Instant) -> Duration {
        let slots = async || {
            let mut slots = 0.0;
            for gateway in &self.gateways[1..] {
                let cap = "einlass_in_flight_cap_logins{pool=\"north\"}";
                slots += gateway.metric(cap).await;
            }
            slots >= CAP as f64
        };
        assert!(eventually(slots).await, "slots that nobody has");
        let took = since.elapsed();
        println!("its slots are the others' after {took:?}");
        took
    }

    fn plan(&self, pupils: u32) -> Plan {
        Plan {
            targets: self.skewed(),
            move_between: true,
            joins_apart: EXCHANGE,
            schools: vec![School::new(SMALL, 100), School::new(LARGE, 1_000)],
            pupils,
            arrive_over: Duration::from_secs(2),
            platforms: vec![self.platform.control().unwrap()],
            ..Plan::default()
        }
    }
}

/// While Redis is away a gateway that had no slot just then goes on with one.
const ALONE: usize = CAP + 2;
/// One exchange between the gateways.
const EXCHANGE: Duration = Duration::from_millis(100);

/// How long the slots of a gateway that fell silent may be nobody's.
const TAKEN_OVER: Duration = Duration::from_secs(2);

/// How long a gateway is silent.
const AWAY: Duration = Duration::from_secs(5);

/// What is asked of a rush.
#[derive(Clone, Copy)]
struct Asked {
    /// How much of the trouble's beginning is not judged.
    settle: Duration,
    /// By how much somebody may come later who is let in before.
    later: Duration,
}

/// All gateways are in touch with one another.
const SHARED: Asked = Asked {
    settle: Duration::ZERO,
    later: EXCHANGE,
};
/// A gateway falls silent; two seconds later the others have its slots.
const SILENT: Asked = Asked {
    settle: Duration::from_secs(2),
    later: EXCHANGE,
};
/// Gateways cannot hear of one another: each calls the room for itself, and who polls at one that is
/// a little behind waits a little longer.
const APART: Asked = Asked {
    settle: Duration::ZERO,
    later: Duration::from_secs(1),
};

/// Something that broke, and was repaired or came back.
struct Event {
    what: &'static str,
    time: Range<Instant>,
    /// How long the room was not shared after that.
    back: Duration,
}

impl Event {
    /// Breaks something, repairs it, and waits for the room to be shared.
    async fn of(
        what: &'static str,
        fleet: &mut Fleet,
        breaks: impl AsyncFnOnce(&mut Fleet),
    ) -> Self {
        let begun = Instant::now();
        breaks(fleet).await;
        let healthy = Instant::now();
        for gateway in &fleet.gateways {
            gateway.until_mode("shared").await;
        }
        Self {
            what,
            time: begun..healthy,
            back: healthy.elapsed(),
        }
    }
}

/// Runs a crowd through a fleet while `trouble` goes on from its fifth second, and compares what the
/// backend did before and during it.
async fn rush_through(
    asked: Asked,
    fleet: &mut Fleet,
    trouble: impl AsyncFnOnce(&mut Fleet) -> Vec<Event>,
) -> Report {
    let plan = Plan {
        joins_apart: asked.later,
        ..fleet.plan(1_450)
    };
    let desk = fleet.gateways.last().unwrap().desk;
    let crowd = Crowd::watch(desk, Instant::now());
    let rush = tokio::spawn(run(plan));
    assert!(crowd.reaches(800.0).await, "no crowd");
    tokio::time::sleep(BEFORE).await;
    let begun = crowd.elapsed();
    let events = trouble(fleet).await;
    let report = rush.await.unwrap().unwrap();
    for event in events {
        let trouble = Trouble {
            name: event.what,
            begun,
            time: crowd.at(event.time.start)..crowd.at(event.time.end),
            settle: asked.settle,
            back: event.back,
        };
        trouble.judge(&crowd, &report);
    }
    report
}

/// The same crowd through so many gateways: how much of the cap is used while people wait, and the
/// waits.
async fn shared_by(gateways: usize) -> (f64, Waits) {
    let fleet = Fleet::start(gateways).await;
    let crowd = Crowd::watch(fleet.gateways[0].desk, Instant::now());
    let report = run(fleet.plan(900)).await.unwrap();
    let wrong = complaints(&report, CAP);
    assert!(wrong.is_empty(), "{wrong:?}\n{report:#?}");
    let used = crowd.mean_in_flight(&report, Duration::ZERO, crowd.elapsed());
    let used = used.unwrap() / CAP as f64;
    println!(
        "{gateways} gateways: {:.1} % of the cap used, at most {} in flight, waits {:.2?}, inversions {}",
        100.0 * used,
        report.max_in_flight().unwrap(),
        report.wait,
        report.order_inversions,
    );
    fleet.was_skewed().await;
    (used, report.wait)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_gateways_share_one_room_as_well_as_one_has_it() {
    // The slots stand empty while other work keeps gateways and backend from their turn: what this
    // machine cannot show at the first try it shows at another, if it is so.
    for tries in 1.. {
        let (alone, one) = shared_by(1).await;
        let (together, three) = shared_by(3).await;
        let used = alone.min(together);
        let ratios = [(three.p50, one.p50), (three.p90, one.p90)].map(|(three, one)| three / one);
        println!("waits of three gateways or one, median and nine of ten: {ratios:.3?}");
        if used >= 0.97 && ratios.iter().all(|ratio| (0.9..=1.1).contains(ratio)) {
            break;
        }
        assert!(tries < 3, "{used} of the cap used, waits {ratios:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_killed_for_ten_seconds_is_not_noticed_by_pupils() {
    let mut fleet = Fleet::start(3).await;
    let report = rush_through(APART, &mut fleet, async |fleet| {
        let killed = Event::of("killed", fleet, async |fleet| {
            fleet.redis.kill();
            tokio::time::sleep(Duration::from_secs(10)).await;
            fleet.redis.restart();
        });
        vec![killed.await]
    })
    .await;
    let wrong = complaints(&report, ALONE);
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_stopped_for_ten_seconds_is_not_noticed_by_pupils() {
    let mut fleet = Fleet::start(3).await;
    let report = rush_through(APART, &mut fleet, async |fleet| {
        let stopped = Event::of("stopped", fleet, async |fleet| {
            fleet.redis.signal("STOP");
            tokio::time::sleep(Duration::from_secs(10)).await;
            fleet.redis.signal("CONT");
        });
        vec![stopped.await]
    })
    .await;
    let wrong = complaints(&report, ALONE);
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_forgets_the_gateways_know() {
    // It is over in no time: what follows is judged, too, the mode left for a moment or not at all.
    const LOOK: Duration = Duration::from_secs(3);
    let mut fleet = Fleet::start(3).await;
    let report = rush_through(SHARED, &mut fleet, async |fleet| {
        fleet.redis.cli(&["SAVE"]);
        fleet.redis.snapshot(true);
        let mut events = Vec::new();
        for (what, breaks) in FORGETFUL {
            let mut event = Event::of(what, fleet, async |fleet| {
                breaks(&mut fleet.redis);
                // Until the gateways can have noticed.
                tokio::time::sleep(NOTICED).await;
            })
            .await;
            event.back += NOTICED;
            let begun = event.time.start;
            tokio::time::sleep(LOOK.saturating_sub(begun.elapsed())).await;
            event.time.end = Instant::now();
            events.push(event);
        }
        events
    })
    .await;
    let wrong = complaints(&report, ALONE);
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// What happens to Redis's data, by name.
type Loss = (&'static str, fn(&mut RedisServer));

const FORGETFUL: [Loss; 4] = [
    ("FLUSHALL", |redis| drop(redis.cli(&["FLUSHALL"]))),
    ("FUNCTION FLUSH", |redis| {
        drop(redis.cli(&["FUNCTION", "FLUSH"]));
    }),
    ("restarted empty", |redis| {
        redis.kill();
        redis.remove_data();
        redis.restart();
    }),
    ("restarted from an older snapshot", |redis| {
        redis.kill();
        redis.snapshot(false);
        redis.restart();
    }),
];

/// Longer than gateways take to notice that Redis has lost something.
const NOTICED: Duration = Duration::from_millis(700);

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_leaves_its_share_to_the_others() {
    let mut fleet = Fleet::start(3).await;
    let report = rush_through(SILENT, &mut fleet, async |fleet| {
        let killed = Event::of("gateway killed", fleet, async |fleet| {
            let killed = Instant::now();
            fleet.gateways[0].kill();
            assert!(fleet.taken_over(killed).await < TAKEN_OVER);
            tokio::time::sleep(AWAY.saturating_sub(killed.elapsed())).await;
            fleet.gateways[0].run().await;
        });
        vec![killed.await]
    })
    .await;
    // Requests that were at the killed gateway break; their pupils come again and keep their place.
    let broken = |kind: &String| matches!(kind.as_str(), "closed" | "refused");
    assert!(report.errors.keys().all(broken), "{:?}", report.errors);
    assert_eq!(report.got_in, report.started);
    assert_eq!(report.lost_place, 0);
    assert_eq!(report.shown_place_grew, 0);
    assert_eq!(report.order_inversions, 0);
    // What it was doing is worked on for nobody, for as long as its lease runs at most a moment longer.
    assert!(report.max_in_flight().unwrap() <= CAP + 2);
    // Only logins that died with it can have been begun again, and typed again.
    let received = report.platforms[0].totals.received;
    let most = report.started + CAP as u64;
    assert!((report.started..=most).contains(&received), "{received}");
    assert!(report.asked_again <= CAP as u64, "{}", report.asked_again);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_stopped_and_goes_on_does_no_harm() {
    let mut fleet = Fleet::start(3).await;
    let report = rush_through(SILENT, &mut fleet, async |fleet| {
        let stopped = Event::of("gateway stopped", fleet, async |fleet| {
            let stopped = Instant::now();
            fleet.gateways[0].signal("STOP");
            assert!(fleet.taken_over(stopped).await < TAKEN_OVER);
            tokio::time::sleep(AWAY.saturating_sub(stopped.elapsed())).await;
            fleet.gateways[0].signal("CONT");
        });
        vec![stopped.await]
    })
    .await;
    let wrong = complaints(&report, CAP);
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_cut_off_from_redis_goes_on_with_its_share() {
    let mut fleet = Fleet::start(3).await;
    let report = rush_through(APART, &mut fleet, async |fleet| {
        let cut = Event::of("gateway cut off", fleet, async |fleet| {
            let cut = Instant::now();
            fleet.cable.cut.send_replace(true);
            fleet.gateways[0].until_mode("frozen").await;
            assert!(fleet.taken_over(cut).await < TAKEN_OVER);
            tokio::time::sleep(AWAY.saturating_sub(cut.elapsed())).await;
            fleet.cable.cut.send_replace(false);
        });
        vec![cut.await]
    })
    .await;
    // It keeps the share it had, and the others take it over: one lease's worth more.
    let wrong = complaints(&report, 2 * CAP);
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Five minutes ahead, five minutes behind, and one that is set back by an hour in the middle.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_wrong_change_nothing() {
    let mut fleet = Fleet::start_with(3, &["+5m", "-5m", "+0"]).await;
    let report = rush_through(SHARED, &mut fleet, async |fleet| {
        let clocks = Event::of("clocks", fleet, async |fleet| {
            fleet.gateways[2].set_clock("-1h");
            tokio::time::sleep(AWAY).await;
        });
        vec![clocks.await]
    })
    .await;
    let wrong = complaints(&report, CAP);
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(report.sent_back < 10);
}

/// A Redis that cannot be used, how it is set up, and what the operator reads about it.
struct Misconfigured {
    name: &'static str,
    store: String,
    cause: &'static str,
    setting: &'static str,
    _servers: Vec<RedisServer>,
}

fn misconfigured(folder: &std::path::Path) -> Vec<Misconfigured> {
    let wrong = folder.join("wrong");
    std::fs::write(&wrong, "wrong\n").unwrap();
    let at = |scheme: &str, port: u16| format!("redis = \"{scheme}://localhost:{port}\"");
    let secret = RedisServer::start(&["--requirepass", "right"]);
    let plain = RedisServer::start(&[]);
    let master = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
    let full = RedisServer::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let case = |name, store, cause, setting, servers| Misconfigured {
        name,
        store,
        cause,
        setting,
        _servers: servers,
    };
    vec![
        case(
            "nobody there",
            at("redis", common::free_address().port()),
            "Redis cannot be reached",
            "[store] redis",
            vec![],
        ),
        case(
            "wrong password",
            format!(
                "{}\npassword_file = \"{}\"",
                at("redis", secret.port),
                wrong.display()
            ),
            "refuses the user or the password",
            "[store] user, password_file",
            vec![secret],
        ),
        case(
            "wrong TLS",
            at("rediss", plain.port),
            "TLS to Redis fails",
            "[store] ca_file",
            vec![plain],
        ),
        case(
            "unknown host",
            "redis = \"redis://no-such-host.invalid\"".to_owned(),
            "Redis cannot be reached",
            "[store] redis",
            vec![],
        ),
        case(
            "replica",
            at("redis", replica.port),
            "read-only replica",
            "[store] redis",
            vec![master, replica],
        ),
        case(
            "no memory",
            at("redis", full.port),
            "out of memory",
            "[store] redis",
            vec![full],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_without_redis_unless_it_must_not() {
    let platform = platform(1, 1, HashCost::QUICK).await;
    let folder = tempfile::TempDir::new().unwrap();
    for wrong in misconfigured(folder.path()) {
        let name = wrong.name;
        let setup = |more: &str| {
            let store = format!("[store]\n{}\n{more}", wrong.store);
            Setup::default()
                .region("north", platform.backends(), 4, &[(SMALL, 100)], "")
                .text(&store)
        };
        let gateway = setup("").start().await;
        gateway.until_mode("frozen").await;
        let mut browser = Browser::new(gateway.edge, SMALL);
        let form = browser.form().await;
        let answer = browser.post("/login", &form).await;
        assert_eq!(answer.location(), "/", "{name}");
        assert!(browser.logged_in(), "{name}");
        let told = |text: &str| text.contains(wrong.cause) && text.contains(wrong.setting);
        let log = gateway.log();
        assert!(
            eventually(async || told(&gateway.log())).await,
            "{name}: {log}"
        );
        let refused = setup("required = true").refused();
        assert!(told(&refused), "{name}: {refused}");
        assert!(refused.contains("required = true"), "{name}: {refused}");
    }
}
