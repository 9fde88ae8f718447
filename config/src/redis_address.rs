//! Addresses of Redis servers: `redis://HOST:PORT`, with TLS `rediss://HOST:PORT`.

use std::fmt;

use crate::report::Problem;

const FORM: &str = "write it like redis://10.0.0.5:6379, or rediss:// for TLS";

/// Where a Redis server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAddress {
    /// A name or an IP address.
    pub host: String,
    /// Default: 6379, for sentinels 26379.
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

/// An address and the number of a database, if one is written.
pub(crate) fn parse(written: &str, port: u16) -> Result<(RedisAddress, Option<u32>), Problem> {
    let wrong = |what: &str| Problem::new(format!("{what} `{written}`")).help(FORM);
    let (tls, rest) = match written.split_once("://") {
        Some(("redis", rest)) => (false, rest),
        Some(("rediss", rest)) => (true, rest),
        _ => return Err(wrong("not the address of a Redis server:")),
    };
    if rest.contains('@') {
        // What was written is not repeated: it holds a password.
        return Err(Problem::new(
            "user and password do not belong into an address, which ends up in logs",
        )
        .help("use `user` with `password_file` or `password_env`"));
    }
    let (place, database) = match rest.split_once('/') {
        None | Some((_, "")) => (rest.trim_end_matches('/'), None),
        Some((place, number)) => {
            let number = number.parse().map_err(|_| {
                wrong("the part behind the slash must be the number of a database:")
            })?;
            (place, Some(number))
        }
    };
    let (host, port) = if let Some(v6) = place.strip_prefix('[') {
        let (host, rest) = v6
            .split_once(']')
            .ok_or_else(|| wrong("`]` is missing in"))?;
        (host, rest.strip_prefix(':').map_or(Ok(port), str::parse))
    } else {
        match place.rsplit_once(':') {
            Some((host, port)) => (host, port.parse()),
            None => (place, Ok(port)),
        }
    };
    let port = port.map_err(|_| wrong("the port must be between 1 and 65535 in"))?;
    if port == 0 {
        return Err(wrong("the port must be between 1 and 65535 in"));
    }
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(named) {
        return Err(wrong("no host name in"));
    }
    let address = RedisAddress {
        host: host.to_owned(),
        port,
        tls,
    };
    Ok((address, database))
}
