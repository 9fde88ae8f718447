//! Finding what belongs to a host, on every request.

use std::collections::HashMap;

use crate::host::{Host, normalise, without_port};

/// What belongs to each host, asked with the `Host` header as it came.
#[derive(Clone, Debug)]
pub struct HostTable<T> {
    entries: HashMap<Host, T>,
}

impl<T> HostTable<T> {
    /// What the header's host has: the claim on its port if there is one, else the claim on all ports.
    ///
    /// Allocates nothing for a header in normal form.
    pub fn find(&self, header: &str) -> Option<&T> {
        let host = normalise(header)?;
        let host: &str = &host;
        self.entries.get(host).or_else(|| {
            let name = without_port(host);
            if name.len() < host.len() {
                self.entries.get(name)
            } else {
                None
            }
        })
    }

    /// How many hosts it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<T> FromIterator<(Host, T)> for HostTable<T> {
    fn from_iter<I: IntoIterator<Item = (Host, T)>>(entries: I) -> Self {
        Self {
            entries: entries.into_iter().collect(),
        }
    }
}
