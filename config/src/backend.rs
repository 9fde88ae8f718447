//! One server of a pool: where it is, how much of the work it takes, and whether it is being emptied.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::address;
use crate::place::Placed;
use crate::report::Problem;
use crate::section::Section;
use crate::settings;

/// A server of a pool, as the operator has written it: `"10.1.0.11:8080"` or
/// `{ address = "10.1.0.11:8080", weight = 2, drain = true }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Where it is.
    pub at: Endpoint,
    /// How much it takes of the pool's work, beside the others: 1 to 1,000. Default: 1.
    pub weight: u32,
    /// Nobody new is sent there; who is there stays. Default: false.
    pub drain: bool,
}

/// Where a backend is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// An address and a port.
    Address(SocketAddr),
    /// A name that is looked up in the background, and a port. Each of its addresses is a backend.
    Name {
        /// In lower case, without a dot at the end.
        host: String,
        /// 1 to 65,535.
        port: u16,
    },
}

impl Backend {
    fn at(at: Endpoint) -> Self {
        Self {
            at,
            weight: settings::WEIGHT.default,
            drain: settings::DRAIN,
        }
    }
}

impl FromStr for Backend {
    type Err = NotABackend;

    fn from_str(written: &str) -> Result<Self, NotABackend> {
        address::backend(written)
            .map(Self::at)
            .map_err(|problem| NotABackend(problem.message))
    }
}

/// The text is no backend: write address and port, as in `10.1.0.11:8080`.
#[derive(Debug, thiserror::Error)]
#[error("{0}: write address and port")]
pub struct NotABackend(String);

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(out),
            Self::Name { host, port } => write!(out, "{host}:{port}"),
        }
    }
}

/// The text form.
pub(crate) fn parse(written: &str) -> Result<Backend, Problem> {
    address::backend(written).map(Backend::at)
}

/// The list of a region or of a school. Empty only if it was written so.
pub(crate) fn take(section: &mut Section<'_, '_>) -> Option<Vec<Placed<Backend>>> {
    section.take_texts_or_tables("backends", "addresses", parse, read_table)
}

/// The table form; `None` without a usable address, which has been said.
fn read_table(mut section: Section<'_, '_>) -> Option<Placed<Backend>> {
    if !section.has("address") {
        section.mistake(Problem::new("a backend needs an `address`"));
    }
    let at = section.take_text("address", "an address", address::backend);
    let weight = section.take(&settings::WEIGHT);
    let drain = section.take_bool("drain").unwrap_or(settings::DRAIN);
    section.finish();
    let Placed { value: at, place } = at?;
    Some(Placed::new(Backend { at, weight, drain }, place))
}
