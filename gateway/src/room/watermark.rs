//! How far a room has been called: a number for polls, a signal for requests that are held.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use einlass_admission::{Serving, Turn};
use tokio::sync::watch;

/// It only rises.
pub(super) struct Watermark {
    number: AtomicU64,
    /// Wakes held requests; polls read the number instead.
    moved: watch::Sender<Serving>,
}

impl Watermark {
    pub(super) fn new(serving: Serving) -> Self {
        Self {
            number: AtomicU64::new(serving.0),
            moved: watch::Sender::new(serving),
        }
    }

    pub(super) fn serving(&self) -> Serving {
        Serving(self.number.load(Ordering::Acquire))
    }

    /// The room has been called up to here, if not further.
    pub(super) fn move_on(&self, serving: Serving) {
        if self.number.fetch_max(serving.0, Ordering::AcqRel) < serving.0 {
            self.moved.send_replace(serving);
        }
    }

    /// Waits until the turn has come, at most for `hold`. True if it has.
    pub(super) async fn reaches(&self, turn: Turn, hold: Duration) -> bool {
        let mut moved = self.moved.subscribe();
        let come = moved.wait_for(|serving| serving.admits(turn));
        tokio::time::timeout(hold, come)
            .await
            .is_ok_and(|come| come.is_ok())
    }
}
