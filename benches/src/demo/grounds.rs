//! The demo's grounds: a platform for every pool of a configuration, at addresses that are free.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use einlass_config::{Config, Mistakes, Pool, load_str};

use super::DemoError;
use crate::platform::{HashCost, Hole, Platform, PlatformOptions};
use crate::rush::School;

/// What a school's own old server needs for a login, compared with a region's.
const OLD_SERVER: u32 = 2;

/// A running platform for each pool.
pub(super) struct Grounds {
    /// The configuration with the addresses that are really used.
    pub(super) text: String,
    /// Where the gateway will let pupils in.
    pub(super) edge: SocketAddr,
    /// Where operators will look.
    pub(super) desk: SocketAddr,
    /// In the order of the configuration.
    pub(super) sites: Vec<Site>,
    /// Addresses of the configuration that were taken, and what is used instead.
    pub(super) moved: Vec<(SocketAddr, SocketAddr)>,
}

/// One pool and the platform behind it.
pub(super) struct Site {
    /// The pool's name.
    pub(super) name: String,
    /// Its schools.
    pub(super) schools: Vec<School>,
    /// Logins that may be in flight at once.
    pub(super) cap: usize,
    /// Threads that hash: one less than `cap`, so that the next login is there when one is done.
    pub(super) workers: usize,
    /// How many times as long as elsewhere a hash takes here.
    pub(super) slowness: u32,
    /// The platform itself.
    pub(super) platform: Platform,
    /// What stands before each of its backends, if it was asked for.
    pub(super) network: Vec<Hole>,
}

impl Grounds {
    /// Starts a platform for every pool of the configuration `text`, each hashing at `cost`.
    ///
    /// `queue` logins may stand before a pool's workers; by default 30 s worth of work.
    pub(super) async fn start(
        text: &str,
        cost: HashCost,
        queue: Option<usize>,
    ) -> Result<Self, DemoError> {
        Self::start_busy(text, cost, queue, Duration::ZERO, false).await
    }

    /// The same, and each login keeps a worker busy for at least so long, most of it asleep. With `holes` there is a
    /// network before every platform that can swallow everything.
    pub(super) async fn start_busy(
        text: &str,
        cost: HashCost,
        queue: Option<usize>,
        least: Duration,
        holes: bool,
    ) -> Result<Self, DemoError> {
        let (text, moved) = settle(text)?;
        let config = read(&text)?;
        let mut sites = Vec::new();
        for pool in config.pools() {
            sites.push(Site::start(pool, cost, queue, least, holes).await?);
        }
        let edge = config
            .edge
            .listen
            .first()
            .copied()
            .ok_or(DemoError::NoEdge)?;
        Ok(Self {
            text,
            edge,
            desk: config.desk.listen,
            sites,
            moved,
        })
    }
}

impl Site {
    async fn start(
        pool: Pool,
        cost: HashCost,
        queue: Option<usize>,
        least: Duration,
        holes: bool,
    ) -> Result<Self, DemoError> {
        let cap = pool.admission.in_flight.max as usize;
        let workers = cap.saturating_sub(1).max(1);
        // Only the pool of a school's own server is named after a school too.
        let slowness = if pool.name == pool.region {
            1
        } else {
            OLD_SERVER
        };
        let seen: Vec<SocketAddr> = pool.addresses().collect();
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let platform = Platform::start(PlatformOptions {
            name: pool.name.clone(),
            listen: if holes {
                vec![free; seen.len()]
            } else {
                seen.clone()
            },
            control: Some(free),
            workers,
            cost: HashCost {
                passes: cost.passes * slowness,
                ..cost
            },
            queue_limit: queue,
            least,
            ..PlatformOptions::default()
        })
        .await?;
        let mut network = Vec::new();
        for (at, backend) in seen.iter().zip(platform.backends()).filter(|_| holes) {
            network.push(Hole::at(*at, *backend).await?);
        }
        let schools = pool
            .schools
            .iter()
            .map(|school| School::new(school.host.to_string(), school.pupils))
            .collect();
        Ok(Self {
            name: pool.name,
            schools,
            cap,
            workers,
            slowness,
            platform,
            network,
        })
    }

    /// Pupils of all the schools.
    pub(super) fn pupils(&self) -> u32 {
        self.schools.iter().map(|school| school.pupils).sum()
    }
}

pub(super) fn read(text: &str) -> Result<Config, Mistakes> {
    load_str("demo.toml", text)
}

/// The text with every address that is taken replaced by one that is free.
pub(super) fn settle(text: &str) -> Result<(String, Vec<(SocketAddr, SocketAddr)>), DemoError> {
    let config = read(text)?;
    let pools = config.pools();
    let backends: Vec<SocketAddr> = pools.iter().flat_map(Pool::addresses).collect();
    let wanted = config
        .edge
        .listen
        .iter()
        .chain([&config.desk.listen])
        .chain(&backends);
    // All stay bound until the last is chosen, so that none is chosen twice.
    let mut bound = Vec::new();
    let mut moved = Vec::new();
    let mut settled = text.to_owned();
    for wanted in wanted {
        let listener = bind(*wanted)?;
        let free = listener.local_addr()?;
        if free != *wanted {
            settled = settled.replace(&format!("\"{wanted}\""), &format!("\"{free}\""));
            moved.push((*wanted, free));
        }
        bound.push(listener);
    }
    Ok((settled, moved))
}

fn bind(wanted: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(wanted)
        .or_else(|_| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{
        BALANCE_CONFIG, COMPARE_CONFIG, DEMO_CONFIG, FAIRNESS_CONFIG, ISOLATION_CONFIG,
        MEMORY_CONFIG, STREAMS_CONFIG,
    };

    #[test]
    fn the_configurations_have_no_mistakes_and_stay_on_this_machine() {
        for text in [
            DEMO_CONFIG,
            COMPARE_CONFIG,
            FAIRNESS_CONFIG,
            ISOLATION_CONFIG,
            MEMORY_CONFIG,
            BALANCE_CONFIG,
            STREAMS_CONFIG,
        ] {
            let config = read(text).unwrap();
            let pools = config.pools();
            let mut addresses = pools.iter().flat_map(Pool::addresses);
            assert!(addresses.all(|address| address.ip().is_loopback()));
            assert!(
                config
                    .edge
                    .listen
                    .iter()
                    .all(|edge| edge.ip().is_loopback())
            );
        }
    }

    #[tokio::test]
    async fn a_taken_address_is_replaced_and_an_old_server_is_slow() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let text = DEMO_CONFIG.replace("127.0.0.1:7401", &address.to_string());
        let grounds = Grounds::start(&text, HashCost::QUICK, None).await.unwrap();
        let (_, instead) = *grounds
            .moved
            .iter()
            .find(|(wanted, _)| *wanted == address)
            .unwrap();
        let old = grounds.sites.last().unwrap();
        assert_eq!(old.platform.backends(), [instead]);
        assert!(grounds.text.contains(&instead.to_string()));
        assert_eq!((old.workers, old.slowness, old.cap), (1, OLD_SERVER, 2));
    }
}
