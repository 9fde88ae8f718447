//! Gateways that share a room come, go, die, stop and lose touch, while a crowd moves between them.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;
#[path = "../../admission/tests/server/mod.rs"]
mod redis_server;

use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use common::fleet::{APART, CAP, EVEN, Event, Fleet, SHARED, SILENT, rush_through, slots_of};
use common::judge::complaints;
use einlass_benches::rush::Report;
use redis_server::RedisServer;

/// How long the slots of a gateway that fell silent may be nobody's.
const TAKEN_OVER: Duration = Duration::from_secs(2);

/// How long a gateway is silent.
const AWAY: Duration = Duration::from_secs(5);

fn store(port: u16) -> String {
    format!("redis = \"redis://127.0.0.1:{port}\"")
}

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

/// Kills the first gateway, and starts it again.
async fn killed(fleet: &mut Fleet) -> Event {
    Event::of("gateway killed", fleet, async |fleet| {
        let killed = Instant::now();
        fleet.falls_silent();
        fleet.gateways[0].kill();
        assert!(fleet.taken_over(killed).await < TAKEN_OVER);
        tokio::time::sleep(AWAY.saturating_sub(killed.elapsed())).await;
        fleet.gateways[0].run().await;
    })
    .await
}

/// Stops the first gateway, and lets it go on.
async fn stopped(fleet: &mut Fleet) -> Event {
    Event::of("gateway stopped", fleet, async |fleet| {
        let stopped = Instant::now();
        fleet.falls_silent();
        fleet.gateways[0].signal("STOP");
        assert!(fleet.taken_over(stopped).await < TAKEN_OVER);
        tokio::time::sleep(AWAY.saturating_sub(stopped.elapsed())).await;
        fleet.gateways[0].signal("CONT");
    })
    .await
}

/// Requests that were at a killed gateway break; their pupils come again and keep their place.
fn only_what_died_with_it_is_begun_again(fleet: &Fleet, report: &Report) {
    let broken = |kind: &String| matches!(kind.as_str(), "closed" | "refused");
    assert!(report.errors.keys().all(broken), "{:?}", report.errors);
    assert_eq!(report.got_in, report.started);
    assert_eq!(report.lost_place, 0);
    assert_eq!(report.shown_place_grew, 0);
    assert_eq!(report.order_inversions, 0);
    let (most, _) = fleet.most_in_flight_of_the_living();
    assert!(most <= CAP, "{most} in flight");
    // Only logins that died with it can have been begun again, and typed again.
    let received = report.platforms[0].totals.received;
    let most = report.started + CAP as u64;
    assert!((report.started..=most).contains(&received), "{received}");
    assert!(report.asked_again <= CAP as u64, "{}", report.asked_again);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_equal_gateways_dies_or_stops_and_hardly_a_login_is_missed() {
    let redis = RedisServer::start(&[]);
    let mut fleet = Fleet::start(&vec![store(redis.port); 3], &[]).await;
    fleet.weights = EVEN;
    // The whole of the five seconds is judged.
    let report = rush_through(SHARED, &mut fleet, async |fleet| {
        let dead = killed(fleet).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        vec![dead, stopped(fleet).await]
    })
    .await;
    only_what_died_with_it_is_begun_again(&fleet, &report);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_that_most_come_to_is_killed_and_leaves_its_share_to_the_others() {
    let redis = RedisServer::start(&[]);
    let mut fleet = Fleet::start(&vec![store(redis.port); 3], &[]).await;
    let report = rush_through(SILENT.lasting(AWAY), &mut fleet, async |fleet| {
        vec![killed(fleet).await]
    })
    .await;
    only_what_died_with_it_is_begun_again(&fleet, &report);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_that_most_come_to_is_stopped_and_goes_on_and_does_no_harm() {
    let redis = RedisServer::start(&[]);
    let mut fleet = Fleet::start(&vec![store(redis.port); 3], &[]).await;
    let report = rush_through(SILENT.lasting(AWAY), &mut fleet, async |fleet| {
        vec![stopped(fleet).await]
    })
    .await;
    let (most, outlived) = fleet.most_in_flight_of_the_living();
    assert!(most <= CAP, "{most} in flight");
    let wrong = complaints(&report, CAP + outlived);
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_cut_off_from_redis_goes_on_with_its_share() {
    let redis = RedisServer::start(&[]);
    let cable = Cable::to(redis.port).await;
    let stores = [cable.port, redis.port, redis.port].map(store);
    let mut fleet = Fleet::start(&stores, &[]).await;
    let report = rush_through(APART.lasting(AWAY), &mut fleet, async |fleet| {
        let cut = Event::of("gateway cut off", fleet, async |fleet| {
            let cut = Instant::now();
            cable.cut.send_replace(true);
            fleet.gateways[0].until_mode("frozen").await;
            assert!(fleet.taken_over(cut).await < TAKEN_OVER);
            tokio::time::sleep(AWAY.saturating_sub(cut.elapsed())).await;
            cable.cut.send_replace(false);
        });
        vec![cut.await]
    })
    .await;
    // It keeps the share it had, and the others take it over: one lease's worth more.
    let wrong = complaints(&report, 2 * CAP);
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_come_and_go_and_nobody_notices() {
    let redis = RedisServer::start(&[]);
    let mut fleet = Fleet::start(&vec![store(redis.port); 3], &[]).await;
    let report = rush_through(SHARED, &mut fleet, async |fleet| {
        let mut events = Vec::new();
        // The one that most come to.
        let gone = Event::of("a gateway goes", fleet, async |fleet| {
            let begun = Instant::now();
            let (took, well) = fleet.gateways[0].stop().await;
            assert!(well);
            let freed = fleet.taken_over(Instant::now()).await;
            println!("gone after {took:?}, its slots the others' {freed:?} later");
            tokio::time::sleep(AWAY.saturating_sub(begun.elapsed())).await;
            fleet.gateways[0].run().await;
        });
        events.push(gone.await);
        let come = Event::of("a fourth gateway comes", fleet, async |fleet| {
            fleet.join(&store(redis.port), None).await;
            tokio::time::sleep(AWAY).await;
        });
        events.push(come.await);
        // Nobody is sent to it, so it needs no slot; all others go on with theirs.
        assert!(slots_of(&fleet.gateways[3]).await < 1.0);
        events
    })
    .await;
    // Whoever came to a port that is closed goes to another gateway.
    let refused = |kind: &String| matches!(kind.as_str(), "closed" | "refused");
    assert!(report.errors.keys().all(refused), "{:?}", report.errors);
    let calm = Report {
        errors: std::collections::BTreeMap::new(),
        ..report
    };
    let wrong = complaints(&calm, CAP);
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Five minutes ahead, five minutes behind, and one that is set back by an hour in the middle.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_wrong_change_nothing() {
    let redis = RedisServer::start(&[]);
    let clocks = ["+5m", "-5m", "+0"];
    let mut fleet = Fleet::start(&vec![store(redis.port); 3], &clocks).await;
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
