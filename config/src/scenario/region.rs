//! `[region.NAME]`: what is assumed of a region of the configuration, or a region of the scenario's own.

use std::collections::HashMap;

use crate::config::Config;
use crate::report::Problem;
use crate::section::Section;
use crate::settings;
use crate::suggest::closest;

use super::admission::{self, Admission};
use super::backends::{self, Backends};
use super::schools::{self, School};

/// What is assumed of a region.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// What is assumed of its backends.
    pub backends: Backends,
    /// `[region.NAME.own_servers]`: the same for its schools' own servers.
    pub own_backends: Backends,
    /// `[region.NAME.admission]`: what differs from the configuration.
    pub admission: Admission,
    /// The schools on its backends. Empty if the configuration knows the region.
    pub schools: Vec<School>,
    /// The schools with a server of their own, by `own_servers.share`. Empty if the configuration knows the region.
    pub own_schools: Vec<School>,
}

pub(super) fn read_all(root: &mut Section<'_, '_>, config: Option<&Config>) -> Vec<Region> {
    let mistakes = root.report().count();
    let sections = root.take_named_sections("region");
    if sections.is_empty() && config.is_none() && root.report().count() == mistakes {
        root.mistake(Problem::new("there is no region").help(
            "begin one with [region.NAME] and its `schools`, or name a configuration with --config",
        ));
    }
    let mut taken = Taken::of(config);
    sections
        .into_iter()
        .map(|(name, section)| read(name, section, config, &mut taken))
        .collect()
}

/// The region of every school so far. A wave names its school and nothing else.
#[derive(Debug, Default)]
pub(super) struct Taken(HashMap<String, String>);

impl Taken {
    fn of(config: Option<&Config>) -> Self {
        let mut taken = Self::default();
        for pool in config.iter().flat_map(|config| config.pools()) {
            for school in &pool.schools {
                // The configuration has no host twice.
                let name = school.host.as_str().to_owned();
                taken.0.insert(name, pool.region.clone());
            }
        }
        taken
    }

    /// A school of this region.
    ///
    /// # Errors
    /// There is one of that name.
    pub(super) fn add(&mut self, region: &str, name: &str) -> Result<(), Problem> {
        match self.0.insert(name.to_owned(), region.to_owned()) {
            None => Ok(()),
            Some(other) if other == region => {
                Err(Problem::new(format!("there are two schools `{name}`")))
            }
            Some(other) => Err(Problem::new(format!("there are two schools `{name}`"))
                .help(format!("the other one is in the region `{other}`"))),
        }
    }
}

fn read(
    name: String,
    mut section: Section<'_, '_>,
    config: Option<&Config>,
    taken: &mut Taken,
) -> Region {
    let names = || config.iter().flat_map(|c| &c.regions).map(|r| &*r.name);
    let configured = names().any(|known| known == name);
    let backends = backends::take(&mut section);
    let admission = admission::read(section.take_section("admission"));
    let mut own = section.take_section("own_servers");
    let own_backends = backends::take_own(&mut own);
    if configured {
        for key in schools::KEYS {
            if let Some(place) = section.place_of(key) {
                let problem = Problem::new(format!("the configuration knows the region `{name}`"))
                    .help("leave its schools to the configuration, or choose another name");
                section.report().add(&place, problem);
            }
        }
        if let Some(place) = own.place_of("share") {
            let problem =
                Problem::new("which schools have servers of their own stands in the configuration")
                    .help("leave out `share`");
            section.report().add(&place, problem);
        }
    } else if !schools::KEYS.iter().any(|key| section.has(key)) {
        let help = match closest(&name, names()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => {
                "give it some, as in schools = { count = 500, pupils = [200, 1400] }".to_owned()
            }
        };
        section.mistake(Problem::new(format!("the region `{name}` has no schools")).help(help));
    }
    let mistakes = section.report().count();
    let place = schools::KEYS.iter().find_map(|key| section.place_of(key));
    let made = schools::take(&name, &mut section, taken);
    if let Some(place) = place
        && made.is_empty()
        && section.report().count() == mistakes
    {
        let problem = Problem::new(format!("the region `{name}` has no schools"))
            .help("make up at least one");
        section.report().add(&place, problem);
    }
    let share = own.take(&settings::SHARE);
    own.finish();
    section.finish();
    let (own_schools, schools) = split(made, share);
    Region {
        name,
        backends,
        own_backends,
        admission,
        schools,
        own_schools,
    }
}

/// Every so many schools one has a server of its own.
fn split(schools: Vec<School>, share: f64) -> (Vec<School>, Vec<School>) {
    let mut number = 0.0;
    schools.into_iter().partition(|_| {
        let before = (number * share).floor();
        number += 1.0;
        (number * share).floor() > before
    })
}
