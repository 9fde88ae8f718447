//! The pacer's interface, and the pacer that holds a fixed cap.

use std::time::Duration;

/// What a room tells its pacer, several times a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Latencies of logins answered since the last step, of those that really hashed.
    pub latencies: Vec<Duration>,
    /// Logins in flight now.
    pub in_flight: u32,
}

/// What the pacer decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outputs {
    /// Logins that may be in flight at once.
    pub cap: u32,
    /// What the pool is believed to complete with the cap used up, in logins per second;
    /// `None` until the first login has been answered.
    pub capacity: Option<f64>,
}

/// Decides how many logins may be in flight. Pure: time is passed in.
pub trait Pacer: Send {
    /// One step. `now` is monotonic, from any origin.
    fn step(&mut self, now: Duration, inputs: &Inputs) -> Outputs;
}

/// Holds the cap the operator gave, and learns only how fast it is worked off.
#[derive(Clone, Debug)]
pub struct Fixed {
    cap: u32,
    /// Ceiling in logins per second, if the operator set one.
    ceiling: Option<f64>,
    /// Mean latency in seconds, exponentially weighted.
    latency: Option<f64>,
}

impl Fixed {
    /// A fixed cap of at least 1, optionally with a ceiling in logins per second.
    pub fn new(cap: u32, ceiling: Option<f64>) -> Self {
        Self {
            cap: cap.max(1),
            ceiling,
            latency: None,
        }
    }
}

impl Pacer for Fixed {
    fn step(&mut self, _now: Duration, inputs: &Inputs) -> Outputs {
        // The weight of one answer: the mean then reaches back over about two full caps.
        let weight = 1.0 / (2.0 * f64::from(self.cap)).max(8.0);
        for latency in &inputs.latencies {
            let sample = latency.as_secs_f64().max(0.000_1);
            self.latency = Some(match self.latency {
                Some(mean) => mean + weight * (sample - mean),
                None => sample,
            });
        }
        // Little's law: with `cap` always in flight, cap / latency leave per second.
        let capacity = self.latency.map(|mean| f64::from(self.cap) / mean);
        Outputs {
            cap: self.cap,
            capacity: match (capacity, self.ceiling) {
                (Some(rate), Some(ceiling)) => Some(rate.min(ceiling)),
                (rate, _) => rate,
            },
        }
    }
}
