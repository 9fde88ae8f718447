//! What those who wait are told of the time it takes.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::time::Duration;

use common::{Browser, Gateway, Setup, eventually, platform};
use einlass_benches::platform::HashCost;
use hyper::StatusCode;
use serde_json::Value;
use tokio::task::JoinSet;

const GYM: &str = "gym.example";
/// So many log in at once; at one slot they are some quarter of a minute of work.
const CROWD: usize = 40;

async fn forecasts(gateway: &Gateway, result: &str) -> f64 {
    let name = format!("einlass_eta_forecasts_total{{pool=\"north\",result=\"{result}\"}}");
    gateway.metric(&name).await
}

#[tokio::test]
async fn whoever_waited_through_an_outage_is_told_why_it_takes_longer() {
    let cost = HashCost::about(Duration::from_millis(400)).unwrap();
    let mut platform = platform(1, 1, cost).await;
    let hold = "hold = \"0s\"";
    let gateway = Setup::default()
        .region("north", platform.backends(), 1, &[(GYM, 900)], hold)
        .not_new(&["north"])
        .start()
        .await;
    let mut browsers = Vec::new();
    for _ in 0..CROWD {
        let mut browser = Browser::new(gateway.edge, GYM);
        let form = browser.form().await;
        browsers.push((browser, form));
    }
    let posts = browsers.into_iter().map(|(mut browser, form)| {
        tokio::spawn(async move {
            let answer = browser.post("/login", &form).await;
            (browser, answer.status, answer.location().to_owned())
        })
    });
    let posts: Vec<_> = posts.collect();
    let mut waiting = Vec::new();
    for post in posts {
        let (mut browser, status, location) = post.await.unwrap();
        if (status, location.as_str()) == (StatusCode::SEE_OTHER, "/_einlass/wait") {
            let ahead = browser.turn().await["ahead"].as_u64().unwrap();
            waiting.push((ahead, browser));
        }
    }
    waiting.sort_by_key(|(ahead, _)| *ahead);
    let (_, mut browser) = waiting.pop().unwrap();
    // The others behave as their pages do: some of them find out that the outage is over.
    let others: JoinSet<()> = waiting
        .into_iter()
        .map(|(_, browser)| wait_and_enter(browser))
        .collect();
    let mut turn = browser.turn().await;
    while turn["eta_seconds"] == Value::Null {
        assert_eq!(turn["state"], "waiting", "{turn}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        turn = browser.turn().await;
    }
    assert_eq!(turn["message"], Value::Null, "{turn}");

    platform.stop_backend(0).await.unwrap();
    browser.until("held").await;
    platform.restart_backend(0).await.unwrap();
    let mut turn = browser.until("waiting").await;
    while turn["eta_seconds"] == Value::Null {
        assert_eq!(turn["state"], "waiting", "{turn}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        turn = browser.turn().await;
    }
    let says = turn["message"].as_str().unwrap_or_default();
    assert!(says.contains("eine Weile nicht geantwortet"), "{turn}");
    let page = browser.get("/_einlass/wait").await.text();
    assert!(page.contains(says), "{page}");

    let scored = async || {
        let inside = forecasts(&gateway, "inside").await;
        let outside = forecasts(&gateway, "below").await + forecasts(&gateway, "above").await;
        inside + outside > 0.0
    };
    assert!(eventually(scored).await, "forecasts are scored");
    drop(others);
}

/// Asks when told to, and goes in when it may, until the session is there.
async fn wait_and_enter(mut browser: Browser) {
    while !browser.logged_in() {
        let turn = browser.turn().await;
        if turn["state"] == "ready" {
            browser.enter().await;
        }
        let after = turn["poll_after_seconds"].as_f64().unwrap_or(1.0);
        tokio::time::sleep(Duration::from_secs_f64(after)).await;
    }
}
