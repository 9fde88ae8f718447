//! How many come in all: so many that they fit in memory.

use crate::report::Problem;
use crate::section::Section;
use crate::settings::MOST_PUPILS;

use super::known::Known;
use super::wave::{Size, Wave};

/// Counts the pupils of wave after wave.
#[derive(Debug)]
pub(super) struct Total<'k> {
    known: &'k Known,
    pupils: f64,
}

impl<'k> Total<'k> {
    pub(super) fn new(known: &'k Known) -> Self {
        Self { known, pupils: 0.0 }
    }

    /// The first wave with which it is too many is the mistake.
    pub(super) fn add(&mut self, wave: &Wave, written: &Section<'_, '_>) {
        let most = f64::from(MOST_PUPILS);
        let before = self.pupils;
        self.pupils += match wave.size {
            Size::Pupils(pupils) => f64::from(pupils),
            Size::Enrolled(part) => {
                let of = (wave.region.as_deref(), wave.school.as_deref());
                part * self.known.enrolled(of.0, of.1)
            }
        };
        if before <= most && self.pupils > most {
            let message = format!(
                "{:.0} pupils come in all, more than the {MOST_PUPILS} a rehearsal can hold",
                self.pupils
            );
            let help = "rehearse fewer regions at a time, they share nothing";
            written.mistake(Problem::new(message).help(help));
        }
    }
}
