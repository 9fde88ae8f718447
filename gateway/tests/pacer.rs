//! The adaptive pacer at a whole gateway: it finds what nobody told it, and a backend that hangs is
//! no calm.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test may fail"
)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::backend::{Backend, FINE};
use common::{Browser, Setup, eventually, platform};
use einlass_benches::platform::HashCost;
use einlass_benches::rush::{Plan, School, run};
use hyper::StatusCode;

const HOST: &str = "gym.example";
const CAP: &str = "einlass_in_flight_cap_logins{pool=\"north\"}";
const IN_FLIGHT: &str = "einlass_in_flight_logins{pool=\"north\"}";
const DOWN: &str = "einlass_pool_down{pool=\"north\"}";

fn adaptive(setup: Setup, backends: &[std::net::SocketAddr], max: usize) -> Setup {
    setup.region(
        "north",
        backends,
        max,
        &[(HOST, 900)],
        "mode = \"adaptive\"",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pacer_lets_in_what_the_backend_can_work_on_and_not_what_it_may() {
    let cost = HashCost::about(Duration::from_millis(40)).unwrap();
    let platform = platform(2, 1, cost).await;
    let gateway = adaptive(Setup::default(), platform.backends(), 500)
        .start()
        .await;
    let plan = Plan {
        targets: vec![gateway.edge],
        schools: vec![School::new(HOST, 900)],
        pupils: 300,
        arrive_over: Duration::from_secs(1),
        platforms: vec![platform.control().unwrap()],
        ..Plan::default()
    };
    let report = run(plan).await.unwrap();
    assert_eq!(
        report.got_in,
        report.started - report.gave_up - report.no_show
    );
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    assert_eq!(report.order_inversions, 0);
    // One worker: two or three in flight keep it busy. What noise adds is far from five hundred.
    let most = report.max_in_flight().unwrap();
    assert!((2..=60).contains(&most), "{most}");
}

/// What a login takes at the backend: for those that are meant to be slow as long as the gateway waits.
fn takes(request: &str) -> Duration {
    if request.contains("a=slow") {
        Duration::from_secs(30)
    } else {
        Duration::from_millis(200)
    }
}

/// Logs in as a browser does: waits for the turn, if need be.
async fn log_in(edge: SocketAddr, form: &str) {
    let mut browser = Browser::new(edge, HOST);
    if browser.post("/login", form).await.status == StatusCode::SEE_OTHER {
        browser.until("ready").await;
        browser.enter().await;
    }
}

async fn log_in_for_ever(edge: SocketAddr) {
    loop {
        log_in(edge, "a=b").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_takes_half_a_minute_is_loss_and_not_calm() {
    let backend = Backend::taking(takes, FINE).await;
    let gateway = adaptive(Setup::default().not_new(&["north"]), &[backend.address], 64)
        .start()
        .await;
    let edge = gateway.edge;
    // Nobody waits at this backend, so the pacer goes on to let more in.
    let mut usual = Vec::new();
    for _ in 0..96 {
        usual.push(tokio::spawn(log_in_for_ever(edge)));
    }
    let up = async || gateway.metric(CAP).await >= 48.0;
    assert!(eventually(up).await, "{}", gateway.metric(CAP).await);
    for others in usual.drain(8..) {
        others.abort();
    }
    let few = async || gateway.metric(IN_FLIGHT).await <= 8.0;
    assert!(eventually(few).await, "those who were aborted have left");
    let before = gateway.metric(CAP).await;
    assert!(before >= 48.0, "{before}");

    // There is a slot for each of them, and eight are left for those who are answered as ever.
    let mut slow = tokio::task::JoinSet::new();
    for _ in 0..40 {
        slow.spawn(async move { log_in(edge, "a=slow").await });
    }
    let falls = async || {
        let metrics = common::send(gateway.desk, common::get("/metrics", "desk")).await;
        let metrics = metrics.text();
        let value = |line: &str| -> f64 {
            let of = |l: &str| l.strip_prefix(line)?.trim().parse().ok();
            metrics.lines().find_map(of).unwrap()
        };
        let down = value(DOWN);
        assert!(
            down < 0.5,
            "it is taken to be down, at a cap of {}",
            value(CAP)
        );
        value(CAP) <= before / 2.0
    };
    assert!(eventually(falls).await, "{before}");
    for usual in usual {
        usual.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_observes_holds_nobody_and_says_what_it_would_allow() {
    let backend = Backend::taking(|_| Duration::from_secs(3), FINE).await;
    let observe = "mode = \"observe\"";
    let gateway = Setup::default()
        .region("north", &[backend.address], 4, &[(HOST, 900)], observe)
        .start()
        .await;
    let edge = gateway.edge;
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..40 {
        logins.spawn(async move { Browser::new(edge, HOST).post("/login", "a=b").await.status });
    }
    let all = async || gateway.metric(IN_FLIGHT).await >= 40.0;
    assert!(eventually(all).await, "{}", gateway.metric(IN_FLIGHT).await);
    let cap = gateway.metric(CAP).await;
    assert!((1.0..=4.0).contains(&cap), "{cap}");
    while let Some(status) = logins.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_closed_room_lets_nobody_in_and_its_page_says_why() {
    let backend = Backend::start(FINE).await;
    let gateway = Setup::default()
        .region(
            "north",
            &[backend.address],
            4,
            &[(HOST, 900)],
            "mode = \"closed\"\nhold = \"0s\"",
        )
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, HOST);
    let sent = browser.post("/login", "user=x").await;
    assert_eq!(sent.location(), "/_einlass/wait");
    let why = "Die Anmeldung ist im Moment geschlossen. Du behältst deinen Platz.";
    let page = browser.get("/_einlass/wait").await.text();
    assert!(page.contains(why), "{page}");
    let turn = browser.turn().await;
    assert_eq!(
        (&turn["state"], &turn["message"]),
        (&"closed".into(), &why.into())
    );
    assert_eq!(turn["eta_seconds"], serde_json::Value::Null);
    assert!(!backend.last().starts_with("post"), "nobody was let in");
}
