//! The crowd straight at a platform, and through gateways that make it wait.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod fake_gateway;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use einlass_benches::platform::{Platform, PlatformOptions};
use einlass_benches::rush::{self, Connections, Patience, Plan, Report, RushError, School};
use fake_gateway::{FakeGateway, Manners};
use tokio::time::timeout;

/// Long enough for any rush here, short enough not to hang.
const BOUND: Duration = Duration::from_secs(9);

async fn platform() -> Platform {
    let control = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    Platform::start(PlatformOptions {
        control,
        workers: 2,
        ..PlatformOptions::default()
    })
    .await
    .unwrap()
}

async fn run(plan: Plan) -> Report {
    timeout(BOUND, rush::run(plan))
        .await
        .expect("the rush takes too long")
        .unwrap()
}

/// A short morning: nobody thinks long.
fn plan(to: SocketAddr, pupils: u32) -> Plan {
    Plan {
        targets: vec![to],
        pupils,
        arrive_over: Duration::from_millis(500),
        think: (Duration::ZERO, Duration::from_millis(20)),
        reload_after: (Duration::from_millis(10), Duration::from_millis(50)),
        ..Plan::default()
    }
}

#[tokio::test]
async fn a_few_hundred_pupils_get_straight_in() {
    let platform = platform().await;
    let report = run(Plan {
        schools: vec![School::new("a.example", 300), School::new("b.example", 100)],
        mistype: 0.25,
        platforms: vec![platform.control().unwrap()],
        ..plan(platform.backends()[0], 400)
    })
    .await;
    assert_eq!(
        (report.started, report.got_in, report.straight + report.held),
        (400, 400, 400),
        "{report}"
    );
    assert_eq!(
        (report.waited, report.polls, report.errors_total()),
        (0, 0, 0),
        "{report}"
    );
    assert_eq!(report.pages, 400 * 3);
    assert_eq!(
        (report.schools[0].started, report.schools[1].got_in),
        (300, 100)
    );
    assert!(
        report.wait.p50 > 0.0
            && report.wait.p50 <= report.wait.p99
            && report.wait.p99 <= report.wait.max
    );
    assert!((50..150).contains(&report.mistyped), "{}", report.mistyped);
    let record = &report.platforms[0];
    assert_eq!(
        (record.totals.logged_in, record.totals.wrong_password),
        (400, report.mistyped)
    );
    assert!(record.max_in_flight >= 1);
    assert_eq!(
        report
            .timeline
            .iter()
            .map(|second| second.got_in)
            .sum::<u64>(),
        400
    );
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap().got_in, 400);
}

#[tokio::test]
async fn the_same_seed_sends_the_same_crowd() {
    let platform = platform().await;
    let crowd = Plan {
        mistype: 0.5,
        arrive_over: Duration::from_millis(50),
        ..plan(platform.backends()[0], 60)
    };
    let (one, two) = (
        run(crowd.clone()).await,
        run(Plan {
            live: Arc::default(),
            ..crowd
        })
        .await,
    );
    assert_eq!(one.mistyped, two.mistyped);
}

#[tokio::test]
async fn whoever_has_to_wait_polls_enters_and_is_in() {
    let platform = platform().await;
    let gateway = FakeGateway::start(platform.backends()[0], Manners::default()).await;
    let connections = Connections::PerRequest;
    let report = run(Plan {
        mistype: 0.2,
        connections,
        ..plan(gateway.address, 100)
    })
    .await;
    assert_eq!(
        (report.got_in, report.waited, report.errors_total()),
        (100, 100, 0),
        "{report}"
    );
    assert_eq!(
        (
            report.order_inversions,
            report.shown_place_grew,
            report.asked_again
        ),
        (0, 0, 0),
        "{report}"
    );
    assert_eq!(report.polls, 100 * 3);
    assert_eq!(report.eta_first.count, 100);
    assert!(report.eta_first.covered.unwrap() > 0.9, "{report}");
    assert_eq!(
        platform.snapshot(false).totals.wrong_password,
        report.mistyped
    );
}

#[tokio::test]
async fn an_unjust_door_and_a_growing_place_are_found() {
    let platform = platform().await;
    let unjust = Manners {
        polls: |ticket| if ticket == 0 { 30 } else { 1 },
        ahead_grows: true,
        ..Manners::default()
    };
    let gateway = FakeGateway::start(platform.backends()[0], unjust).await;
    let report = run(plan(gateway.address, 20)).await;
    assert_eq!(report.got_in, 20);
    assert!(report.order_inversions > 0, "{report}");
    assert!(report.shown_place_grew > 0, "{report}");
}

#[tokio::test]
async fn somebody_asked_to_log_in_again_does_so() {
    let platform = platform().await;
    let forgetful = Manners {
        asks_again: true,
        ..Manners::default()
    };
    let gateway = FakeGateway::start(platform.backends()[0], forgetful).await;
    let report = run(plan(gateway.address, 30)).await;
    assert_eq!(
        (report.got_in, report.asked_again, report.errors_total()),
        (30, 30, 0),
        "{report}"
    );
}

#[tokio::test]
async fn some_lose_patience_and_some_never_come() {
    let platform = platform().await;
    let endless = Manners {
        polls: |_| usize::MAX,
        ..Manners::default()
    };
    let gateway = FakeGateway::start(platform.backends()[0], endless).await;
    let report = run(Plan {
        no_show: 0.3,
        give_up: 1.0,
        patience: Patience::Uniform(Duration::from_millis(300), Duration::from_millis(600)),
        ..plan(gateway.address, 100)
    })
    .await;
    assert_eq!((report.got_in, report.failed), (0, 0), "{report}");
    assert_eq!(report.gave_up + report.no_show, 100);
    assert!((15..50).contains(&report.no_show), "{}", report.no_show);
}

#[tokio::test]
async fn the_waiting_page_outlives_a_gateway_that_is_away() {
    let platform = platform().await;
    let patient = Manners {
        polls: |_| 20,
        ..Manners::default()
    };
    let gateway = FakeGateway::start(platform.backends()[0], patient).await;
    let crowd = Plan {
        arrive_over: Duration::from_millis(50),
        ..plan(gateway.address, 20)
    };
    let live = Arc::clone(&crowd.live);
    let rush = tokio::spawn(run(crowd));
    timeout(BOUND, live.until(|live| live.waiting() == 20))
        .await
        .unwrap();
    gateway.away.store(true, SeqCst);
    timeout(BOUND, live.until(|live| live.errors() >= 20))
        .await
        .unwrap();
    gateway.away.store(false, SeqCst);
    let report = rush.await.unwrap();
    assert_eq!((report.got_in, report.failed), (20, 0), "{report}");
    assert!(report.errors["http_502"] >= 20);
}

#[tokio::test]
async fn nobody_there_is_an_error_not_a_crash() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let report = run(Plan {
        reloads: 1,
        ..plan(free, 10)
    })
    .await;
    assert_eq!(
        (report.failed, report.errors["refused"]),
        (10, 20),
        "{report}"
    );
    let foreign = SocketAddr::from(([192, 0, 2, 1], 80));
    assert!(matches!(
        rush::run(plan(foreign, 1)).await,
        Err(RushError::NotLoopback(_))
    ));
}

/// Run it alone and optimised: it needs both ends of tens of thousands of connections.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and all of the machine"]
async fn fifty_thousand_wait_at_once() {
    const CROWD: u32 = 50_000;
    let platform = Platform::start(PlatformOptions {
        workers: 2,
        ..PlatformOptions::default()
    })
    .await
    .unwrap();
    let endless = Manners {
        polls: |_| usize::MAX,
        poll_after: 15.0,
        ..Manners::default()
    };
    let gateway = FakeGateway::start(platform.backends()[0], endless).await;
    let crowd = Plan {
        schools: rush::generated(40, 1),
        arrive_over: Duration::from_mins(1),
        pages: 0,
        connections: Connections::PerRequest,
        ..plan(gateway.address, CROWD)
    };
    let live = Arc::clone(&crowd.live);
    let rush = tokio::spawn(rush::run(crowd));
    let minutes = Duration::from_mins(5);
    timeout(
        minutes,
        live.until(|live| live.waiting() == u64::from(CROWD)),
    )
    .await
    .unwrap();
    let asked = live.polls() + u64::from(CROWD);
    timeout(minutes, live.until(|live| live.polls() >= asked))
        .await
        .unwrap();
    assert_eq!((live.waiting(), live.errors()), (u64::from(CROWD), 0));
    let memory = std::fs::read_to_string("/proc/self/status").unwrap();
    println!(
        "Both ends: {}",
        memory
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap()
    );
    rush.abort();
}
