//! A slot in the room's cap, and a place in the buffer in front of it: each is given up by being dropped.

use std::sync::Arc;
use std::time::Duration;

use einlass_admission::{Entry, Refusal, SchoolIndex, Turn, Verdict, WaiterId};
use tokio::sync::oneshot;

use super::LiveRoom;
use crate::overflow::Guest;
use crate::site::Pool;

/// A ticket that counts as used, unless nothing is sent for it.
pub(super) struct Claim {
    pub(super) room: Arc<LiveRoom>,
    pub(super) school: SchoolIndex,
    pub(super) turn: Turn,
    pub(super) epoch: u32,
}

/// One login in flight. Dropping it frees the slot, so it lives as long as the backend works.
#[must_use]
pub(crate) struct Slot {
    room: Arc<LiveRoom>,
    claim: Option<Claim>,
    /// The slot is lent: the login belongs to another room.
    guest: Option<Guest>,
    sent: bool,
    /// No answer came: whoever waited for the turn keeps the place.
    lost: bool,
    overdue: bool,
    verdict: Verdict,
}

impl Slot {
    pub(super) fn new(room: &Arc<LiveRoom>, claim: Option<Claim>) -> Self {
        Self {
            room: Arc::clone(room),
            claim,
            guest: None,
            sent: false,
            lost: false,
            overdue: false,
            verdict: Verdict::Neutral,
        }
    }

    /// A slot for a login of another room.
    pub(super) fn lent(room: &Arc<LiveRoom>, guest: Guest) -> Self {
        let mut slot = Self::new(room, None);
        slot.guest = Some(guest);
        slot
    }

    /// Where the login is to be performed, if not at the pool of its own room.
    pub(crate) fn away(&self) -> Option<&Arc<Pool>> {
        self.guest.as_ref().map(Guest::pool)
    }

    /// The login has left for the backend: its ticket stays used.
    pub(crate) fn sent(&mut self) {
        self.sent = true;
    }

    /// How the login ended, for the pacer. Nothing said: it tells nothing about the backend.
    pub(crate) fn ended(&mut self, verdict: Verdict) {
        self.lost = verdict == Verdict::Lost;
        // What is overdue is lost already.
        self.verdict = match verdict {
            Verdict::Lost if self.overdue => Verdict::Neutral,
            verdict => verdict,
        };
    }

    /// How long the login may be under way before it counts as lost.
    pub(crate) fn overdue_after(&self) -> Option<Duration> {
        self.room.lock().overdue_after()
    }

    /// It has been under way for longer than that.
    pub(crate) fn overdue(&mut self) {
        self.overdue = true;
        self.room.lock().overdue();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let room = Arc::clone(&self.room);
        room.finish(self);
    }
}

/// A place in the buffer, left when the request goes away.
struct BufferPlace<'a> {
    room: &'a Arc<LiveRoom>,
    id: WaiterId,
    claim: Option<Claim>,
}

impl Drop for BufferPlace<'_> {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            let mut gatekeeper = self.room.lock();
            // False: a slot is on its way; it is given back when the receiver drops it.
            let _ = gatekeeper.leave(self.id);
            gatekeeper.unuse(claim.school, claim.turn, claim.epoch);
        } else {
            let _ = self.room.lock().leave(self.id);
        }
    }
}

impl LiveRoom {
    pub(super) async fn slot(
        self: &Arc<Self>,
        entry: Entry,
        woken: oneshot::Receiver<Result<Slot, Refusal>>,
        claim: Option<Claim>,
    ) -> Result<Slot, Refusal> {
        let id = match entry {
            Entry::Go => return Ok(Slot::new(self, claim)),
            Entry::Buffered(id) => id,
        };
        let mut place = BufferPlace {
            room: self,
            id,
            claim,
        };
        match woken.await {
            Ok(Ok(mut slot)) => {
                slot.claim = place.claim.take();
                Ok(slot)
            }
            Ok(Err(refusal)) => Err(refusal),
            // The room went away, which happens only when the gateway stops.
            Err(_) => Err(Refusal::Shut),
        }
    }

    fn finish(self: &Arc<Self>, slot: &mut Slot) {
        // The ticket may be one of another room, whose login was performed here.
        if let Some(claim) = slot.claim.take() {
            let mut home = claim.room.lock();
            if slot.sent && !slot.lost {
                home.done(claim.school, claim.turn, claim.epoch);
            } else {
                home.unuse(claim.school, claim.turn, claim.epoch);
            }
        }
        let mut gatekeeper = self.lock();
        let grant = gatekeeper.finish(self.clock.now(), slot.verdict);
        drop(gatekeeper);
        self.wake(grant);
        self.ring();
    }
}
