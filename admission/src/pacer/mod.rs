//! The pacer: how many logins may be in flight at a pool.

mod adaptive;
mod alone;
mod fixed;
mod reference;
mod window;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use adaptive::{Adaptive, Bounds};
pub use fixed::Fixed;

/// How a login ended, as far as a pacer is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password was hashed, right or wrong: so long took the backend.
    Hashed(Duration),
    /// The backend refused before the hash (a stale form, too many tries): it is there, and that says
    /// nothing about its speed.
    Refused,
    /// Nothing was sent, or the answer says nothing about the backend.
    Neutral,
    /// A gated login page was fetched: its login comes when somebody has typed.
    Page,
    /// The backend said that it is overloaded, or gave no answer.
    Lost,
}

/// What a room tells its pacer, several times a second.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// Latencies of logins answered since the last step, of those that really hashed.
    pub latencies: Vec<Duration>,
    /// Logins lost since the last step: not answered, refused for overload, or under way for longer
    /// than [`Outputs::overdue_after`].
    pub losses: u32,
    /// Logins in flight now.
    pub in_flight: u32,
    /// The part of the pool's cap that all this is of, above 0 up to 1. Less than 1 only at a
    /// gateway that is cut off from the others.
    pub portion: f64,
    /// No backend can be reached, or none answers: what is measured now says nothing.
    pub down: bool,
}

impl Default for Inputs {
    fn default() -> Self {
        Self {
            latencies: Vec::new(),
            losses: 0,
            in_flight: 0,
            portion: 1.0,
            down: false,
        }
    }
}

/// What the pacer decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outputs {
    /// Logins that may be in flight at once, over the whole pool.
    pub cap: u32,
    /// What the pool is believed to complete with the cap used up, in logins per second;
    /// `None` until the first logins have been answered.
    pub capacity: Option<f64>,
    /// The part of that which it has shown, and not only hope: for whoever calls pupils long before
    /// their logins come. `None`: all of it.
    pub proven: Option<f64>,
    /// The same where nothing was found yet that fits. `capacity` is then what the next few slots should complete: to
    /// call as many as that would keep busy for a second, and no more than these, lets them wait for the rest in front of
    /// the slots. `None`: all of it.
    pub seen: Option<f64>,
    /// A login under way for longer counts as lost, whatever comes of it; `None` for never.
    pub overdue_after: Option<Duration>,
    /// Whether what the pool can do is known by now, or was when this began. Until then nobody can
    /// be told how long it takes.
    pub settled: bool,
}

/// What a pacer has learnt: kept over a restart, and handed to the next gateway that paces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// How long a login takes when the backend has nothing else to do, in seconds: the median.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub no_load: Option<f64>,
    /// Nine logins in ten then take less than so many times that.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<f64>,
    /// The mean is so many times that.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// The cap that fitted last.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<f64>,
    /// Logins per second that were completed with it.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// A busy window has confirmed that not long ago.
    #[serde(rename = "f", default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// Where the login page is gated, pupils type for so long, in seconds. It is no pacer's own: whoever conducts the
    /// room adds it.
    #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
    pub typing: Option<f64>,
}

/// Decides how many logins may be in flight. Pure: time is passed in.
pub trait Pacer: Send {
    /// One step. `now` is monotonic, from any origin.
    fn step(&mut self, now: Duration, inputs: &Inputs) -> Outputs;

    /// What was learnt so far. A pacer that learns nothing has an empty memory.
    fn memory(&self) -> Memory {
        Memory::default()
    }

    /// Goes on where another pacer is.
    fn resume(&mut self, _now: Duration, _memory: &Memory) {}

    /// Starts anew, carefully, with what an earlier run has learnt.
    fn restart(&mut self, _now: Duration, _memory: &Memory) {}
}
