//! Pools as far as they are known without assuming anything: from the configuration or the scenario.

use std::time::Duration;

use einlass_config::scenario::{self, Gate, Mode};
use einlass_config::{Config, InFlight};
use einlass_simulator::School;

/// How somebody types who has been given the login page, unless the scenario says.
const TYPING: Duration = Duration::from_secs(10);
/// Of regions that the scenario makes up.
const BOUNDS: InFlight = InFlight { min: 4, max: 2_000 };
const HOLD: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(30);

/// A pool without what must be assumed.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) region: String,
    /// A school's own server.
    pub(super) own: bool,
    /// Backends the configuration names.
    pub(super) backends: usize,
    /// Everything is said.
    pub(super) admission: scenario::Admission,
    pub(super) closed: bool,
    /// How long the gateway waits for a login.
    pub(super) timeout: Duration,
    pub(super) schools: Vec<School>,
}

/// Every pool, those of the configuration first.
pub(super) fn all(config: Option<&Config>, scenario: &scenario::Scenario) -> Vec<Draft> {
    let configured = config
        .into_iter()
        .flat_map(|config| configured(config, scenario));
    let made_up = scenario
        .regions
        .iter()
        .flat_map(|region| made_up(region, scenario));
    configured.chain(made_up).collect()
}

fn configured(config: &Config, scenario: &scenario::Scenario) -> Vec<Draft> {
    let draft = |pool: einlass_config::Pool| {
        let region = scenario
            .regions
            .iter()
            .find(|region| region.name == pool.region);
        let said = region.map_or(scenario.admission, |region| {
            region.admission.or(&scenario.admission)
        });
        let mode = match pool.admission.mode {
            // What `observe` would decide is what the rehearsal is to show.
            einlass_config::Mode::Adaptive | einlass_config::Mode::Observe => Some(Mode::Adaptive),
            einlass_config::Mode::Fixed => Some(Mode::Fixed),
            einlass_config::Mode::Closed => None,
        };
        let gate = if pool.gate.page.is_empty() {
            Gate::Submit
        } else {
            Gate::Page
        };
        let admission = said.or(&scenario::Admission {
            mode,
            in_flight: Some(pool.admission.in_flight),
            logins_per_second: pool.admission.logins_per_second,
            hold: Some(pool.admission.hold),
            gate: Some(gate),
            typing: Some(TYPING),
            first_day: Some(false),
        });
        Draft {
            own: pool.name != pool.region,
            name: pool.name,
            region: pool.region,
            backends: pool.backends.len(),
            admission,
            closed: admission.mode.is_none(),
            timeout: pool.upstream.login_timeout,
            schools: pool
                .schools
                .iter()
                .map(|school| School {
                    name: school.host.as_str().to_owned(),
                    pupils: school.pupils,
                })
                .collect(),
        }
    };
    config.pools().into_iter().map(draft).collect()
}

fn made_up(region: &scenario::Region, scenario: &scenario::Scenario) -> Vec<Draft> {
    let admission = region.admission.or(&scenario.admission);
    let admission = admission.or(&scenario::Admission {
        mode: Some(Mode::Adaptive),
        in_flight: Some(BOUNDS),
        logins_per_second: None,
        hold: Some(HOLD),
        gate: Some(Gate::Submit),
        typing: Some(TYPING),
        first_day: Some(false),
    });
    let draft = |name: String, own: bool, schools: &[scenario::School]| Draft {
        name,
        region: region.name.clone(),
        own,
        backends: 1,
        admission,
        closed: false,
        timeout: TIMEOUT,
        schools: schools
            .iter()
            .map(|school| School {
                name: school.name.clone(),
                pupils: school.pupils,
            })
            .collect(),
    };
    let shared =
        (!region.schools.is_empty()).then(|| draft(region.name.clone(), false, &region.schools));
    let own = region.own_schools.iter().map(|school| {
        let name = format!("{}/{}", region.name, school.name);
        draft(name, true, std::slice::from_ref(school))
    });
    shared.into_iter().chain(own).collect()
}

impl Draft {
    /// The bounds of the logins in flight.
    pub(super) fn bounds(&self) -> InFlight {
        let bounds = self.admission.in_flight.unwrap_or(BOUNDS);
        InFlight {
            // As a configuration has it.
            min: if self.own { 1 } else { bounds.min },
            ..bounds
        }
    }

    /// How logins are let in, as the simulator wants it.
    pub(super) fn policy(&self) -> einlass_simulator::Admission {
        let InFlight { min, max } = self.bounds();
        let said = self.admission;
        einlass_simulator::Admission {
            policy: match said.mode {
                Some(Mode::Fixed) => einlass_simulator::Policy::Fixed { cap: max },
                _ => einlass_simulator::Policy::Adaptive { min, max },
            },
            ceiling: said.logins_per_second,
            gate: match said.gate {
                Some(Gate::Page) => einlass_simulator::Gate::Page {
                    typing: said.typing.unwrap_or(TYPING),
                },
                _ => einlass_simulator::Gate::Submit,
            },
            hold: said.hold.unwrap_or(HOLD),
            first_day: said.first_day.unwrap_or(false),
        }
    }
}
