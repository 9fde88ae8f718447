//! Crowds against a real gateway process: everybody gets in, in order, and never more at once
//! than the cap, as the backend itself records it.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::time::Duration;

use common::{Gateway, Setup, get, platform, post, try_send};
use einlass_benches::platform::{HashCost, Platform};
use einlass_benches::rush::{Plan, Report, School, run};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const SMALL: &str = "small.example";
const LARGE: &str = "large.example";

fn schools() -> Vec<School> {
    vec![School::new(SMALL, 100), School::new(LARGE, 1_000)]
}

fn plan(gateway: &Gateway, platform: &Platform, pupils: u32) -> Plan {
    Plan {
        targets: vec![gateway.edge],
        schools: schools(),
        pupils,
        arrive_over: Duration::from_secs(2),
        platforms: vec![platform.control().unwrap()],
        ..Plan::default()
    }
}

fn complaints(report: &Report, cap: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    let wanted = report.started - report.gave_up - report.no_show;
    must(
        report.got_in == wanted,
        format!("{} of {wanted} got in", report.got_in),
    );
    must(
        report.errors.is_empty(),
        format!("errors {:?}", report.errors),
    );
    must(
        report.order_inversions == 0,
        format!("{} inversions", report.order_inversions),
    );
    must(
        report.shown_place_grew == 0,
        format!("a place grew {} times", report.shown_place_grew),
    );
    must(
        report.asked_again == 0,
        format!("{} had to type again", report.asked_again),
    );
    let peak = report.max_in_flight().unwrap();
    must(peak <= cap, format!("{peak} logins in flight, cap {cap}"));
    must(report.waited > 0, "nobody waited: not a rush".to_owned());
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_in_in_order_and_never_more_at_once_than_the_cap() {
    let cost = HashCost::about(Duration::from_millis(20)).unwrap();
    let platform = platform(2, 2, cost).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            4,
            &[(SMALL, 100), (LARGE, 1_000)],
            "",
        )
        .start()
        .await;
    let report = run(Plan {
        give_up: 0.03,
        mistype: 0.05,
        no_show: 0.05,
        ..plan(&gateway, &platform, 1_100)
    })
    .await
    .unwrap();
    let wrong = complaints(&report, 4);
    assert!(wrong.is_empty(), "{wrong:?}\n{report:#?}");
    let median = |host| {
        let school = report.schools.iter().find(|s| s.host == host).unwrap();
        school.wait.p50
    };
    let (small, large) = (median(SMALL), median(LARGE));
    // The figure asked for is 10 %; what a poll interval and a busy machine add has room here, and
    // the figure itself is what the campaign reports.
    assert!(
        (small / large - 1.0).abs() < 0.25,
        "median waits {small} s and {large} s"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_in_the_middle_of_the_rush_loses_no_place() {
    for hard in [false, true] {
        let cost = HashCost::about(Duration::from_millis(20)).unwrap();
        let platform = platform(2, 2, cost).await;
        let mut gateway = Setup::default()
            .region(
                "north",
                platform.backends(),
                4,
                &[(SMALL, 100), (LARGE, 1_000)],
                "",
            )
            .start()
            .await;
        let plan = plan(&gateway, &platform, 1_100);
        let live = plan.live.clone();
        let rush = tokio::spawn(run(plan));
        // Everybody has a place, and some are in already.
        tokio::time::timeout(
            Duration::from_mins(1),
            live.until(|l| l.answered() == 1_100 && l.got_in() > 0),
        )
        .await
        .unwrap();
        assert!(live.waiting() > 100, "{live:?}");
        if hard {
            gateway.kill();
        } else {
            assert!(gateway.stop().await.1);
        }
        gateway.run().await;
        let report = rush.await.unwrap().unwrap();
        // Connections break while nobody listens; what must not break is a place.
        assert_eq!(report.got_in, report.started, "hard {hard}: {report:#?}");
        assert_eq!(report.asked_again, 0, "hard {hard}");
        assert_eq!(report.lost_place, 0, "hard {hard}");
        assert_eq!(report.shown_place_grew, 0, "hard {hard}");
        assert_eq!(report.order_inversions, 0, "hard {hard}");
        assert_eq!(report.reloads, 0, "hard {hard}: nobody starts again");
        // A gateway that is told to stop waits for what is in flight; one that is killed cannot.
        let abandoned = report.platforms[0].totals.abandoned;
        assert!(
            abandoned <= if hard { 4 } else { 0 },
            "hard {hard}: {abandoned}"
        );
    }
}

/// Fills the room over a few connections, as fast as the gateway takes it.
async fn fill(gateway: &Gateway, pupils: usize) {
    const CONNECTIONS: usize = 16;
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let address = gateway.edge;
        tasks.push(tokio::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream))
                    .await
                    .unwrap();
            tokio::spawn(connection);
            for _ in 0..pupils / CONNECTIONS {
                let form = "username=pupil001&password=demo-password&csrf=x";
                let answer = sender
                    .send_request(post("/login", LARGE, form))
                    .await
                    .unwrap();
                assert_eq!(answer.headers()["location"], "/_einlass/wait");
                drop(http_body_util::BodyExt::collect(answer.into_body()).await);
                sender.ready().await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rush_of_fifty_thousand_waiting_costs_no_memory_per_pupil() {
    let platform = platform(1, 1, HashCost::QUICK).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(LARGE, 1_000)],
            "mode = \"closed\"",
        )
        .start()
        .await;
    // The first thousands warm up allocator, pools and histograms.
    fill(&gateway, 8_000).await;
    let before = gateway.resident();
    fill(&gateway, 48_000).await;
    let after = gateway.resident();
    let waiting = gateway
        .metric("einlass_waiting_pupils{pool=\"north\"}")
        .await;
    assert!(waiting >= 50_000.0, "{waiting} waiting");
    let per_pupil = after.saturating_sub(before) as f64 / 48_000.0;
    // 48,000 queued requests in a list of whatever kind would need far more than this each.
    assert!(
        per_pupil < 24.0,
        "{per_pupil:.1} bytes per pupil ({before} to {after})"
    );
    let state = std::fs::metadata(gateway.dir.path().join("state/rooms.json")).unwrap();
    assert!(state.len() < 1_000, "state file of {} bytes", state.len());
    assert!(
        try_send(gateway.edge, get("/_einlass/turn", LARGE))
            .await
            .is_ok()
    );
}
