//! What only one may have: hosts, backends and listening addresses.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::address::{clash, leads_to};
use crate::backend::{Backend, Endpoint};
use crate::host::Host;
use crate::place::{Place, Placed};
use crate::report::{Problem, Report};

/// Everything claimed so far. A second claim is a mistake that names the place of the first.
#[derive(Debug)]
pub(crate) struct Claims<'r> {
    report: &'r Report,
    hosts: HashMap<Host, Place>,
    backends: HashMap<Endpoint, (String, Place)>,
    listens: Vec<Listen>,
}

#[derive(Clone, Debug)]
struct Listen {
    key: &'static str,
    address: SocketAddr,
    /// `None`: nobody wrote it, it is the default.
    place: Option<Place>,
}

impl Listen {
    fn is_in_the_way_of(&self, other: &Self) -> bool {
        // On a port that the edge has in both families, it opens `[::]` for IPv6 alone.
        let edge = |listen: &Self| listen.key.starts_with("edge.");
        let families_apart =
            edge(self) && edge(other) && self.address.is_ipv4() != other.address.is_ipv4();
        clash(self.address, other.address) && !families_apart
    }
}

impl<'r> Claims<'r> {
    pub(crate) fn new(report: &'r Report) -> Self {
        Self {
            report,
            hosts: HashMap::new(),
            backends: HashMap::new(),
            listens: Vec::new(),
        }
    }

    /// An address to listen on, written for `key`. All of these come before the first backend.
    pub(crate) fn listen(&mut self, key: &'static str, address: &Placed<SocketAddr>) {
        self.add_listen(Listen {
            key,
            address: address.value,
            place: Some(address.place.clone()),
        });
    }

    /// An address to listen on that `key` has because nobody wrote another.
    pub(crate) fn listen_by_default(&mut self, key: &'static str, address: SocketAddr) {
        self.add_listen(Listen {
            key,
            address,
            place: None,
        });
    }

    fn add_listen(&mut self, new: Listen) {
        if let Some(taken) = self
            .listens
            .iter()
            .find(|taken| new.is_in_the_way_of(taken))
        {
            // It is for what was written to give way.
            let (wrong, other) = if new.place.is_some() {
                (&new, taken)
            } else {
                (taken, &new)
            };
            let whence = other
                .place
                .as_ref()
                .map_or("by default".to_owned(), |place| format!("at {place}"));
            let message = format!(
                "`{}` cannot have {}: `{}` has {} {whence}",
                wrong.key, wrong.address, other.key, other.address
            );
            if let Some(place) = &wrong.place {
                self.report.add(place, Problem::new(message));
            }
        }
        self.listens.push(new);
    }

    /// Whether the host is still free for a school.
    pub(crate) fn host(&mut self, host: &Placed<Host>) -> bool {
        if let Some(taken) = self.hosts.get(&host.value) {
            let message = format!(
                "the host `{}` belongs to another school, at {taken}",
                host.value
            );
            self.report.add(&host.place, Problem::new(message));
            return false;
        }
        self.hosts.insert(host.value.clone(), host.place.clone());
        true
    }

    /// A backend of `pool`.
    pub(crate) fn backend(&mut self, pool: &str, backend: &Placed<Backend>) {
        let at = &backend.value.at;
        let here = |listen: &&Listen| match at {
            Endpoint::Address(address) => leads_to(*address, listen.address),
            Endpoint::Name { .. } => false,
        };
        if let Some(Listen { key, .. }) = self.listens.iter().find(here) {
            let message = format!("the backend {at} is this gateway itself, listening by `{key}`");
            self.report.add(&backend.place, Problem::new(message));
        }
        match self.backends.get(at) {
            None => {
                self.backends
                    .insert(at.clone(), (pool.to_owned(), backend.place.clone()));
            }
            Some((other, place)) if other == pool => {
                let message = format!("the backend {at} is in this pool already, at {place}");
                self.report.add(&backend.place, Problem::new(message));
            }
            Some((other, place)) => {
                let message =
                    format!("the backend {at} is in the pool `{other}` already, at {place}");
                let problem = Problem::new(message)
                    .help("two rooms would each fill it to their own cap; schools on one server belong in one region");
                self.report.add(&backend.place, problem);
            }
        }
    }
}
