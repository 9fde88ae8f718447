//! The gateway's two clocks: a monotonic one for order and rates, the wall for lifetimes.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
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

/// The system's time is read once. From then on only time that really passed counts, so that
/// nobody's ticket expires because somebody set the clock.
static ORIGIN: LazyLock<(Instant, u64)> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 reads as 1970.
    (Instant::now(), since.map_or(0, millis))
});
/// By how much the ledger's clock is ahead of ours, in milliseconds.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// The wall clock, in seconds: the ledger's as soon as there is one, so that all gateways agree.
pub(crate) fn wall() -> Unix {
    Unix(own().saturating_add_signed(AHEAD.load(Ordering::Relaxed)) / 1_000)
}

/// Takes over the ledger's time, in milliseconds since 1970.
pub(crate) fn follow(ledger: u64) {
    let ahead = i128::from(ledger) - i128::from(own());
    AHEAD.store(i64::try_from(ahead).unwrap_or(0), Ordering::Relaxed);
}

fn own() -> u64 {
    let (started, at_start) = *ORIGIN;
    at_start.saturating_add(millis(started.elapsed()))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
