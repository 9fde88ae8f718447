//! What a room and the ledger say to each other, for the courier that carries it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use einlass_admission::ledger::{Exchange, Exchanged, Leave, Merge, Publish};

use super::LiveRoom;
use crate::random;

/// What was heard from the ledger and has to be told to it in turn.
pub(crate) struct Heard {
    pub(crate) publish: Option<Publish>,
    pub(crate) merge: Vec<Merge>,
}

impl LiveRoom {
    /// Returns when there may be something to tell the ledger.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    pub(super) fn ring(&self) {
        if self.in_fleet {
            self.bell.notify_one();
        }
    }

    /// This gateway stops: the ledger is to be told a last word, and nothing afterwards.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// The last word to the ledger, if there is anything to be said.
    pub(crate) fn last_word(&self) -> Option<Leave> {
        self.lock().last_word()
    }

    /// What to tell the ledger now, if anything, and when that is.
    pub(crate) fn exchange(&self) -> Option<(Duration, Exchange)> {
        let now = self.clock.now();
        let call = self.lock().exchange(now, random::nonce())?;
        Some((now, call))
    }

    pub(crate) fn exchanged(self: &Arc<Self>, asked: Duration, reply: Exchanged) -> Heard {
        let mut gatekeeper = self.lock();
        let answer = gatekeeper.exchanged(self.clock.now(), asked, reply);
        let serving = gatekeeper.serving();
        drop(gatekeeper);
        self.watermark.move_on(serving);
        self.wake(answer.grant);
        Heard {
            publish: answer.publish,
            merge: answer.merge,
        }
    }

    pub(crate) fn exchange_failed(self: &Arc<Self>) {
        let grant = self.lock().exchange_failed();
        self.wake(grant);
    }

    pub(crate) fn published(&self, publish: &Publish, accepted: bool) {
        let mut gatekeeper = self.lock();
        gatekeeper.published(self.clock.now(), publish, accepted);
        let serving = gatekeeper.serving();
        drop(gatekeeper);
        self.watermark.move_on(serving);
    }

    pub(crate) fn merged(&self, accepted: bool) {
        self.lock().merged(accepted);
    }
}
