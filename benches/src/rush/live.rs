//! Counters to look at while a rush runs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What has happened so far. Every field only counts up, but [`Live::waiting`] is a gauge.
#[derive(Debug, Default)]
pub struct Live {
    pub(super) started: AtomicU64,
    pub(super) answered: AtomicU64,
    pub(super) waiting: AtomicU64,
    pub(super) got_in: AtomicU64,
    pub(super) gave_up: AtomicU64,
    pub(super) no_show: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) polls: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) inversions: AtomicU64,
    pub(super) place_grew: AtomicU64,
    pub(super) asked_again: AtomicU64,
    pub(super) sent_back: AtomicU64,
    pub(super) lost_place: AtomicU64,
    pub(super) mistyped: AtomicU64,
    pub(super) reloads: AtomicU64,
    pub(super) pages: AtomicU64,
}

macro_rules! readers {
    ($($(#[$doc:meta])* $name:ident)*) => {
        impl Live {
            $($(#[$doc])* pub fn $name(&self) -> u64 { self.$name.load(Relaxed) })*
        }
    };
}

readers! {
    /// Pupils who have opened the login page.
    started
    /// Pupils whose login was answered once: they have a place, or are in.
    answered
    /// Pupils in the waiting room now.
    waiting
    /// Pupils who are in.
    got_in
    /// Pupils who lost patience.
    gave_up
    /// Pupils who closed the tab when told to wait.
    no_show
    /// Pupils who ran out of reloads.
    failed
    /// Polls answered.
    polls
    /// Errors of any kind.
    errors
    /// Polls answered `waiting` although a later pupil of the school had been let in before.
    inversions
    /// Polls whose `ahead` was larger than the same pupil's one before.
    place_grew
    /// Times a pupil kept the place but had to type the login again.
    asked_again
    /// Times a pupil whose turn had come was sent back to wait.
    sent_back
    /// Times the gateway did not know a waiting pupil's place any more.
    lost_place
    /// Wrong passwords typed.
    mistyped
    /// Times a pupil started again at the login page after an error.
    reloads
    /// Pages seen by pupils who are in.
    pages
}

impl Live {
    /// Pupils of whom nothing more is to come.
    pub fn finished(&self) -> u64 {
        self.got_in() + self.gave_up() + self.no_show() + self.failed()
    }

    /// Returns when `condition` holds: "restart the gateway when 200 wait". Bound it with a timeout of your own.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn wait_begins(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Relaxed);
        Waiting(self)
    }
}

/// One pupil in the waiting room, until dropped.
pub(super) struct Waiting<'a>(&'a Live);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

/// Counts one more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
