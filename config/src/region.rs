//! `[region.NAME]`: a failure domain with its backends and its schools.

use std::net::SocketAddr;
use std::path::Path;

use crate::address;
use crate::admission::{self, Admission};
use crate::claims::Claims;
use crate::file;
use crate::gate::{self, Gate};
use crate::place::bare;
use crate::platform::Platform;
use crate::pool;
use crate::report::Problem;
use crate::school::{self, Entry, School};
use crate::schools_csv;
use crate::section::Section;
use crate::settings;
use crate::upstream::{self, Upstream};

const LONGEST_NAME: usize = 63;

/// A region as the operator has written it. The gateway works with its [pools](crate::Config::pools).
#[derive(Clone, Debug)]
pub struct Region {
    /// Its name in metrics, files and on the desk: 1 to 63 of `a-z A-Z 0-9 - _`.
    pub name: String,
    /// Default: `generic`.
    pub platform: Platform,
    /// The servers of [`Self::schools`]. Empty only if those are.
    pub backends: Vec<SocketAddr>,
    /// Which requests need admission. Default: the platform's.
    pub gate: Gate,
    /// How logins are let in, in each of its pools.
    pub admission: Admission,
    /// How the backends of each of its pools are talked to.
    pub upstream: Upstream,
    /// The schools on the region's backends.
    pub schools: Vec<School>,
    /// The schools with a server of their own.
    pub own_servers: Vec<OwnServer>,
}

/// A school with a server of its own, hence with a room of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnServer {
    /// The school.
    pub school: School,
    /// Its servers: at least one.
    pub backends: Vec<SocketAddr>,
}

/// Paths are relative to the folder of `config`.
pub(crate) fn read(
    name: String,
    mut section: Section<'_, '_>,
    config: &Path,
    claims: &mut Claims<'_>,
) -> Region {
    if let Err(problem) = check_name(&name) {
        section.mistake(problem);
    }
    let platform = section.take_text("platform", "the name of a platform", Platform::parse);
    let platform = platform.map_or(settings::PLATFORM, |platform| platform.value);
    let names_backends = section.has("backends");
    let backends = section
        .take_texts("backends", "addresses", address::backend)
        .unwrap_or_default();
    for backend in &backends {
        claims.backend(&name, backend);
    }
    let gate = gate::read(section.take_section("gate"), platform.gate());
    let admission = admission::read(section.take_section("admission"));
    let upstream = upstream::read(section.take_section("upstream"));

    let names_schools = section.has("school") || section.has("schools");
    let entries = read_schools(&mut section, config);
    if !names_schools {
        let header = format!("[[region.{name}.school]]");
        section.mistake(
            Problem::new(format!("the region `{name}` has no schools")).help(format!(
                "add them as {header}, or as a CSV file with schools = \"schools.csv\""
            )),
        );
    }
    let mut schools = Vec::new();
    let mut own_servers = Vec::new();
    for Entry {
        host,
        pupils,
        backends: own,
    } in entries
    {
        if !claims.host(&host) {
            continue;
        }
        let school = School {
            host: host.value,
            pupils,
        };
        if !own.is_empty() {
            let pool = pool::own_name(&name, &school.host);
            for backend in &own {
                claims.backend(&pool, backend);
            }
            own_servers.push(OwnServer {
                school,
                backends: bare(own),
            });
            continue;
        }
        if !names_backends && schools.is_empty() {
            let problem = Problem::new(format!(
                "the school `{}` has no backends, nor has its region",
                school.host
            ));
            section
                .report()
                .add(&host.place, problem.help("give either of them `backends`"));
        }
        schools.push(school);
    }
    section.finish();
    Region {
        name,
        platform,
        backends: bare(backends),
        gate,
        admission,
        upstream,
        schools,
        own_servers,
    }
}

fn read_schools(section: &mut Section<'_, '_>, config: &Path) -> Vec<Entry> {
    let written = section.take_sections("school").unwrap_or_default();
    let mut entries: Vec<Entry> = written.into_iter().filter_map(school::read).collect();
    let report = section.report();
    let listed = section.take_text("schools", "the path of a CSV file", |named| {
        schools_csv::read(&file::beside(config, named), report)
    });
    entries.extend(listed.into_iter().flat_map(|listed| listed.value));
    entries
}

fn check_name(name: &str) -> Result<(), Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(fits) {
        return Ok(());
    }
    Err(
        Problem::new(format!("{name:?} cannot be the name of a region")).help(format!(
            "it stands in metrics and file names: 1 to {LONGEST_NAME} of a-z, A-Z, 0-9, - and _"
        )),
    )
}
