//! `[store]`: every way to name a Redis, and every way to get it wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::time::Duration;

use einlass_config::{Store, Topology, load_str};

const REGION: &str =
    "\n[region.a]\nbackends = [\"10.0.0.1:80\"]\nschool = [{ host = \"a.example\" }]";

const FORM: &str = "(write it like redis://10.0.0.5:6379, or rediss:// for TLS)";
const SECRETS: &str = "(use `user` with `password_file` or `password_env`)";

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

/// Below a good `redis`, on line 2: `text` begins on line 3.
fn mistakes_beside_redis(text: &str) -> String {
    mistakes(&format!("redis = \"redis://a\"\n{text}"))
}

/// One `redis` with each of these addresses, and what is said of it.
fn check_addresses<'a>(wrong: impl IntoIterator<Item = (&'a str, &'a str)>) {
    for (address, expected) in wrong {
        assert_eq!(
            mistakes(&format!("redis = \"{address}\"")),
            format!("f.toml:2:9: {expected}"),
            "at {address}"
        );
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
    assert_eq!((store.sentinel_user, store.sentinel_password), (None, None));
}

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
fn everything_else_can_be_written() {
    let longest = "a".repeat(32);
    for (timeout, prefix) in [("50ms", "a"), ("2s", "schule_1-b"), ("1s", &longest)] {
        let store = store(&format!(
            "redis = \"redis://a\"\ntimeout = \"{timeout}\"\nprefix = \"{prefix}\"\nrequired = true"
        ));
        assert_eq!(
            humantime::format_duration(store.timeout).to_string(),
            timeout
        );
        assert_eq!(store.prefix, prefix);
        assert!(store.required);
    }
}

#[test]
fn a_password_comes_from_a_file_and_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    for content in [
        "sehr geheim\n",
        "sehr geheim\r\n",
        "sehr geheim",
        "\u{feff}sehr geheim",
    ] {
        std::fs::write(dir.path().join("password"), content).unwrap();
        std::fs::write(dir.path().join("other"), "auch geheim").unwrap();
        let text = format!(
            "[store]\nsentinels = [\"redis://a\"]\nmaster = \"m\"\nuser = \"einlass\"\npassword_file = \"password\"\nsentinel_user = \"s\"\nsentinel_password_file = \"other\"{REGION}"
        );
        let config = load_str(dir.path().join("f.toml"), &text).unwrap();
        let store = config.store.as_ref().unwrap();
        assert_eq!(store.user.as_deref(), Some("einlass"));
        assert_eq!(store.sentinel_user.as_deref(), Some("s"));
        let password = store.password.as_ref().unwrap();
        assert_eq!(password.expose(), "sehr geheim");
        assert_eq!(
            store.sentinel_password.as_ref().unwrap().expose(),
            "auch geheim"
        );
        assert_eq!(
            format!("{password} {password:?} {password:#?}"),
            "*** *** ***"
        );
        assert!(!format!("{config:?}{config:#?}").contains("geheim"));
    }
}

/// Cargo sets these for every test: setting one ourselves would be unsafe.
#[test]
fn a_password_comes_from_the_environment() {
    let store = store(
        "sentinels = [\"redis://a\"]\nmaster = \"m\"\npassword_env = \"CARGO_PKG_NAME\"\nsentinel_password_env = \"CARGO_PKG_VERSION\"",
    );
    assert_eq!(store.password.unwrap().expose(), env!("CARGO_PKG_NAME"));
    assert_eq!(
        store.sentinel_password.unwrap().expose(),
        env!("CARGO_PKG_VERSION")
    );
}

#[test]
fn authorities_come_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    std::fs::write(dir.path().join("ca.pem"), pem).unwrap();
    let text = format!("[store]\nredis = \"rediss://a\"\nca_file = \"ca.pem\"{REGION}");
    let config = load_str(dir.path().join("f.toml"), &text).unwrap();
    assert_eq!(config.store.unwrap().ca.as_deref(), Some(pem.as_bytes()));
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
fn a_password_in_an_address_is_refused_and_not_repeated() {
    let user =
        format!("user and password do not belong in an address, which ends up in logs {SECRETS}");
    let parameters = format!("an address of a Redis server takes no parameters {SECRETS}");
    check_addresses([
        ("redis://user:geheim@a", user.as_str()),
        ("rediss://:geheim@a:6379/3", user.as_str()),
        ("redis://user@a", user.as_str()),
        ("user:geheim@a", user.as_str()),
        ("redis://user:ge/heim@a", user.as_str()),
        ("redis://a?password=geheim", parameters.as_str()),
        ("redis://a#geheim", parameters.as_str()),
    ]);
    for text in [
        "sentinels = [\"redis://a\", \"redis://u:geheim@a\"]\nmaster = \"m\"",
        "cluster = [\"redis://u:geheim@a\"]",
        "cluster = \"redis://u:geheim@a\"",
        "redis = \"redis://a\"\ntimeout = \"redis://u:geheim@a\"",
        "redis = \"redis://a\"\nrequired = \"redis://u:geheim@a\"",
        "redis = \"redis://a\"\npassword = \"geheim\"",
        "redis = \"redis://a\"\npassword_env = \"ge heim\"",
    ] {
        let said = mistakes(text);
        assert!(!said.contains("heim"), "{said}");
    }
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

#[test]
fn a_mistake_in_a_user_or_a_password() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("empty"), "\n").unwrap();
    std::fs::write(path("latin1"), b"\xFC").unwrap();
    let (empty, latin1) = (path("empty"), path("latin1"));
    let help = "(give it the password where the gateway is started, or use a file)";
    let no_name = "this cannot be the name of an environment variable (write the variable's name, such as EINLASS_REDIS_PASSWORD, not its content)";
    for (before, servers) in [
        ("", "redis = \"redis://a\"\nprefix = \"p\""),
        ("sentinel_", "sentinels = [\"redis://a\"]\nmaster = \"m\""),
    ] {
        // The first line of `text` is the fourth.
        let in_user = 8 + before.len();
        let in_file = 17 + before.len();
        let in_env = 16 + before.len();
        for (text, expected) in [
            (
                format!("{before}user = \"u\""),
                format!(
                    "4:{in_user}: `{before}user` needs a password (add `{before}password_file` or `{before}password_env`)"
                ),
            ),
            (
                format!("{before}user = \"a b\"\n{before}password_env = \"CARGO_PKG_NAME\""),
                format!(
                    "4:{in_user}: `{before}user` must have at least one character and no spaces"
                ),
            ),
            (
                format!("{before}password_file = \"no-such-file\""),
                format!("4:{in_file}: cannot read `no-such-file`: there is no such file"),
            ),
            (
                format!("{before}password_file = '{empty}'"),
                format!("4:{in_file}: `{empty}` is empty (put the password in it)"),
            ),
            (
                format!("{before}password_file = '{latin1}'"),
                format!("4:{in_file}: `{latin1}` is not UTF-8"),
            ),
            (
                format!("{before}password_env = \"EINLASS_NO_SUCH_VARIABLE\""),
                format!(
                    "4:{in_env}: the environment variable `EINLASS_NO_SUCH_VARIABLE` is not set {help}"
                ),
            ),
            (
                // Cargo sets it to nothing for a version such as ours.
                format!("{before}password_env = \"CARGO_PKG_VERSION_PRE\""),
                format!(
                    "4:{in_env}: the environment variable `CARGO_PKG_VERSION_PRE` is empty {help}"
                ),
            ),
            (
                format!("{before}password_env = \"\""),
                format!("4:{in_env}: {no_name}"),
            ),
            (
                format!("{before}password_env = \"1A\""),
                format!("4:{in_env}: {no_name}"),
            ),
            (
                format!("{before}password_env = \"A=B\""),
                format!("4:{in_env}: {no_name}"),
            ),
            (
                format!(
                    "{before}password_env = \"CARGO_PKG_NAME\"\n{before}password_file = \"no-such-file\""
                ),
                format!(
                    "4:{in_env}: `{before}password_env` cannot stand beside `{before}password_file`, at f.toml:5:{in_file} (keep one of them)\nf.toml:5:{in_file}: cannot read `no-such-file`: there is no such file"
                ),
            ),
        ] {
            let said = mistakes(&format!("{servers}\n{text}"));
            assert_eq!(said, format!("f.toml:{expected}"), "in\n{text}");
        }
    }
}

#[test]
fn a_mistake_in_the_authorities() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.pem").display().to_string();
    std::fs::write(&key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    assert_eq!(
        mistakes(&format!("redis = \"rediss://a\"\nca_file = '{key}'")),
        format!("f.toml:3:11: `{key}` does not hold a certificate in PEM form")
    );
    assert_eq!(
        mistakes("redis = \"rediss://a\"\nca_file = \"no-such-file\""),
        "f.toml:3:11: cannot read `no-such-file`: there is no such file"
    );
    assert_eq!(
        mistakes_beside_redis("ca_file = \"no-such-file\""),
        "f.toml:3:11: `ca_file` is for TLS only (write rediss:// in every address)\nf.toml:3:11: cannot read `no-such-file`: there is no such file"
    );
}

#[test]
fn a_mistake_in_the_rest() {
    let prefix = "f.toml:3:10: `prefix` must be 1 to 32 characters of a-z, 0-9, _ and -";
    let too_long = format!("prefix = \"{}\"", "a".repeat(33));
    for (text, expected) in [
        (
            "timeout = \"49ms\"",
            "f.toml:3:11: `timeout` must be between 50ms and 2s, not \"49ms\"",
        ),
        (
            "timeout = \"2001ms\"",
            "f.toml:3:11: `timeout` must be between 50ms and 2s, not \"2001ms\"",
        ),
        (
            "timeout = 250",
            "f.toml:3:11: `timeout` must be a duration such as \"500ms\", \"2s\" or \"4h\", not 250",
        ),
        ("prefix = \"\"", prefix),
        ("prefix = \"A\"", prefix),
        ("prefix = \"ä\"", prefix),
        ("prefix = \"a:b\"", prefix),
        (&too_long, prefix),
        (
            "required = \"yes\"",
            "f.toml:3:12: `required` must be true or false, not \"yes\"",
        ),
        (
            "requierd = true",
            "f.toml:3:1: unknown key `requierd` in [store] (did you mean `required`?)",
        ),
        (
            "password = \"geheim\"",
            "f.toml:3:1: unknown key `password` in [store] (known here: redis, sentinels, cluster, master, user, password_file, password_env, sentinel_user, sentinel_password_file, sentinel_password_env, ca_file, timeout, prefix, required)",
        ),
    ] {
        assert_eq!(mistakes_beside_redis(text), expected, "in\n{text}");
    }
}

#[test]
fn all_of_them_at_once() {
    let text = "master = \"\"\nuser = \"u\"\nca_file = 3\ntimeout = \"10s\"\nprefix = \"Ä\"\nrequired = 1\nhost = \"a\"";
    let said = mistakes(text);
    let lines: Vec<_> = said
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            "f.toml:1:1",
            "f.toml:2:10",
            "f.toml:2:10",
            "f.toml:3:8",
            "f.toml:4:11",
            "f.toml:5:11",
            "f.toml:6:10",
            "f.toml:7:12",
            "f.toml:8:1"
        ],
        "{said}"
    );
}

#[test]
fn what_is_no_table_is_one_mistake() {
    let said = load_str("f.toml", &format!("store = \"redis://a\"{REGION}"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        said,
        "f.toml:1:9: `store` must be a table, not \"redis://a\""
    );
}
