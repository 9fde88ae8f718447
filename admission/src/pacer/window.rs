//! A stretch of time over which the pacer measures.

use std::time::Duration;

/// Longer gaps between two steps (a stopped process) count as this much.
const LONGEST_STEP: Duration = Duration::from_millis(500);
/// Samples kept: a median of more costs more than it says.
const MOST_SAMPLES: usize = 8_192;
/// More lost than this, and the cap is cut.
pub(super) const LOSS: f64 = 0.1;
/// In use up to here is as good as up to the cap: slots change hands, and that takes a moment.
const NEARLY: f64 = 0.9;

/// Measures of logins that ended within it.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// Nothing counts before: what ends earlier began under another cap.
    opens: Duration,
    stepped: Option<Duration>,
    /// Logins in flight when it opened, and now.
    from: Option<f64>,
    now: f64,
    latencies: Vec<f32>,
    completed: f64,
    lost: f64,
    seconds: f64,
    login_seconds: f64,
    pressed_seconds: f64,
    /// Slots there were, times seconds.
    cap_seconds: f64,
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
    /// Nine in ten took less, in seconds; 0 if nothing was completed.
    pub(super) tail: f64,
    /// Mean latency in seconds, without what is beyond all belief; 0 if nothing was completed.
    pub(super) mean: f64,
    /// Logins in flight, mean.
    pub(super) in_flight: f64,
    /// Part of the logins that were lost.
    pub(super) loss: f64,
    /// The same without those that were answered after all, not hopelessly late.
    pub(super) unanswered: f64,
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
        if in_flight <= 0.0 && lost <= 0.0 && latencies.is_empty() && self.is_empty() {
            // What comes next is not to be measured by how long nobody came before.
            *self = Self::opening(now);
            self.stepped = Some(now);
            return;
        }
        self.from.get_or_insert(in_flight);
        self.now = in_flight;
        let dt = now.saturating_sub(since).min(LONGEST_STEP).as_secs_f64();
        self.seconds += dt;
        self.login_seconds += dt * in_flight;
        self.cap_seconds += dt * cap;
        if in_flight >= NEARLY * cap - 0.5 {
            self.pressed_seconds += dt;
        }
        let room = MOST_SAMPLES.saturating_sub(self.latencies.len());
        let kept = latencies.iter().take(room).map(Duration::as_secs_f32);
        self.latencies.extend(kept);
        self.completed += latencies.len() as f64 * scale;
        self.lost += lost * scale;
    }

    /// Whether nobody has been in flight since it opened.
    fn is_empty(&self) -> bool {
        self.login_seconds <= 0.0 && self.completed <= 0.0 && self.lost <= 0.0
    }

    /// For how long it has been open, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// How many latencies it holds.
    pub(super) fn samples(&self) -> usize {
        self.latencies.len()
    }

    /// The part of what began in it that is still under way. Those are the long ones, and a median of
    /// the others is too low. Where as many are in flight as at the start, as many ended as began.
    pub(super) fn under_way(&self) -> f64 {
        let more = (self.now - self.from.unwrap_or(self.now)).max(0.0);
        more / (more + self.completed).max(1.0)
    }

    /// Whether more are lost than may be, and not just one.
    pub(super) fn is_losing(&self) -> bool {
        let few = LOSS * (self.lost + self.completed);
        self.lost >= 2.0 && self.lost > few + few.sqrt()
    }

    /// Whether the cap has been used up nearly all of the time, or nearly all of it: where gateways share a few slots,
    /// one is on its way from the one to the other as often as not.
    pub(super) fn pressed(&self) -> bool {
        let nearly = self.login_seconds >= NEARLY * self.cap_seconds;
        self.seconds > 0.0 && (nearly || self.pressed_seconds >= 0.7 * self.seconds)
    }

    /// The median latency so far, in seconds.
    pub(super) fn median(&self) -> Option<f64> {
        self.longer_than(self.latencies.len() / 2)
    }

    /// The latency, in seconds, that so many are shorter than.
    fn longer_than(&self, shorter: usize) -> Option<f64> {
        let mut sorted = self.latencies.clone();
        if shorter >= sorted.len() {
            return None;
        }
        let (_, latency, _) = sorted.select_nth_unstable_by(shorter, f32::total_cmp);
        Some(f64::from(*latency))
    }

    /// What it says. Logins that took longer than `overdue` were counted as lost when they had;
    /// nothing that takes longer than `hopeless` can be a login's own latency. Both in seconds.
    pub(super) fn measure(&self, overdue: f64, hopeless: f64) -> Measure {
        let seconds = self.seconds.max(0.001);
        let samples = self.latencies.len();
        let latencies = || self.latencies.iter().copied().map(f64::from);
        let late = latencies().filter(|l| (overdue..=hopeless).contains(l));
        let scale = self.completed / samples.max(1) as f64;
        let late = late.count() as f64 * scale;
        let sum: f64 = latencies().map(|latency| latency.min(hopeless)).sum();
        let all = (self.lost + self.completed).max(1.0);
        Measure {
            rate: self.completed / seconds,
            latency: self.median(),
            samples,
            tail: self.longer_than(samples * 9 / 10).unwrap_or(0.0),
            mean: sum / samples.max(1) as f64,
            in_flight: self.login_seconds / seconds,
            loss: self.lost / all,
            unanswered: (self.lost - late).max(0.0) / all,
            pressed: self.pressed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many lost of a window's logins.
    fn losing(lost: f64, of: f64) -> bool {
        let window = Window {
            lost,
            completed: of - lost,
            ..Window::default()
        };
        window.is_losing()
    }

    #[test]
    fn a_few_lost_are_losing_only_by_more_than_chance() {
        assert!(!losing(1.0, 1.0) && losing(2.0, 2.0));
        // A tenth of twenty is two, give or take more than one.
        assert!(!losing(3.0, 20.0) && losing(4.0, 20.0));
        assert!(!losing(110.0, 1_000.0) && losing(111.0, 1_000.0));
        assert!(losing(1_040.0, 10_000.0));
    }
}
