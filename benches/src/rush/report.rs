//! The result of a rush.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::curve::Shape;
use super::timeline::Second;
use crate::platform::Snapshot;

/// Everything that was counted and measured. Times are in seconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The plan's name.
    pub name: String,
    /// The plan's seed.
    pub seed: u64,
    /// The plan's curve.
    pub shape: Shape,
    /// The plan's arrival time.
    pub arrive_over: f64,
    /// From the first arrival to the end of the last pupil's morning.
    pub seconds: f64,
    /// Pupils who came.
    pub started: u64,
    /// Pupils who are in.
    pub got_in: u64,
    /// Pupils who lost patience.
    pub gave_up: u64,
    /// Pupils who closed the tab when told to wait.
    pub no_show: u64,
    /// Pupils who wanted in until the end and are not.
    pub failed: u64,
    /// Errors met on the way, by kind; also by pupils who got in at last.
    pub errors: BTreeMap<String, u64>,
    /// Got in without the waiting page, at once.
    pub straight: u64,
    /// Got in without the waiting page, but later than the plan's `held_after`.
    pub held: u64,
    /// Got in through the waiting page.
    pub waited: u64,
    /// From the first submit's intended time to being in.
    pub wait: Waits,
    /// How good the first promise was.
    pub eta_first: EtaQuality,
    /// How good all promises were (each pupil's 1st, 2nd, 4th, 8th …).
    pub eta_all: EtaQuality,
    /// Polls answered.
    pub polls: u64,
    /// Polls answered in the busiest second.
    pub polls_per_second_max: u64,
    /// Polls answered `waiting` although a later pupil of the school had been let in before. Must be 0.
    pub order_inversions: u64,
    /// Polls whose `ahead` was larger than the same pupil's one before. Must be 0.
    pub shown_place_grew: u64,
    /// Times a pupil kept the place but had to type the login again.
    pub asked_again: u64,
    /// Times a pupil whose turn had come was sent back to wait.
    pub sent_back: u64,
    /// Times the gateway did not know a waiting pupil's place any more.
    pub lost_place: u64,
    /// Wrong passwords typed.
    pub mistyped: u64,
    /// Times a pupil started again at the login page after an error.
    pub reloads: u64,
    /// Pages seen by pupils who are in.
    pub pages: u64,
    /// How evenly the schools were served.
    pub fairness: Fairness,
    /// Each school's part, in the plan's order.
    pub schools: Vec<SchoolReport>,
    /// What happened in each second.
    pub timeline: Vec<Second>,
    /// What the platforms behind had to bear during the rush, if the plan named their control addresses.
    pub platforms: Vec<Snapshot>,
}

/// The distribution of waits, in seconds; zeros if nobody got in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Waits {
    /// The median.
    pub p50: f64,
    /// Nine of ten waited at most this long.
    pub p90: f64,
    /// All but one of a hundred.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// Promised against real times until the turn, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct EtaQuality {
    /// Promises judged.
    pub count: u64,
    /// Fraction whose truth was within `[low, high]`.
    pub covered: Option<f64>,
    /// Truth minus `likely`, 10th percentile: negative means sooner than told.
    pub error_p10: f64,
    /// Its median.
    pub error_p50: f64,
    /// Its 90th percentile: positive means later than told.
    pub error_p90: f64,
}

/// How evenly the schools were served while all of those that had to wait were waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Fairness {
    /// When that was, in seconds since the rush began; `None` if there was no such time.
    pub window: Option<(f64, f64)>,
    /// Jain's index of turns per weight in the window: 1 is exactly proportional, 1/n is one school only.
    pub jain: Option<f64>,
}

/// One school's part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SchoolReport {
    /// Its host.
    pub host: String,
    /// Its weight.
    pub pupils: u32,
    /// Pupils who came.
    pub started: u64,
    /// Pupils who are in.
    pub got_in: u64,
    /// Their waits.
    pub wait: Waits,
    /// Turns that came in the fairness window.
    pub served: u64,
    /// The same per pupil of weight.
    pub served_per_weight: f64,
}

impl Report {
    /// Errors of all kinds.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The largest number of logins that was in flight at any of the platforms.
    pub fn max_in_flight(&self) -> Option<usize> {
        self.platforms
            .iter()
            .map(|platform| platform.max_in_flight)
            .max()
    }

    /// Fraction of those who came that got in.
    pub fn in_fraction(&self) -> Option<f64> {
        (self.started > 0).then(|| self.got_in as f64 / self.started as f64)
    }
}
