//! Addresses of Redis servers: `redis://HOST:PORT`, with TLS `rediss://HOST:PORT`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::report::Problem;

const FORM: &str = "write it like redis://10.0.0.5:6379, or rediss:// for TLS";
const V6_FORM: &str = "write it in brackets, as in redis://[2001:db8::5]:6379";

/// Where a Redis server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAddress {
    /// A name or an IP address, an IPv6 address without its brackets.
    pub host: String,
    /// 1 to 65535. Default: 6379, for sentinels 26379.
    pub port: u16,
    /// `rediss://`: TLS.
    pub tls: bool,
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let (open, close) = if self.host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        write!(out, "{scheme}://{open}{}{close}:{}", self.host, self.port)
    }
}

/// An address and the number of a database, if one is written. `port` is for those without.
pub(crate) fn parse(written: &str, port: u16) -> Result<(RedisAddress, Option<u32>), Problem> {
    refuse_secrets(written)?;
    let wrong = |what: &str| Problem::new(format!("{what} `{written}`")).help(FORM);
    let (tls, rest) = match written.split_once("://") {
        Some(("redis", rest)) => (false, rest),
        Some(("rediss", rest)) => (true, rest),
        _ => return Err(wrong("not the address of a Redis server:")),
    };
    let (place, database) = match rest.split_once('/') {
        None => (rest, None),
        Some((place, "")) => (place, None),
        Some((place, database)) => {
            let number = number(database)
                .ok_or_else(|| wrong("what follows the slash must be the number of a database:"))?;
            (place, Some(number))
        }
    };
    let (host, after) = if let Some(v6) = place.strip_prefix('[') {
        let (host, after) = v6
            .split_once(']')
            .ok_or_else(|| wrong("`]` is missing in"))?;
        let host: Ipv6Addr = host
            .parse()
            .map_err(|_| wrong("no IPv6 address in the brackets of"))?;
        (host.to_string(), after)
    } else {
        if place.matches(':').count() > 1 {
            return Err(wrong("more than one colon in").help(V6_FORM));
        }
        let (host, after) = place.split_at(place.find(':').unwrap_or(place.len()));
        if !is_host(host) {
            return Err(wrong("no host name in"));
        }
        (host.to_owned(), after)
    };
    let port = match after.strip_prefix(':') {
        None if after.is_empty() => Some(port),
        None => None,
        Some(digits) => number(digits).filter(|port| *port != 0),
    };
    let port = port.ok_or_else(|| wrong("the port must be between 1 and 65535 in"))?;
    Ok((RedisAddress { host, port, tls }, database))
}

/// Addresses end up in logs. What was written is not repeated here: it may hold a password.
fn refuse_secrets(written: &str) -> Result<(), Problem> {
    let message = if written.contains('@') {
        "user and password do not belong in an address, which ends up in logs"
    } else if written.contains(['?', '#']) {
        "an address of a Redis server takes no parameters"
    } else {
        return Ok(());
    };
    Err(Problem::new(message).help("use `user` with `password_file` or `password_env`"))
}

/// Digits alone; the standard library would take a sign as well.
fn number<T: FromStr>(written: &str) -> Option<T> {
    let digits = written.bytes().all(|byte| byte.is_ascii_digit());
    written.parse().ok().filter(|_| digits)
}

/// A name as resolvers take it (with `_`, which container networks use), or an IPv4 address.
fn is_host(written: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let label = |label: &str| !label.is_empty() && label.chars().all(fits);
    let name = written.strip_suffix('.').unwrap_or(written);
    // `10.0.0.256` and `10.0.0` are slips in an address, not names.
    let numeric = name
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.split('.').all(label) && (!numeric || written.parse::<Ipv4Addr>().is_ok())
}
