//! Additive increase, multiplicative decrease on time-outs: the oldest of all controllers.

use std::time::Duration;

use einlass_admission::{Inputs, Outputs, Pacer};

/// A login that takes so long is a time-out.
const TIMEOUT: Duration = Duration::from_secs(5);
/// One step of the cap.
const PERIOD: Duration = Duration::from_secs(1);

/// One more each second, half after a time-out.
pub(crate) struct Aimd {
    cap: f64,
    max: f64,
    lost: u32,
    answered: u32,
    rate: f64,
    decided: Duration,
}

impl Aimd {
    pub(crate) fn new(min: u32, max: u32) -> Self {
        Self {
            cap: min.into(),
            max: max.into(),
            lost: 0,
            answered: 0,
            rate: 0.0,
            decided: Duration::ZERO,
        }
    }
}

impl Pacer for Aimd {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between two bounds that are u32"
    )]
    fn step(&mut self, now: Duration, inputs: &Inputs) -> Outputs {
        self.lost += inputs.losses;
        self.answered += u32::try_from(inputs.latencies.len()).unwrap_or(u32::MAX);
        if now.saturating_sub(self.decided) >= PERIOD {
            let seconds = now.saturating_sub(self.decided).as_secs_f64();
            self.rate += 0.3 * (f64::from(self.answered) / seconds - self.rate);
            let used = f64::from(inputs.in_flight) >= 0.9 * self.cap - 0.5;
            if self.lost > 0 {
                self.cap = (self.cap * 0.5).max(1.0);
            } else if used {
                self.cap = (self.cap + 1.0).min(self.max);
            }
            self.lost = 0;
            self.answered = 0;
            self.decided = now;
        }
        Outputs {
            cap: self.cap as u32,
            capacity: (self.rate > 0.0).then_some(self.rate),
            proven: None,
            seen: None,
            overdue_after: Some(TIMEOUT),
            settled: self.rate > 0.0,
        }
    }
}
