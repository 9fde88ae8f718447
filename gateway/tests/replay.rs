//! One ticket at several gateways: at once, and again after Redis has forgotten that it was used.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;
#[path = "../../admission/tests/server/mod.rs"]
mod redis_server;

use std::time::Duration;

use common::fleet::slots_of;
use common::{Browser, Gateway, Setup, eventually, platform};
use einlass_benches::platform::{HashCost, Platform};
use redis_server::RedisServer;

const GYM: &str = "gym.example";

struct Fleet {
    redis: RedisServer,
    platform: Platform,
    gateways: Vec<Gateway>,
}

impl Fleet {
    async fn start() -> Self {
        let platform = platform(1, 1, HashCost::QUICK).await;
        let redis = RedisServer::start(&[]);
        let schools = [(GYM, 900)];
        let setup = Setup::default()
            // A slot for each of them.
            .region("north", platform.backends(), 3, &schools, "hold = \"0s\"")
            .text(&format!(
                "[store]\nredis = \"redis://127.0.0.1:{}\"\n",
                redis.port
            ));
        let mut gateways = vec![setup.clone().start().await];
        while gateways.len() < 3 {
            gateways.push(setup.clone().start_beside(&gateways[0]).await);
        }
        let fleet = Self {
            redis,
            platform,
            gateways,
        };
        fleet.until_shared().await;
        fleet
    }

    async fn until_shared(&self) {
        for gateway in &self.gateways {
            gateway.until_mode("shared").await;
        }
    }

    /// Logins that reached the platform.
    fn received(&self) -> u64 {
        self.platform.snapshot(false).totals.received
    }

    /// A browser that waited while others' logins were under way, and is called.
    async fn called(&self) -> Browser {
        // A gateway that has no slot just then would send its browser to wait.
        for gateway in &self.gateways {
            assert!(eventually(async || slots_of(gateway).await >= 1.0).await);
        }
        self.platform.set_workers(0);
        let mut busy = Vec::new();
        for gateway in &self.gateways {
            let mut other = Browser::new(gateway.edge, GYM);
            let form = other.form().await;
            busy.push(tokio::spawn(
                async move { other.post("/login", &form).await },
            ));
        }
        let all = self.gateways.len();
        assert!(eventually(async || self.platform.in_flight() == all).await);
        let mut browser = Browser::new(self.gateways[0].edge, GYM);
        let form = browser.form().await;
        let sent = browser.post("/login", &form).await;
        assert_eq!(sent.location(), "/_einlass/wait");
        self.platform.set_workers(1);
        for other in busy {
            other.await.unwrap();
        }
        browser.until("ready").await;
        browser
    }

    /// The same browser at each of the gateways, at once: how many of them are in afterwards.
    async fn everywhere(&self, browser: &Browser) -> usize {
        let all = self.gateways.iter().map(|gateway| {
            let mut browser = browser.clone();
            browser.address = gateway.edge;
            tokio::spawn(async move {
                browser.enter().await;
                browser.logged_in()
            })
        });
        let mut inside = 0;
        for one in all.collect::<Vec<_>>() {
            inside += usize::from(one.await.unwrap());
        }
        inside
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_admits_once_however_many_gateways_are_asked() {
    let fleet = Fleet::start().await;
    for _ in 0..5 {
        let browser = fleet.called().await;
        let before = fleet.received();
        assert_eq!(fleet.everywhere(&browser).await, 1);
        assert_eq!(fleet.received(), before + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_ticket_stays_used_when_redis_forgets() {
    let mut fleet = Fleet::start().await;
    fleet.redis.cli(&["SAVE"]);
    fleet.redis.snapshot(true);
    let forgetful: [fn(&mut RedisServer); 3] = [
        |redis| drop(redis.cli(&["FLUSHALL"])),
        |redis| {
            redis.kill();
            redis.remove_data();
            redis.restart();
        },
        |redis| {
            redis.kill();
            redis.snapshot(false);
            redis.restart();
        },
    ];
    for (number, forget) in forgetful.into_iter().enumerate() {
        let mut browser = fleet.called().await;
        let used = browser.clone();
        // Used at another gateway each time.
        browser.address = fleet.gateways[number].edge;
        browser.enter().await;
        assert!(browser.logged_in());
        let before = fleet.received();
        forget(&mut fleet.redis);
        // Until the gateways can have noticed.
        tokio::time::sleep(Duration::from_millis(700)).await;
        fleet.until_shared().await;
        // Where it was used it is answered as it was: that is no second login.
        assert!(fleet.everywhere(&used).await <= 1);
        assert_eq!(fleet.received(), before, "after loss {number}");
    }
}
