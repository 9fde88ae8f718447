//! `[store]`: every way to name a Redis, and every way to get it wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod secrets;
mod servers;

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
