//! One room at one gateway, put together: registers, buffer, pacer, and the memory of tickets.
//!
//! A state machine without I/O. The gateway's shell calls it under a short lock, with the time,
//! and wakes whom it names.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::arrivals::Arrivals;
use crate::buffer::{Buffer, WaiterId};
use crate::curve::Curve;
use crate::flow::{Controller, Flow};
use crate::pacer::{Inputs, Outputs, Pacer};
use crate::pass::{Pass, Tries};
use crate::room::{Room, SchoolIndex};
use crate::state::RoomState;
use crate::turn::{SchoolKey, Serving, Turn, Unix};
use crate::used::Used;
use crate::view::{Door, View};

/// Latencies kept between two ticks, should ticks stop: as many as any pacer looks at.
const MOST_LATENCIES: usize = 4_096;

/// What an operator sets for a room.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The operator lets nobody in.
    pub closed: bool,
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

/// Who to wake: each of them holds a slot now.
#[derive(Debug)]
#[must_use]
pub struct Grant<W>(pub Vec<W>);

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
    pacer: Box<dyn Pacer>,
    outputs: Outputs,
    controller: Controller,
    arrivals: Arrivals,
    inputs: Inputs,
    used: Vec<Used>,
    /// Turns given since the last [`Gatekeeper::state_ahead`], per school.
    joined: Vec<u64>,
    tries: Tries,
    down: bool,
    waiting: u64,
    tokens: f64,
    ticked: Option<Duration>,
}

impl<W> Gatekeeper<W> {
    /// A room nobody has used. `epoch` must differ from that of every earlier run.
    pub fn new(room: Room, epoch: u32, settings: Settings, mut pacer: Box<dyn Pacer>) -> Self {
        let outputs = pacer.step(Duration::ZERO, &Inputs::default());
        Self {
            used: vec![Used::default(); room.schools().len()],
            joined: vec![0; room.schools().len()],
            room,
            epoch,
            settings,
            buffer: Buffer::new(outputs.cap),
            pacer,
            outputs,
            controller: Controller::default(),
            arrivals: Arrivals::default(),
            inputs: Inputs::default(),
            tries: Tries::default(),
            down: false,
            waiting: 0,
            tokens: 1.0,
            ticked: None,
        }
    }

    /// Takes a slot on the spot, if one is free and nobody is waiting, buffered or on the way.
    pub fn straight(&mut self, now: Duration) -> Straight {
        let coming = self.arrivals.coming(now);
        let open = self.door() == Door::Open && self.waiting == 0 && self.has_token();
        if open && u64::from(self.buffer.free()) > coming && self.buffer.try_take() {
            self.spend_token();
            return Straight::Go;
        }
        Straight::Queue
    }

    /// Gives the next turn of a school and this run's epoch; `None` for a school of another room.
    pub fn join(&mut self, school: SchoolIndex) -> Option<(Turn, u32)> {
        let turn = self.room.join(school)?;
        self.waiting += 1;
        if let Some(joined) = self.joined.get_mut(school.0 as usize) {
            *joined += 1;
        }
        Some((turn, self.epoch))
    }

    /// Learns from a ticket: its turn was given.
    pub fn observe(&mut self, school: SchoolIndex, turn: Turn) {
        // Browsers bring tickets between two pictures of the room by the thousand: the sum over
        // all schools would be too dear for each.
        let before = self.room.waiting_in(school);
        self.room.merge_last(school, turn);
        let after = self.room.waiting_in(school);
        self.waiting = self.waiting.saturating_add(after.saturating_sub(before));
    }

    /// Enters with a turn that has come. A ticket enters once.
    pub fn enter(
        &mut self,
        school: SchoolIndex,
        turn: Turn,
        epoch: u32,
        waiter: W,
    ) -> Result<Entry, Refusal> {
        if self.door() != Door::Open {
            return Err(Refusal::Shut);
        }
        if !self.room.serving().admits(turn) {
            return Err(Refusal::TooEarly);
        }
        let tooth = self.tooth(school, turn);
        if self.buffer.depth() >= self.depth_limit() {
            return Err(Refusal::Full);
        }
        let used = self.used.get_mut(school.0 as usize);
        if !used.is_some_and(|used| used.take(epoch, tooth)) {
            return Err(Refusal::Used);
        }
        self.arrivals.arrived(turn);
        Ok(self.take_or_wait(turn, Some((school, turn, epoch)), waiter))
    }

    /// Enters with a pass: ahead of every turn, a few times.
    pub fn enter_again(&mut self, pass: &Pass, waiter: W) -> Result<Entry, Refusal> {
        if self.door() != Door::Open {
            return Err(Refusal::Shut);
        }
        if self.buffer.depth() >= self.depth_limit() {
            return Err(Refusal::Full);
        }
        if !self.tries.take(pass, self.settings.pass_tries) {
            return Err(Refusal::Used);
        }
        Ok(self.take_or_wait(Turn(0), None, waiter))
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
        self.arrivals.arrived(turn);
        Ok(())
    }

    /// Whether the ticket has admitted somebody.
    pub fn is_used(&self, school: SchoolIndex, turn: Turn, epoch: u32) -> bool {
        let tooth = self.tooth(school, turn);
        self.used
            .get(school.0 as usize)
            .is_some_and(|used| used.contains(epoch, tooth))
    }

    /// Whether any backend of the pool answers. Without one nobody is released.
    pub fn set_down(&mut self, down: bool) {
        self.down = down;
    }

    /// Whether anybody is let in.
    pub fn door(&self) -> Door {
        match (self.settings.closed, self.down) {
            (true, _) => Door::Closed,
            (false, true) => Door::Down,
            (false, false) => Door::Open,
        }
    }

    /// Nothing was sent for this ticket: it may be used again.
    pub fn unuse(&mut self, school: SchoolIndex, turn: Turn, epoch: u32) {
        let tooth = self.tooth(school, turn);
        if let Some(used) = self.used.get_mut(school.0 as usize) {
            used.give_back(epoch, tooth);
        }
    }

    /// Leaves the buffer. False if the slot was taken already and must be given back.
    pub fn leave(&mut self, id: WaiterId) -> bool {
        self.buffer.remove(id).is_some()
    }

    /// Gives a slot back. `latency` is that of a login that really hashed, else `None`.
    pub fn finish(&mut self, latency: Option<Duration>) -> Grant<W> {
        self.buffer.give_back();
        if self.inputs.latencies.len() < MOST_LATENCIES {
            self.inputs.latencies.extend(latency);
        }
        self.grant()
    }

    /// One step of the pacer and of the release. To be called about 20 times a second.
    pub fn tick(&mut self, now: Duration) -> Grant<W> {
        let dt = self
            .ticked
            .map_or(Duration::ZERO, |last| now.saturating_sub(last));
        self.ticked = Some(now);
        if let Some(ceiling) = self.settings.ceiling {
            let burst = (ceiling / 4.0).max(1.0);
            self.tokens = (self.tokens + ceiling * dt.as_secs_f64()).min(burst);
        }
        self.inputs.in_flight = self.buffer.in_flight();
        self.outputs = self.pacer.step(now, &self.inputs);
        self.inputs.latencies.clear();
        self.buffer.set_cap(self.outputs.cap);
        if self.door() == Door::Open {
            self.release(now);
        }
        self.grant()
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
            pace: self.controller.pace().or(self.outputs.capacity),
            door: self.door(),
            last: self
                .room
                .schools()
                .iter()
                .map(crate::School::last)
                .collect(),
            curve: Curve::of(&self.room),
        }
    }

    /// What the next run needs after a clean stop: the registers as they are. Tickets in the buffer
    /// are not used yet: if this run ends now, nothing is sent for them.
    pub fn state(&self) -> RoomState {
        let schools = self.room.schools();
        let mut used = self.used.clone();
        for (school, turn, epoch) in self.buffer.waiters().filter_map(|b| b.ticket) {
            if let Some(used) = used.get_mut(school.0 as usize) {
                used.give_back(epoch, self.tooth(school, turn));
            }
        }
        RoomState {
            serving: self.room.serving(),
            last: schools
                .iter()
                .filter(|s| s.last() > Turn(0))
                .map(|s| (s.key(), s.last()))
                .collect(),
            used: schools
                .iter()
                .zip(used)
                .filter(|(_, used)| used.blocks() > 0)
                .map(|(s, used)| (s.key(), used))
                .collect::<BTreeMap<SchoolKey, Used>>(),
        }
    }

    /// What the next run needs if this one is killed before it writes again, `interval` from now.
    ///
    /// The registers only grow, so each is written a little ahead of where it is: `serving` by what
    /// twice the interval releases at the present pace, so that nobody who was told to come is told
    /// to wait again; a school's last turn by twice its joins since the call before, so that turns
    /// given in the lost moment are not given again. What was too much counts like no-shows.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small non-negative number of pupils"
    )]
    pub fn state_ahead(&mut self, interval: Duration) -> RoomState {
        let mut state = self.state();
        let pace = self.controller.pace().or(self.outputs.capacity);
        if self.waiting > 0 && self.door() == Door::Open {
            let lost = pace.unwrap_or(0.0) * 2.0 * interval.as_secs_f64();
            let pupils = (lost as u64).saturating_add(self.outputs.cap.into());
            state.serving = self.room.serving_after(pupils);
        }
        for (school, joined) in self.room.schools().iter().zip(&mut self.joined) {
            let repeated = std::mem::take(joined).saturating_mul(2);
            if let Some(last) = state.last.get_mut(&school.key()) {
                let tooth = school.tooth(school.last().0);
                last.0 = school.turn_of(tooth.saturating_add(repeated));
            }
        }
        state
    }

    /// Takes over what an earlier run left. Schools that are gone are left out.
    pub fn restore(&mut self, state: RoomState) {
        self.room.merge_serving(state.serving);
        for (key, turn) in state.last {
            if let Some(school) = self.room.index(key) {
                self.room.merge_last(school, turn);
            }
        }
        for (key, used) in state.used {
            if let Some(slot) = self
                .room
                .index(key)
                .and_then(|school| self.used.get_mut(school.0 as usize))
            {
                *slot = used;
            }
        }
        self.waiting = self.room.waiting();
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
        self.buffer.depth()
    }

    /// Logins in flight, and how many may be.
    pub fn in_flight(&self) -> (u32, u32) {
        (self.buffer.in_flight(), self.buffer.cap())
    }

    /// Believed capacity in logins per second.
    pub fn capacity(&self) -> Option<f64> {
        self.outputs.capacity
    }

    fn release(&mut self, now: Duration) {
        let coming = self.arrivals.coming(now);
        let free = self.buffer.free().min(self.allowed());
        let pupils = self.controller.step(
            now,
            &Flow {
                capacity: self.outputs.capacity,
                buffered: self.buffer.depth(),
                coming,
                cap: self.buffer.cap(),
                free,
                waiting: self.waiting,
                show_rate: self.arrivals.show_rate(now),
                ceiling: self.settings.ceiling,
            },
        );
        if pupils > 0 {
            let released = self.room.release(pupils);
            self.waiting = self.waiting.saturating_sub(released);
            self.arrivals.released(now, self.room.serving(), released);
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
        Entry::Buffered(self.buffer.push(turn, Buffered { waiter, ticket }))
    }

    fn grant(&mut self) -> Grant<W> {
        let granted = self.buffer.grant(self.allowed() as usize);
        if self.settings.ceiling.is_some() {
            self.tokens -= granted.len() as f64;
        }
        Grant(granted.into_iter().map(|b| b.waiter).collect())
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
        self.room
            .schools()
            .get(school.0 as usize)
            .map_or(0, |s| s.tooth(turn.0))
    }

    /// The buffer's bound: ten seconds of work, however wrong the release was.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small non-negative number of logins"
    )]
    fn depth_limit(&self) -> usize {
        let work = self.outputs.capacity.unwrap_or(0.0) * 10.0;
        (work as usize).max(4 * self.outputs.cap as usize).max(64)
    }
}
