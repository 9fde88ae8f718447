//! One room at one gateway, put together: registers, buffer, pacer, and the memory of tickets.
//!
//! A state machine without I/O. The gateway's shell calls it under a short lock, with the time,
//! and wakes whom it names.

mod company;
mod crowd;
mod fleet;
mod guests;
mod keep;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::buffer::{Buffer, WaiterId};
use crate::conductor::{Conductor, Scene, part, times};
use crate::flow::{TARGET, TARGET_APART};
use crate::forecast::{Forecast, Scores, Sight};
use crate::learning::{Learning, Lesson};
use crate::pacer::{Pacer, Verdict};
use crate::pass::{Pass, Tries};
use crate::pulse::Trials;
use crate::room::{Room, SchoolIndex};
use crate::turn::{Serving, Turn, Unix};
use crate::used::Used;
use crate::view::{Door, View};

use fleet::Fleet;
pub use fleet::{Answer, Membership, Mode};
pub use guests::Help;

/// What an operator sets for a room.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The operator lets nobody in.
    pub closed: bool,
    /// The pacer decides and reports, and holds nobody.
    pub observe: bool,
    /// What needs a turn is the login page: tickets enter with a page that costs nearly nothing, and
    /// the logins follow with passes.
    pub page_gate: bool,
    /// Ceiling in logins per second.
    pub ceiling: Option<f64>,
    /// How long a ticket is believed.
    pub ticket_lifetime: Duration,
    /// How often a pass may be used.
    pub pass_tries: u8,
}

/// What came of an attempt to go straight through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Straight {
    /// The slot is taken.
    Go,
    /// Somebody waits, or no slot is free: join.
    Queue,
}

/// What came of an attempt to enter with a turn or a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The slot is taken.
    Go,
    /// In the buffer; the waiter is woken when its slot is taken.
    Buffered(WaiterId),
}

/// Why nobody entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The turn has not come.
    TooEarly,
    /// The ticket has admitted somebody, or the pass has no tries left.
    Used,
    /// The buffer is full for the moment; the place is kept.
    Full,
    /// Nobody is let in for the moment; the place is kept.
    Shut,
}

/// Who to wake.
#[derive(Debug)]
#[must_use]
pub struct Grant<W> {
    /// Each of them holds a slot now.
    pub go: Vec<W>,
    /// Their tickets have entered at another gateway.
    pub refused: Vec<W>,
    /// Nobody is let in any more: their tickets are good again.
    pub shut: Vec<W>,
}

/// Somebody in the buffer.
struct Buffered<W> {
    waiter: W,
    /// The ticket, unless it was a pass: until the slot is given nothing was sent for it.
    ticket: Option<(SchoolIndex, Turn, u32)>,
}

/// One room at one gateway. `W` is whatever wakes a waiter.
pub struct Gatekeeper<W> {
    room: Room,
    epoch: u32,
    settings: Settings,
    buffer: Buffer<Buffered<W>>,
    conductor: Conductor,
    /// The other gateways, if there may be any.
    fleet: Option<Fleet<W>>,
    used: Vec<Used>,
    /// Tickets that have entered and are not done with: nothing was sent for them, or no answer has
    /// come. Should this gateway die now, they may enter again.
    open: BTreeSet<(SchoolIndex, Turn, u32)>,
    /// Turns given since the last [`Gatekeeper::state_ahead`], per school.
    joined: Vec<u64>,
    tries: Tries,
    /// Until it is known where the line begins.
    learning: Option<Learning>,
    down: bool,
    forecast: Forecast,
    trials: Trials,
    /// Logins that the backends can take, as the balancer sees it.
    room_at_backends: u32,
    help: Help,
    waiting: u64,
    tokens: f64,
    ticked: Option<Duration>,
}

impl<W> Gatekeeper<W> {
    /// A room nobody has used. `epoch` must differ from that of every earlier run.
    pub fn new(room: Room, epoch: u32, settings: Settings, pacer: Box<dyn Pacer>) -> Self {
        let conductor = Conductor::new(pacer);
        Self {
            used: vec![Used::default(); room.schools().len()],
            open: BTreeSet::new(),
            joined: vec![0; room.schools().len()],
            room,
            epoch,
            settings,
            buffer: Buffer::new(conductor.cap()),
            conductor,
            fleet: None,
            tries: Tries::default(),
            learning: Some(Learning::default()),
            down: false,
            forecast: Forecast::default(),
            trials: Trials::default(),
            room_at_backends: u32::MAX,
            help: Help::default(),
            waiting: 0,
            tokens: 1.0,
            ticked: None,
        }
    }

    /// Takes a slot on the spot, if one is free and nobody is waiting, buffered or on the way.
    pub fn straight(&mut self, now: Duration) -> Straight {
        self.look_at_clock(now);
        if self.settings.observe && self.door() == Door::Open {
            self.buffer.take_any();
            return Straight::Go;
        }
        let coming = self.coming(now);
        let trial = self.may_try(now);
        let door = self.door() == Door::Open || trial;
        let open = door && self.waiting == 0 && self.has_token();
        let claiming = self.fleet.as_ref().map_or(0, Fleet::claiming);
        let free = self.buffer.free();
        let pages = self.fleet.as_ref().map_or(0, Fleet::pages_untold);
        let open = open && self.conductor.has_room_to_type(now, pages);
        if open && u64::from(free) > coming + claiming && self.buffer.try_take() {
            self.spend_token();
            if trial {
                self.trials.begin(now);
            }
            return Straight::Go;
        }
        Straight::Queue
    }

    /// Gives the next turn of a school and the epoch it belongs to; `None` for a school of another
    /// room. In a fleet that is in touch with its ledger, [`Gatekeeper::joining`] is the way.
    pub fn join(&mut self, school: SchoolIndex) -> Option<(Turn, u32)> {
        let cost = self.room.cost(school);
        let passed_over = self.leave_out(school, cost);
        self.room.skip(school, passed_over);
        let turn = self.room.join(school)?;
        self.waiting += cost + passed_over;
        self.count_joins(school, cost);
        Some((turn, self.epoch))
    }

    /// Learns from a ticket: its turn was given.
    pub fn observe(&mut self, school: SchoolIndex, turn: Turn) {
        // Browsers bring tickets between two pictures of the room by the thousand: the sum over
        // all schools would be too dear for each.
        let before = self.room.waiting_in(school);
        self.room.merge_last(school, turn);
        let after = self.room.waiting_in(school);
        if !self.room.serving().admits(turn)
            && let Some(learning) = &mut self.learning
        {
            learning.asked(turn);
        }
        if let Some(fleet) = &mut self.fleet
            && after > before
        {
            fleet.learn(school);
        }
        self.waiting = self.waiting.saturating_add(after.saturating_sub(before));
    }

    /// Enters with a turn that has come. A ticket enters once.
    pub fn enter(
        &mut self,
        now: Duration,
        school: SchoolIndex,
        turn: Turn,
        epoch: u32,
        waiter: W,
    ) -> Result<Entry, Refusal> {
        let trial = self.may_try(now);
        if self.door() != Door::Open && !trial {
            return Err(Refusal::Shut);
        }
        if !self.room.serving().admits(turn) {
            return Err(Refusal::TooEarly);
        }
        let tooth = self.tooth(school, turn);
        if self.buffered() >= self.depth_limit() {
            return Err(Refusal::Full);
        }
        let used = self.used.get_mut(school.0 as usize);
        if !used.is_some_and(|used| used.take(epoch, tooth)) {
            return Err(Refusal::Used);
        }
        if trial {
            self.trials.begin(now);
        }
        self.look_at_clock(now);
        self.arrived(now, turn);
        self.open.insert((school, turn, epoch));
        let ticket = Some((school, turn, epoch));
        if self.claims_first() {
            let id = self.buffer.place(turn);
            let key = self.ticket_key(school, turn, epoch);
            if let (Some(fleet), Some(key)) = (&mut self.fleet, key) {
                fleet.claim(id, key, Buffered { waiter, ticket });
                return Ok(Entry::Buffered(id));
            }
            return Err(Refusal::TooEarly);
        }
        Ok(self.take_or_wait(turn, ticket, waiter))
    }

    /// Enters with a pass: ahead of every turn, a few times.
    pub fn enter_again(&mut self, now: Duration, pass: &Pass, waiter: W) -> Result<Entry, Refusal> {
        let trial = self.may_try(now);
        if self.door() != Door::Open && !trial {
            return Err(Refusal::Shut);
        }
        if self.buffered() >= self.depth_limit() {
            return Err(Refusal::Full);
        }
        if !self.tries.take(pass, self.settings.pass_tries) {
            return Err(Refusal::Used);
        }
        if trial {
            self.trials.begin(now);
        }
        self.look_at_clock(now);
        match &mut self.fleet {
            Some(fleet) if !fleet.conducts_alone() => fleet.typed(),
            _ => self.conductor.typed(now, 1),
        }
        // Where pages are gated everybody comes with a pass, and a page must not wait behind them:
        // nobody would be typing when they are through.
        let place = if self.settings.page_gate { u64::MAX } else { 0 };
        Ok(self.take_or_wait(Turn(place), None, waiter))
    }

    /// Uses up a ticket whose turn has come without taking a slot: its login has to be typed again.
    pub fn redeem(&mut self, school: SchoolIndex, turn: Turn, epoch: u32) -> Result<(), Refusal> {
        if !self.room.serving().admits(turn) {
            return Err(Refusal::TooEarly);
        }
        let tooth = self.tooth(school, turn);
        let used = self.used.get_mut(school.0 as usize);
        if !used.is_some_and(|used| used.take(epoch, tooth)) {
            return Err(Refusal::Used);
        }
        self.arrived(self.ticked.unwrap_or_default(), turn);
        self.done(school, turn, epoch);
        Ok(())
    }

    /// Whether the ticket has admitted somebody.
    pub fn is_used(&self, school: SchoolIndex, turn: Turn, epoch: u32) -> bool {
        let tooth = self.tooth(school, turn);
        self.used
            .get(school.0 as usize)
            .is_some_and(|used| used.contains(epoch, tooth))
    }

    /// Whether any backend of the pool can be reached. Without one nobody is released.
    pub fn set_down(&mut self, down: bool) {
        self.down = down;
    }

    /// How many logins the backends can take now, at least 1: less than the cap while they start
    /// slowly.
    pub fn set_room_at_backends(&mut self, logins: u32) {
        self.room_at_backends = logins.max(1);
    }

    /// Whether anybody is let in.
    pub fn door(&self) -> Door {
        // Who only looks on holds nobody for what he sees.
        let silent = self.conductor.silent() && !self.settings.observe;
        match (self.settings.closed, self.down || silent) {
            (true, _) => Door::Closed,
            (false, true) => Door::Down,
            (false, false) => Door::Open,
        }
    }

    /// Whether somebody may try now if a pool answers that gives no sign of life.
    fn may_try(&self, now: Duration) -> bool {
        let shut = self.door() == Door::Down && !self.down;
        shut && self.buffer.free() > 0 && self.trials.due(now)
    }

    /// Whether pupils are called: as many as the pool can work on, or a few who try.
    fn releases(&self) -> bool {
        !self.settings.closed && !self.down
    }

    /// The login is done with, whatever the backend said: nobody else enters with this ticket, here
    /// or elsewhere.
    pub fn done(&mut self, school: SchoolIndex, turn: Turn, epoch: u32) {
        self.open.remove(&(school, turn, epoch));
        let key = self.ticket_key(school, turn, epoch);
        if let (Some(fleet), Some(key)) = (&mut self.fleet, key) {
            fleet.done(key);
        }
    }

    /// Nothing was sent for this ticket: it may be used again.
    pub fn unuse(&mut self, school: SchoolIndex, turn: Turn, epoch: u32) {
        self.open.remove(&(school, turn, epoch));
        let tooth = self.tooth(school, turn);
        if let Some(used) = self.used.get_mut(school.0 as usize) {
            used.give_back(epoch, tooth);
        }
        let key = self.ticket_key(school, turn, epoch);
        if let (Some(fleet), Some(key)) = (&mut self.fleet, key) {
            fleet.released(key);
        }
    }

    /// Leaves the buffer. False if the slot was taken already and must be given back.
    pub fn leave(&mut self, id: WaiterId) -> bool {
        let claiming = self.fleet.as_mut().is_some_and(|fleet| fleet.leave(id));
        claiming || self.buffer.remove(id).is_some()
    }

    /// Gives a slot back. A login that was [`overdue`](Self::overdue) is lost already: its verdict
    /// is [`Verdict::Hashed`] if an answer came after all, else [`Verdict::Neutral`].
    pub fn finish(&mut self, now: Duration, verdict: Verdict) -> Grant<W> {
        self.look_at_clock(now);
        self.buffer.give_back();
        self.tell_pacer(now, verdict);
        self.grant()
    }

    /// A login has been under way for longer than [`Gatekeeper::overdue_after`]: it is lost, though
    /// its slot is still in use.
    pub fn overdue(&mut self) {
        self.tell_pacer(Duration::ZERO, Verdict::Lost);
    }

    /// How long a login may be under way before it counts as lost; `None` while nobody can say.
    pub fn overdue_after(&self) -> Option<Duration> {
        self.conductor.overdue_after()
    }

    fn tell_pacer(&mut self, now: Duration, verdict: Verdict) {
        match &mut self.fleet {
            Some(fleet) if !fleet.conducts_alone() => fleet.ended(verdict),
            _ => self.conductor.ended(now, verdict),
        }
    }

    /// One step of the pacer, of the release and of the forecast. To be called about 20 times a
    /// second.
    pub fn tick(&mut self, now: Duration) -> Grant<W> {
        let grant = self.move_on(now);
        if self.forecast.is_due(now) {
            let (buffered, part) = self.buffered_here();
            let (owed, lead) = self.conductor.owed(now, buffered);
            let sight = Sight {
                owed: owed / part,
                lead,
                capacity: self.capacity_with_help(),
                overdue: self.conductor.overdue_after().unwrap_or_default(),
                show_rate: self.conductor.show_rate(now),
                settled: self.conductor.settled(),
                door: self.door(),
                heard: self.heard_promise(),
            };
            self.forecast.step(now, &self.room, &sight);
        }
        grant
    }

    fn move_on(&mut self, now: Duration) -> Grant<W> {
        let dt = self
            .ticked
            .map_or(Duration::ZERO, |last| now.saturating_sub(last));
        self.ticked = Some(now);
        let portion = self.portion();
        if let Some(ceiling) = self.settings.ceiling.map(|c| c * portion) {
            let burst = (ceiling / 4.0).max(1.0);
            self.tokens = (self.tokens + ceiling * dt.as_secs_f64()).min(burst);
        }
        if self.fleet.is_some() {
            return self.tick_in_fleet(now, dt);
        }
        let in_flight = self.buffer.in_flight();
        self.conductor.pace(now, in_flight, 1.0, self.down);
        self.set_slots(self.conductor.cap());
        if self.releases() && (!self.listens(now) || self.settings.observe) {
            self.release(now);
        }
        self.grant()
    }

    /// Nobody stays in the buffer of a pool that does not answer: the waiting page says why, and a
    /// request that hangs does not.
    fn clear_buffer(&mut self) -> Vec<W> {
        if self.door() != Door::Down {
            self.trials = Trials::default();
            return Vec::new();
        }
        let all = self.buffer.take_all().into_values();
        let cleared: Vec<_> = all.collect();
        for buffered in &cleared {
            if let Some((school, turn, epoch)) = buffered.ticket {
                self.unuse(school, turn, epoch);
            }
        }
        cleared.into_iter().map(|b| b.waiter).collect()
    }

    /// Whether it has to listen first where the line begins.
    fn listens(&mut self, now: Duration) -> bool {
        match self.learning.as_mut().map(|learning| learning.step(now)) {
            None | Some(Lesson::Nothing) => false,
            Some(Lesson::Listening) => true,
            Some(Lesson::Begins(serving)) => {
                self.room.merge_serving(serving);
                self.waiting = self.room.waiting();
                self.learning = None;
                false
            }
            Some(Lesson::Over) => {
                self.learning = None;
                false
            }
        }
    }

    /// Whether it still wants to hear of every ticket, and not only of new ones.
    pub fn is_learning(&self) -> bool {
        self.learning.is_some()
    }

    /// Forgets what can no longer be replayed. To be called every few seconds.
    pub fn expire(&mut self, now: Duration, wall: Unix) {
        self.tries.expire(wall);
        for (used, school) in self.used.iter_mut().zip(self.room.schools()) {
            let highest = school.last().max(Turn(self.room.serving().0));
            used.expire(now, self.settings.ticket_lifetime, school.tooth(highest.0));
        }
    }

    /// The picture that polls read.
    pub fn view(&self) -> View {
        View {
            serving: self.room.serving(),
            waiting: self.waiting,
            pace: self.pace(),
            settled: self.conductor.settled(),
            door: self.door(),
            trial: self.may_try(self.ticked.unwrap_or_default()),
            last: self
                .room
                .schools()
                .iter()
                .map(crate::School::last)
                .collect(),
            curve: self.forecast.curve(&self.room),
            outlook: self.forecast.outlook(),
        }
    }

    /// How good this gateway's forecasts were, since it started.
    pub fn scores(&self) -> Scores {
        *self.forecast.scores()
    }

    /// The watermark.
    pub fn serving(&self) -> Serving {
        self.room.serving()
    }

    /// The registers.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// Pupils waiting.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Pupils in the buffer.
    pub fn buffered(&self) -> usize {
        let claiming = self.fleet.as_ref().map_or(0, Fleet::claiming);
        self.buffer.depth() + usize::try_from(claiming).unwrap_or(0)
    }

    /// Logins in flight, and how many may be.
    pub fn in_flight(&self) -> (u32, u32) {
        let cap = if self.settings.observe {
            self.conductor.cap()
        } else {
            self.buffer.cap()
        };
        (self.buffer.in_flight(), cap)
    }

    /// Believed capacity of the pool in logins per second.
    pub fn capacity(&self) -> Option<f64> {
        self.conductor.capacity()
    }

    /// The same with what other pools do besides; with several gateways only the pool's own.
    fn capacity_with_help(&self) -> Option<f64> {
        let help = if self.fleet.is_none() {
            self.help.logins_per_second
        } else {
            0.0
        };
        self.conductor.capacity().map(|capacity| capacity + help)
    }

    /// So many logins may be in flight here; as many as come if the pacer only observes.
    fn set_slots(&mut self, slots: u32) {
        let observe = self.settings.observe;
        let slots = slots.min(self.room_at_backends);
        self.buffer.set_cap(if observe { u32::MAX } else { slots });
    }

    /// Releases for the part of the room that is conducted here.
    fn release(&mut self, now: Duration) {
        if self.settings.observe {
            // Whoever has a place from before, or from an outage, is held no longer either.
            let released = self.room.release(self.waiting);
            self.waiting = self.waiting.saturating_sub(released);
            return;
        }
        let portion = self.portion();
        // Backends that start slowly do not work off what the pool will soon do again.
        let cap = f64::from(self.conductor.cap().max(1)) * portion;
        let reach = (f64::from(self.room_at_backends) / cap).min(1.0);
        let pupils = self.conductor.release(
            now,
            &Scene {
                portion: portion * reach,
                depth: match self.fleet {
                    Some(_) => TARGET_APART,
                    None => TARGET,
                },
                buffered: self.buffered(),
                cap: self.buffer.cap(),
                free: self
                    .buffer
                    .free()
                    .min(self.allowed())
                    .saturating_add(self.help.free),
                waiting: self.waiting,
                ceiling: self.settings.ceiling,
                help: self.help.logins_per_second,
                shows: self.shows(now),
            },
        );
        if pupils > 0 {
            // Cut off, it sees only its part of the browsers: to let one in, others must be called.
            let called = self
                .fleet
                .as_mut()
                .map_or(pupils, |fleet| fleet.crowd.call_for(pupils));
            let places = self.room.places_per_pupil();
            let released = self.room.release(times(called, places));
            self.waiting = self.waiting.saturating_sub(released);
            let ours = part(released, self.browsers() / places);
            self.conductor.released(now, self.room.serving(), ours);
        }
    }

    fn take_or_wait(
        &mut self,
        turn: Turn,
        ticket: Option<(SchoolIndex, Turn, u32)>,
        waiter: W,
    ) -> Entry {
        if self.has_token() && self.buffer.try_take() {
            self.spend_token();
            return Entry::Go;
        }
        let id = self.buffer.place(turn);
        self.buffer.insert(id, Buffered { waiter, ticket });
        Entry::Buffered(id)
    }

    fn grant(&mut self) -> Grant<W> {
        let unreachable = self.door() == Door::Down && self.down;
        let allowed = if unreachable { 0 } else { self.allowed() };
        let granted = self.buffer.grant(allowed as usize);
        if self.settings.ceiling.is_some() {
            self.tokens -= granted.len() as f64;
        }
        Grant {
            go: granted.into_iter().map(|b| b.waiter).collect(),
            refused: Vec::new(),
            shut: self.clear_buffer(),
        }
    }

    fn count_joins(&mut self, school: SchoolIndex, pupils: u64) {
        if let Some(joined) = self.joined.get_mut(school.0 as usize) {
            *joined += pupils;
        }
    }

    /// Logins that may start just now under the operator's ceiling.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small non-negative number of tokens, rounded down on purpose"
    )]
    fn allowed(&self) -> u32 {
        match self.settings.ceiling {
            Some(_) => self.tokens.max(0.0) as u32,
            None => u32::MAX,
        }
    }

    fn has_token(&self) -> bool {
        self.settings.ceiling.is_none() || self.tokens >= 1.0
    }

    fn spend_token(&mut self) {
        if self.settings.ceiling.is_some() {
            self.tokens -= 1.0;
        }
    }

    fn tooth(&self, school: SchoolIndex, turn: Turn) -> u64 {
        self.room.tooth(school, turn)
    }

    /// The buffer's bound: ten seconds of work, however wrong the release was. Less at a gateway
    /// that is cut off: whoever finds it full comes to another a moment later, where slots may be free.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small non-negative number of logins"
    )]
    fn depth_limit(&self) -> usize {
        if self.settings.observe {
            return usize::MAX;
        }
        let alone = self.fleet.as_ref().is_some_and(Fleet::conducts_alone);
        let (seconds, slots, least) = if alone {
            (4.0 * self.portion(), self.buffer.cap(), 8)
        } else {
            (10.0, self.conductor.cap(), 64)
        };
        let work = self.conductor.capacity().unwrap_or(0.0) * seconds;
        (work as usize).max(4 * slots as usize).max(least)
    }
}
