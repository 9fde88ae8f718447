//! Names of backends, looked up in the background.
//!
//! No request waits for a lookup. A name is asked again when its answer has run out; while there is
//! no answer, or one without addresses, the backends stay those that were known last.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use einlass_config::{Backend, Endpoint};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RecordType;
use tokio::time::timeout;

use super::balancer::Site;
use crate::site::Pool;

/// Answers live at least so long, whatever they say.
const SHORTEST: Duration = Duration::from_secs(1);
/// And at most so long: a backend that has moved shall not be missed for a day.
const LONGEST: Duration = Duration::from_mins(5);
/// A failed lookup is repeated after this, twice this, and so on.
const AGAIN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(30);
/// How long one family is waited for when the other is there.
const GRACE: Duration = Duration::from_millis(500);
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
    if pool.backends.names().next().is_none() {
        return;
    }
    let pool = Arc::clone(pool);
    tokio::spawn(async move {
        let backends = &pool.backends;
        let failed = |error: &NetError, first: bool| {
            backends.lookup_failed();
            let pool = &pool.name;
            if first {
                tracing::error!(pool, %error, "Names of backends cannot be looked up; write `upstream.resolver`");
            }
        };
        let resolver = until_made(|| resolver(backends.resolver()), failed).await;
        for (index, backend) in backends.names() {
            let (pool, backend) = (Arc::clone(&pool), backend.clone());
            let resolver = resolver.clone();
            tokio::spawn(async move { one(&pool, index, &backend, &resolver).await });
        }
    });
}

/// Tries until it can be made: the file of the system's servers may be written later than we start.
/// `failed` is told each error, and whether it is the first.
async fn until_made<T, E>(mut make: impl FnMut() -> Result<T, E>, failed: impl Fn(&E, bool)) -> T {
    let mut failures = 0;
    loop {
        match make() {
            Ok(made) => return made,
            Err(error) => failed(&error, failures == 0),
        }
        failures += 1;
        tokio::time::sleep(pause(failures)).await;
    }
}

/// After so many failures in a row.
fn pause(failures: u32) -> Duration {
    (AGAIN * 2_u32.saturating_pow(failures.saturating_sub(1))).min(SELDOM)
}

async fn one(pool: &Pool, index: usize, backend: &Backend, resolver: &TokioResolver) {
    let Endpoint::Name { host, .. } = &backend.at else {
        return;
    };
    let mut found = Found::default();
    let mut failures = 0_u32;
    loop {
        let (v4, v6) = both(
            ask(resolver, host, RecordType::A),
            ask(resolver, host, RecordType::AAAA),
        )
        .await;
        let until = [v4.until, v6.until].into_iter().flatten().min();
        let (fresh, ok) = found.merge(v4.heard, v6.heard);
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
                let error = v4.error.or(v6.error);
                tracing::warn!(
                    pool = pool.name,
                    host,
                    error,
                    "Name of a backend not found; what was known stays"
                );
            }
            failures += 1;
            pool.backends.lookup_failed();
            pause(failures)
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

/// What came of asking for one family.
struct Told {
    heard: Heard,
    until: Option<Instant>,
    error: Option<String>,
}

async fn ask(resolver: &TokioResolver, host: &str, family: RecordType) -> Told {
    let lookup = resolver.lookup(host, family).await;
    Told {
        heard: heard(&lookup),
        until: lookup.as_ref().ok().map(Lookup::valid_until),
        error: lookup.err().map(|error| error.to_string()),
    }
}

/// Both families. When one has addresses the other is waited for a moment longer (as in RFC 8305,
/// section 3): some servers give no answer at all to questions for IPv6.
async fn both(v4: impl Future<Output = Told>, v6: impl Future<Output = Told>) -> (Told, Told) {
    let (mut v4, mut v6) = (pin!(v4), pin!(v6));
    let late = || Told {
        heard: Heard::Nothing,
        until: None,
        error: None,
    };
    let has_addresses = |told: &Told| matches!(told.heard, Heard::Addresses(_));
    tokio::select! {
        v4 = &mut v4 => {
            let v6 = if has_addresses(&v4) {
                timeout(GRACE, v6).await.unwrap_or_else(|_| late())
            } else {
                v6.await
            };
            (v4, v6)
        }
        v6 = &mut v6 => {
            let v4 = if has_addresses(&v6) {
                timeout(GRACE, v4).await.unwrap_or_else(|_| late())
            } else {
                v4.await
            };
            (v4, v6)
        }
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

    fn told(heard: Heard) -> Told {
        Told {
            heard,
            until: None,
            error: None,
        }
    }

    #[tokio::test]
    async fn a_family_without_an_answer_does_not_hold_up_the_other() {
        let began = tokio::time::Instant::now();
        let never = std::future::pending::<Told>;
        let known = || async { told(some(&["10.0.0.1"])) };
        let (v4, v6) = both(known(), never()).await;
        assert_eq!((v4.heard, v6.heard), (some(&["10.0.0.1"]), Heard::Nothing));
        let (v4, v6) = both(never(), known()).await;
        assert_eq!((v4.heard, v6.heard), (Heard::Nothing, some(&["10.0.0.1"])));
        assert!(began.elapsed() < TIMEOUT * 5, "no lookup is waited for");
        // Where one has none, the other is all there is.
        let late = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            told(some(&["2001:db8::1"]))
        };
        let none = async { told(Heard::None) };
        let (_, v6) = both(none, late).await;
        assert_eq!(v6.heard, some(&["2001:db8::1"]));
    }

    #[tokio::test]
    async fn a_resolver_that_cannot_be_made_is_tried_again() {
        let mut tries = 0;
        let firsts = std::cell::Cell::new(0);
        let make = || {
            tries += 1;
            if tries < 2 { Err(tries) } else { Ok("made") }
        };
        let failed = |_: &i32, first: bool| firsts.set(firsts.get() + u32::from(first));
        let began = tokio::time::Instant::now();
        assert_eq!(until_made(make, failed).await, "made");
        assert_eq!((tries, firsts.get()), (2, 1));
        assert!(began.elapsed() >= AGAIN);
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
