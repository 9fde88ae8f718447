//! Names of backends, looked up in the background.
//!
//! No request waits for a lookup. A name is asked again when its answer has run out; while there is
//! no answer, or one without addresses, the backends stay those that were known last.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use einlass_config::{Backend, Endpoint};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RecordType;

use super::balancer::Site;
use crate::site::Pool;

/// Answers live at least so long, whatever they say.
const SHORTEST: Duration = Duration::from_secs(1);
/// And at most so long: a backend that has moved shall not be missed for a day.
const LONGEST: Duration = Duration::from_mins(5);
/// A failed lookup is repeated after this, twice this, and so on.
const AGAIN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(30);
/// How long one server is waited for.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The addresses a name leads to, by family, so that the failure of one leaves the other alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
}

/// What a lookup of one family came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Addresses(Vec<IpAddr>),
    /// There are none, says the server.
    None,
    /// There is no answer.
    Nothing,
}

/// Follows the names of a pool for as long as the gateway runs.
pub(crate) fn follow(pool: &Arc<Pool>) {
    let backends = &pool.backends;
    if backends.names().next().is_none() {
        return;
    }
    let resolver = match resolver(backends.resolver()) {
        Ok(resolver) => resolver,
        Err(error) => {
            let pool = &pool.name;
            tracing::error!(pool, %error, "Names of backends cannot be looked up; write `upstream.resolver`");
            return;
        }
    };
    for (index, backend) in backends.names() {
        let (pool, backend) = (Arc::clone(pool), backend.clone());
        let resolver = resolver.clone();
        tokio::spawn(async move { one(&pool, index, &backend, &resolver).await });
    }
}

async fn one(pool: &Pool, index: usize, backend: &Backend, resolver: &TokioResolver) {
    let Endpoint::Name { host, .. } = &backend.at else {
        return;
    };
    let mut found = Found::default();
    let mut failures = 0_u32;
    loop {
        let (v4, v6) = tokio::join!(
            resolver.lookup(host.as_str(), RecordType::A),
            resolver.lookup(host.as_str(), RecordType::AAAA),
        );
        let lives = [&v4, &v6].into_iter().flatten().map(Lookup::valid_until);
        let until = lives.min();
        let (fresh, ok) = found.merge(heard(&v4), heard(&v6));
        if fresh != found {
            let addresses = fresh.addresses().collect::<Vec<_>>();
            tracing::info!(pool = pool.name, host, ?addresses, "Backends of a name");
            pool.backends.found(index, &addresses);
            found = fresh;
        }
        let pause = if ok {
            failures = 0;
            let left = until.map_or(LONGEST, |until| until.duration_since(Instant::now()));
            left.clamp(SHORTEST, LONGEST)
        } else {
            if failures == 0 {
                let error = v4.err().or(v6.err());
                let error = error.map(|error| error.to_string());
                tracing::warn!(
                    pool = pool.name,
                    host,
                    error,
                    "Name of a backend not found; what was known stays"
                );
            }
            failures += 1;
            pool.backends.lookup_failed();
            (AGAIN * 2_u32.saturating_pow(failures - 1)).min(SELDOM)
        };
        tokio::time::sleep(pause).await;
    }
}

impl Found {
    /// What is known after both families have been asked, and whether there is any news. Without a
    /// single address everything stays.
    pub(super) fn merge(&self, v4: Heard, v6: Heard) -> (Self, bool) {
        let take = |heard, old: &Vec<IpAddr>| match heard {
            Heard::Addresses(addresses) => addresses,
            Heard::None => Vec::new(),
            Heard::Nothing => old.clone(),
        };
        let news = [&v4, &v6]
            .iter()
            .any(|heard| matches!(heard, Heard::Addresses(_)));
        let merged = Self {
            v4: take(v4, &self.v4),
            v6: take(v6, &self.v6),
        };
        if news {
            (merged, true)
        } else {
            (self.clone(), false)
        }
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.v4.iter().chain(&self.v6).copied()
    }
}

fn heard(lookup: &Result<Lookup, NetError>) -> Heard {
    match lookup {
        Ok(lookup) => {
            let records = lookup.answers().iter();
            let mut addresses: Vec<IpAddr> = records.filter_map(|r| r.data.ip_addr()).collect();
            addresses.sort_unstable();
            addresses.dedup();
            if addresses.is_empty() {
                Heard::None
            } else {
                Heard::Addresses(addresses)
            }
        }
        Err(error) if error.is_no_records_found() => Heard::None,
        Err(_) => Heard::Nothing,
    }
}

/// The system's resolver, or the one the operator names. It keeps nothing: we do.
fn resolver(server: Option<SocketAddr>) -> Result<TokioResolver, NetError> {
    let mut builder = match server {
        None => TokioResolver::builder_tokio()?,
        Some(server) => {
            let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = server.port();
            }
            let server = NameServerConfig::new(server.ip(), true, connections.into());
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.cache_size = 0;
    options.timeout = TIMEOUT;
    builder.build()
}

/// A pool's backends, those of names by what was found last.
pub(super) fn sites(backends: &[Backend], found: &[Vec<IpAddr>]) -> Vec<Site> {
    let mut sites: Vec<Site> = Vec::new();
    for (index, backend) in backends.iter().enumerate() {
        let addresses: Vec<SocketAddr> = match &backend.at {
            Endpoint::Address(address) => vec![*address],
            Endpoint::Name { port, .. } => {
                let found = found.get(index).map_or(&[][..], Vec::as_slice);
                found.iter().map(|ip| SocketAddr::new(*ip, *port)).collect()
            }
        };
        for address in addresses {
            // Two names may lead to the same place.
            if sites.iter().all(|site| site.address != address) {
                sites.push(Site {
                    address,
                    weight: backend.weight,
                    drain: backend.drain,
                });
            }
        }
    }
    sites
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(addresses: &[&str]) -> Heard {
        Heard::Addresses(addresses.iter().map(|a| a.parse().unwrap()).collect())
    }

    #[test]
    fn what_is_not_answered_stays_as_it_was() {
        let (found, ok) = Found::default().merge(Heard::Nothing, Heard::None);
        assert_eq!((found.addresses().count(), ok), (0, false));
        let (found, ok) = found.merge(some(&["10.0.0.1"]), some(&["2001:db8::1"]));
        assert_eq!((found.addresses().count(), ok), (2, true));
        // One family fails, the other has moved.
        let (found, _) = found.merge(Heard::Nothing, some(&["2001:db8::2"]));
        let addresses: Vec<String> = found.addresses().map(|a| a.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.1", "2001:db8::2"]);
        // The name is gone altogether: rather the old addresses than none.
        assert_eq!(
            found.merge(Heard::None, Heard::None),
            (found.clone(), false)
        );
        assert_eq!(
            found.merge(Heard::Nothing, Heard::None),
            (found.clone(), false)
        );
        // One family alone may go.
        let (found, _) = found.merge(some(&["10.0.0.9"]), Heard::None);
        assert_eq!(found.addresses().count(), 1);
    }
}
