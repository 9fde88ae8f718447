//! The gateway's two clocks: a monotonic one for order and rates, the wall for lifetimes.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use einlass_admission::Unix;

/// Monotonic time since the gateway started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    pub(crate) fn now(self) -> Duration {
        self.started.elapsed()
    }
}

/// The wall clock, in seconds. A clock before 1970 reads as 1970.
pub(crate) fn wall() -> Unix {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Unix(since.map_or(0, |d| d.as_secs()))
}
