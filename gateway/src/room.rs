//! A live room: the gatekeeper behind a short lock, and beside it what polls read without one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use einlass_admission::{
    Entry, Gatekeeper, Grant, Pass, Refusal, RoomKey, SchoolIndex, Serving, Straight, Ticket, Turn,
    Unix, View, WaiterId, state::RoomState,
};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;

type Waker = oneshot::Sender<Slot>;

/// The room in front of one pool.
pub(crate) struct LiveRoom {
    pub(crate) key: RoomKey,
    clock: Clock,
    gatekeeper: Mutex<Gatekeeper<Waker>>,
    view: ArcSwap<View>,
    watermark: AtomicU64,
    /// Wakes held requests; polls read `watermark` instead.
    moved: watch::Sender<Serving>,
}

impl LiveRoom {
    pub(crate) fn new(key: RoomKey, clock: Clock, gatekeeper: Gatekeeper<Waker>) -> Arc<Self> {
        let serving = gatekeeper.serving();
        Arc::new(Self {
            key,
            clock,
            view: ArcSwap::from_pointee(gatekeeper.view()),
            watermark: AtomicU64::new(serving.0),
            moved: watch::Sender::new(serving),
            gatekeeper: Mutex::new(gatekeeper),
        })
    }

    /// A slot on the spot, if nobody waits.
    pub(crate) fn straight(self: &Arc<Self>) -> Option<Slot> {
        let straight = self.lock().straight(self.clock.now());
        (straight == Straight::Go).then(|| Slot::new(self, None))
    }

    /// The next turn of a school, as a ticket without its school's key.
    pub(crate) fn join(&self, school: SchoolIndex) -> Option<(Turn, u32)> {
        self.lock().join(school)
    }

    /// Learns from a ticket that its turn was given, if this gateway does not know it yet.
    pub(crate) fn observe(&self, school: SchoolIndex, turn: Turn) {
        let known = self.view.load().last.get(school.0 as usize).copied();
        if known.is_some_and(|last| turn > last) {
            self.lock().observe(school, turn);
        }
    }

    /// Waits in the buffer for a slot. Dropping the future leaves the buffer; the ticket then
    /// counts as unused.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        school: SchoolIndex,
        ticket: &Ticket,
    ) -> Result<Slot, Refusal> {
        let (waker, woken) = oneshot::channel();
        let entry = self
            .lock()
            .enter(school, ticket.turn, ticket.epoch, waker)?;
        let claim = Claim {
            school,
            turn: ticket.turn,
            epoch: ticket.epoch,
        };
        self.slot(entry, woken, Some(claim)).await
    }

    /// Waits in front of the buffer, by a pass.
    pub(crate) async fn enter_again(self: &Arc<Self>, pass: &Pass) -> Result<Slot, Refusal> {
        let (waker, woken) = oneshot::channel();
        let entry = self.lock().enter_again(pass, waker)?;
        self.slot(entry, woken, None).await
    }

    async fn slot(
        self: &Arc<Self>,
        entry: Entry,
        woken: oneshot::Receiver<Slot>,
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
            Ok(mut slot) => {
                slot.claim = place.claim.take();
                Ok(slot)
            }
            // The room went away, which happens only when the gateway stops.
            Err(_) => Err(Refusal::Shut),
        }
    }

    /// Uses up a ticket without taking a slot.
    pub(crate) fn redeem(&self, school: SchoolIndex, ticket: &Ticket) -> Result<(), Refusal> {
        self.lock().redeem(school, ticket.turn, ticket.epoch)
    }

    /// Whether the ticket has admitted somebody.
    pub(crate) fn is_used(&self, school: SchoolIndex, ticket: &Ticket) -> bool {
        self.lock().is_used(school, ticket.turn, ticket.epoch)
    }

    /// Whether a turn given just now is likely to come within `hold`. The picture that polls read
    /// may be a moment old; whoever joined since then counts as going first.
    pub(crate) fn soon(&self, turn: Turn, hold: Duration) -> bool {
        let view = self.view.load();
        let (waiting, cap) = {
            let gatekeeper = self.lock();
            (gatekeeper.waiting(), gatekeeper.in_flight().1)
        };
        let joined = waiting.saturating_sub(view.waiting) as f64;
        let ahead = (view.curve.ahead(turn) + joined).min(waiting as f64);
        match view.pace {
            Some(pace) => ahead <= pace * hold.as_secs_f64(),
            None => ahead <= f64::from(cap),
        }
    }

    /// Waits until the turn has come, at most for `hold`. True if it has.
    pub(crate) async fn hold(&self, turn: Turn, hold: Duration) -> bool {
        let mut moved = self.moved.subscribe();
        let come = moved.wait_for(|serving| serving.admits(turn));
        tokio::time::timeout(hold, come)
            .await
            .is_ok_and(|come| come.is_ok())
    }

    /// One step; several times a second. `publish` also makes the picture that polls read.
    pub(crate) fn tick(self: &Arc<Self>, down: bool, publish: bool) {
        let mut gatekeeper = self.lock();
        gatekeeper.set_down(down);
        let grant = gatekeeper.tick(self.clock.now());
        let serving = gatekeeper.serving();
        let view = publish.then(|| gatekeeper.view());
        drop(gatekeeper);
        if let Some(view) = view {
            self.view.store(Arc::new(view));
        }
        if self.watermark.fetch_max(serving.0, Ordering::AcqRel) < serving.0 {
            self.moved.send_replace(serving);
        }
        self.wake(grant);
    }

    /// Forgets what can no longer be replayed.
    pub(crate) fn expire(&self, wall: Unix) {
        self.lock().expire(self.clock.now(), wall);
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    pub(crate) fn serving(&self) -> Serving {
        Serving(self.watermark.load(Ordering::Acquire))
    }

    pub(crate) fn state(&self) -> RoomState {
        self.lock().state()
    }

    pub(crate) fn state_ahead(&self, interval: Duration) -> RoomState {
        self.lock().state_ahead(interval)
    }

    pub(crate) fn gauges(&self) -> Gauges {
        let gatekeeper = self.lock();
        let (in_flight, cap) = gatekeeper.in_flight();
        Gauges {
            waiting: gatekeeper.waiting(),
            buffered: gatekeeper.buffered(),
            in_flight,
            cap,
            capacity: gatekeeper.capacity(),
        }
    }

    fn finish(self: &Arc<Self>, claim: Option<Claim>, latency: Option<Duration>) {
        let mut gatekeeper = self.lock();
        if let Some(claim) = claim {
            gatekeeper.unuse(claim.school, claim.turn, claim.epoch);
        }
        let grant = gatekeeper.finish(latency);
        drop(gatekeeper);
        self.wake(grant);
    }

    fn wake(self: &Arc<Self>, Grant(woken): Grant<Waker>) {
        for waker in woken {
            // A waiter that is gone gives the slot back by dropping it.
            drop(waker.send(Slot::new(self, None)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gatekeeper<Waker>> {
        self.gatekeeper.lock()
    }
}

/// Numbers for the desk.
pub(crate) struct Gauges {
    pub(crate) waiting: u64,
    pub(crate) buffered: usize,
    pub(crate) in_flight: u32,
    pub(crate) cap: u32,
    pub(crate) capacity: Option<f64>,
}

/// A ticket that counts as used, unless nothing is sent for it.
struct Claim {
    school: SchoolIndex,
    turn: Turn,
    epoch: u32,
}

/// One login in flight. Dropping it frees the slot, so it lives as long as the backend works.
#[must_use]
pub(crate) struct Slot {
    room: Arc<LiveRoom>,
    claim: Option<Claim>,
    latency: Option<Duration>,
}

impl Slot {
    fn new(room: &Arc<LiveRoom>, claim: Option<Claim>) -> Self {
        Self {
            room: Arc::clone(room),
            claim,
            latency: None,
        }
    }

    /// The login has left for the backend: its ticket stays used.
    pub(crate) fn sent(&mut self) {
        self.claim = None;
    }

    /// The backend has answered a login that really hashed.
    pub(crate) fn answered(&mut self, latency: Duration) {
        self.latency = Some(latency);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.room.finish(self.claim.take(), self.latency);
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
