//! The morning to be played: what the configuration says and what the scenario assumes, in one.

use std::collections::BTreeMap;

use einlass_config::Config;
use einlass_config::scenario::{self, Backends, Cores};
use einlass_simulator::{Backend, Fleet, Pool, Scenario, Steps};

use super::cores::guess;
use super::crowd;
use super::draft::{self, Draft};
use super::error::Error;
use super::words::assumption;

/// What one login costs alone on a core, unless the scenario says: as measured in 2021, with room for today.
const HASH: std::time::Duration = std::time::Duration::from_millis(250);

/// A morning that can be played.
#[derive(Clone, Debug)]
pub struct Morning {
    /// What the simulator plays.
    pub scenario: Scenario,
    /// In sentences: what the scenario assumes, and what is guessed because nobody says it.
    pub assumed: Vec<String>,
}

/// Puts the morning together. Pools that are closed are left out, which is said.
///
/// # Errors
/// [`Error::AllClosed`] if nothing is left, [`Error::NobodyComes`] if nobody comes to what is left.
pub fn morning(config: Option<&Config>, scenario: &scenario::Scenario) -> Result<Morning, Error> {
    let (closed, drafts): (Vec<_>, Vec<_>) = draft::all(config, scenario)
        .into_iter()
        .partition(|draft| draft.closed);
    if drafts.is_empty() {
        return Err(Error::AllClosed);
    }
    let mut assumed = Assumed::default();
    let waves = crowd::waves(&drafts, &scenario.waves);
    if waves.iter().all(Vec::is_empty) {
        return Err(Error::NobodyComes);
    }
    let shut_out = crowd::shut_out(&drafts, &scenario.waves);
    let mut dealt = BTreeMap::new();
    let mut pools = Vec::with_capacity(drafts.len());
    for (draft, waves) in drafts.into_iter().zip(waves) {
        let number = dealt.entry(draft.region.clone()).or_insert(0);
        let (backend, guessed) = backend(&draft, &layers(&draft, scenario), *number);
        *number += u32::from(draft.own);
        assumed.add(&draft, assumption(&backend, guessed));
        pools.push(Pool {
            admission: draft.policy(),
            name: draft.name,
            region: draft.region,
            backend,
            schools: draft.schools,
            waves,
        });
    }
    let mut assumed = assumed.sentences();
    let mut observed = config.into_iter().flat_map(|config| &config.regions);
    if observed.any(|region| region.admission.mode == einlass_config::Mode::Observe) {
        assumed.push("regions that only observe are played as if they were adaptive".to_owned());
    }
    let mut regions = config.into_iter().flat_map(|config| &config.regions);
    if regions.any(|region| region.overflow.is_some()) {
        assumed.push("no region helps another one: overflow is not played".to_owned());
    }
    let closed: Vec<_> = closed.into_iter().map(|draft| draft.name).collect();
    if !closed.is_empty() {
        assumed.push(format!("not played, closed: {}", closed.join(", ")));
    }
    assumed.push(super::words::crowd(scenario));
    let shut_out = shut_out.into_iter();
    assumed.extend(shut_out.map(|who| format!("nobody comes of {who}: the pool is closed")));
    Ok(Morning {
        scenario: Scenario {
            name: scenario.name.clone(),
            seed: scenario.seed.into(),
            longest: scenario.longest,
            fleet: fleet(&scenario.gateways),
            pools,
        },
        assumed,
    })
}

/// What is said of the pool, the more special before the more general.
fn layers(draft: &Draft, scenario: &scenario::Scenario) -> Backends {
    let pool = scenario.pools.iter().find(|(name, _)| *name == draft.name);
    let region = scenario
        .regions
        .iter()
        .find(|region| region.name == draft.region);
    let mut said = pool.map_or_else(Backends::default, |(_, backends)| backends.clone());
    if draft.own {
        let region = region.map_or_else(Backends::default, |region| region.own_backends.clone());
        said = said.or(&region).or(&scenario.own_servers);
        // A region's cores are not those of a school's own server, nor does it go down with them.
        let mut general = region_and_all(draft, scenario);
        (general.cores, general.down) = (None, None);
        return said.or(&general);
    }
    said.or(&region_and_all(draft, scenario))
}

fn region_and_all(draft: &Draft, scenario: &scenario::Scenario) -> Backends {
    let region = scenario
        .regions
        .iter()
        .find(|region| region.name == draft.region);
    region.map_or_else(
        || scenario.backends.clone(),
        |region| region.backends.or(&scenario.backends),
    )
}

/// The backends, and why they have so many cores if that is guessed. `number` counts a region's own servers.
fn backend(draft: &Draft, said: &Backends, number: u32) -> (Backend, Option<&'static str>) {
    let (cores, guessed) = match &said.cores {
        Some(Cores::Steps(steps)) => (crowd::steps(steps), None),
        Some(Cores::Between { min, max }) => {
            let cores = min + number % (max - min + 1);
            (Steps::constant(f64::from(cores)), None)
        }
        None => {
            let guess = guess(draft);
            (Steps::constant(guess.cores), Some(guess.why))
        }
    };
    let steady = Backend::steady(1.0, said.hash.unwrap_or(HASH));
    let spans = said.down.iter().flatten();
    let backend = Backend {
        cores,
        spread: said.spread.unwrap_or(steady.spread),
        refused: said.refused.unwrap_or(steady.refused),
        queue: said.queue,
        timeout: draft.timeout,
        down: spans.map(|span| (span.from, span.until)).collect(),
        ..steady
    };
    (backend, guessed)
}

fn fleet(gateways: &scenario::Gateways) -> Fleet {
    let spans = gateways.cut_off.iter();
    Fleet {
        skew: gateways.skew.clone(),
        round_trip: gateways.round_trip,
        apart: spans.map(|span| (span.from, span.until)).collect(),
    }
}

/// Pools of which the same is assumed are named together.
#[derive(Default)]
struct Assumed(Vec<Alike>);

struct Alike {
    what: String,
    regions: Vec<String>,
    own_servers: usize,
}

impl Assumed {
    fn add(&mut self, draft: &Draft, what: String) {
        let known = self.0.iter().position(|alike| alike.what == what);
        let at = known.unwrap_or(self.0.len());
        if known.is_none() {
            self.0.push(Alike {
                what,
                regions: Vec::new(),
                own_servers: 0,
            });
        }
        let alike = &mut self.0[at];
        if draft.own {
            alike.own_servers += 1;
        } else {
            alike.regions.push(draft.name.clone());
        }
    }

    fn sentences(self) -> Vec<String> {
        let sentence = |alike: Alike| {
            let mut names = alike.regions;
            if alike.own_servers > 0 {
                names.push(super::words::count(alike.own_servers, "own server"));
            }
            format!("{}: {}", names.join(", "), alike.what)
        };
        self.0.into_iter().map(sentence).collect()
    }
}
