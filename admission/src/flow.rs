//! How many to release: PI control on the depth of the buffer, with the show rate fed forward.
//!
//! The buffer should hold about one second of work. Too little in it and a slot may stand empty
//! while browsers are still on their way; too much and released pupils queue twice. Nobody is
//! replaced when late: a turn that comes late is below `serving` and simply goes first.

use std::time::Duration;

use crate::span::{Span, Stepped};

const PROPORTIONAL: f64 = 0.3;
/// Per second of full error.
const INTEGRAL: f64 = 0.02;
const INTEGRAL_RANGE: (f64, f64) = (-0.7, 1.5);
/// The most the show rate alone may raise the release.
const FEED_FORWARD_MAX: f64 = 2.0;
/// How much work the buffer should hold.
pub(crate) const TARGET: Duration = Duration::from_secs(1);
/// The same with several gateways: a ledger that has lost something decides about no ticket for a
/// lease, and the slots are filled from the buffers alone meanwhile.
pub(crate) const TARGET_SHARED: Duration = Duration::from_millis(1_300);
/// The same while the ledger is away: when it is back, this comes on top of what its absence cost.
pub(crate) const TARGET_APART: Duration = Duration::from_secs(2);
/// Longer gaps between two steps (a stopped process) are not made up for.
const LONGEST_STEP: Duration = Duration::from_millis(500);
/// What must be on the way to the buffer, beyond what is missing in it, in seconds of work. A loop that
/// only steers the rate needs a browser's poll interval to fill an empty pipe, and a buffer's worth of
/// work is lost each time (measured: 1.6 s at the start of a morning). Half of what the browsers need
/// to notice; in the steady state there is always more on the way.
const PIPE: f64 = 0.5;
/// However wrong the estimate: not more in the buffer and on the way than so many seconds of work.
const BOUND: f64 = 5.0;
/// The same for those who type: it may take longer than it did.
const BOUND_TYPING: f64 = 1.25;
/// Time constant of the pace shown to pupils.
const PACE_TIME: Span = Span {
    seconds: 8.0,
    pupils: 25.0,
};

/// As long as nobody knows what the pool can do: not fewer than so many in front of the slots.
const LEAST_AHEAD: u32 = 4;
/// And so many times what the slots have shown, while their number grows. To call for all that twice as many are hoped
/// to do left pupils standing in the buffer for up to 14 s when the last doubling was too much; with less than this the
/// first seconds are not used as well.
const HOPE: f64 = 1.5;

/// What the release decision rests on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// Believed capacity, logins per second; `None` before the first answer.
    pub(crate) capacity: Option<f64>,
    /// The part of it that was seen, and not only hoped for.
    pub(crate) proven: Option<f64>,
    /// The same where the cap only grows and nothing was found yet that fits.
    pub(crate) seen: Option<f64>,
    /// How much work the buffer should hold, in seconds.
    pub(crate) depth: f64,
    /// Pupils in the buffer.
    pub(crate) buffered: usize,
    /// Pupils released and still on their way.
    pub(crate) coming: u64,
    /// Those of them who have the login page in front of them.
    pub(crate) typing: u64,
    /// For how long they type, in seconds; 0 if the login itself is the gate.
    pub(crate) lead: f64,
    /// Logins that may be in flight.
    pub(crate) cap: u32,
    /// Slots free and not owed to the buffer.
    pub(crate) free: u32,
    /// Pupils waiting.
    pub(crate) waiting: u64,
    /// Whether what the pool can do is known, and not only guessed.
    pub(crate) settled: bool,
    /// Share of released pupils who come, if known.
    pub(crate) show_rate: Option<f64>,
    /// The operator's ceiling, logins per second.
    pub(crate) ceiling: Option<f64>,
}

/// The controller's memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Controller {
    stepped: Stepped,
    integral: f64,
    /// Fraction of a pupil still owed.
    credit: f64,
    /// Pupils released per login of the believed capacity, an average in which the time before the
    /// first step counts as 0. So a capacity that changes changes the pace at once, and once.
    released: f64,
    /// The share of that average that is not such time.
    seen: f64,
    pace: Option<f64>,
}

impl Controller {
    /// Goes on from another controller's integral and pace.
    pub(crate) fn resumed(integral: f64, pace: Option<f64>) -> Self {
        Self {
            integral,
            released: 0.0,
            seen: 0.0,
            pace,
            ..Self::default()
        }
    }

    /// The integral: by how much more than the capacity is released, as a part of it.
    pub(crate) fn integral(&self) -> f64 {
        self.integral
    }

    /// How many pupils to release now.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small non-negative rate times a fraction of a second"
    )]
    pub(crate) fn step(&mut self, now: Duration, flow: &Flow) -> u64 {
        let dt = self.stepped.step(now, LONGEST_STEP);
        if flow.waiting == 0 {
            self.integral -= self.integral * (dt / 5.0).min(1.0);
            self.credit = 0.0;
            return 0;
        }
        let owed = flow.buffered as u64 + flow.coming;
        // What the free slots can take, and as many again: they arrive while the first are at work, and
        // wait one login's time at most.
        let ahead = u64::from(flow.free) + u64::from(flow.cap.max(LEAST_AHEAD));
        let Some(capacity) = flow
            .capacity
            .map(|c| flow.ceiling.map_or(c, |most| c.min(most)))
        else {
            // Nothing answered yet.
            let most = flow
                .ceiling
                .map(|most| u64::from(flow.free) + ((flow.depth + PIPE) * most) as u64 + 1);
            return ahead
                .min(most.unwrap_or(u64::MAX))
                .saturating_sub(owed)
                .min(flow.waiting);
        };
        let proven = flow.proven.map_or(capacity, |proven| proven.min(capacity));
        // Whoever types first cannot be called by what the slots have shown: until they have typed it is nothing.
        let capacity = match flow.seen {
            Some(seen) if flow.lead <= 0.0 => capacity.min(HOPE * seen),
            _ => capacity,
        };
        let target = (capacity * flow.depth).max(1.0);
        // Whoever types beyond what is worked off meanwhile will stand in the buffer. To wait until
        // they do, some seconds later, would be to call more and more until then.
        let surplus = if flow.lead > 0.0 {
            flow.typing as f64 - flow.lead * proven
        } else {
            0.0
        };
        let error = (1.0 - (flow.buffered as f64 + surplus) / target).clamp(-1.0, 1.0);
        let integral = self.integral;
        self.integral =
            (self.integral + INTEGRAL * error * dt).clamp(INTEGRAL_RANGE.0, INTEGRAL_RANGE.1);
        let feed_forward = flow
            .show_rate
            .map_or(1.0, |rate| (1.0 / rate.max(0.01)).min(FEED_FORWARD_MAX));
        let rate =
            (capacity * feed_forward * (1.0 + PROPORTIONAL * error + self.integral)).max(0.0);
        self.credit += rate * dt;
        // An empty pipe is filled at once, and so is a slot that nobody is on the way to.
        let pipe =
            (((flow.depth + PIPE) * capacity + flow.lead * proven) as u64).saturating_sub(owed);
        let mut urgent = pipe.max(u64::from(flow.free).saturating_sub(flow.coming));
        if !flow.settled && flow.ceiling.is_none() {
            // A slot that stands empty between two pupils teaches nothing.
            urgent = urgent.max(ahead.saturating_sub(owed));
        }
        let most = BOUND * capacity + BOUND_TYPING * flow.lead * proven;
        let bound = (most as u64 + 8).saturating_sub(owed);
        let steady = (self.credit as u64).min(flow.waiting);
        let release = steady.max(urgent).min(bound).min(flow.waiting);
        if urgent > steady {
            // The pipe decides and not the loop, which must not wind up against it.
            self.integral = self.integral.max(integral.min(0.0));
        }
        self.credit = (self.credit - release as f64).clamp(0.0, rate.max(1.0));
        self.track_pace(release.min(steady) as f64, dt, capacity);
        release
    }

    /// Smooths the pace. Until enough was released to say, the believed capacity stands in for the
    /// part that is missing: with the first few answers it is itself only a guess that gets better.
    fn track_pace(&mut self, released: f64, dt: f64, capacity: f64) {
        if dt > 0.0 {
            let weight = (dt / PACE_TIME.at(capacity)).min(1.0);
            self.released += weight * (released / dt / capacity.max(0.001) - self.released);
            self.seen += weight * (1.0 - self.seen);
        }
        self.pace = Some((self.released + 1.0 - self.seen) * capacity);
    }

    /// Pupils released per second, smoothed over some seconds; `None` before the first.
    pub(crate) fn pace(&self) -> Option<f64> {
        self.pace
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Controller, Flow};

    const FLOW: Flow = Flow {
        capacity: Some(0.5),
        proven: None,
        seen: None,
        depth: 1.0,
        buffered: 0,
        coming: 0,
        typing: 0,
        lead: 0.0,
        cap: 1,
        free: 0,
        waiting: 1_000,
        settled: false,
        show_rate: None,
        ceiling: None,
    };

    /// One slot, in use, and a first answer that came late.
    fn called(settled: bool) -> u64 {
        let flow = Flow { settled, ..FLOW };
        Controller::default().step(Duration::ZERO, &flow)
    }

    /// The integral after a minute with so many on the way, and a fifth too many in the buffer.
    fn wound_down(coming: u64) -> f64 {
        let flow = Flow {
            capacity: Some(200.0),
            buffered: 240,
            coming,
            cap: 60,
            waiting: 100_000,
            settled: true,
            ..FLOW
        };
        let mut controller = Controller::default();
        for step in 0..1_200 {
            controller.step(Duration::from_millis(50 * step), &flow);
        }
        controller.integral()
    }

    #[test]
    fn the_loop_does_not_wind_up_against_a_pipe_that_is_being_filled() {
        assert!(wound_down(0) >= 0.0);
        assert!(wound_down(200) < -0.1);
    }

    /// Four slots have shown 16 logins a second, and eight are tried now, which are hoped to do 32.
    #[test]
    fn what_the_next_slots_may_do_is_not_called_before_they_have_shown_it() {
        let grows = |seen, lead| {
            let flow = Flow {
                capacity: Some(32.0),
                seen,
                lead,
                cap: 8,
                free: 4,
                buffered: 10,
                coming: 10,
                ..FLOW
            };
            Controller::default().step(Duration::ZERO, &flow)
        };
        assert_eq!(
            grows(Some(16.0), 0.0),
            16,
            "a second and a half of 24 a second"
        );
        assert_eq!(grows(None, 0.0), 28);
        assert!(grows(Some(16.0), 6.0) > 100, "whoever types comes later");
    }

    #[test]
    fn a_slot_does_not_stand_empty_while_nobody_knows_what_the_pool_can_do() {
        assert_eq!(called(false), 4);
        assert_eq!(called(true), 0);
    }
}
