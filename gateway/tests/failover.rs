//! A master fails in the middle of a rush, behind sentinels and in a cluster: over TLS, with passwords.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;
#[path = "../../admission/tests/server/mod.rs"]
mod redis_server;

use std::time::{Duration, Instant};

use common::eventually;
use common::fleet::{APART, CAP, Event, Fleet, rush_through};
use common::judge::complaints;
use redis_server::{RedisServer, Secured};

/// What is over in no time is judged by what follows, too.
const LOOK: Duration = Duration::from_secs(4);

/// Three gateways with this `[store]`, a crowd that moves between them, and `failover` in the middle
/// of the rush: it returns when Redis is healthy again.
async fn fail_over(name: &'static str, store: &str, failover: impl AsyncFnOnce()) {
    let mut fleet = Fleet::start(&vec![store.to_owned(); 3], &[]).await;
    // While nobody masters the keys each gateway calls the room for itself.
    let report = rush_through(APART.lasting(LOOK), &mut fleet, async |fleet| {
        let mut event = Event::of(name, fleet, async |_| failover().await).await;
        let begun = event.time.start;
        tokio::time::sleep(LOOK.saturating_sub(begun.elapsed())).await;
        event.time.end = event.time.end.max(Instant::now().min(begun + LOOK));
        vec![event]
    })
    .await;
    // Whoever had no slot when the keys had no master goes on with one.
    let wrong = complaints(&report, CAP + 2);
    assert!(wrong.is_empty(), "{name}: {wrong:?}");
}

/// `[store]` settings for servers that speak TLS alone and ask for a password.
fn secured_store(at: &str, secured: &Secured) -> String {
    format!(
        "{at}\nca_file = \"{}\"\npassword_file = \"{}\"\n",
        secured.certificate().display(),
        secured.password_file().display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_name_another_master() {
    let servers = Secured::new("right");
    // The sentinels have the same authority, and ask for a password of their own.
    let watchers = servers.with_password("other");
    let mut master = RedisServer::secured(&servers, &[]);
    let of = format!("127.0.0.1 {}", master.port);
    let replica = RedisServer::secured(&servers, &["--replicaof", &of]);
    let up = async || {
        replica
            .cli(&["INFO", "replication"])
            .contains("master_link_status:up")
    };
    assert!(eventually(up).await);
    let watch = |_| RedisServer::secured_sentinel(&watchers, &master, &servers.password);
    let sentinels: Vec<_> = (0..3).map(watch).collect();
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
        .map(|s| format!("\"rediss://127.0.0.1:{}\"", s.port))
        .collect();
    let at = format!(
        "sentinels = [{}]\nmaster = \"school\"\nuser = \"default\"\n\
         sentinel_user = \"default\"\nsentinel_password_file = \"{}\"",
        addresses.join(", "),
        watchers.password_file().display()
    );
    let store = secured_store(&at, &servers);
    fail_over("sentinels", &store, async || {
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
    let secured = Secured::new("right");
    let options = [
        ["--cluster-enabled", "yes"],
        ["--cluster-node-timeout", "1000"],
        ["--tls-cluster", "yes"],
    ];
    let start = |_| RedisServer::secured(&secured, options.as_flattened());
    let mut nodes: Vec<_> = (0..6).map(start).collect();
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
        .map(|a| format!("\"rediss://{a}\""))
        .collect();
    let at = format!("cluster = [{}]", quoted.join(", "));
    let store = secured_store(&at, &secured);
    fail_over("cluster", &store, async || {
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
    fail_over("slot moved", &store, async || {
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
