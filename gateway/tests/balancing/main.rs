//! Whatever breaks among the backends of a pool, the others take over: real sockets on both sides.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod checks;
#[path = "../common/mod.rs"]
mod common;
#[allow(unreachable_pub, dead_code, reason = "a module of a test")]
mod dns;
#[allow(unreachable_pub, dead_code, reason = "a module of a test")]
mod fickle;
mod logins;
mod names;
mod outages;
mod own_server;
mod processes;
mod protocols;
mod retries;
mod return_slowly;
#[allow(unreachable_pub, dead_code, reason = "a module of a test")]
mod secure;
mod sessions;
mod slow;
mod spread;
mod stream;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Gateway, Setup, get, send};
use fickle::Mood;

const GYM: &str = "gym.example";
const QUICK: Mood = Mood::Fine(Duration::from_millis(20));
/// Short times, so that a test sees a backend go and come back.
const NIMBLE: &str = "[region.north.balancing]\nejection = \"1s\"\nslow_start = \"4s\"\n\
    [region.north.health]\ninterval = \"300ms\"\ntimeout = \"300ms\"\n";

async fn gateway(backends: &[SocketAddr], more: &str) -> Gateway {
    Setup::default()
        .region("north", backends, 400, &[(GYM, 900)], "")
        .text(more)
        .start()
        .await
}

async fn state(gateway: &Gateway, backend: SocketAddr) -> String {
    let metrics = send(gateway.desk, get("/metrics", "desk")).await.text();
    let of = format!("einlass_backend_state{{pool=\"north\",backend=\"{backend}\",state=\"");
    let is = metrics.lines().find_map(|line| {
        let (state, value) = line.strip_prefix(&of)?.split_once("\"} ")?;
        (value == "1").then(|| state.to_owned())
    });
    is.unwrap_or_default()
}

async fn number(gateway: &Gateway, what: &str, backend: SocketAddr) -> f64 {
    let name = format!("einlass_backend_{what}{{pool=\"north\",backend=\"{backend}\"}}");
    gateway.metric(&name).await
}
