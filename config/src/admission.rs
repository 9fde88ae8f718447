//! `[region.NAME.admission]`: how logins are let in.

use std::time::Duration;

use crate::report::Problem;
use crate::section::Section;
use crate::settings;
use crate::suggest::did_you_mean;

/// How the bounds are written.
const IN_FLIGHT_FORM: &str = "a table such as { min = 4, max = 512 }";

/// How logins are let in to a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Admission {
    /// Bounds of the logins in flight.
    pub in_flight: InFlight,
    /// Logins started per second at most, more than 0. Default: no such ceiling.
    pub logins_per_second: Option<f64>,
    /// Who sets the cap. Default: `adaptive`.
    pub mode: Mode,
    /// How long a login is held, in the hope of its turn, before its browser is sent to wait: 0 s to 30 s.
    /// Default: 2 s.
    pub hold: Duration,
    /// How long a place in the room is kept: 10 min to 24 h. Default: 4 h.
    pub ticket_lifetime: Duration,
    /// How long a sealed login may wait in the browser: 1 min to 4 h. Default: 30 min.
    pub seal_lifetime: Duration,
    /// How long an admitted pupil may log in without waiting again: 10 s to 1 h. Default: 5 min.
    pub pass_lifetime: Duration,
    /// How many logins a pass is good for, mistyped passwords included: 1 to 20. Default: 3.
    pub pass_tries: u32,
    /// The part of each school's admissions that its staff may have, with a pass, while its pupils wait: 0 to 0.5.
    /// Default: 0, staff wait among the pupils.
    pub staff_share: f64,
    /// The largest body of a login, in bytes; written with a unit, from `"1KiB"` to `"1MiB"`. Default: `"64KiB"`.
    pub max_body: usize,
}

/// Bounds of the logins in flight at a pool, over all its backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// At least this many are let in: 1 to `max`. Default: 4, or `max` if that is less. At a school's own server 1:
    /// it may have a single core, on which four logins take four times as long.
    pub min: u32,
    /// Never more than this many: `min` to 100,000. Default: 512, or `min` if that is more; with
    /// [`fixed`](Mode::Fixed) there is none.
    pub max: u32,
}

/// Who sets the cap on logins in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The pacer: it finds the cap between `in_flight.min` and `in_flight.max` by measurement.
    Adaptive,
    /// The operator: the cap is `in_flight.max`.
    Fixed,
    /// The pacer decides and reports, and nobody is held.
    Observe,
    /// The door is closed: nobody is let in, everybody keeps their place.
    Closed,
}

impl Mode {
    fn parse(written: &str) -> Result<Self, Problem> {
        match written {
            "adaptive" => Ok(Self::Adaptive),
            "fixed" => Ok(Self::Fixed),
            "observe" => Ok(Self::Observe),
            "closed" => Ok(Self::Closed),
            _ => Err(
                Problem::new(format!("unknown mode `{written}`")).help(did_you_mean(
                    written,
                    &["adaptive", "fixed", "observe", "closed"],
                )),
            ),
        }
    }
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            in_flight: settings::IN_FLIGHT,
            logins_per_second: None,
            mode: settings::MODE,
            hold: settings::HOLD.default,
            ticket_lifetime: settings::TICKET_LIFETIME.default,
            seal_lifetime: settings::SEAL_LIFETIME.default,
            pass_lifetime: settings::PASS_LIFETIME.default,
            pass_tries: settings::PASS_TRIES.default,
            staff_share: settings::STAFF_SHARE.default,
            max_body: settings::MAX_BODY.default.bytes(),
        }
    }
}

pub(crate) fn read(mut section: Section<'_, '_>) -> Admission {
    let (in_flight, has_max) = take_in_flight(&mut section);
    let modes = "`adaptive`, `fixed`, `observe` or `closed`";
    let mode = section.take_text("mode", modes, Mode::parse);
    if let Some(mode) = &mode
        && mode.value == Mode::Fixed
        && !has_max
    {
        let problem =
            Problem::new("`fixed` without `in_flight.max`: nobody has said what the cap is");
        let help =
            "write in_flight = { max = 8 }, with as many logins as the backends can hash at once";
        section.report().add(&mode.place, problem.help(help));
    }
    let admission = Admission {
        in_flight,
        logins_per_second: section.take_optional("logins_per_second", &settings::LOGINS_PER_SECOND),
        mode: mode.map_or(settings::MODE, |mode| mode.value),
        hold: section.take(&settings::HOLD),
        ticket_lifetime: section.take(&settings::TICKET_LIFETIME),
        seal_lifetime: section.take(&settings::SEAL_LIFETIME),
        pass_lifetime: section.take(&settings::PASS_LIFETIME),
        pass_tries: section.take(&settings::PASS_TRIES),
        staff_share: section.take(&settings::STAFF_SHARE),
        max_body: section.take(&settings::MAX_BODY).bytes(),
    };
    section.finish();
    admission
}

/// `in_flight`: the bounds, or their defaults; and whether `max` is written.
pub(crate) fn take_in_flight(section: &mut Section<'_, '_>) -> (InFlight, bool) {
    let mut section = section.take_section_like("in_flight", IN_FLIGHT_FORM);
    let min = section.take_optional("min", &settings::IN_FLIGHT_RANGE);
    let has_max = section.has("max");
    let max = section.take_optional("max", &settings::IN_FLIGHT_RANGE);
    let max = max.unwrap_or(settings::IN_FLIGHT.max.max(min.unwrap_or(0)));
    let bounds = InFlight {
        min: min.unwrap_or(settings::IN_FLIGHT.min.min(max)),
        max,
    };
    if bounds.min > bounds.max {
        let InFlight { min, max } = bounds;
        section.mistake(Problem::new(format!(
            "`in_flight.min` is {min}, more than `in_flight.max`, which is {max}"
        )));
    }
    section.finish();
    (bounds, has_max)
}
