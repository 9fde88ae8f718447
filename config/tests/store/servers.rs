//! Which servers: one, sentinels or a cluster, and their addresses.

use einlass_config::Topology;

use crate::{FORM, check_addresses, mistakes, mistakes_beside_redis, store};

#[test]
fn every_form_of_an_address() {
    for (written, shown, host, database) in [
        (
            "redis://a.example:7000",
            "redis://a.example:7000",
            "a.example",
            0,
        ),
        (
            "rediss://a.example/3",
            "rediss://a.example:6379",
            "a.example",
            3,
        ),
        (
            "redis://10.0.0.5:7000/0",
            "redis://10.0.0.5:7000",
            "10.0.0.5",
            0,
        ),
        ("redis://[::1]:7000/15", "redis://[::1]:7000", "::1", 15),
        (
            "rediss://[2001:DB8::5]",
            "rediss://[2001:db8::5]:6379",
            "2001:db8::5",
            0,
        ),
        (
            "redis://redis_1-a.",
            "redis://redis_1-a.:6379",
            "redis_1-a.",
            0,
        ),
        ("redis://a/", "redis://a:6379", "a", 0),
    ] {
        let topology = store(&format!("redis = \"{written}\"")).topology;
        let Topology::Single {
            address,
            database: number,
        } = topology
        else {
            panic!("{written}");
        };
        assert_eq!(address.to_string(), shown);
        assert_eq!(address.tls, written.starts_with("rediss"), "{written}");
        assert_eq!(
            (address.host.as_str(), number),
            (host, database),
            "{written}"
        );
    }
}

#[test]
fn sentinels_name_a_master() {
    let store = store("sentinels = [\"rediss://a\", \"rediss://b:1/2\"]\nmaster = \"einlass\"");
    let Topology::Sentinel {
        sentinels,
        master,
        database,
    } = &store.topology
    else {
        panic!("{store:?}");
    };
    let shown: Vec<_> = sentinels.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["rediss://a:26379", "rediss://b:1"]);
    assert_eq!((master.as_str(), *database), ("einlass", 2));
}

#[test]
fn a_cluster_has_nodes() {
    let store = store("cluster = [\"redis://a\", \"redis://b:7001\"]");
    let Topology::Cluster { nodes } = &store.topology else {
        panic!("{store:?}");
    };
    let shown: Vec<_> = nodes.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["redis://a:6379", "redis://b:7001"]);
}

#[test]
fn a_mistake_in_an_address() {
    let scheme = |written| format!("not the address of a Redis server: `{written}` {FORM}");
    let database = |written| {
        format!("what follows the slash must be the number of a database: `{written}` {FORM}")
    };
    let port = |written| format!("the port must be between 1 and 65535 in `{written}` {FORM}");
    let host = |written| format!("no host name in `{written}` {FORM}");
    let mut wrong = Vec::new();
    for address in ["", "10.0.0.5:6379", "http://a", "redis:a", "REDIS://a"] {
        wrong.push((address, scheme(address)));
    }
    for address in [
        "redis://a/x",
        "redis://a/-1",
        "redis://a/+3",
        "redis://a//",
        "redis://a/4294967296",
    ] {
        wrong.push((address, database(address)));
    }
    for address in [
        "redis://a:",
        "redis://a:0",
        "redis://a:65536",
        "redis://a:+5",
        "redis://a:x",
        "redis://[::1]5",
        "redis://[::1]:0",
    ] {
        wrong.push((address, port(address)));
    }
    for address in [
        "redis://",
        "redis://:6379",
        "redis:///3",
        "redis://a b",
        "redis://ä",
        "redis://a..b",
        "redis://10.0.0.256",
        "redis://10.0.0",
    ] {
        wrong.push((address, host(address)));
    }
    wrong.push((
        "redis://[::1",
        format!("`]` is missing in `redis://[::1` {FORM}"),
    ));
    for address in ["redis://[a]", "redis://[]", "redis://[10.0.0.5]"] {
        wrong.push((
            address,
            format!("no IPv6 address in the brackets of `{address}` {FORM}"),
        ));
    }
    for address in ["redis://::1", "redis://2001:db8::5:6379", "redis://a:b:1"] {
        let expected = format!(
            "more than one colon in `{address}` (write it in brackets, as in redis://[2001:db8::5]:6379)"
        );
        wrong.push((address, expected));
    }
    check_addresses(
        wrong
            .iter()
            .map(|(address, expected)| (*address, expected.as_str())),
    );
}

#[test]
fn a_mistake_in_which_servers_there_are() {
    const NONE: &str = "f.toml:1:1: [store] names no server (write redis = \"redis://10.0.0.5:6379\", or `sentinels` with `master`, or `cluster`)";
    const EMPTY: &str = "(write at least one address, as in [\"redis://10.0.0.5\"])";
    let master =
        "needs `master` (write master = \"NAME\", as the configuration of the sentinels calls it)";
    for (text, expected) in [
        ("", NONE.to_owned()),
        ("required = true", NONE.to_owned()),
        (
            "redis = \"redis://a\"\ncluster = [\"redis://b\"]",
            "f.toml:3:11: `cluster` cannot stand beside `redis`, at f.toml:2:9 (keep one of them)".to_owned(),
        ),
        (
            "redis = \"redis://a\"\nsentinels = [\"redis://b\"]\nmaster = \"m\"",
            "f.toml:3:13: `sentinels` cannot stand beside `redis`, at f.toml:2:9 (keep one of them)".to_owned(),
        ),
        (
            "cluster = [\"redis://a\"]\nsentinels = [\"redis://b\"]\nmaster = \"m\"",
            "f.toml:2:11: `cluster` cannot stand beside `sentinels`, at f.toml:3:13 (keep one of them)".to_owned(),
        ),
        ("cluster = []", format!("f.toml:2:11: `cluster` is empty {EMPTY}")),
        (
            "sentinels = []\nmaster = \"m\"",
            format!("f.toml:2:13: `sentinels` is empty {EMPTY}"),
        ),
        (
            "redis = [\"redis://a\"]",
            "f.toml:2:9: `redis` must be an address, not a list".to_owned(),
        ),
        (
            "cluster = \"redis://a\"",
            "f.toml:2:11: `cluster` must be a list of addresses, not \"redis://a\"".to_owned(),
        ),
        (
            "cluster = [\"redis://a\", 3]",
            "f.toml:2:25: `cluster` must hold addresses, not 3".to_owned(),
        ),
        ("sentinels = [\"redis://a\"]", format!("f.toml:2:13: `sentinels` {master}")),
        (
            "sentinels = [\"redis://a\"]\nmaster = 3",
            "f.toml:3:10: `master` must be a name, not 3".to_owned(),
        ),
        (
            "sentinels = [\"redis://a\"]\nmaster = \"\"",
            "f.toml:3:10: `master` must have at least one character and no spaces".to_owned(),
        ),
        (
            "sentinels = [\"a\"]\nmaster = \"m\"",
            format!("f.toml:2:14: not the address of a Redis server: `a` {FORM}"),
        ),
        (
            "sentinels = [\"redis://a/1\", \"redis://b\", \"redis://c/2\"]\nmaster = \"m\"",
            "f.toml:2:42: database 2 here, but database 1 at f.toml:2:14 (the number is that of the master's database)".to_owned(),
        ),
        (
            "cluster = [\"redis://a/0\"]",
            "f.toml:2:12: a cluster has no numbered databases (leave out the slash and what follows it)".to_owned(),
        ),
        (
            "cluster = [\"redis://a\", \"rediss://b\", \"rediss://c\"]",
            "f.toml:2:25: some addresses begin with redis://, others with rediss:// (write rediss:// everywhere for TLS, or nowhere)".to_owned(),
        ),
        (
            "sentinels = [\"rediss://a\", \"redis://b\"]\nmaster = \"m\"",
            "f.toml:2:28: some addresses begin with redis://, others with rediss:// (write rediss:// everywhere for TLS, or nowhere)".to_owned(),
        ),
    ] {
        assert_eq!(mistakes(text), expected, "in\n{text}");
    }
}

#[test]
fn the_keys_of_sentinels_without_sentinels() {
    for (key, column) in [
        ("master", 10),
        ("sentinel_user", 17),
        ("sentinel_password_file", 26),
        ("sentinel_password_env", 25),
    ] {
        let said = mistakes_beside_redis(&format!("{key} = \"CARGO_PKG_NAME\""));
        let expected = format!(
            "f.toml:3:{column}: `{key}` is for `sentinels` only (remove it, or name the sentinels)"
        );
        assert!(said.contains(&expected), "{said}");
    }
}
