//! Several gateways and a real Redis, with a crowd that moves between them from request to request.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;
mod redis_server;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Gateway, Setup, platform};
use einlass_benches::platform::{HashCost, Platform};
use einlass_benches::rush::{Plan, Report, School, run};
use redis_server::RedisServer;

const SMALL: &str = "small.example";
const LARGE: &str = "large.example";
const CAP: usize = 12;

struct Fleet {
    redis: RedisServer,
    platform: Platform,
    gateways: Vec<Gateway>,
}

impl Fleet {
    async fn start(gateways: usize) -> Self {
        let cost = HashCost::about(Duration::from_millis(20)).unwrap();
        let platform = platform(2, 2, cost).await;
        let redis = RedisServer::start(&[]);
        let setup = Setup::default()
            .region(
                "north",
                platform.backends(),
                CAP,
                &[(SMALL, 100), (LARGE, 1_000)],
                "",
            )
            .text(&format!(
                "[store]\nredis = \"redis://127.0.0.1:{}\"\n",
                redis.port
            ));
        let first = setup.clone().start().await;
        let mut all = vec![first];
        while all.len() < gateways {
            all.push(setup.clone().start_beside(&all[0]).await);
        }
        for gateway in &all {
            gateway.until_mode("shared").await;
        }
        Self {
            redis,
            platform,
            gateways: all,
        }
    }

    /// 85, 10 and 5 of a hundred requests.
    fn skewed(&self) -> Vec<SocketAddr> {
        let weights = [17, 2, 1];
        let mut targets = Vec::new();
        for (gateway, weight) in self.gateways.iter().zip(weights) {
            targets.extend(std::iter::repeat_n(gateway.edge, weight));
        }
        targets
    }

    fn plan(&self, pupils: u32) -> Plan {
        Plan {
            targets: self.skewed(),
            move_between: true,
            schools: vec![School::new(SMALL, 100), School::new(LARGE, 1_000)],
            pupils,
            arrive_over: Duration::from_secs(2),
            platforms: vec![self.platform.control().unwrap()],
            ..Plan::default()
        }
    }
}

fn complaints(report: &Report) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    must(
        report.got_in == report.started,
        format!("{} of {} got in", report.got_in, report.started),
    );
    must(report.errors.is_empty(), format!("{:?}", report.errors));
    must(report.asked_again == 0, format!("{} typed again", report.asked_again));
    must(report.lost_place == 0, format!("{} lost places", report.lost_place));
    must(report.shown_place_grew == 0, format!("{} grew", report.shown_place_grew));
    let peak = report.max_in_flight().unwrap();
    must(peak <= CAP, format!("{peak} in flight"));
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn three_gateways_share_one_room() {
    let fleet = Fleet::start(3).await;
    let report = run(fleet.plan(1_100)).await.unwrap();
    println!("{report:#?}");
    let wrong = complaints(&report);
    assert!(wrong.is_empty(), "{wrong:?}");
}
