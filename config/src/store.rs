//! `[store]`: where several gateways keep their rooms together.

use std::env;
use std::path::Path;
use std::time::Duration;

use crate::file;
use crate::place::{Placed, bare};
use crate::redis_address::{self, RedisAddress};
use crate::report::Problem;
use crate::secret::Secret;
use crate::section::Section;
use crate::settings;

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const LONGEST_PREFIX: usize = 32;

/// A Redis, or several, that all gateways of a fleet use. Without the table there is one gateway,
/// and its rooms are in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// `redis`, `sentinels` or `cluster`.
    pub topology: Topology,
    /// The ACL user. Default: the default user.
    pub user: Option<String>,
    /// From `password_file` or `password_env`. Default: none.
    pub password: Option<Secret>,
    /// The ACL user at the sentinels. Default: the default user.
    pub sentinel_user: Option<String>,
    /// From `sentinel_password_file` or `sentinel_password_env`. Default: none.
    pub sentinel_password: Option<Secret>,
    /// `ca_file`: who signs the servers' certificates, in PEM. Default: the system's authorities.
    pub ca: Option<Vec<u8>>,
    /// How long one call may take, 50 ms to 2 s. Default: 250 ms.
    pub timeout: Duration,
    /// What all keys begin with. Default: `einlass`.
    pub prefix: String,
    /// Refuse to start when Redis cannot be reached. Default: false, start on our own.
    pub required: bool,
}

/// Which servers there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// `redis`: one server.
    Single {
        /// Where.
        address: RedisAddress,
        /// `redis://HOST:PORT/NUMBER`. Default: 0.
        database: u32,
    },
    /// `sentinels` and `master`: the master they name.
    Sentinel {
        /// Where the sentinels are.
        sentinels: Vec<RedisAddress>,
        /// What they call it.
        master: String,
        /// Behind the first sentinel's address. Default: 0.
        database: u32,
    },
    /// `cluster`: some of a cluster's nodes.
    Cluster {
        /// Where.
        nodes: Vec<RedisAddress>,
    },
}

type Located = Placed<(RedisAddress, Option<u32>)>;

/// Paths are relative to the folder of `config`.
pub(crate) fn read(mut section: Section<'_, '_>, config: &Path) -> Option<Store> {
    let before = section.report().count();
    let one = section.take_text("redis", "an address", |written| {
        redis_address::parse(written, REDIS_PORT)
    });
    let sentinels = section.take_texts("sentinels", "addresses", |written| {
        redis_address::parse(written, SENTINEL_PORT)
    });
    let nodes = section.take_texts("cluster", "addresses", |written| {
        redis_address::parse(written, REDIS_PORT)
    });
    let master = section.take_text("master", "a name", name);
    let user = section.take_text("user", "a name", name);
    let password = password(&mut section, "password_file", "password_env", config);
    let sentinel_user = section.take_text("sentinel_user", "a name", name);
    let sentinel_password = self::password(
        &mut section,
        "sentinel_password_file",
        "sentinel_password_env",
        config,
    );
    let ca = section.take_text("ca_file", "a path", |named| {
        let path = file::beside(config, named);
        let pem = file::read(&path)?;
        if String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            Ok(pem)
        } else {
            let problem = format!("there is no certificate in `{}`", path.display());
            Err(Problem::new(problem).help("it must be in PEM form"))
        }
    });
    let timeout = section.take(&settings::STORE_TIMEOUT);
    let prefix = section.take_text("prefix", "a text", prefix);
    let required = section.take_bool("required").unwrap_or(false);
    for (who, word) in [(&user, &password), (&sentinel_user, &sentinel_password)] {
        if let (Some(who), None) = (who, word) {
            let problem = Problem::new("a user without a password")
                .help("add its password_file or password_env");
            section.report().add(&who.place, problem);
        }
    }
    let all = one.iter().chain(sentinels.iter().flatten());
    let all: Vec<&Located> = all.chain(nodes.iter().flatten()).collect();
    consistent(&section, &all, ca.is_some());
    if sentinels.is_none() {
        let lonely = [
            master.as_ref().map(|m| &m.place),
            sentinel_user.as_ref().map(|u| &u.place),
        ];
        for place in lonely.into_iter().flatten() {
            let problem = Problem::new("this is of use with `sentinels` only");
            section.report().add(place, problem);
        }
    }
    if let Some(nodes) = &nodes {
        for node in nodes.iter().filter(|node| node.value.1.is_some()) {
            let problem = Problem::new("a cluster has no numbered databases")
                .help("leave out what is behind the slash");
            section.report().add(&node.place, problem);
        }
    }
    let topology = topology(&section, before, one, sentinels, nodes, master);
    section.finish();
    Some(Store {
        topology: topology?,
        user: user.map(|user| user.value),
        password,
        sentinel_user: sentinel_user.map(|user| user.value),
        sentinel_password,
        ca: ca.map(|ca| ca.value),
        timeout,
        prefix: prefix.map_or_else(|| settings::STORE_PREFIX.to_owned(), |p| p.value),
        required,
    })
}

/// Exactly one way to find the servers. `before` is how many mistakes there were: a list that is
/// wrong in itself is not missed as well.
fn topology(
    section: &Section<'_, '_>,
    before: usize,
    one: Option<Located>,
    sentinels: Option<Vec<Located>>,
    nodes: Option<Vec<Located>>,
    master: Option<Placed<String>>,
) -> Option<Topology> {
    let addresses = |all: Vec<Located>| bare(all).into_iter().map(|(address, _)| address);
    match (one, sentinels, nodes) {
        (Some(one), None, None) => {
            let (address, database) = one.value;
            Some(Topology::Single {
                address,
                database: database.unwrap_or(0),
            })
        }
        (None, Some(sentinels), None) if !sentinels.is_empty() => {
            let Some(master) = master else {
                let problem = Problem::new("`sentinels` without `master`")
                    .help("write master = \"NAME\", as the sentinels' configuration calls it");
                section.mistake(problem);
                return None;
            };
            let database = sentinels.iter().find_map(|s| s.value.1).unwrap_or(0);
            Some(Topology::Sentinel {
                sentinels: addresses(sentinels).collect(),
                master: master.value,
                database,
            })
        }
        (None, None, Some(nodes)) if !nodes.is_empty() => Some(Topology::Cluster {
            nodes: addresses(nodes).collect(),
        }),
        _ => {
            if section.report().count() == before {
                let problem =
                    Problem::new("[store] needs one of `redis`, `sentinels` and `cluster`")
                        .help("write redis = \"redis://10.0.0.5:6379\"");
                section.mistake(problem);
            }
            None
        }
    }
}

/// All with TLS or none, and authorities only with it.
fn consistent(section: &Section<'_, '_>, all: &[&Located], ca: bool) {
    let Some(first) = all.first() else { return };
    let tls = first.value.0.tls;
    for other in all.iter().filter(|a| a.value.0.tls != tls) {
        let problem = Problem::new("some addresses are redis:// and some rediss://")
            .help("write all of them alike");
        section.report().add(&other.place, problem);
    }
    if ca && !tls {
        let problem = Problem::new("`ca_file` without TLS").help("write rediss:// for TLS");
        section.report().add(&first.place, problem);
    }
}

fn password(
    section: &mut Section<'_, '_>,
    in_file: &'static str,
    in_env: &'static str,
    config: &Path,
) -> Option<Secret> {
    let filled = |text: &str, whence: String| {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            Err(Problem::new(format!("{whence} is empty")))
        } else {
            Ok(Secret::new(text.to_owned()))
        }
    };
    let from_file = section.take_text(in_file, "a path", |named| {
        let path = file::beside(config, named);
        let text = String::from_utf8(file::read(&path)?)
            .map_err(|_| Problem::new(format!("`{}` is not UTF-8", path.display())))?;
        filled(&text, format!("`{}`", path.display()))
    });
    let from_env = section.take_text(in_env, "the name of an environment variable", |name| {
        let text = env::var(name).map_err(|_| {
            Problem::new(format!("the environment variable `{name}` is not set"))
                .help("set it for the gateway, or use a file")
        })?;
        filled(&text, format!("the environment variable `{name}`"))
    });
    if let (Some(_), Some(env)) = (&from_file, &from_env) {
        let problem =
            Problem::new(format!("`{in_file}` and `{in_env}` at once")).help("keep one of them");
        section.report().add(&env.place, problem);
    }
    from_file.or(from_env).map(|secret| secret.value)
}

fn name(written: &str) -> Result<String, Problem> {
    if written.is_empty() || written.chars().any(char::is_whitespace) {
        return Err(Problem::new(
            "a name has at least one character and no spaces",
        ));
    }
    Ok(written.to_owned())
}

fn prefix(written: &str) -> Result<String, Problem> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    if (1..=LONGEST_PREFIX).contains(&written.len()) && written.chars().all(allowed) {
        Ok(written.to_owned())
    } else {
        Err(Problem::new(format!(
            "`prefix` must be 1 to {LONGEST_PREFIX} characters of a-z, 0-9, _ and -"
        )))
    }
}
