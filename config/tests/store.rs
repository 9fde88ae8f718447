//! `[store]`: every way to name a Redis, and every way to get it wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::time::Duration;

use einlass_config::{Store, Topology, load_str};

const REGION: &str =
    "\n[region.a]\nbackends = [\"10.0.0.1:80\"]\nschool = [{ host = \"a.example\" }]";

fn store(text: &str) -> Store {
    let text = format!("[store]\n{text}{REGION}");
    match load_str("f.toml", &text) {
        Ok(config) => config.store.unwrap(),
        Err(mistakes) => panic!("{mistakes}"),
    }
}

fn mistakes(text: &str) -> String {
    let text = format!("[store]\n{text}{REGION}");
    match load_str("f.toml", &text) {
        Ok(config) => panic!("no mistake in {text}\n{config:#?}"),
        Err(mistakes) => mistakes.to_string(),
    }
}

#[test]
fn without_it_there_is_one_gateway() {
    assert_eq!(load_str("f.toml", REGION).unwrap().store, None);
}

#[test]
fn one_server_with_its_defaults() {
    let store = store("redis = \"redis://10.0.0.5\"");
    let Topology::Single { address, database } = &store.topology else {
        panic!("{store:?}");
    };
    assert_eq!(address.to_string(), "redis://10.0.0.5:6379");
    assert_eq!(*database, 0);
    assert_eq!(store.timeout, Duration::from_millis(250));
    assert_eq!(store.prefix, "einlass");
    assert!(!store.required);
    assert_eq!((store.user, store.password, store.ca), (None, None, None));
}

#[test]
fn every_form_of_an_address() {
    for (written, host, port, tls, database) in [
        (
            "redis://redis.example:7000",
            "redis.example",
            7000,
            false,
            0,
        ),
        ("rediss://redis.example/3", "redis.example", 6379, true, 3),
        ("redis://[::1]:7000/15", "::1", 7000, false, 15),
        ("redis://[::1]", "::1", 6379, false, 0),
        ("redis://a/", "a", 6379, false, 0),
    ] {
        let store = store(&format!("redis = \"{written}\""));
        let Topology::Single {
            address,
            database: number,
        } = store.topology
        else {
            panic!("{written}");
        };
        assert_eq!(
            (address.host.as_str(), address.port, address.tls),
            (host, port, tls)
        );
        assert_eq!(number, database, "{written}");
    }
}

#[test]
fn sentinels_and_clusters() {
    let store_ = store(
        "sentinels = [\"redis://a\", \"redis://b:1\"]\nmaster = \"einlass\"\nrequired = true",
    );
    let Topology::Sentinel {
        sentinels, master, ..
    } = &store_.topology
    else {
        panic!("{store_:?}");
    };
    assert_eq!(sentinels[0].port, 26379);
    assert_eq!((sentinels[1].port, master.as_str()), (1, "einlass"));
    assert!(store_.required);
    let store_ = store("cluster = [\"redis://a\", \"redis://b\"]\nprefix = \"schule-1\"");
    assert!(matches!(&store_.topology, Topology::Cluster { nodes } if nodes.len() == 2));
    assert_eq!(store_.prefix, "schule-1");
}

#[test]
fn a_password_comes_from_a_file_and_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), "sehr geheim\n").unwrap();
    let text = format!(
        "[store]\nredis = \"redis://a\"\nuser = \"einlass\"\npassword_file = \"password\"{REGION}"
    );
    let config = load_str(dir.path().join("f.toml"), &text).unwrap();
    let store = config.store.as_ref().unwrap();
    assert_eq!(store.password.as_ref().unwrap().expose(), "sehr geheim");
    assert!(!format!("{config:?}").contains("geheim"));
}

#[test]
fn every_mistake_is_named_in_its_place() {
    for (text, expected) in [
        (
            "timeout = \"250ms\"",
            "f.toml:1:1: [store] needs one of `redis`, `sentinels` and `cluster` (write redis = \"redis://10.0.0.5:6379\")",
        ),
        (
            "redis = \"redis://a\"\ncluster = [\"redis://b\"]",
            "f.toml:1:1: [store] needs one of `redis`, `sentinels` and `cluster` (write redis = \"redis://10.0.0.5:6379\")",
        ),
        (
            "redis = \"10.0.0.5:6379\"",
            "f.toml:2:9: not the address of a Redis server: `10.0.0.5:6379` (write it like redis://10.0.0.5:6379, or rediss:// for TLS)",
        ),
        (
            "redis = \"redis://user:word@a\"",
            "f.toml:2:9: user and password do not belong into an address, which ends up in logs (use `user` with `password_file` or `password_env`)",
        ),
        (
            "redis = \"redis://a:0\"",
            "f.toml:2:9: the port must be between 1 and 65535 in `redis://a:0` (write it like redis://10.0.0.5:6379, or rediss:// for TLS)",
        ),
        (
            "redis = \"redis://a/x\"",
            "f.toml:2:9: the part behind the slash must be the number of a database: `redis://a/x` (write it like redis://10.0.0.5:6379, or rediss:// for TLS)",
        ),
        (
            "sentinels = [\"redis://a\"]",
            "f.toml:1:1: `sentinels` without `master` (write master = \"NAME\", as the sentinels' configuration calls it)",
        ),
        (
            "redis = \"redis://a\"\nmaster = \"m\"",
            "f.toml:3:10: this is of use with `sentinels` only",
        ),
        (
            "cluster = [\"redis://a\", \"rediss://b\"]",
            "f.toml:2:25: some addresses are redis:// and some rediss:// (write all of them alike)",
        ),
        (
            "cluster = [\"redis://a/1\"]",
            "f.toml:2:12: a cluster has no numbered databases (leave out what is behind the slash)",
        ),
        (
            "redis = \"redis://a\"\nuser = \"u\"",
            "f.toml:3:8: a user without a password (add its password_file or password_env)",
        ),
        (
            "redis = \"redis://a\"\npassword_file = \"no-such-file\"",
            "f.toml:3:17: cannot read `no-such-file`: there is no such file",
        ),
        (
            "redis = \"redis://a\"\npassword_env = \"EINLASS_NO_SUCH_VARIABLE\"",
            "f.toml:3:16: the environment variable `EINLASS_NO_SUCH_VARIABLE` is not set (set it for the gateway, or use a file)",
        ),
        (
            "redis = \"redis://a\"\ntimeout = \"10s\"",
            "f.toml:3:11: `timeout` must be between 50ms and 2s, not \"10s\"",
        ),
        (
            "redis = \"redis://a\"\nprefix = \"Ä\"",
            "f.toml:3:10: `prefix` must be 1 to 32 characters of a-z, 0-9, _ and -",
        ),
        (
            "redis = \"redis://a\"\nrequired = \"yes\"",
            "f.toml:3:12: `required` must be true or false, not \"yes\"",
        ),
        (
            "redis = \"redis://a\"\nmastre = \"m\"",
            "f.toml:3:1: unknown key `mastre` in [store] (did you mean `master`?)",
        ),
    ] {
        assert_eq!(mistakes(text), expected, "in\n{text}");
    }
}
