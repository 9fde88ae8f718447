//! The adaptive pacer at a whole gateway: it finds what nobody told it, and a backend that hangs is
//! no calm.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test may fail"
)]

mod common;

use std::time::Duration;

use common::backend::{Backend, FINE};
use common::{Setup, eventually};
use common::{platform, post};
use einlass_benches::platform::HashCost;
use einlass_benches::rush::{Plan, School, run};

const HOST: &str = "gym.example";
const CAP: &str = "einlass_in_flight_cap_logins{pool=\"north\"}";

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

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_hangs_is_loss_and_not_calm() {
    let backend = Backend::start(FINE).await;
    let gateway = adaptive(Setup::default(), &[backend.address], 500)
        .start()
        .await;
    // The pacer learns how long a login takes.
    let mut sent = 0;
    let knows = async || {
        for _ in 0..20 {
            common::send(gateway.edge, post("/login", HOST, "a=b")).await;
        }
        gateway
            .metric("einlass_login_classes_total{pool=\"north\",class=\"WrongPassword\"}")
            .await
            > 40.0
    };
    assert!(eventually(knows).await);
    let before = gateway.metric(CAP).await;
    // From now on nothing is answered, and the login timeout is 30 s away.
    backend.close();
    let mut hanging = tokio::task::JoinSet::new();
    let falls = async || {
        let edge = gateway.edge;
        let _ = edge;
        gateway.metric(CAP).await < before.max(2.0)
    };
    while sent < 200 {
        let edge = gateway.edge;
        hanging.spawn(async move {
            let _ = common::try_send(edge, post("/login", HOST, "a=b")).await;
        });
        sent += 1;
    }
    assert!(eventually(falls).await, "{before}");
    backend.open();
}
