//! What is assumed of a pool's backends: what a configuration cannot know.

use std::time::Duration;

use crate::report::Problem;
use crate::section::Section;
use crate::settings;

use super::span::{self, Span};
use super::steps::{self, Step};

/// What is assumed of a pool's backends, together. `None`: nothing here, so what is assumed more generally holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backends {
    /// Cores that hash: 0.01 to 100,000.
    pub cores: Option<Cores>,
    /// What one login costs alone on a core, median: 1 ms to 1 min.
    pub hash: Option<Duration>,
    /// Standard deviation of the logarithm of that cost: 0 to 3.
    pub spread: Option<f64>,
    /// The part of the logins that is refused before the hash: 0 to 0.95.
    pub refused: Option<f64>,
    /// More logins than this at once are turned away with an error: 1 to 10,000,000.
    pub queue: Option<u32>,
    /// From when until when no connection is accepted.
    pub down: Option<Vec<Span>>,
}

/// Cores that hash.
#[derive(Clone, Debug, PartialEq)]
pub enum Cores {
    /// So many, from when on; at least one step.
    Steps(Vec<Step>),
    /// Dealt in turn to one server after the other: `min`, `min` + 1, up to `max`, and from the beginning.
    Between {
        /// The weakest, at least 1.
        min: u32,
        /// The strongest, at least `min`.
        max: u32,
    },
}

impl Backends {
    /// What is said here, and of the rest what is said there.
    #[must_use]
    pub fn or(&self, general: &Self) -> Self {
        Self {
            cores: self.cores.clone().or_else(|| general.cores.clone()),
            hash: self.hash.or(general.hash),
            spread: self.spread.or(general.spread),
            refused: self.refused.or(general.refused),
            queue: self.queue.or(general.queue),
            down: self.down.clone().or_else(|| general.down.clone()),
        }
    }
}

/// A table that holds nothing else.
pub(super) fn read(mut section: Section<'_, '_>) -> Backends {
    let backends = take(&mut section);
    section.finish();
    backends
}

/// Like [`read`] for servers of which there are many: their cores may be dealt.
pub(super) fn read_own(mut section: Section<'_, '_>) -> Backends {
    let backends = take_own(&mut section);
    section.finish();
    backends
}

/// The keys out of a table that may hold others.
pub(super) fn take(section: &mut Section<'_, '_>) -> Backends {
    let cores = steps::read(section, "cores", &settings::CORES).map(Cores::Steps);
    Backends {
        cores,
        hash: section.take_optional("hash", &settings::HASH),
        spread: section.take_optional("spread", &settings::SPREAD),
        refused: section.take_optional("refused", &settings::REFUSED),
        queue: section.take_optional("queue", &settings::QUEUE),
        down: span::read(section, "down"),
    }
}

pub(super) fn take_own(section: &mut Section<'_, '_>) -> Backends {
    let dealt = section
        .is_table("cores")
        .then(|| between(section))
        .flatten();
    let backends = take(section);
    Backends {
        cores: dealt.or(backends.cores),
        ..backends
    }
}

fn between(section: &mut Section<'_, '_>) -> Option<Cores> {
    let mut table = section.take_section("cores");
    let min = table.take_optional("min", &settings::CORES_BETWEEN);
    let max = table.take_optional("max", &settings::CORES_BETWEEN);
    let mistakes = table.report().count();
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        table.mistake(Problem::new(format!(
            "`cores.min` is {min}, more than `cores.max`, which is {max}"
        )));
    } else if table.report().count() == mistakes && (min.is_none() || max.is_none()) {
        table.mistake(
            Problem::new("`cores` needs both its ends").help("write { min = 1, max = 2 }"),
        );
    }
    table.finish();
    Some(Cores::Between {
        min: min?,
        max: max?,
    })
}
