//! Users, passwords and authorities: where they come from, and that they are never shown.

use einlass_config::load_str;

use crate::{REGION, SECRETS, check_addresses, mistakes, mistakes_beside_redis, store};

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
