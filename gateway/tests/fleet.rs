//! Several gateways and a real Redis, with a crowd that moves between them from request to request: what
//! happens to Redis is not noticed by pupils.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;
#[path = "../../admission/tests/server/mod.rs"]
mod redis_server;

use std::time::{Duration, Instant};

use common::fleet::{APART, CAP, EXCHANGE, Event, Fleet, SHARED, rush_through};
use common::judge::{Crowd, complaints};
use common::{Gateway, get, send};
use einlass_benches::rush::{Waits, run};
use redis_server::RedisServer;

/// While Redis is away a gateway that had no slot just then goes on with one.
const ALONE: usize = CAP + 2;

fn store(redis: &RedisServer) -> String {
    format!("redis = \"redis://127.0.0.1:{}\"", redis.port)
}

/// How a gateway says that its room is, at the desk and to a collector of metrics, and for how many
/// seconds.
async fn said_mode(gateway: &Gateway) -> (String, f64) {
    let ready = send(gateway.desk, get("/readyz", "desk")).await.text();
    let room = ready.lines().find(|line| line.starts_with("room north "));
    let words: Vec<&str> = room.expect("the room").split(' ').collect();
    let mode = words[2].to_owned();
    let line = format!("einlass_ledger_mode{{pool=\"north\",mode=\"{mode}\"}}");
    assert!((gateway.metric(&line).await - 1.0).abs() < 1e-9, "{line}");
    let since = "einlass_ledger_mode_age_seconds{pool=\"north\"}";
    let (told, counted) = (
        words[3].parse::<f64>().unwrap(),
        gateway.metric(since).await,
    );
    assert!((told - counted).abs() < 1.0, "{told} and {counted} s");
    (mode, told)
}

/// The same crowd through so many gateways: how much of the cap is used while people wait, and the
/// waits.
async fn shared_by(gateways: usize) -> (f64, Waits) {
    let redis = RedisServer::start(&[]);
    let fleet = Fleet::start(&vec![store(&redis); gateways], &[]).await;
    let crowd = Crowd::watch(fleet.gateways[0].desk, Instant::now());
    let report = run(fleet.plan(900, EXCHANGE)).await.unwrap();
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
    let mut redis = RedisServer::start(&[]);
    let mut fleet = Fleet::start(&vec![store(&redis); 3], &[]).await;
    let report = rush_through(APART, &mut fleet, async |fleet| {
        let killed = Event::of("killed", fleet, async |fleet| {
            redis.kill();
            tokio::time::sleep(Duration::from_secs(10)).await;
            // Each says how it is, and for how long: since it noticed.
            for gateway in &fleet.gateways {
                let (mode, since) = said_mode(gateway).await;
                assert_eq!(mode, "frozen");
                assert!((8.0..12.0).contains(&since), "frozen for {since} s");
            }
            redis.restart();
            fleet.gateways[0].until_mode("recovering").await;
        });
        vec![killed.await]
    })
    .await;
    let wrong = complaints(&report, ALONE);
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_stopped_for_ten_seconds_is_not_noticed_by_pupils() {
    let redis = RedisServer::start(&[]);
    let mut fleet = Fleet::start(&vec![store(&redis); 3], &[]).await;
    let report = rush_through(APART, &mut fleet, async |fleet| {
        let stopped = Event::of("stopped", fleet, async |_| {
            redis.signal("STOP");
            tokio::time::sleep(Duration::from_secs(10)).await;
            redis.signal("CONT");
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
    let mut redis = RedisServer::start(&[]);
    let mut fleet = Fleet::start(&vec![store(&redis); 3], &[]).await;
    let report = rush_through(SHARED, &mut fleet, async |fleet| {
        redis.cli(&["SAVE"]);
        redis.snapshot(true);
        let mut events = Vec::new();
        for (what, breaks) in FORGETFUL {
            let mut event = Event::of(what, fleet, async |_| {
                breaks(&mut redis);
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
