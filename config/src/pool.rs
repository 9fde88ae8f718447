//! The resolved view the gateway works with: one pool, one room.

use std::net::SocketAddr;

use crate::admission::Admission;
use crate::affinity::Affinity;
use crate::backend::{Backend, Endpoint};
use crate::balancing::Balancing;
use crate::config::Config;
use crate::gate::Gate;
use crate::health::Health;
use crate::host::Host;
use crate::overflow::Overflow;
use crate::platform::Platform;
use crate::priorities::Priorities;
use crate::region::{OwnServer, Region};
use crate::school::School;
use crate::upstream::Upstream;

/// A set of backends that share one capacity, with everyone who depends on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// The region's name, or `region/host` for a school's own server. Unique.
    pub name: String,
    /// The region it belongs to.
    pub region: String,
    /// At least one. No backend is in two pools.
    pub backends: Vec<Backend>,
    /// At least one; exactly one for a school's own server.
    pub schools: Vec<School>,
    /// What runs on the backends.
    pub platform: Platform,
    /// Which requests need admission.
    pub gate: Gate,
    /// How logins are let in.
    pub admission: Admission,
    /// How the backends are talked to.
    pub upstream: Upstream,
    /// How requests are spread over the backends.
    pub balancing: Balancing,
    /// Who goes first when they have all they can do. Default: all but those who certainly are not logged in.
    pub priorities: Option<Priorities>,
    /// How they are checked.
    pub health: Health,
    /// What keeps requests together at one backend.
    pub affinity: Affinity,
    /// Whose spare capacity its logins may use. A school's own server has none.
    pub overflow: Option<Overflow>,
}

impl Pool {
    /// The backends that were written as addresses and not as names.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.backends.iter().filter_map(|backend| match backend.at {
            Endpoint::Address(address) => Some(address),
            Endpoint::Name { .. } => None,
        })
    }
}

/// Logins in flight at a school's own server, at least; see [`InFlight::min`](crate::InFlight::min).
const OWN_MIN: u32 = 1;

/// The name of the pool of a school's own server.
pub(crate) fn own_name(region: &str, host: &Host) -> String {
    format!("{region}/{host}")
}

impl Config {
    /// Every pool, each with a room of its own: region by region, the region's own before those of single schools.
    ///
    /// A region whose schools all have their own servers has no pool of its own.
    pub fn pools(&self) -> Vec<Pool> {
        self.regions.iter().flat_map(Region::pools).collect()
    }
}

impl Region {
    fn pools(&self) -> Vec<Pool> {
        let pool = |name: String, backends: &[Backend], schools: &[School]| Pool {
            name,
            region: self.name.clone(),
            backends: backends.to_vec(),
            schools: schools.to_vec(),
            platform: self.platform,
            gate: self.gate.clone(),
            admission: self.admission.clone(),
            upstream: self.upstream.clone(),
            balancing: self.balancing,
            priorities: self.priorities.clone(),
            health: self.health.clone(),
            affinity: self.affinity.clone(),
            overflow: None,
        };
        let own = |OwnServer { school, backends }: &OwnServer| {
            let mut own = pool(
                own_name(&self.name, &school.host),
                backends,
                std::slice::from_ref(school),
            );
            own.admission.in_flight.min = OWN_MIN;
            own
        };
        let shared = (!self.schools.is_empty()).then(|| Pool {
            overflow: self.overflow.clone(),
            ..pool(self.name.clone(), &self.backends, &self.schools)
        });
        shared
            .into_iter()
            .chain(self.own_servers.iter().map(own))
            .collect()
    }
}
