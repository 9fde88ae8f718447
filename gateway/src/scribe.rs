//! The scribe: writes the state file beside everything else, since a disk may hang.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::metrics::Metrics;
use crate::site::Site;

/// Writes one state file, one write at a time.
pub(crate) struct Scribe {
    site: Arc<Site>,
    metrics: Arc<Metrics>,
    path: PathBuf,
    failing: AtomicBool,
    writing: Arc<Mutex<()>>,
}

impl Scribe {
    pub(crate) fn new(site: Arc<Site>, metrics: Arc<Metrics>, path: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            site,
            metrics,
            path,
            failing: AtomicBool::new(false),
            writing: Arc::default(),
        })
    }

    /// Begins to write what the next run needs if this one is killed within that time. Returns at once,
    /// and leaves it when the last write is still under way.
    pub(crate) fn begin(self: &Arc<Self>, killed_within: Duration) {
        let Ok(turn) = Arc::clone(&self.writing).try_lock_owned() else {
            self.failed(&"the disk does not answer");
            return;
        };
        let scribe = Arc::clone(self);
        spawn_blocking(move || {
            scribe.write(Some(killed_within));
            drop(turn);
        });
    }

    /// Writes what the next run needs after a clean stop.
    pub(crate) async fn finish(self: &Arc<Self>) {
        let turn = Arc::clone(&self.writing).lock_owned().await;
        let scribe = Arc::clone(self);
        // It fails only by a panic, which has been told.
        let _ = spawn_blocking(move || {
            scribe.write(None);
            drop(turn);
        })
        .await;
    }

    fn write(&self, killed_within: Option<Duration>) {
        match self.site.state(killed_within).save(&self.path) {
            Err(error) => self.failed(&error),
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => {
                tracing::info!("State file is written again");
            }
            Ok(()) => {}
        }
    }

    /// Says once that it cannot, and once that it can again: a full disk shall not get a line a second
    /// on top.
    fn failed(&self, error: &dyn std::fmt::Display) {
        self.metrics.state_error();
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "State file not written; a restart now would forget the places");
        }
    }
}
