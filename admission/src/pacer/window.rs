//! A stretch of time over which the pacer measures.

use std::time::Duration;

/// Longer gaps between two steps (a stopped process) count as this much.
const LONGEST_STEP: Duration = Duration::from_millis(500);
/// Samples kept: a median of more costs more than it says.
const MOST_SAMPLES: usize = 8_192;
/// In use up to here is as good as up to the cap: slots change hands, and that takes a moment.
const NEARLY: f64 = 0.9;

/// Measures of logins that ended within it.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// Nothing counts before: what ends earlier began under another cap.
    opens: Duration,
    stepped: Option<Duration>,
    latencies: Vec<f32>,
    completed: f64,
    lost: f64,
    seconds: f64,
    login_seconds: f64,
    pressed_seconds: f64,
}

/// What a window says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    /// Logins completed per second, of those that hashed.
    pub(super) rate: f64,
    /// Median latency in seconds; `None` if nothing was completed.
    pub(super) latency: Option<f64>,
    /// How many samples that is the median of.
    pub(super) samples: usize,
    /// Logins in flight, mean.
    pub(super) in_flight: f64,
    /// Part of the logins that were lost.
    pub(super) loss: f64,
    /// The cap was used up nearly all of the time.
    pub(super) pressed: bool,
}

impl Window {
    /// A window that opens at this time.
    pub(super) fn opening(at: Duration) -> Self {
        Self {
            opens: at,
            ..Self::default()
        }
    }

    /// Takes in what happened since the last step. `in_flight` and `cap` are those of the whole pool.
    pub(super) fn add(
        &mut self,
        now: Duration,
        latencies: &[Duration],
        lost: f64,
        scale: f64,
        in_flight: f64,
        cap: f64,
    ) {
        let since = self.stepped.unwrap_or(now).max(self.opens);
        self.stepped = Some(now);
        if now < self.opens {
            return;
        }
        let dt = now.saturating_sub(since).min(LONGEST_STEP).as_secs_f64();
        self.seconds += dt;
        self.login_seconds += dt * in_flight;
        if in_flight >= NEARLY * cap - 0.5 {
            self.pressed_seconds += dt;
        }
        let room = MOST_SAMPLES.saturating_sub(self.latencies.len());
        let kept = latencies.iter().take(room).map(Duration::as_secs_f32);
        self.latencies.extend(kept);
        self.completed += latencies.len() as f64 * scale;
        self.lost += lost * scale;
    }

    /// For how long it has been open, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// How many latencies it holds.
    pub(super) fn samples(&self) -> usize {
        self.latencies.len()
    }

    /// Logins lost in it.
    pub(super) fn lost(&self) -> f64 {
        self.lost
    }

    /// Whether the cap has been used up nearly all of the time.
    pub(super) fn pressed(&self) -> bool {
        self.pressed_seconds >= 0.7 * self.seconds && self.seconds > 0.0
    }

    /// The median latency so far, in seconds.
    pub(super) fn median(&self) -> Option<f64> {
        let mut sorted = self.latencies.clone();
        let middle = sorted.len() / 2;
        if sorted.is_empty() {
            return None;
        }
        let (_, median, _) = sorted.select_nth_unstable_by(middle, f32::total_cmp);
        Some(f64::from(*median))
    }

    /// What it says.
    pub(super) fn measure(&self) -> Measure {
        let seconds = self.seconds.max(0.001);
        Measure {
            rate: self.completed / seconds,
            latency: self.median(),
            samples: self.latencies.len(),
            in_flight: self.login_seconds / seconds,
            loss: self.lost / (self.lost + self.completed).max(1.0),
            pressed: self.pressed(),
        }
    }
}
