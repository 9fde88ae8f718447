//! The regions, pools and schools that a scenario can speak of.

use std::collections::HashMap;

use crate::config::Config;
use crate::report::Problem;
use crate::section::Section;
use crate::suggest::closest;

use super::backends::{self, Backends};
use super::region::Region;

/// A name, and what it stands for.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Enrolled pupils by region.
    regions: HashMap<String, f64>,
    /// The pools' names.
    pools: Vec<String>,
    /// Region and enrolled pupils by school.
    schools: HashMap<String, (String, u32)>,
}

impl Known {
    pub(super) fn new(config: Option<&Config>, regions: &[Region]) -> Self {
        let mut known = Self::default();
        for pool in config.iter().flat_map(|config| config.pools()) {
            for school in &pool.schools {
                known.school(&pool.region, school.host.as_str(), school.pupils);
            }
            known.pools.push(pool.name);
        }
        for region in regions {
            for school in region.schools.iter().chain(&region.own_schools) {
                known.school(&region.name, &school.name, school.pupils);
            }
            if !region.schools.is_empty() {
                known.pools.push(region.name.clone());
            }
            let own = region.own_schools.iter();
            known
                .pools
                .extend(own.map(|school| format!("{}/{}", region.name, school.name)));
        }
        known
    }

    fn school(&mut self, region: &str, name: &str, pupils: u32) {
        *self.regions.entry(region.to_owned()).or_default() += f64::from(pupils);
        self.schools
            .insert(name.to_owned(), (region.to_owned(), pupils));
    }

    /// Enrolled pupils in all, of a region, or of a school.
    pub(super) fn enrolled(&self, region: Option<&str>, school: Option<&str>) -> f64 {
        match (region, school) {
            (_, Some(school)) => self.schools.get(school).map_or(0.0, |(_, n)| f64::from(*n)),
            (Some(region), None) => self.regions.get(region).copied().unwrap_or(0.0),
            (None, None) => self.regions.values().sum(),
        }
    }

    pub(super) fn find_region(&self, written: &str) -> Result<String, Problem> {
        find("region", written, self.regions.keys())
    }

    pub(super) fn find_school(&self, written: &str) -> Result<String, Problem> {
        find("school", written, self.schools.keys())
    }

    /// Which region a school belongs to.
    pub(super) fn region_of(&self, school: &str) -> Option<&str> {
        self.schools.get(school).map(|(region, _)| region.as_str())
    }

    /// `[pool."NAME"]`.
    pub(super) fn read_pool(&self, name: String, section: Section<'_, '_>) -> (String, Backends) {
        if let Err(problem) = find("pool", &name, self.pools.iter()) {
            section.mistake(problem);
        }
        (name, backends::read(section))
    }
}

fn find<'a>(
    what: &str,
    written: &str,
    known: impl Iterator<Item = &'a String> + Clone,
) -> Result<String, Problem> {
    if known.clone().any(|name| name == written) {
        return Ok(written.to_owned());
    }
    let problem = Problem::new(format!("there is no {what} `{written}`"));
    // Hash maps have no order, and a message must not depend on it.
    let mut names: Vec<&str> = known.map(String::as_str).collect();
    names.sort_unstable();
    Err(match closest(written, names.iter().copied()) {
        Some(name) => problem.help(format!("did you mean `{name}`?")),
        None if !names.is_empty() && names.len() <= 10 => {
            problem.help(format!("known here: {}", names.join(", ")))
        }
        None => problem,
    })
}
