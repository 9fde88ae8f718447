//! A live room: the gatekeeper behind a short lock, and beside it what polls read without one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use einlass_admission::ledger::{Exchange, Exchanged, Join, Joined, Leave, Merge, Publish};
use einlass_admission::{
    Door, Entry, Gatekeeper, Grant, Help, Mode, Pass, Refusal, RoomKey, SchoolIndex, Scores,
    Serving, Straight, Ticket, Turn, Unix, Verdict, View, WaiterId, overflow::Host,
    state::RoomState,
};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot, watch};

use crate::clock::Clock;
use crate::overflow::Guest;
use crate::random;
use crate::site::Pool;

type Waker = oneshot::Sender<Result<Slot, Refusal>>;
type Joiner = (SchoolIndex, oneshot::Sender<Option<(Turn, u32)>>);

/// How long a turn is waited for that another gateway, a moment ahead, has called already.
const BEHIND: Duration = Duration::from_secs(1);

/// How long a request waits for a slot. Well before browsers give up they are sent to the waiting
/// page, where the place is kept and nothing hangs, however many logins a backend leaves unanswered.
const PATIENCE: Duration = Duration::from_secs(15);
/// While the buffer is full, about so long until it is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// For about [`AGAIN`], so that a browser does not come again before the picture that polls read has
/// changed.
pub(crate) async fn pause() {
    tokio::time::sleep(AGAIN.mul_f64(0.5 + random::fraction())).await;
}

/// What was heard from the ledger and has to be told to it in turn.
pub(crate) struct Heard {
    pub(crate) publish: Option<Publish>,
    pub(crate) merge: Vec<Merge>,
}

/// The room in front of one pool.
pub(crate) struct LiveRoom {
    pub(crate) key: RoomKey,
    name: String,
    clock: Clock,
    gatekeeper: Mutex<Gatekeeper<Waker>>,
    view: ArcSwap<View>,
    watermark: AtomicU64,
    /// Wakes held requests; polls read `watermark` instead.
    moved: watch::Sender<Serving>,
    /// It is known how far the room has been called.
    informed: watch::Sender<bool>,
    /// Every ticket is of interest, not only those of turns that are news.
    learning: AtomicBool,
    /// No backend answers.
    down: AtomicBool,
    /// Other gateways may have this room too.
    in_fleet: bool,
    /// This gateway is to take its leave of them.
    leaving: AtomicBool,
    bell: Notify,
    joiners: Mutex<Vec<Joiner>>,
    joiner_came: Notify,
}

impl LiveRoom {
    pub(crate) fn new(name: &str, clock: Clock, gatekeeper: Gatekeeper<Waker>) -> Arc<Self> {
        let serving = gatekeeper.serving();
        Arc::new(Self {
            key: RoomKey::of(name),
            name: name.to_owned(),
            informed: watch::Sender::new(gatekeeper.mode().0 == Mode::Embedded),
            learning: AtomicBool::new(gatekeeper.is_learning()),
            in_fleet: gatekeeper.mode().0 != Mode::Embedded,
            down: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            bell: Notify::new(),
            joiners: Mutex::default(),
            joiner_came: Notify::new(),
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

    /// The line in which somebody of a school's staff comes in soonest.
    pub(crate) fn soonest(&self, school: SchoolIndex) -> SchoolIndex {
        self.lock().room().soonest(school)
    }

    /// Whether the next of a school's staff comes before this turn.
    pub(crate) fn staff_before(&self, school: SchoolIndex, turn: Turn) -> bool {
        self.lock().room().staff_before(school, turn)
    }

    /// The next turn of a school, as a ticket without its school's key.
    pub(crate) async fn join(&self, school: SchoolIndex) -> Option<(Turn, u32)> {
        if !self.in_fleet {
            return self.lock().join(school);
        }
        let (sender, turn) = oneshot::channel();
        self.joiners.lock().push((school, sender));
        self.joiner_came.notify_one();
        turn.await.ok().flatten()
    }

    /// Learns from a ticket that its turn was given, if this gateway does not know it yet.
    pub(crate) fn observe(&self, school: SchoolIndex, turn: Turn) {
        let known = self.view.load().last.get(school.0 as usize).copied();
        let learning = self.learning.load(Ordering::Relaxed);
        if learning || known.is_some_and(|last| turn > last) {
            self.lock().observe(school, turn);
        }
    }

    /// Waits in the buffer for a slot, for [`PATIENCE`]. Dropping the future leaves the buffer; the
    /// ticket then counts as unused.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        school: SchoolIndex,
        ticket: &Ticket,
    ) -> Result<Slot, Refusal> {
        if !self.come(ticket.turn).await {
            return Err(Refusal::TooEarly);
        }
        let entering = async {
            loop {
                match self.enter_buffer(school, ticket).await {
                    // Spread: who is called and finds no room would else come at once again.
                    Err(Refusal::Full) => pause().await,
                    entered => return entered,
                }
            }
        };
        let entered = tokio::time::timeout(PATIENCE, entering).await;
        let entered = entered.unwrap_or(Err(Refusal::Full));
        if matches!(entered, Err(Refusal::Shut)) {
            pause().await;
        }
        entered
    }

    async fn enter_buffer(
        self: &Arc<Self>,
        school: SchoolIndex,
        ticket: &Ticket,
    ) -> Result<Slot, Refusal> {
        let (waker, woken) = oneshot::channel();
        let now = self.clock.now();
        let entry = self
            .lock()
            .enter(now, school, ticket.turn, ticket.epoch, waker)?;
        self.ring();
        let claim = Claim {
            room: Arc::clone(self),
            school,
            turn: ticket.turn,
            epoch: ticket.epoch,
        };
        self.slot(entry, woken, Some(claim)).await
    }

    /// Waits in front of the buffer, by a pass, for [`PATIENCE`].
    pub(crate) async fn enter_again(self: &Arc<Self>, pass: &Pass) -> Result<Slot, Refusal> {
        let (waker, woken) = oneshot::channel();
        let now = self.clock.now();
        let entry = self.lock().enter_again(now, pass, waker)?;
        let entered = tokio::time::timeout(PATIENCE, self.slot(entry, woken, None)).await;
        entered.unwrap_or(Err(Refusal::Full))
    }

    async fn slot(
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

    /// Uses up a ticket without taking a slot.
    pub(crate) fn redeem(&self, school: SchoolIndex, ticket: &Ticket) -> Result<(), Refusal> {
        self.lock().redeem(school, ticket.turn, ticket.epoch)
    }

    /// Whether the ticket has admitted somebody.
    pub(crate) fn is_used(&self, school: SchoolIndex, ticket: &Ticket) -> bool {
        self.lock().is_used(school, ticket.turn, ticket.epoch)
    }

    /// Whether the turn has come. What another gateway has called a moment ago comes here at once.
    pub(crate) async fn come(&self, turn: Turn) -> bool {
        let come = self.serving().admits(turn);
        if come || !self.in_fleet || !self.soon(turn, 2 * BEHIND) {
            return come;
        }
        self.hold(turn, BEHIND).await
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

    /// One step; several times a second. `down`: no backend can be reached; `backends`: logins that they
    /// can take. `publish` also makes the picture that polls read.
    pub(crate) fn tick(self: &Arc<Self>, down: bool, backends: u32, publish: bool) {
        let mut gatekeeper = self.lock();
        gatekeeper.set_down(down);
        gatekeeper.set_room_at_backends(backends);
        let grant = gatekeeper.tick(self.clock.now());
        let serving = gatekeeper.serving();
        let door = gatekeeper.door();
        // Whoever is turned away at a door that has just been shut asks at once why.
        let turned = door != self.view.load().door;
        let view = (publish || turned).then(|| gatekeeper.view());
        let learning = gatekeeper.is_learning();
        let mode = gatekeeper.mode().0;
        drop(gatekeeper);
        self.learning.store(learning, Ordering::Relaxed);
        if let Some(view) = view {
            self.view.store(Arc::new(view));
        }
        self.tell(door, down);
        if mode != Mode::Recovering && !*self.informed.borrow() {
            self.informed.send_replace(true);
        }
        self.move_on(serving);
        self.wake(grant);
        self.ring();
    }

    /// Writes down when a pool stops to answer, and when it answers again.
    fn tell(&self, door: Door, unreachable: bool) {
        let down = door == Door::Down;
        if self.down.swap(down, Ordering::Relaxed) != down {
            let room = &self.name;
            if down {
                tracing::warn!(room, unreachable, "Pool gives no answer; places are kept");
            } else {
                tracing::info!(room, "Pool answers a login; the room opens slowly");
            }
        }
    }

    /// Nobody is let in because no backend answers, but those who try.
    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Ends when a request has waited for so long, and the pool gives no answer to anybody.
    pub(crate) async fn silent(&self, waited: Duration) {
        tokio::time::sleep(waited).await;
        while !self.is_down() {
            tokio::time::sleep(AGAIN).await;
        }
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
            staff: gatekeeper.room().staff_waiting(),
            buffered: gatekeeper.buffered(),
            in_flight,
            cap,
            capacity: gatekeeper.capacity(),
            forecasts: gatekeeper.scores(),
        }
    }

    /// Logins in flight.
    pub(crate) fn in_flight(&self) -> u32 {
        self.lock().in_flight().0
    }

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
        lent.then(|| {
            let mut slot = Slot::new(self, None);
            slot.guest = Some(guest);
            slot
        })
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

    /// Learns from a browser how far another gateway has called the room.
    pub(crate) fn hear(&self, serving: Serving) {
        if serving > self.serving() {
            self.lock().hear(self.clock.now(), serving);
            self.move_on(serving);
        }
    }

    /// Waits until it is known how far the room has been called: a moment after the start, when
    /// there are other gateways.
    pub(crate) async fn informed(&self) {
        if !*self.informed.borrow() {
            let mut informed = self.informed.subscribe();
            let known = informed.wait_for(|known| *known);
            let _ = tokio::time::timeout(BEHIND, known).await;
        }
    }

    /// Whether other gateways may have this room too.
    pub(crate) fn in_fleet(&self) -> bool {
        self.in_fleet
    }

    /// How the room's ledger is, and for how long.
    pub(crate) fn mode(&self) -> (Mode, Duration) {
        let (mode, since) = self.lock().mode();
        (mode, self.clock.now().saturating_sub(since))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns when there may be something to tell the ledger.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
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
        self.move_on(serving);
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
        self.move_on(serving);
    }

    pub(crate) fn merged(&self, accepted: bool) {
        self.lock().merged(accepted);
    }

    /// Waits for somebody who joins, and takes all who have come.
    pub(crate) async fn joiners(&self) -> Vec<Joiner> {
        loop {
            let mut batch = std::mem::take(&mut *self.joiners.lock());
            if !batch.is_empty() {
                // Per school in the order of arrival.
                batch.sort_by_key(|(school, _)| *school);
                return batch;
            }
            self.joiner_came.notified().await;
        }
    }

    /// How to ask the ledger for their turns; `None` if it is not to be asked.
    pub(crate) fn joining(&self, batch: &[Joiner]) -> Option<Join> {
        self.lock().joining(random::nonce(), &counted(batch))
    }

    /// Gives them the ledger's turns, or our own.
    pub(crate) fn joined(&self, batch: Vec<Joiner>, joined: Option<&Joined>) {
        let mut gatekeeper = self.lock();
        let turns: Vec<Option<(Turn, u32)>> = match joined {
            Some(joined) => {
                let turns = gatekeeper.joined(&counted(&batch), joined);
                turns.into_iter().map(Some).collect()
            }
            None => batch
                .iter()
                .map(|(school, _)| gatekeeper.join(*school))
                .collect(),
        };
        drop(gatekeeper);
        for ((_, joiner), turn) in batch.into_iter().zip(turns) {
            // A browser that has gone leaves a turn that nobody takes.
            let _ = joiner.send(turn);
        }
    }

    fn ring(&self) {
        if self.in_fleet {
            self.bell.notify_one();
        }
    }

    fn move_on(&self, serving: Serving) {
        if self.watermark.fetch_max(serving.0, Ordering::AcqRel) < serving.0 {
            self.moved.send_replace(serving);
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

    fn wake(self: &Arc<Self>, grant: Grant<Waker>) {
        for waker in grant.go {
            // A waiter that is gone gives the slot back by dropping it.
            drop(waker.send(Ok(Slot::new(self, None))));
        }
        for waker in grant.refused {
            drop(waker.send(Err(Refusal::Used)));
        }
        for waker in grant.shut {
            drop(waker.send(Err(Refusal::Shut)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gatekeeper<Waker>> {
        self.gatekeeper.lock()
    }
}

/// How many of each school, in the order of a batch.
fn counted(batch: &[Joiner]) -> Vec<(SchoolIndex, u32)> {
    batch
        .chunk_by(|(one, _), (other, _)| one == other)
        .filter_map(|same| Some((same.first()?.0, u32::try_from(same.len()).ok()?)))
        .collect()
}

/// Numbers for the desk.
pub(crate) struct Gauges {
    pub(crate) waiting: u64,
    /// Of them in the lines of staff.
    pub(crate) staff: u64,
    pub(crate) buffered: usize,
    pub(crate) in_flight: u32,
    pub(crate) cap: u32,
    pub(crate) capacity: Option<f64>,
    pub(crate) forecasts: Scores,
}

/// A ticket that counts as used, unless nothing is sent for it.
struct Claim {
    room: Arc<LiveRoom>,
    school: SchoolIndex,
    turn: Turn,
    epoch: u32,
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
    fn new(room: &Arc<LiveRoom>, claim: Option<Claim>) -> Self {
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
