//! A region helps another one out with what it can spare, and its own pupils do not notice.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail, and counts what metrics say"
)]

mod common;
#[path = "overflow/halved.rs"]
mod halved;
#[path = "../../admission/tests/server/mod.rs"]
mod redis_server;

use std::time::Duration;

use common::steady::Steady;
use common::{Browser, Gateway, Setup, eventually, get, platform, send};
use einlass_benches::platform::{HashCost, Platform};
use einlass_benches::rush::{Plan, School, run};
use hyper::StatusCode;
use redis_server::RedisServer;

const NORTH: &str = "north.example";
const SOUTH: &str = "south.example";
/// Logins that may be in flight in the south, and how many of them guests leave free.
const CAP: usize = 10;
const RESERVE: usize = 3;
const SENT: &str = "einlass_overflow_logins_total{pool=\"north\",to=\"south\"}";
const THERE: &str = "einlass_overflow_in_flight_logins{pool=\"north\",to=\"south\"}";
const LIMIT: &str = "einlass_overflow_limit_logins{pool=\"north\",to=\"south\"}";

async fn gateway(north: &Platform, south: &Platform, south_cap: usize, max: usize) -> Gateway {
    let hold = "hold = \"0s\"";
    Setup::default()
        .region("north", north.backends(), 3, &[(NORTH, 900)], hold)
        .region("south", south.backends(), south_cap, &[(SOUTH, 900)], hold)
        .text(&format!(
            "[region.north.overflow]\nto = [\"south\"]\nmax = {max}\n"
        ))
        .start()
        .await
}

fn crowd(gateway: &Gateway, north: &Platform, pupils: u32) -> Plan {
    Plan {
        targets: vec![gateway.edge],
        schools: vec![School::new(NORTH, 900)],
        pupils,
        arrive_over: Duration::from_secs(2),
        platforms: vec![north.control().unwrap()],
        ..Plan::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_lost_half_of_its_capacity_gets_what_the_other_can_spare() {
    let cost = HashCost::about(Duration::from_millis(15)).unwrap();
    let north = platform(1, 2, cost).await;
    let south = platform(1, 8, cost).await;
    let gateway = gateway(&north, &south, CAP, 64).await;
    let quiet_day = Steady::start(gateway.edge, SOUTH, Duration::from_millis(100));
    north.set_workers(1);
    let crowd = tokio::spawn(run(crowd(&gateway, &north, 800)));
    let mut most = 0.0_f64;
    while !crowd.is_finished() {
        most = most.max(gateway.metric(THERE).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let report = crowd.await.unwrap().unwrap();
    let (fine, failed) = quiet_day.end().await;
    // Everybody is in, and every page behind the login came from where the session is.
    assert_eq!(report.got_in, 800);
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    assert_eq!((report.order_inversions, report.shown_place_grew), (0, 0));
    assert_eq!(report.max_in_flight().unwrap().max(3), 3, "in the north");
    let sent = gateway.metric(SENT).await;
    let (own, all) = (fine + failed.len(), south.snapshot(false).totals.received);
    assert!(sent >= 20.0, "{sent} sent to the south");
    assert_eq!(all as usize, own + sent as usize);
    assert_eq!(report.platforms[0].totals.received + sent as u64, 800);
    // Never more than its cap, and what guests leave free is free.
    let busiest = south.snapshot(false).max_in_flight;
    assert!(busiest <= CAP, "{busiest} in flight in the south");
    assert!(most as usize <= CAP - RESERVE, "{most} guests");
    assert!(failed.is_empty(), "{failed:?}");
    let turns = gateway
        .metric("einlass_turns_total{pool=\"south\",outcome=\"Queued\"}")
        .await;
    assert!(turns < 1.0, "{turns} of the south had to wait");

    // Back to normal: what was allowed fades, and nobody is sent any more.
    north.set_workers(2);
    let gateway = &gateway;
    let over = async || gateway.metric(LIMIT).await < 1.0 && gateway.metric(THERE).await < 1.0;
    assert!(eventually(over).await);
    let mut pupil = Browser::new(gateway.edge, NORTH);
    let form = pupil.form().await;
    assert_eq!(pupil.post("/login", &form).await.location(), "/");
    assert!(!pupil.cookies.contains_key("einlass_away"));
    assert_eq!(gateway.metric(SENT).await as u64, sent as u64);
}

/// Sends logins that begin and do not end before the platform works again.
fn hang(gateway: &Gateway, host: &'static str, logins: usize) -> tokio::task::JoinSet<String> {
    let mut hanging = tokio::task::JoinSet::new();
    for _ in 0..logins {
        let mut pupil = Browser::new(gateway.edge, host);
        hanging.spawn(async move {
            let form = pupil.form().await;
            pupil.post("/login", &form).await.location().to_owned()
        });
    }
    hanging
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_where_somebody_waits_and_a_session_stays_where_it_began() {
    let north = platform(1, 2, HashCost::QUICK).await;
    let south = platform(1, 2, HashCost::QUICK).await;
    let gateway = gateway(&north, &south, 4, 2).await;
    south.set_workers(0);
    north.set_workers(0);
    let south_hangs = hang(&gateway, SOUTH, 4);
    assert!(eventually(async || south.in_flight() == 4).await);
    let mut of_the_south = Browser::new(gateway.edge, SOUTH);
    let form = of_the_south.form().await;
    let sent = of_the_south.post("/login", &form).await;
    assert_eq!(sent.location(), "/_einlass/wait");
    let north_hangs = hang(&gateway, NORTH, 3);
    assert!(eventually(async || north.in_flight() == 3).await);
    let mut pupil = Browser::new(gateway.edge, NORTH);
    let form = pupil.form().await;
    assert_eq!(
        pupil.post("/login", &form).await.location(),
        "/_einlass/wait"
    );
    // While the south has its own to wait for, the north waits.
    let mut going = pupil.clone();
    going.until("ready").await;
    let going = tokio::spawn(async move {
        let answer = going.enter().await;
        (answer.location().to_owned(), going)
    });
    let gateway = &gateway;
    let buffered = "einlass_buffered_logins{pool=\"north\"}";
    assert!(eventually(async || gateway.metric(buffered).await > 0.0).await);
    assert!(gateway.metric(LIMIT).await < 1.0);
    assert_eq!(south.snapshot(false).totals.received, 4);

    // It works again, lets its own in, and after a while helps out.
    south.set_workers(2);
    of_the_south.until("ready").await;
    assert_eq!(of_the_south.enter().await.location(), "/");
    let (location, mut pupil) = going.await.unwrap();
    assert_eq!(location, "/");
    assert!(gateway.metric(SENT).await >= 1.0);
    assert_eq!(south.snapshot(false).totals.logged_in, 6);
    assert_eq!(north.in_flight(), 3, "the north still hangs");

    // The session is known in the south only, and that is where its requests go.
    assert_eq!(pupil.get("/page/1").await.status, StatusCode::OK);
    let led = pupil.cookies.clone();
    assert!(!led["einlass_away"].contains("south"), "{led:?}");
    // Forged, of another school, or named by hand, the cookie leads nowhere else.
    for away in ["south", "", &led["einlass_away"].replace(['A', 'b'], "B")] {
        let mut other = pupil.clone();
        other.cookies.insert("einlass_away".into(), away.to_owned());
        assert_eq!(other.get("/page/1").await.location(), "/login");
    }
    let mut request = get("/page/1", SOUTH);
    let cookie = format!("einlass_away={}", led["einlass_away"]);
    request
        .headers_mut()
        .insert("cookie", cookie.parse().unwrap());
    assert_eq!(send(gateway.edge, request).await.location(), "/login");

    // Whoever logs in at home again is at home again.
    north.set_workers(2);
    for login in [south_hangs, north_hangs] {
        for location in login.join_all().await {
            assert_eq!(location, "/");
        }
    }
    let at_home = async || {
        let mut again = pupil.clone();
        let form = again.form().await;
        let before = north.snapshot(false).totals.logged_in;
        let inside = again.post("/login", &form).await.location() == "/";
        inside
            && north.snapshot(false).totals.logged_in > before
            && !again.cookies.contains_key("einlass_away")
            && again.get("/page/1").await.status == StatusCode::OK
    };
    assert!(eventually(at_home).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_lend_from_their_own_shares_and_the_sum_is_right() {
    let cost = HashCost::about(Duration::from_millis(15)).unwrap();
    let north = platform(1, 1, cost).await;
    let south = platform(1, 16, cost).await;
    let redis = RedisServer::start(&[]);
    let setup = || {
        let store = format!("[store]\nredis = \"redis://127.0.0.1:{}\"\n", redis.port);
        Setup::default()
            .region("north", north.backends(), 4, &[(NORTH, 900)], "")
            .region("south", south.backends(), 16, &[(SOUTH, 900)], "")
            .text("[region.north.overflow]\nto = [\"south\"]\n")
            .text(&store)
    };
    let first = setup().start().await;
    let second = setup().start_beside(&first).await;
    for gateway in [&first, &second] {
        gateway.until_mode("shared").await;
    }
    let quiet_days = [&first, &second]
        .map(|gateway| Steady::start(gateway.edge, SOUTH, Duration::from_millis(200)));
    let plan = Plan {
        targets: vec![first.edge, second.edge],
        move_between: true,
        joins_apart: Duration::from_secs(1),
        ..crowd(&first, &north, 800)
    };
    let report = run(plan).await.unwrap();
    assert_eq!(report.got_in, 800);
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    assert!(report.max_in_flight().unwrap() <= 4, "in the north");
    let mut own = 0;
    for quiet_day in quiet_days {
        let (fine, failed) = quiet_day.end().await;
        assert!(failed.is_empty(), "{failed:?}");
        own += fine;
    }
    let sent = [first.metric(SENT).await, second.metric(SENT).await];
    assert!(sent.iter().sum::<f64>() >= 20.0, "{sent:?}");
    let seen = south.snapshot(false);
    assert_eq!(
        seen.totals.received as usize,
        own + sent.iter().sum::<f64>() as usize
    );
    assert!(seen.max_in_flight <= 16, "{}", seen.max_in_flight);
}
