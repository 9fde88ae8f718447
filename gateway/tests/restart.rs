//! All backends of a pool are restarted, one after the other, while a crowd logs in: as an operator
//! does it on the morning when it cannot wait.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use common::{Gateway, Setup, drain, eventually, get, send};
use einlass_benches::platform::{Platform, PlatformOptions, SESSION_COOKIE};
use einlass_benches::rush::{Plan, School, run};
use hyper::StatusCode;

const GYM: &str = "gym.example";
const BACKENDS: usize = 4;
const PUPILS: u32 = 700;
const PAGES: u32 = 7;
/// How long a backend is away.
const RESTART: Duration = Duration::from_secs(1);

/// One server with its own hashing and its own sessions, which outlast a restart as files do.
async fn server() -> Platform {
    let options = PlatformOptions {
        control: Some("127.0.0.1:0".parse().unwrap()),
        workers: 2,
        least: Duration::from_millis(60),
        ..PlatformOptions::default()
    };
    Platform::start(options).await.unwrap()
}

async fn told(gateway: &Gateway, backend: SocketAddr) -> serde_json::Value {
    let all = send(gateway.desk, get("/api/v1/backends", "desk"))
        .await
        .json();
    let mut all = all.as_array().unwrap().iter();
    all.find(|told| told["backend"] == backend.to_string())
        .unwrap()
        .clone()
}

/// Empties a backend, restarts it, and uses it again.
async fn restart(gateway: &Gateway, server: &mut Platform) {
    let backend = server.backends()[0];
    let answer = drain(gateway, "north", backend, true).await;
    assert_eq!(answer.status, StatusCode::OK);
    // Logins under way finish. Those who are in go on; for them alone the backend is still there.
    let no_login = async || server.in_flight() == 0;
    assert!(eventually(no_login).await);
    server.stop_backend(0).await.unwrap();
    tokio::time::sleep(RESTART).await;
    server.restart_backend(0).await.unwrap();
    let back = async || told(gateway, backend).await["state"] == "draining";
    assert!(eventually(back).await, "{}", told(gateway, backend).await);
    let answer = drain(gateway, "north", backend, false).await;
    assert_eq!(answer.json()["drain"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_of_all_backends_in_a_rush_costs_no_login_no_session_and_no_page() {
    let mut servers = Vec::new();
    for _ in 0..BACKENDS {
        servers.push(server().await);
    }
    let addresses: Vec<SocketAddr> = servers.iter().map(|s| s.backends()[0]).collect();
    let gateway = Setup::default()
        .region("north", &addresses, 8, &[(GYM, 900)], "")
        .text(&format!(
            "[region.north.affinity]\ncookie = \"{SESSION_COOKIE}\"\n\
             [region.north.balancing]\nslow_start = \"2s\"\n"
        ))
        .start()
        .await;
    // A hundred logins a second or so are possible; so many come, and for a while there are fewer
    // servers. Those who are in look at pages throughout.
    let plan = Plan {
        targets: vec![gateway.edge],
        schools: vec![School::new(GYM, 900)],
        pupils: PUPILS,
        arrive_over: Duration::from_secs(7),
        think: (Duration::from_millis(200), Duration::from_millis(1_500)),
        pages: PAGES,
        reloads: 0,
        platforms: servers.iter().map(|s| s.control().unwrap()).collect(),
        ..Plan::default()
    };
    let seen = u64::from(PUPILS * (PAGES + 1));
    let live = plan.live.clone();
    let rush = tokio::spawn(run(plan));
    let enough = live.until(|live| live.pages() > 200);
    tokio::time::timeout(Duration::from_mins(1), enough)
        .await
        .unwrap();
    for server in &mut servers {
        restart(&gateway, server).await;
    }
    assert!(live.pages() < seen, "the crowd was gone too soon: {live:?}");
    let report = rush.await.unwrap().unwrap();

    assert!(report.errors.is_empty(), "{:?}", report.errors);
    assert_eq!(report.got_in, u64::from(PUPILS));
    assert_eq!((report.lost_place, report.asked_again), (0, 0));
    assert_eq!(report.pages, seen, "each page was seen");
    let totals: Vec<_> = report
        .platforms
        .iter()
        .map(|platform| platform.totals)
        .collect();
    assert!(
        totals.iter().all(|t| t.strangers == 0),
        "a session was lost: {totals:?}"
    );
    assert!(
        totals
            .iter()
            .all(|t| t.abandoned + t.overloaded + t.csrf_refused == 0)
    );
    assert!(
        totals.iter().all(|t| t.logged_in > 0),
        "each had its part: {totals:?}"
    );
    // Each pupil's login has reached one server, and once.
    let mut logins: BTreeMap<String, u32> = BTreeMap::new();
    for server in &servers {
        for login in server.snapshot(true).logins {
            *logins.entry(login.tag.unwrap()).or_default() += 1;
        }
    }
    assert_eq!(logins.len(), PUPILS as usize);
    assert!(logins.values().all(|times| *times == 1), "{logins:?}");
}
