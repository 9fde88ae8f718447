//! How many to release: PI control on the depth of the buffer, with the show rate fed forward.
//!
//! The buffer should hold about one second of work. Too little in it and a slot may stand empty
//! while browsers are still on their way; too much and released pupils queue twice. Nobody is
//! replaced when late: a turn that comes late is below `serving` and simply goes first.

use std::time::Duration;

const PROPORTIONAL: f64 = 0.3;
/// Per second of full error.
const INTEGRAL: f64 = 0.02;
const INTEGRAL_RANGE: (f64, f64) = (-0.7, 1.5);
/// The most the show rate alone may raise the release.
const FEED_FORWARD_MAX: f64 = 1.5;
/// How much work the buffer should hold.
const TARGET: Duration = Duration::from_secs(1);
/// Longer gaps between two steps (a stopped process) are not made up for.
const LONGEST_STEP: Duration = Duration::from_millis(500);
/// Time constant of the pace shown to pupils.
const PACE_TIME: f64 = 8.0;

/// What the release decision rests on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// Believed capacity, logins per second; `None` before the first answer.
    pub(crate) capacity: Option<f64>,
    /// Pupils in the buffer.
    pub(crate) buffered: usize,
    /// Pupils released and still on their way.
    pub(crate) coming: u64,
    /// Slots free and not owed to the buffer.
    pub(crate) free: u32,
    /// Pupils waiting.
    pub(crate) waiting: u64,
    /// Share of released pupils who come, if known.
    pub(crate) show_rate: Option<f64>,
    /// The operator's ceiling, logins per second.
    pub(crate) ceiling: Option<f64>,
}

/// The controller's memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Controller {
    stepped: Option<Duration>,
    integral: f64,
    /// Fraction of a pupil still owed.
    credit: f64,
    pace: Option<f64>,
}

impl Controller {
    /// How many pupils to release now.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small non-negative rate times a fraction of a second"
    )]
    pub(crate) fn step(&mut self, now: Duration, flow: &Flow) -> u64 {
        let dt = self
            .stepped
            .map_or(Duration::ZERO, |last| now.saturating_sub(last))
            .min(LONGEST_STEP)
            .as_secs_f64();
        self.stepped = Some(now);
        if flow.waiting == 0 {
            self.integral -= self.integral * (dt / 5.0).min(1.0);
            self.credit = 0.0;
            return 0;
        }
        let owed = flow.buffered as u64 + flow.coming;
        let Some(capacity) = flow.capacity else {
            // Nothing answered yet: only slots that would otherwise stand empty.
            return u64::from(flow.free).saturating_sub(flow.coming);
        };
        let target = (capacity * TARGET.as_secs_f64()).max(1.0);
        let error = (1.0 - flow.buffered as f64 / target).clamp(-1.0, 1.0);
        self.integral =
            (self.integral + INTEGRAL * error * dt).clamp(INTEGRAL_RANGE.0, INTEGRAL_RANGE.1);
        let feed_forward = flow
            .show_rate
            .map_or(1.0, |rate| (1.0 / rate.max(0.01)).min(FEED_FORWARD_MAX));
        let mut rate =
            (capacity * feed_forward * (1.0 + PROPORTIONAL * error + self.integral)).max(0.0);
        if let Some(ceiling) = flow.ceiling {
            rate = rate.min(ceiling * feed_forward);
        }
        self.credit += rate * dt;
        // A slot that would stand empty is filled at once, unless somebody is on the way to it.
        let urgent = u64::from(flow.free).saturating_sub(flow.coming);
        // However wrong the estimate: not more on the way than five seconds of work and a cap.
        let bound = ((5.0 * capacity) as u64 + 8).saturating_sub(owed);
        let urgent = if flow.ceiling.is_some() { 0 } else { urgent };
        let release = (self.credit as u64).max(urgent).min(bound);
        self.credit = (self.credit - release as f64).clamp(0.0, rate.max(1.0));
        let released = release.min(flow.waiting);
        self.track_pace(released as f64, dt, capacity);
        released
    }

    fn track_pace(&mut self, released: f64, dt: f64, capacity: f64) {
        if dt > 0.0 {
            let sample = released / dt;
            let weight = (dt / PACE_TIME).min(1.0);
            let pace = self.pace.unwrap_or(capacity);
            self.pace = Some(pace + weight * (sample - pace));
        }
    }

    /// Pupils released per second, smoothed over some seconds; `None` before the first.
    pub(crate) fn pace(&self) -> Option<f64> {
        self.pace
    }
}
