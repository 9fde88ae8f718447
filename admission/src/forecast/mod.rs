//! When a turn will come: a forecast that measures its own errors, and moves later only for a reason.
//!
//! The time until a turn comes is the number of pupils ahead of it over the pace at which the room
//! is called, and what more than usual is let in already and has to be worked off first. `pace.rs` is
//! what is promised of that pace: it follows a faster room gently, holds against noise, and is taken
//! back only when the room has really become slower, which is recorded as a [`Reason`] and shown.
//! [`Bands`] is the interval around it: the 5 % and 95 % quantiles of the real wait over the forecast
//! one, by horizon, tracked by `probes.rs`: a few turns of which the room notes when they should be
//! called, and sees when they are.
//!
//! Its size is some kilobytes and a few bytes per school, however many wait. It moves on four times a
//! second; a poll only reads the [`Outlook`]. Pure: the time is passed in.

mod bands;
mod pace;
mod probes;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::curve::Curve;
use crate::room::Room;
use crate::turn::{Serving, Turn};
use crate::view::Door;

pub use bands::Bands;
use pace::{Pace, Speed};
pub use probes::Scores;
use probes::{Left, Probes};

/// How often the forecast moves on.
const STEP: Duration = Duration::from_millis(250);
/// What is let in already and not done is usually so many seconds of work: the buffer, and those
/// on the way to it.
const PIPE: f64 = 1.5;
/// More of it than that is smoothed with this time constant and believed up to so much, in seconds.
const EXCESS_TIME: f64 = 1.0;
const MOST_EXCESS: f64 = 30.0;
/// A reason is shown for so long: every browser that waits asks within it, hidden tabs too.
const SHOWN: Duration = Duration::from_secs(90);

/// Why it takes longer than was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The pool completes fewer logins than before.
    #[serde(rename = "s")]
    Slower,
    /// Of those who go first more really come than before.
    #[serde(rename = "f")]
    Fuller,
    /// No backend of the pool answered for some time.
    #[serde(rename = "o")]
    Outage,
    /// The operator had closed the room.
    #[serde(rename = "c")]
    Closed,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Slower, Self::Fuller, Self::Outage, Self::Closed];

    /// Its name for operators.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slower => "slower",
            Self::Fuller => "fuller",
            Self::Outage => "outage",
            Self::Closed => "closed",
        }
    }
}

/// What whoever conducts the room tells the other gateways, so that all of them promise the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The pace that is promised, in pupils per second.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<f64>,
    /// By how many seconds of work more than usual are let in already.
    #[serde(rename = "x", default)]
    pub excess: f64,
    /// How much shorter the wait may be, as a factor: nobody knows yet how many stay away.
    #[serde(rename = "d", default = "no_doubt")]
    pub doubt: f64,
    /// Why it was last taken back, and how many seconds ago.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<(Reason, f64)>,
}

impl Default for Word {
    fn default() -> Self {
        Self {
            pace: None,
            excess: 0.0,
            doubt: no_doubt(),
            reason: None,
        }
    }
}

fn no_doubt() -> f64 {
    1.0
}

/// What a poll needs to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// The pace that is promised, in pupils per second; `None` while unknown.
    pub pace: Option<f64>,
    /// By how many seconds of work more than usual are let in already: so much longer it takes until
    /// the room is called further; less than 0 if there are fewer.
    pub excess: f64,
    /// How much shorter than that the wait may be, as a factor: nobody knows yet how many stay away.
    pub doubt: f64,
    /// How far the real wait may be from what follows from it.
    pub bands: Bands,
    /// Why it takes longer than whoever came before this was told, and how long ago that began.
    pub reason: Option<(Reason, Duration)>,
}

impl Default for Outlook {
    fn default() -> Self {
        Self {
            pace: None,
            excess: 0.0,
            doubt: no_doubt(),
            bands: Bands::default(),
            reason: None,
        }
    }
}

/// What the forecast rests on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// Believed capacity of the whole pool, logins per second.
    pub(crate) capacity: Option<f64>,
    /// A login under way for longer is lost; zero if nobody can say.
    pub(crate) overdue: Duration,
    /// The share of the called who come, if known.
    pub(crate) show_rate: Option<f64>,
    /// Pupils who are let in already or as good as: in the buffer, called and on the way, typing.
    pub(crate) owed: f64,
    /// For how long those who have a gated page type, in seconds; 0 if the login is the gate.
    pub(crate) lead: f64,
    /// Whether that is known for sure; until then nobody is told a time.
    pub(crate) settled: bool,
    /// Whether anybody is let in.
    pub(crate) door: Door,
    /// What another gateway promises, if it conducts the room.
    pub(crate) heard: Option<Word>,
}

/// The forecast of one room.
#[derive(Clone, Debug)]
pub(crate) struct Forecast {
    stepped: Option<Duration>,
    curve: Curve,
    pace: Pace,
    bands: Bands,
    probes: Probes,
    door: Door,
    /// Whether what the pool can do was known at the step before.
    settled: bool,
    reason: Option<(Reason, Duration)>,
    excess: f64,
    doubt: f64,
    outlook: Outlook,
}

impl Default for Forecast {
    fn default() -> Self {
        Self {
            stepped: None,
            curve: Curve::default(),
            pace: Pace::default(),
            bands: Bands::default(),
            probes: Probes::default(),
            door: Door::Open,
            settled: false,
            reason: None,
            excess: 0.0,
            doubt: no_doubt(),
            outlook: Outlook::default(),
        }
    }
}

impl Forecast {
    /// Whether it is time for a step.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.stepped
            .is_none_or(|last| now.saturating_sub(last) >= STEP)
    }

    /// Looks how far the room has come, and what to promise now.
    pub(crate) fn step(&mut self, now: Duration, room: &Room, sight: &Sight) {
        let dt = self.stepped.map_or(STEP, |last| now.saturating_sub(last));
        self.stepped = Some(now);
        let serving = room.serving();
        let released = self.curve.ahead(Turn(serving.0));
        self.curve = Curve::of(room);
        let waiting = self.curve.waiting();
        match (self.door, sight.door) {
            (Door::Down, Door::Open) => self.say(now, Reason::Outage),
            (Door::Closed, Door::Open) => self.say(now, Reason::Closed),
            _ => {}
        }
        self.door = sight.door;
        if sight.door != Door::Open {
            self.pace.stop();
            self.probes.drop_all();
        } else if waiting > 0.0 {
            if !(sight.settled && self.settled) {
                self.pace.guess();
            }
            self.settled = sight.settled;
            let speed = Speed {
                called: released,
                capacity: sight.capacity,
                overdue: sight.overdue,
                show_rate: sight.show_rate,
            };
            let reason = self.pace.step(now, dt, &speed);
            if let (Some(reason), None) = (reason, sight.heard) {
                self.say(now, reason);
            }
        } else {
            self.pace.idle();
        }
        let usual = PIPE + sight.lead;
        let excess = self
            .pace
            .capacity()
            .map_or(0.0, |c| (sight.owed / c - usual).clamp(-usual, MOST_EXCESS));
        let weight = if sight.settled {
            (dt.as_secs_f64() / EXCESS_TIME).min(1.0)
        } else {
            1.0
        };
        self.excess += weight * (excess - self.excess);
        self.doubt = self.pace.doubt();
        if let Some(word) = sight.heard {
            self.doubt = word.doubt.clamp(0.0, 1.0);
            self.excess = word.excess.clamp(-MOST_EXCESS, MOST_EXCESS);
            self.pace.hear(word.pace);
            self.reason = word.reason.map(|(reason, ago)| {
                let ago = Duration::try_from_secs_f64(ago).unwrap_or_default();
                (reason, now.saturating_sub(ago))
            });
        }
        self.look(now, serving, sight.settled);
        let shown = |at: Duration| now.saturating_sub(at) < SHOWN;
        self.outlook = Outlook {
            pace: self.pace.promised(),
            excess: self.excess,
            doubt: self.doubt,
            bands: self.bands,
            reason: self
                .reason
                .filter(|(_, at)| shown(*at))
                .map(|(reason, at)| (reason, now.saturating_sub(at))),
        };
    }

    /// Scores the forecasts that are decided, and notes new ones.
    fn look(&mut self, now: Duration, serving: Serving, settled: bool) {
        let pace = self.pace.promised();
        let left = Left {
            curve: &self.curve,
            pace,
            excess: self.excess,
            reason: self.reason,
        };
        self.probes.score(now, serving, &left, &mut self.bands);
        if let Some(pace) = pace.filter(|_| settled && self.door == Door::Open) {
            let outlook = Outlook {
                pace: Some(pace),
                excess: self.excess,
                doubt: self.doubt,
                bands: self.bands,
                reason: None,
            };
            self.probes.note(now, &self.curve, &outlook);
        }
    }

    fn say(&mut self, now: Duration, reason: Reason) {
        self.reason = Some((reason, now));
    }

    /// What polls read.
    pub(crate) fn outlook(&self) -> Outlook {
        self.outlook
    }

    /// What other gateways are told.
    pub(crate) fn word(&self, now: Duration) -> Word {
        Word {
            pace: self.pace.promised(),
            excess: self.excess,
            doubt: self.doubt,
            reason: self
                .reason
                .filter(|(_, at)| now.saturating_sub(*at) < SHOWN)
                .map(|(reason, at)| (reason, now.saturating_sub(at).as_secs_f64())),
        }
    }

    /// How good the forecasts were.
    pub(crate) fn scores(&self) -> &Scores {
        self.probes.scores()
    }

    /// What the next run needs.
    pub(crate) fn bands(&self) -> Bands {
        self.bands
    }

    /// Goes on with what an earlier run has measured.
    pub(crate) fn restore(&mut self, bands: &Bands) {
        self.bands = bands.sane();
    }
}
