//! `[region.NAME]`: a failure domain with its backends and its schools.

use std::path::Path;

use crate::admission::{self, Admission};
use crate::affinity::{self, Affinity};
use crate::backend::{self, Backend};
use crate::balancing::{self, Balancing};
use crate::claims::Claims;
use crate::file;
use crate::gate::{self, Gate};
use crate::health::{self, Health};
use crate::overflow::{self, Overflow, Written};
use crate::place::bare;
use crate::platform::Platform;
use crate::pool;
use crate::priorities::{self, Priorities};
use crate::report::Problem;
use crate::school::{self, Entry, School};
use crate::schools_csv;
use crate::section::Section;
use crate::settings;
use crate::upstream::{self, Upstream};

const LONGEST_NAME: usize = 63;

/// A region as the operator has written it. The gateway works with its [pools](crate::Config::pools).
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its name in metrics, files and on the desk: 1 to 63 of `a-z A-Z 0-9 - _`.
    pub name: String,
    /// Default: `generic`.
    pub platform: Platform,
    /// The servers of [`Self::schools`]. Empty only if those are.
    pub backends: Vec<Backend>,
    /// Which requests need admission. Default: the platform's.
    pub gate: Gate,
    /// How logins are let in, in each of its pools.
    pub admission: Admission,
    /// How the backends of each of its pools are talked to.
    pub upstream: Upstream,
    /// How requests are spread over the backends of each of its pools.
    pub balancing: Balancing,
    /// Who goes first when they have all they can do, in each of its pools. Default: whoever certainly is
    /// not logged in waits behind all others, and nothing is kept back.
    pub priorities: Option<Priorities>,
    /// How the backends of each of its pools are checked.
    pub health: Health,
    /// What keeps requests together at one backend. Default: nothing.
    pub affinity: Affinity,
    /// Which other regions help out its own pool. Default: none.
    pub overflow: Option<Overflow>,
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
    pub backends: Vec<Backend>,
}

/// Paths are relative to the folder of `config`. Whom it may overflow to is to be settled when all
/// regions are known.
pub(crate) fn read(
    name: String,
    mut section: Section<'_, '_>,
    config: &Path,
    claims: &mut Claims<'_>,
) -> (Region, Option<Written>) {
    if let Err(problem) = check_name(&name) {
        section.mistake(problem);
    }
    let platform = section.take_text("platform", "the name of a platform", Platform::parse);
    let platform = platform.map_or(settings::PLATFORM, |platform| platform.value);
    let written = section.has("backends");
    let backends = backend::take(&mut section);
    let lacks_backends = backends.as_ref().map_or(!written, Vec::is_empty);
    let backends = backends.unwrap_or_default();
    for backend in &backends {
        claims.backend(&name, backend);
    }
    let gate = gate::read(section.take_section("gate"), platform.gate());
    let admission = admission::read(section.take_section("admission"));
    let upstream = upstream::read(section.take_section("upstream"), config);
    let balancing = balancing::read(section.take_section("balancing"));
    let priorities = section
        .take_optional_section("priorities")
        .map(priorities::read);
    let health = health::read(section.take_section("health"));
    let affinity = affinity::read(section.take_section("affinity"));
    let overflow = section
        .take_optional_section("overflow")
        .and_then(overflow::read);
    let entries = read_schools(&name, &mut section, config);
    if lacks_backends
        && let Some(Entry { host, .. }) = entries.iter().find(|entry| entry.own.is_none())
    {
        let message = format!(
            "the school `{}` has no backends, nor has its region",
            host.value
        );
        section.report().add(
            &host.place,
            Problem::new(message).help("give either of them `backends`"),
        );
    }
    section.finish();
    let (schools, own_servers) = settle(&name, entries, claims);
    let region = Region {
        name,
        platform,
        backends: bare(backends),
        gate,
        admission,
        upstream,
        balancing,
        priorities,
        health,
        affinity,
        overflow: None,
        schools,
        own_servers,
    };
    (region, overflow)
}

/// All the schools of a region, however they are written; at least one, or that has been said.
fn read_schools(region: &str, section: &mut Section<'_, '_>, config: &Path) -> Vec<Entry> {
    let report = section.report();
    let mistakes = report.count();
    let written = section.take_sections("school").unwrap_or_default();
    let mut entries: Vec<Entry> = written.into_iter().filter_map(school::read).collect();
    let listed = section.take_text("schools", "the path of a CSV file", |named| {
        schools_csv::read(&file::beside(config, named), report)
    });
    entries.extend(listed.into_iter().flat_map(|listed| listed.value));
    if entries.is_empty() && report.count() == mistakes {
        section.mistake(Problem::new(format!("the region `{region}` has no schools")).help(format!(
            r#"add them as [[region.{region}.school]], or as a CSV file with schools = "schools.csv""#
        )));
    }
    entries
}

/// Claims the hosts and gives each school its place: on the region's backends or on its own.
fn settle(
    region: &str,
    entries: Vec<Entry>,
    claims: &mut Claims<'_>,
) -> (Vec<School>, Vec<OwnServer>) {
    let mut schools = Vec::new();
    let mut own_servers = Vec::new();
    for Entry { host, pupils, own } in entries {
        if !claims.host(&host) {
            continue;
        }
        let school = School {
            host: host.value,
            pupils,
        };
        let Some(backends) = own else {
            schools.push(school);
            continue;
        };
        let pool = pool::own_name(region, &school.host);
        for backend in &backends {
            claims.backend(&pool, backend);
        }
        own_servers.push(OwnServer {
            school,
            backends: bare(backends),
        });
    }
    (schools, own_servers)
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
