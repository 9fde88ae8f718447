//! A master fails in the middle of a rush, behind sentinels and in a cluster.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;
#[path = "../../admission/tests/server/mod.rs"]
mod redis_server;

use std::time::{Duration, Instant};

use common::judge::{BEFORE, Crowd, Trouble, complaints};
use common::{Gateway, Setup, eventually, timed_platform};
use einlass_benches::rush::{Plan, School, run};
use redis_server::RedisServer;

const SMALL: &str = "small.example";
const LARGE: &str = "large.example";
/// Many, so that one slot more or less hardly shows.
const CAP: usize = 40;
/// What a login takes, of a worker for every slot: one that stands empty is a login that is not done.
const COST: Duration = Duration::from_millis(800);

/// Three gateways with this `[store]`, a crowd that moves between them, and `failover` in the middle
/// of the rush: it returns when Redis is healthy again.
async fn rush_through(name: &str, store: &str, failover: impl AsyncFnOnce()) {
    let platform = timed_platform(2, CAP, COST).await;
    let schools = [(SMALL, 100), (LARGE, 1_000)];
    let setup = Setup::default()
        .region("north", platform.backends(), CAP, &schools, "")
        .text(&format!("[store]\n{store}\n"));
    let mut gateways: Vec<Gateway> = vec![setup.clone().start().await];
    while gateways.len() < 3 {
        gateways.push(setup.clone().start_beside(&gateways[0]).await);
    }
    for gateway in &gateways {
        gateway.until_mode("shared").await;
    }
    let plan = Plan {
        targets: gateways.iter().map(|gateway| gateway.edge).collect(),
        move_between: true,
        // While nobody masters the keys each gateway calls the room for itself, and who polls at one
        // that is a little behind waits a little longer.
        joins_apart: Duration::from_secs(1),
        schools: vec![School::new(SMALL, 100), School::new(LARGE, 1_000)],
        pupils: 1_450,
        arrive_over: Duration::from_secs(2),
        platforms: vec![platform.control().unwrap()],
        ..Plan::default()
    };
    let crowd = Crowd::watch(gateways[2].desk, Instant::now());
    let rush = tokio::spawn(run(plan));
    assert!(crowd.reaches(800.0).await, "{name}: no crowd");
    tokio::time::sleep(BEFORE).await;
    let from = crowd.elapsed();
    failover().await;
    // What is over in no time is judged by what follows, too.
    let to = crowd.elapsed().max(from + Duration::from_secs(4));
    let healthy = Instant::now();
    for gateway in &gateways {
        gateway.until_mode("shared").await;
    }
    let trouble = Trouble {
        name,
        begun: from,
        time: from..to,
        settle: Duration::ZERO,
        back: healthy.elapsed(),
    };
    let report = rush.await.unwrap().unwrap();
    trouble.judge(&crowd, &report);
    // Whoever had no slot when the keys had no master goes on with one.
    let wrong = complaints(&report, CAP + 2);
    assert!(wrong.is_empty(), "{name}: {wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_name_another_master() {
    let mut master = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
    let up = async || {
        replica
            .cli(&["INFO", "replication"])
            .contains("master_link_status:up")
    };
    assert!(eventually(up).await);
    let sentinels: Vec<_> = (0..3).map(|_| RedisServer::sentinel(master.port)).collect();
    let known = async || {
        sentinels.iter().all(|s| {
            let master = s.cli(&["SENTINEL", "MASTER", "school"]);
            let number = |field: &str| {
                let mut lines = master.lines().skip_while(|line| *line != field);
                lines.nth(1).and_then(|n| n.parse::<u32>().ok())
            };
            number("num-other-sentinels") == Some(2) && number("num-slaves") == Some(1)
        })
    };
    assert!(eventually(known).await);
    let addresses: Vec<String> = sentinels
        .iter()
        .map(|s| format!("\"redis://127.0.0.1:{}\"", s.port))
        .collect();
    let store = format!(
        "sentinels = [{}]\nmaster = \"school\"",
        addresses.join(", ")
    );
    rush_through("sentinels", &store, async || {
        // Its machine hangs, with the sentinel on it that is asked first.
        sentinels[0].signal("STOP");
        master.kill();
        let promoted = async || replica.cli(&["ROLE"]).starts_with("master");
        assert!(eventually(promoted).await, "no failover");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_loses_a_master() {
    let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
    let mut nodes: Vec<_> = (0..6).map(|_| RedisServer::start(&options)).collect();
    let addresses: Vec<String> = nodes
        .iter()
        .map(|n| format!("127.0.0.1:{}", n.port))
        .collect();
    let mut create = vec!["--cluster", "create"];
    create.extend(addresses.iter().map(String::as_str));
    create.extend(["--cluster-replicas", "1", "--cluster-yes"]);
    let made = nodes[0].cli(&create);
    let up = async || {
        nodes.iter().all(|n| {
            let info = n.cli(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:6")
        })
    };
    assert!(eventually(up).await, "{made}");
    let quoted: Vec<String> = addresses
        .iter()
        .map(|a| format!("\"redis://{a}\""))
        .collect();
    let store = format!("cluster = [{}]", quoted.join(", "));
    rush_through("cluster", &store, async || {
        // The node that has the room, to be found by its keys.
        let holds = |n: &RedisServer| {
            n.cli(&["ROLE"]).starts_with("master") && n.cli(&["DBSIZE"]).trim() != "0"
        };
        let holder = nodes
            .iter()
            .position(holds)
            .expect("a master with the room");
        nodes[holder].kill();
        let rest: Vec<&RedisServer> = nodes
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != holder)
            .map(|(_, n)| n)
            .collect();
        let healthy = async || {
            let masters = rest
                .iter()
                .filter(|n| n.cli(&["ROLE"]).starts_with("master"));
            masters.count() == 3
                && rest
                    .iter()
                    .all(|n| n.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        };
        assert!(eventually(healthy).await, "no failover");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_moves_to_another_node() {
    let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
    let nodes: Vec<_> = (0..3).map(|_| RedisServer::start(&options)).collect();
    let addresses: Vec<String> = nodes
        .iter()
        .map(|n| format!("127.0.0.1:{}", n.port))
        .collect();
    let mut create = vec!["--cluster", "create"];
    create.extend(addresses.iter().map(String::as_str));
    create.push("--cluster-yes");
    let made = nodes[0].cli(&create);
    let up = async || {
        nodes
            .iter()
            .all(|n| n.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
    };
    assert!(eventually(up).await, "{made}");
    let quoted: Vec<String> = addresses
        .iter()
        .map(|a| format!("\"redis://{a}\""))
        .collect();
    let store = format!("cluster = [{}]", quoted.join(", "));
    rush_through("slot moved", &store, async || {
        let from = nodes
            .iter()
            .position(|n| n.cli(&["DBSIZE"]).trim() != "0")
            .expect("a node with the room");
        let to = (from + 1) % nodes.len();
        let id = |n: usize| nodes[n].cli(&["CLUSTER", "MYID"]).trim().to_owned();
        let key = nodes[from].cli(&["RANDOMKEY"]).trim().to_owned();
        let slot = nodes[from]
            .cli(&["CLUSTER", "KEYSLOT", &key])
            .trim()
            .to_owned();
        let setslot = |n: usize, state: &str, node: &str| {
            let said = nodes[n].cli(&["CLUSTER", "SETSLOT", &slot, state, node]);
            assert_eq!(said.trim(), "OK");
        };
        setslot(to, "IMPORTING", &id(from));
        setslot(from, "MIGRATING", &id(to));
        let port = nodes[to].port.to_string();
        // Keys are written while they move, so it is looked again until none is left.
        loop {
            let keys = nodes[from].cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            let keys: Vec<&str> = keys.lines().filter(|k| !k.is_empty()).collect();
            if keys.is_empty() {
                break;
            }
            let mut migrate = vec![
                "MIGRATE",
                "127.0.0.1",
                &port,
                "",
                "0",
                "1000",
                "REPLACE",
                "KEYS",
            ];
            migrate.extend(&keys);
            nodes[from].cli(&migrate);
        }
        for n in [to, from] {
            setslot(n, "NODE", &id(to));
        }
        assert!(eventually(up).await);
    })
    .await;
}
