//! The pacer that holds the cap an operator gave.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Inputs, Outputs, Pacer};

/// Latencies a fixed pacer remembers at most; a median of more costs more than it says.
const MOST_KEPT: usize = 2_048;

/// Holds the cap the operator gave, and learns only how fast it is worked off.
#[derive(Clone, Debug)]
pub struct Fixed {
    cap: u32,
    /// Ceiling in logins per second, if the operator set one.
    ceiling: Option<f64>,
    /// The latest latencies, youngest at the back.
    recent: VecDeque<Duration>,
}

impl Fixed {
    /// A fixed cap of at least 1, optionally with a ceiling in logins per second.
    pub fn new(cap: u32, ceiling: Option<f64>) -> Self {
        Self {
            cap: cap.max(1),
            ceiling,
            recent: VecDeque::new(),
        }
    }
}

impl Fixed {
    /// The median: one cheap answer among real logins must not look like a fast backend.
    ///
    /// `None` until half a cap has been answered: of the logins sent first the cheap answers come
    /// back long before the first hash, and alone they would claim twenty times the pace. Half a
    /// cap holds as long as at most a third of the answers are cheap.
    fn median(&self) -> Option<Duration> {
        let enough = (self.cap as usize / 2).clamp(1, MOST_KEPT / 2);
        if self.recent.len() < enough {
            return None;
        }
        let mut sorted: Vec<Duration> = self.recent.iter().copied().collect();
        let middle = sorted.len() / 2;
        Some(*sorted.select_nth_unstable(middle).1)
    }
}

impl Pacer for Fixed {
    fn step(&mut self, _now: Duration, inputs: &Inputs) -> Outputs {
        self.recent.extend(&inputs.latencies);
        // Two full caps reach back two service times; below 16 a median says little.
        let kept = (2 * self.cap as usize).clamp(16, MOST_KEPT);
        let surplus = self.recent.len().saturating_sub(kept);
        self.recent.drain(..surplus);
        // Little's law: with `cap` always in flight, cap / latency leave per second.
        let capacity = self
            .median()
            .map(|latency| f64::from(self.cap) / latency.as_secs_f64().max(0.000_1));
        Outputs {
            cap: self.cap,
            capacity: match (capacity, self.ceiling) {
                (Some(rate), Some(ceiling)) => Some(rate.min(ceiling)),
                (rate, _) => rate,
            },
            proven: None,
            overdue_after: None,
            settled: capacity.is_some(),
        }
    }
}
