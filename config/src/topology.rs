//! `redis`, `sentinels` or `cluster`: which servers a store is made of.

use crate::credentials;
use crate::place::{Place, Placed};
use crate::redis_address::{self, RedisAddress};
use crate::report::Problem;
use crate::section::Section;

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Which servers there are: exactly one of the three, all addresses with TLS or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// `redis`: one server.
    Single {
        /// Where it listens. Default port: 6379.
        address: RedisAddress,
        /// `redis://HOST:PORT/NUMBER`. Default: 0.
        database: u32,
    },
    /// `sentinels` and `master`: the server that the sentinels name.
    Sentinel {
        /// Where they listen, at least one. Default port: 26379.
        sentinels: Vec<RedisAddress>,
        /// What they call it. Must be written.
        master: String,
        /// The master's database, behind any of the addresses. Default: 0.
        database: u32,
    },
    /// `cluster`: some nodes of a cluster, which know the others.
    Cluster {
        /// Where they listen, at least one. Default port: 6379.
        nodes: Vec<RedisAddress>,
    },
}

/// What is known of the servers, also when something is wrong with them.
#[derive(Debug)]
pub(crate) struct Servers {
    /// `None`: a mistake has been recorded.
    pub(crate) topology: Option<Topology>,
    /// `None`: there is no address that could tell.
    pub(crate) tls: Option<bool>,
}

type Server = Placed<(RedisAddress, Option<u32>)>;

/// One of the three keys, as written; wrong addresses are recorded and left out.
struct Written {
    key: &'static str,
    place: Place,
    servers: Option<Vec<Server>>,
}

pub(crate) fn read(section: &mut Section<'_, '_>) -> Servers {
    let redis = take(section, "redis", |section| {
        let parse = |written: &str| redis_address::parse(written, REDIS_PORT);
        let server = section.take_text("redis", "an address", parse)?;
        Some(vec![server])
    });
    let sentinels = take(section, "sentinels", |section| {
        let parse = |written: &str| redis_address::parse(written, SENTINEL_PORT);
        section.take_texts("sentinels", "addresses", parse)
    });
    let cluster = take(section, "cluster", |section| {
        let parse = |written: &str| redis_address::parse(written, REDIS_PORT);
        section.take_texts("cluster", "addresses", parse)
    });
    let has_master = section.has("master");
    let master = section.take_text("master", "a name", |written| {
        credentials::name("master", written)
    });
    if let (Some(sentinels), false) = (&sentinels, has_master) {
        let problem = Problem::new("`sentinels` needs `master`")
            .help(r#"write master = "NAME", as the configuration of the sentinels calls it"#);
        section.report().add(&sentinels.place, problem);
    }
    if let Some(sentinels) = &sentinels {
        check_one_database(section, sentinels);
    }
    if let Some(cluster) = &cluster {
        check_no_database(section, cluster);
    }

    let written: Vec<Written> = [redis, sentinels, cluster].into_iter().flatten().collect();
    for one in &written {
        check_list(section, one);
    }
    let tls = written
        .iter()
        .flat_map(Written::servers)
        .map(|server| server.value.0.tls)
        .reduce(|one, other| one || other);
    let topology =
        only(section, written).and_then(|one| topology(one, master.map(|master| master.value)));
    Servers { topology, tls }
}

impl Written {
    fn servers(&self) -> &[Server] {
        self.servers.as_deref().unwrap_or_default()
    }
}

/// Remembers where `key` stands, whatever stands there.
fn take<'r, 't>(
    section: &mut Section<'r, 't>,
    key: &'static str,
    read: impl FnOnce(&mut Section<'r, 't>) -> Option<Vec<Server>>,
) -> Option<Written> {
    let place = section.place_of(key);
    let servers = read(section);
    place.map(|place| Written {
        key,
        place,
        servers,
    })
}

/// The one way to find the servers that was written.
fn only(section: &Section<'_, '_>, written: Vec<Written>) -> Option<Written> {
    let mut written = written.into_iter();
    let Some(first) = written.next() else {
        let problem = Problem::new("[store] names no server").help(
            r#"write redis = "redis://10.0.0.5:6379", or `sentinels` with `master`, or `cluster`"#,
        );
        section.mistake(problem);
        return None;
    };
    let more: Vec<_> = written.collect();
    for other in &more {
        let message = format!(
            "`{}` cannot stand beside `{}`, at {}",
            other.key, first.key, first.place
        );
        let problem = Problem::new(message).help("keep one of them");
        section.report().add(&other.place, problem);
    }
    more.is_empty().then_some(first)
}

/// `None` only after a mistake: a list without a good address, no master.
fn topology(one: Written, master: Option<String>) -> Option<Topology> {
    let servers = one.servers?.into_iter().map(|server| server.value);
    let (addresses, databases): (Vec<_>, Vec<_>) = servers.unzip();
    let database = databases.into_iter().flatten().next().unwrap_or(0);
    match one.key {
        "sentinels" => Some(Topology::Sentinel {
            sentinels: addresses,
            master: master?,
            database,
        }),
        "cluster" => Some(Topology::Cluster { nodes: addresses }),
        _ => {
            let address = addresses.into_iter().next()?;
            Some(Topology::Single { address, database })
        }
    }
}

/// Not empty, and with TLS everywhere or nowhere.
fn check_list(section: &Section<'_, '_>, written: &Written) {
    if written.servers.as_ref().is_some_and(Vec::is_empty) {
        let problem = Problem::new(format!("`{}` is empty", written.key))
            .help("write at least one address, as in [\"redis://10.0.0.5\"]");
        section.report().add(&written.place, problem);
    }
    let Some(first) = written.servers().first() else {
        return;
    };
    let differs = |server: &&Server| server.value.0.tls != first.value.0.tls;
    if let Some(other) = written.servers().iter().find(differs) {
        let problem = Problem::new("some addresses begin with redis://, others with rediss://")
            .help("write rediss:// everywhere for TLS, or nowhere");
        section.report().add(&other.place, problem);
    }
}

/// There is one master, so its database has one number.
fn check_one_database(section: &Section<'_, '_>, sentinels: &Written) {
    let mut numbered = sentinels
        .servers()
        .iter()
        .filter_map(|server| Some((server.value.1?, &server.place)));
    let Some((first, at)) = numbered.next() else {
        return;
    };
    for (number, place) in numbered.filter(|(number, _)| *number != first) {
        let message = format!("database {number} here, but database {first} at {at}");
        let problem = Problem::new(message).help("the number is that of the master's database");
        section.report().add(place, problem);
    }
}

fn check_no_database(section: &Section<'_, '_>, cluster: &Written) {
    let numbered = |server: &&Server| server.value.1.is_some();
    for node in cluster.servers().iter().filter(numbered) {
        let problem = Problem::new("a cluster has no numbered databases")
            .help("leave out the slash and what follows it");
        section.report().add(&node.place, problem);
    }
}
