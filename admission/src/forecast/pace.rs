//! The pace that is promised: measured, held against noise, and taken back only for a reason.

use std::time::Duration;

use super::Reason;

/// Time constants of what is measured, in seconds; and in pupils, for a pool so slow that single
/// ones would shake it.
const CAPACITY_TIME: (f64, f64) = (5.0, 20.0);
const RELEASE_TIME: (f64, f64) = (10.0, 30.0);
/// A capacity that differs so much from its average has changed, and the average starts anew.
const CHANGED: f64 = 0.2;
/// While a crowd begins, the pipe is filled faster than it is emptied: that is no pace, in seconds.
const FILLING: Duration = Duration::from_secs(3);
/// The pace promised is a little below the one measured.
const MARGIN: f64 = 0.98;
/// It follows a faster room with this time constant, in seconds.
const RISE_TIME: f64 = 5.0;
/// It is held while the room is slower by less than this, or not for so long: in seconds, and in
/// pupils.
const HELD: f64 = 0.1;
const HELD_TIME: (f64, f64) = (1.5, 10.0);
/// Longer gaps between two steps (a stopped process) are no measurement, in seconds.
const LONGEST_STEP: f64 = 1.0;

/// How fast the room is called, in pupils per second over the whole room.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// Since when somebody waits without a break.
    crowded: Option<Duration>,
    /// The believed capacity, smoothed but for its jumps.
    capacity: Option<f64>,
    /// Pupils called per login of that capacity, an average in which the time before the first step
    /// counts as 0.
    called: f64,
    /// The share of that average that is not such time.
    seen: f64,
    promised: Option<f64>,
    /// The capacity that the promise rests on.
    basis: f64,
    /// Since when the room has been slower than promised.
    slower: Option<Duration>,
}

impl Pace {
    /// So many were called since the last step. The reason, if the promise is taken back.
    pub(super) fn step(
        &mut self,
        now: Duration,
        dt: Duration,
        called: f64,
        believed: Option<f64>,
    ) -> Option<Reason> {
        let believed = believed.filter(|c| *c > 0.001)?;
        let dt = dt.as_secs_f64();
        let since = *self.crowded.get_or_insert(now);
        let capacity = self.capacity.unwrap_or(believed);
        let capacity = if (believed / capacity - 1.0).abs() > CHANGED {
            believed
        } else {
            let time = CAPACITY_TIME.0.max(CAPACITY_TIME.1 / capacity);
            capacity + (dt / time).min(1.0) * (believed - capacity)
        };
        self.capacity = Some(capacity);
        if now.saturating_sub(since) >= FILLING && dt > 0.0 && dt <= LONGEST_STEP {
            let weight = (dt / RELEASE_TIME.0.max(RELEASE_TIME.1 / capacity)).min(1.0);
            self.called += weight * (called / dt / capacity - self.called);
            self.seen += weight * (1.0 - self.seen);
        }
        let pace = (self.called + 1.0 - self.seen) * capacity * MARGIN;
        self.promise(now, dt, pace, capacity)
    }

    fn promise(&mut self, now: Duration, dt: f64, pace: f64, capacity: f64) -> Option<Reason> {
        let promised = *self.promised.get_or_insert_with(|| {
            self.basis = capacity;
            pace
        });
        if pace >= promised {
            self.slower = None;
            let weight = 1.0 - (-dt / RISE_TIME).exp();
            self.promised = Some(promised + weight * (pace - promised));
            self.basis += weight * (capacity - self.basis);
            return None;
        }
        if pace >= promised * (1.0 - HELD) {
            self.slower = None;
            return None;
        }
        let since = *self.slower.get_or_insert(now);
        let time = HELD_TIME.0.max(HELD_TIME.1 / pace.max(0.001)).min(20.0);
        if now.saturating_sub(since).as_secs_f64() < time {
            return None;
        }
        self.slower = None;
        let reason = if capacity < self.basis * (1.0 - HELD / 2.0) {
            Reason::Slower
        } else {
            Reason::Fuller
        };
        self.promised = Some(pace);
        self.basis = capacity;
        Some(reason)
    }

    /// Nobody waits.
    pub(super) fn idle(&mut self) {
        self.crowded = None;
        self.slower = None;
    }

    /// Nobody is let in: afterwards all is new.
    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }

    /// What another gateway promises.
    pub(super) fn hear(&mut self, pace: Option<f64>) {
        if pace != self.promised {
            self.promised = pace.filter(|p| p.is_finite() && *p > 0.0);
            self.basis = self.capacity.unwrap_or(self.basis);
            self.slower = None;
        }
    }

    /// The pace that is promised.
    pub(super) fn promised(&self) -> Option<f64> {
        self.promised.filter(|pace| *pace > 0.001)
    }
}
