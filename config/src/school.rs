//! `[[region.NAME.school]]`: a school, one by one.

use crate::backend::{self, Backend};
use crate::host::Host;
use crate::place::Placed;
use crate::report::Problem;
use crate::section::Section;
use crate::settings;

/// A school: who asks for its host belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct School {
    /// By which it is found. No two schools share one.
    pub host: Host,
    /// Its weight in the room: 1 to 1,000,000. Default: 500.
    pub pupils: u32,
}

/// A school as it was written, in TOML or CSV.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) host: Placed<Host>,
    pub(crate) pupils: u32,
    /// Its own servers; `None` if it uses its region's. Empty only if there are mistakes in all of them.
    pub(crate) own: Option<Vec<Placed<Backend>>>,
}

pub(crate) fn parse_host(written: &str) -> Result<Host, Problem> {
    Host::parse(written)
        .map_err(|error| Problem::new(format!("{written:?} is not the host of a school: {error}")))
}

/// `None` without a usable host, which has been said.
pub(crate) fn read(mut section: Section<'_, '_>) -> Option<Entry> {
    if !section.has("host") {
        section.mistake(Problem::new("a school needs a `host`"));
    }
    let host = section.take_text("host", "a host name", parse_host);
    let pupils = section.take(&settings::PUPILS);
    let written = section.has("backends");
    let own = match backend::take(&mut section) {
        None => written.then(Vec::new),
        Some(none) if none.is_empty() => None,
        some => some,
    };
    section.finish();
    Some(Entry {
        host: host?,
        pupils,
        own,
    })
}
