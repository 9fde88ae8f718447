//! A Redis that cannot be used: what the operator reads, and that pupils get in all the same.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;
#[path = "../../admission/tests/server/mod.rs"]
mod redis_server;

use std::net::SocketAddr;

use tokio::task::{JoinSet, LocalSet};

use common::{Browser, Setup, eventually, platform};
use einlass_benches::platform::HashCost;
use redis_server::{RedisServer, Secured};

const SMALL: &str = "small.example";

/// A Redis that cannot be used, how it is set up, and what the operator reads about it.
struct Misconfigured {
    name: &'static str,
    store: String,
    cause: &'static str,
    setting: &'static str,
    _servers: Vec<RedisServer>,
}

async fn misconfigured(folder: &std::path::Path) -> Vec<Misconfigured> {
    let wrong = folder.join("wrong");
    std::fs::write(&wrong, "wrong\n").unwrap();
    let at = |scheme: &str, port: u16| format!("redis = \"{scheme}://localhost:{port}\"");
    let secret = RedisServer::start(&["--requirepass", "right"]);
    let plain = RedisServer::start(&[]);
    let master = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
    let full = RedisServer::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let stranger = RedisServer::secured(&Secured::new("right"), &[]);
    let old = redis_server::older("6.2.14", true).await;
    let case = |name, store, cause, setting, servers| Misconfigured {
        name,
        store,
        cause,
        setting,
        _servers: servers,
    };
    vec![
        case(
            "nobody there",
            at("redis", common::free_address().port()),
            "Redis cannot be reached",
            "[store] redis",
            vec![],
        ),
        case(
            "wrong password",
            format!(
                "{}\npassword_file = \"{}\"",
                at("redis", secret.port),
                wrong.display()
            ),
            "refuses the user or the password",
            "[store] user, password_file",
            vec![secret],
        ),
        case(
            "wrong TLS",
            at("rediss", plain.port),
            "TLS to Redis fails",
            "[store] ca_file",
            vec![plain],
        ),
        case(
            "unknown authority",
            at("rediss", stranger.port),
            "TLS to Redis fails",
            "[store] ca_file",
            vec![stranger],
        ),
        case(
            "too old",
            at("redis", old),
            "needs 7.0 or later",
            "[store] redis",
            vec![],
        ),
        case(
            "unknown host",
            "redis = \"redis://no-such-host.invalid\"".to_owned(),
            "Redis cannot be reached",
            "[store] redis",
            vec![],
        ),
        case(
            "replica",
            at("redis", replica.port),
            "read-only replica",
            "[store] redis",
            vec![master, replica],
        ),
        case(
            "no memory",
            at("redis", full.port),
            "out of memory",
            "[store] redis",
            vec![full],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_without_redis_unless_it_must_not() {
    let platform = platform(1, 1, HashCost::QUICK).await;
    let backends = platform.backends();
    let folder = tempfile::TempDir::new().unwrap();
    let mut cases = JoinSet::new();
    let all = LocalSet::new();
    for wrong in misconfigured(folder.path()).await {
        let backends = backends.to_vec();
        let case = async move { starts_unless_it_must_not(&wrong, &backends).await };
        cases.spawn_local_on(case, &all);
    }
    all.run_until(cases.join_all()).await;
}

async fn starts_unless_it_must_not(wrong: &Misconfigured, backends: &[SocketAddr]) {
    let name = wrong.name;
    let setup = |more: &str| {
        let store = format!("[store]\n{}\n{more}", wrong.store);
        Setup::default()
            .region("north", backends, 4, &[(SMALL, 100)], "")
            .text(&store)
    };
    let gateway = setup("").start().await;
    gateway.until_mode("frozen").await;
    let mut browser = Browser::new(gateway.edge, SMALL);
    let form = browser.form().await;
    let answer = browser.post("/login", &form).await;
    assert_eq!(answer.location(), "/", "{name}");
    assert!(browser.logged_in(), "{name}");
    let told = |text: &str| text.contains(wrong.cause) && text.contains(wrong.setting);
    let log = gateway.log();
    assert!(
        eventually(async || told(&gateway.log())).await,
        "{name}: {log}"
    );
    let must = setup("required = true");
    let refused = tokio::task::spawn_blocking(|| must.refused()).await;
    let refused = refused.unwrap();
    assert!(told(&refused), "{name}: {refused}");
    assert!(refused.contains("required = true"), "{name}: {refused}");
}
