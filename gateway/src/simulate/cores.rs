//! How many cores a pool is taken to have when nobody says.

use einlass_config::scenario::Mode;

use super::draft::Draft;

/// What a server of a region is taken to have.
const OF_A_SERVER: f64 = 8.0;
/// What a school's own old server is taken to have.
const OF_AN_OLD_ONE: f64 = 2.0;
/// `in_flight.max` when it is not written.
const UNWRITTEN: u32 = 512;

/// A number of cores, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Guess {
    pub(super) cores: f64,
    pub(super) why: &'static str,
}

/// A fixed cap that somebody has written is about the number of cores, as the handbook says.
/// An adaptive one is only a bound, and so is the default.
pub(super) fn guess(draft: &Draft) -> Guess {
    let max = draft.bounds().max;
    if draft.own {
        return Guess {
            cores: OF_AN_OLD_ONE * draft.backends as f64,
            why: "2 for each of a school's own servers",
        };
    }
    if draft.admission.mode == Some(Mode::Fixed) && max != UNWRITTEN {
        return Guess {
            cores: f64::from(max),
            why: "as many as `in_flight.max`",
        };
    }
    Guess {
        cores: (OF_A_SERVER * draft.backends as f64).min(f64::from(max)),
        why: "8 for each backend",
    }
}
