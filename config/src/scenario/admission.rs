//! `[admission]`: how logins are let in where that differs from the configuration, or where there is none.

use std::time::Duration;

use crate::admission::{InFlight, take_in_flight};
use crate::report::Problem;
use crate::section::Section;
use crate::settings;
use crate::suggest::did_you_mean;

/// How logins are let in. `None`: as the configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Admission {
    /// Who sets the cap. For regions that the scenario makes up: adaptive.
    pub mode: Option<Mode>,
    /// Bounds of the logins in flight. For regions that the scenario makes up: 4 to 2,000.
    pub in_flight: Option<InFlight>,
    /// A ceiling in logins per second, more than 0. For regions that the scenario makes up: none.
    pub logins_per_second: Option<f64>,
    /// How long a request is held in the hope of its turn: 0 s to 30 s. Default: 2 s.
    pub hold: Option<Duration>,
    /// What needs admission. For regions that the scenario makes up: the login.
    pub gate: Option<Gate>,
    /// How long somebody types who has been given the login page: 0 s to 5 min. Default: 10 s.
    pub typing: Option<Duration>,
    /// Nothing is known of the backends: no gateway has measured them on an earlier day. Default: false.
    pub first_day: Option<bool>,
}

/// Who sets the cap on logins in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The pacer, by measurement.
    Adaptive,
    /// The operator: the cap is `in_flight.max`.
    Fixed,
}

/// What needs admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The login itself.
    Submit,
    /// The login page already.
    Page,
}

impl Admission {
    /// What is said here, and of the rest what is said there.
    #[must_use]
    pub fn or(&self, general: &Self) -> Self {
        Self {
            mode: self.mode.or(general.mode),
            in_flight: self.in_flight.or(general.in_flight),
            logins_per_second: self.logins_per_second.or(general.logins_per_second),
            hold: self.hold.or(general.hold),
            gate: self.gate.or(general.gate),
            typing: self.typing.or(general.typing),
            first_day: self.first_day.or(general.first_day),
        }
    }
}

pub(super) fn read(mut section: Section<'_, '_>) -> Admission {
    let bounded = section.has("in_flight");
    let (in_flight, _) = take_in_flight(&mut section);
    let mode = section.take_text("mode", "`adaptive` or `fixed`", |written| {
        choice(
            "mode",
            written,
            &[("adaptive", Mode::Adaptive), ("fixed", Mode::Fixed)],
        )
    });
    let gate = section.take_text("gate", "`submit` or `page`", |written| {
        choice(
            "gate",
            written,
            &[("submit", Gate::Submit), ("page", Gate::Page)],
        )
    });
    let admission = Admission {
        mode: mode.map(|mode| mode.value),
        in_flight: bounded.then_some(in_flight),
        logins_per_second: section.take_optional("logins_per_second", &settings::LOGINS_PER_SECOND),
        hold: section.take_optional("hold", &settings::HOLD.range),
        gate: gate.map(|gate| gate.value),
        typing: section.take_optional("typing", &settings::TYPING),
        first_day: section.take_bool("first_day"),
    };
    section.finish();
    admission
}

/// One of several words.
pub(super) fn choice<T: Copy>(
    key: &str,
    written: &str,
    words: &[(&'static str, T)],
) -> Result<T, Problem> {
    let found = words.iter().find(|(word, _)| *word == written);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        Problem::new(format!("unknown {key} `{written}`")).help(did_you_mean(written, &known))
    })
}
