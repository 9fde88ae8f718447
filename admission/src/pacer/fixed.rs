//! The pacer that holds the cap an operator gave.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Inputs, Memory, Outputs, Pacer};

/// Latencies a fixed pacer remembers at most; a median of more costs more than it says.
const MOST_KEPT: usize = 2_048;
/// The part of the cap that a pool begins with that was down.
const FIRST: f64 = 0.125;
/// A login that takes so many medians is lost, but not before it takes so long. The cap stays what
/// it is; but a pool all of whose logins are lost is no pool to wait for.
const OVERDUE: f64 = 4.0;
const OVERDUE_AT_LEAST: Duration = Duration::from_secs(5);

/// Holds the cap the operator gave, and learns only how fast it is worked off. After an outage it
/// begins lower: every answer makes room for one more, so the cap doubles with each login's time.
#[derive(Clone, Debug)]
pub struct Fixed {
    cap: u32,
    /// Ceiling in logins per second, if the operator set one.
    ceiling: Option<f64>,
    /// The latest latencies, youngest at the back.
    recent: VecDeque<Duration>,
    was_down: bool,
    /// The cap on its way up, after an outage.
    ramp: Option<f64>,
    /// What an adaptive pacer has learnt, for the next one: an operator who sets a cap for a while does
    /// not throw it away.
    kept: Memory,
}

impl Fixed {
    /// A fixed cap of at least 1, optionally with a ceiling in logins per second.
    pub fn new(cap: u32, ceiling: Option<f64>) -> Self {
        Self {
            cap: cap.max(1),
            ceiling,
            recent: VecDeque::new(),
            was_down: false,
            ramp: None,
            kept: Memory::default(),
        }
    }

    fn keep(&mut self, memory: &Memory) {
        if memory.no_load.is_some() {
            self.kept = Memory {
                fresh: false,
                ..*memory
            };
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
        let enough = (self.cap() as usize / 2).clamp(1, MOST_KEPT / 2);
        if self.recent.len() < enough {
            return None;
        }
        let mut sorted: Vec<Duration> = self.recent.iter().copied().collect();
        let middle = sorted.len() / 2;
        Some(*sorted.select_nth_unstable(middle).1)
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and a u32"
    )]
    fn cap(&self) -> u32 {
        self.ramp.map_or(self.cap, |ramp| ramp as u32)
    }

    /// The way up after an outage.
    fn climb(&mut self, inputs: &Inputs) {
        let full = f64::from(self.cap);
        if inputs.down {
            self.was_down = true;
        } else if std::mem::take(&mut self.was_down) {
            // How fast it was before says nothing about now.
            self.recent.clear();
            self.ramp = Some((full * FIRST).max(1.0));
        } else if let Some(ramp) = self.ramp {
            let answers = inputs.latencies.len() as f64 / inputs.portion.clamp(0.001, 1.0);
            let lost = if inputs.losses > 0 { 0.5 } else { 1.0 };
            let next = ((ramp + answers) * lost).max(1.0);
            self.ramp = (next < full).then_some(next);
        }
    }
}

impl Pacer for Fixed {
    fn step(&mut self, _now: Duration, inputs: &Inputs) -> Outputs {
        self.climb(inputs);
        if !inputs.down {
            self.recent.extend(&inputs.latencies);
        }
        // Two full caps reach back two service times; below 16 a median says little.
        let kept = (2 * self.cap as usize).clamp(16, MOST_KEPT);
        let surplus = self.recent.len().saturating_sub(kept);
        self.recent.drain(..surplus);
        let median = self.median();
        // Little's law: with `cap` always in flight, cap / latency leave per second. On the way up
        // that would be a promise far too late, and browsers would stay away.
        let capacity = median
            .filter(|_| self.ramp.is_none())
            .map(|latency| f64::from(self.cap()) / latency.as_secs_f64().max(0.000_1));
        Outputs {
            cap: self.cap(),
            capacity: match (capacity, self.ceiling) {
                (Some(rate), Some(ceiling)) => Some(rate.min(ceiling)),
                (rate, _) => rate,
            },
            proven: None,
            seen: None,
            overdue_after: median.map(|latency| latency.mul_f64(OVERDUE).max(OVERDUE_AT_LEAST)),
            settled: capacity.is_some() && self.ramp.is_none(),
        }
    }

    fn memory(&self) -> Memory {
        self.kept
    }

    fn resume(&mut self, _now: Duration, memory: &Memory) {
        self.keep(memory);
    }

    fn restart(&mut self, _now: Duration, memory: &Memory) {
        self.keep(memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(logins: usize) -> Inputs {
        Inputs {
            latencies: vec![Duration::from_millis(250); logins],
            ..Inputs::default()
        }
    }

    #[test]
    fn after_an_outage_the_cap_starts_low_and_grows_to_what_it_was() {
        let mut pacer = Fixed::new(64, None);
        let mut step = |inputs: &Inputs| pacer.step(Duration::ZERO, inputs);
        assert_eq!(step(&answered(64)).cap, 64);
        let down = Inputs {
            down: true,
            ..Inputs::default()
        };
        step(&down);
        let back = step(&Inputs::default());
        assert_eq!((back.cap, back.capacity, back.settled), (8, None, false));
        let caps: Vec<u32> = [8, 16, 32].map(|n| step(&answered(n)).cap).to_vec();
        assert_eq!(caps, [16, 32, 64]);
        assert!(step(&answered(1)).settled);
    }

    #[test]
    fn what_is_lost_on_the_way_up_halves_it() {
        let mut pacer = Fixed::new(64, None);
        let mut step = |inputs: &Inputs| pacer.step(Duration::ZERO, inputs).cap;
        step(&Inputs {
            down: true,
            ..Inputs::default()
        });
        assert_eq!(step(&Inputs::default()), 8);
        let lost = Inputs {
            losses: 2,
            ..answered(2)
        };
        assert_eq!(step(&lost), 5);
    }
}
