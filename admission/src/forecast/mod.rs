//! When a turn will come: a forecast that measures its own errors, and moves later only for a reason.
//!
//! The time until a turn comes is the number of pupils ahead of it over the pace at which the room
//! is called, and what more than usual is let in already and has to be worked off first. Ahead of it are
//! those who stand in the line and those of `newcomers.rs`, who will come and go first; not the places in a
//! flood's line that nobody holds. `pace.rs` is what is promised of the pace: it follows a faster room
//! gently, holds against noise, and is taken back only when the room has really become slower, which is
//! recorded as a [`Reason`] and shown.
//! [`Bands`] is the interval around it: the 5 % and 95 % quantiles of the real wait over the forecast
//! one, by horizon, tracked by `probes.rs`: a few turns of which the room notes when they should be
//! called, and sees when they are.
//!
//! Its size is some kilobytes and a few dozen bytes per school, however many wait. It moves on four times a
//! second; a poll only reads the [`Outlook`]. Pure: the time is passed in.

mod bands;
mod newcomers;
mod pace;
mod probes;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::curve::Curve;
use crate::room::Room;
use crate::turn::Serving;
use crate::view::Door;

pub use bands::Bands;
use newcomers::Newcomers;
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
/// Fewer of the called than this part do not come: whoever counts so is wrong about something else.
const LEAST_SHOW: f64 = 0.1;
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
    /// How much shorter the wait may be, as a factor: nobody knows yet how many stay away, or the room is
    /// faster than is promised.
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
    /// How much shorter than that the wait may be, as a factor: nobody knows yet how many stay away, or the
    /// room is faster than is promised.
    pub doubt: f64,
    /// How far the real wait may be from what follows from it.
    pub bands: Bands,
    /// Why it takes longer than whoever came before this was told, and how long ago that began.
    pub reason: Option<(Reason, Duration)>,
    /// For how long people have waited without anybody knowing what the pool can do.
    pub sought: Duration,
}

impl Default for Outlook {
    fn default() -> Self {
        Self {
            sought: Duration::ZERO,
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
    /// Who waits.
    curve: Curve,
    newcomers: Newcomers,
    /// How many who are not here yet go before some turns.
    others: Vec<(u64, f64)>,
    pace: Pace,
    bands: Bands,
    probes: Probes,
    door: Door,
    /// Whether what the pool can do was known at the step before.
    settled: bool,
    /// Since when people have waited without that.
    unknown: Option<Duration>,
    reason: Option<(Reason, Duration)>,
    /// Pupils who were let in already at the step before.
    owed: f64,
    excess: f64,
    doubt: f64,
    outlook: Outlook,
}

impl Default for Forecast {
    fn default() -> Self {
        Self {
            stepped: None,
            curve: Curve::default(),
            newcomers: Newcomers::default(),
            others: Vec::new(),
            pace: Pace::default(),
            bands: Bands::default(),
            probes: Probes::default(),
            door: Door::Open,
            settled: false,
            unknown: None,
            reason: None,
            owed: 0.0,
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
        let called = self.count_called(now, dt, room);
        let waiting = self.curve.waiting();
        match (self.door, sight.door) {
            (Door::Down, Door::Open) => self.say(now, Reason::Outage),
            (Door::Closed, Door::Open) => self.say(now, Reason::Closed),
            _ => {}
        }
        self.door = sight.door;
        let known_again = sight.settled && !self.settled;
        if sight.door != Door::Open {
            self.pace.stop();
            self.probes.drop_all();
        } else if waiting > 0.0 {
            if self.settled && !sight.settled {
                self.pace.keep();
            }
            if known_again || !sight.settled {
                self.pace.guess();
            }
            self.settled = sight.settled;
            let speed = Speed {
                called: called - self.filling(sight),
                capacity: sight.capacity,
                overdue: sight.overdue,
                show_rate: sight.show_rate,
            };
            let reason = self.pace.step(now, dt, &speed);
            if known_again {
                self.pace.go_on();
            }
            if let (Some(reason), None) = (reason, sight.heard) {
                self.say(now, reason);
            }
        } else {
            self.pace.idle();
        }
        self.owed = sight.owed;
        let usual = PIPE + sight.lead;
        let excess = self
            .pace
            .capacity()
            .map_or(0.0, |c| (sight.owed / c - usual).clamp(-usual, MOST_EXCESS));
        // By what was believed before it was known, the excess was another.
        let weight = if sight.settled && !known_again {
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
        self.others = match self.pace.promised() {
            Some(pace) if waiting > 0.0 && sight.settled => {
                self.newcomers.ahead(room, &self.curve, pace)
            }
            _ => Vec::new(),
        };
        self.look(now, serving, sight);
        let seeks = waiting > 0.0 && !sight.settled && sight.door == Door::Open;
        self.unknown = seeks.then(|| self.unknown.unwrap_or(now));
        let shown = |at: Duration| now.saturating_sub(at) < SHOWN;
        self.outlook = Outlook {
            pace: self.pace.promised(),
            excess: self.excess,
            doubt: self.doubt,
            bands: self.bands,
            sought: self
                .unknown
                .map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            reason: self
                .reason
                .filter(|(_, at)| shown(*at))
                .map(|(reason, at)| (reason, now.saturating_sub(at))),
        };
    }

    /// Pupils called since the step before, those among them who came meanwhile.
    fn count_called(&mut self, now: Duration, dt: Duration, room: &Room) -> f64 {
        let joined = self.newcomers.step(now, dt, room);
        let before = self.curve.waiting();
        self.curve = Curve::of_pupils(room);
        (before + joined - self.curve.waiting()).max(0.0)
    }

    /// How many of the called only fill up what is let in already; less than 0 if those are worked off
    /// and nobody is called for them, as after a pool has become slower. It says nothing of the pace. With a
    /// gated page it cannot be seen: whoever types has been called long ago.
    fn filling(&self, sight: &Sight) -> f64 {
        if sight.lead > 0.0 {
            return 0.0;
        }
        let shows = sight.show_rate.unwrap_or(1.0).max(LEAST_SHOW);
        (sight.owed - self.owed) / shows
    }

    /// Who goes before a turn of this room, those among them who are not here yet.
    pub(crate) fn curve(&self, room: &Room) -> Curve {
        Curve::of_pupils(room).with(&self.others)
    }

    /// Scores the forecasts that are decided, says why if one became later, and notes new ones.
    fn look(&mut self, now: Duration, serving: Serving, sight: &Sight) {
        let pace = self.pace.promised();
        let curve = self.curve.with(&self.others);
        let left = Left {
            curve: &curve,
            pace,
            excess: self.excess,
            reason: self.reason,
            own: sight.heard.is_none(),
        };
        let found = self.probes.score(now, serving, &left, &mut self.bands);
        if let Some(reason) = found {
            self.say(now, reason);
        }
        if let Some(pace) = pace.filter(|_| sight.settled && self.door == Door::Open) {
            let outlook = Outlook {
                pace: Some(pace),
                excess: self.excess,
                doubt: self.doubt,
                bands: self.bands,
                reason: None,
                sought: Duration::ZERO,
            };
            self.probes.note(now, &curve, &outlook);
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
