//! Slots for logins of other rooms, and logins for slots of theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use einlass_admission::Help;
use einlass_admission::overflow::Host;

use super::{LiveRoom, Slot};
use crate::overflow::Guest;

impl LiveRoom {
    /// What other rooms see of this one.
    pub(crate) fn as_host(&self) -> Host {
        self.lock().as_host(self.clock.now())
    }

    /// The time of this room's clock.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Logins a second that one slot is good for.
    pub(crate) fn logins_per_slot(&self) -> Option<f64> {
        self.lock().logins_per_slot()
    }

    /// A slot for somebody of another room, if nobody here misses it.
    pub(crate) fn lend(self: &Arc<Self>, guest: Guest) -> Option<Slot> {
        let lent = self.lock().lend(self.clock.now());
        lent.then(|| Slot::lent(self, guest))
    }

    /// Whether more come than the pool can work on.
    pub(crate) fn has_crowd(&self) -> bool {
        let gatekeeper = self.lock();
        gatekeeper.waiting() > 0 || gatekeeper.buffered() > 0
    }

    /// Logins that wait for a slot.
    pub(crate) fn buffered(&self) -> usize {
        self.lock().buffered()
    }

    /// Gives slots of another room to those who are next here, and counts them before they go.
    pub(crate) fn send_away(&self, slots: Vec<Slot>, sent: &AtomicU64) {
        let first = self.lock().send_away(slots.len());
        sent.fetch_add(first.len() as u64, Ordering::Relaxed);
        for (waker, slot) in first.into_iter().zip(slots) {
            // A waiter that is gone gives the slot back by dropping it.
            drop(waker.send(Ok(slot)));
        }
    }

    pub(crate) fn set_help(&self, help: Help) {
        self.lock().set_help(help);
    }
}
