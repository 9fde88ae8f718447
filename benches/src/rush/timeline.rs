//! The rush second by second.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

use super::live::Live;

/// One second of a rush. Everything but `waiting` counts what happened within it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Pupils who opened the login page.
    pub arrived: u64,
    /// Pupils who got in.
    pub got_in: u64,
    /// Pupils in the waiting room at its end.
    pub waiting: u64,
    /// Polls answered.
    pub polls: u64,
    /// Errors met.
    pub errors: u64,
}

/// Appends a second to `seconds` every second, for ever.
pub(super) async fn watch(live: &Live, seconds: &mut Vec<Second>) {
    let mut ticks = interval(Duration::from_secs(1));
    // A late tick must not be followed by a short second.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut before = sums(live);
    loop {
        ticks.tick().await;
        let now = sums(live);
        seconds.push(now.since(before));
        before = now;
    }
}

/// The sums so far.
pub(super) fn sums(live: &Live) -> Second {
    Second {
        arrived: live.started(),
        got_in: live.got_in(),
        waiting: live.waiting(),
        polls: live.polls(),
        errors: live.errors(),
    }
}

impl Second {
    /// What came since the sums `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            arrived: self.arrived - before.arrived,
            got_in: self.got_in - before.got_in,
            waiting: self.waiting,
            polls: self.polls - before.polls,
            errors: self.errors - before.errors,
        }
    }
}
