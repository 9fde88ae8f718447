//! Who comes to the room: straight through, with a place in the line, or with a turn or a pass.

use std::time::Duration;

use super::fleet::Fleet;
use super::tickets::Entrance;
use super::{Buffered, Door, Gatekeeper};
use crate::buffer::WaiterId;
use crate::pass::Pass;
use crate::room::SchoolIndex;
use crate::turn::Turn;

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

impl<W> Gatekeeper<W> {
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
        let open = door && self.waiting == 0 && self.ceiling.has_token();
        let claiming = self.fleet.as_ref().map_or(0, Fleet::claiming);
        let free = self.buffer.free();
        let pages = self.fleet.as_ref().map_or(0, Fleet::pages_untold);
        let open = open && self.conductor.has_room_to_type(now, pages);
        if open && u64::from(free) > coming + claiming && self.buffer.try_take() {
            self.ceiling.spend(1);
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
        if self.buffered() >= self.depth_limit() {
            return Err(Refusal::Full);
        }
        let ticket = (school, turn, epoch);
        if !self.tickets.take(&self.room, ticket) {
            return Err(Refusal::Used);
        }
        if trial {
            self.trials.begin(now);
        }
        self.look_at_clock(now);
        self.arrived(now, turn);
        self.tickets.open(ticket);
        if self.claims_first() {
            let id = self.buffer.place(turn);
            let key = self.ticket_key(school, turn, epoch);
            if let (Some(fleet), Some(key)) = (&mut self.fleet, key) {
                let ticket = Some(ticket);
                fleet.claim(id, key, Buffered { waiter, ticket });
                return Ok(Entry::Buffered(id));
            }
            return Err(Refusal::TooEarly);
        }
        Ok(self.take_or_wait(turn, Some(ticket), waiter))
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

    fn take_or_wait(&mut self, turn: Turn, ticket: Option<Entrance>, waiter: W) -> Entry {
        if self.ceiling.has_token() && self.buffer.try_take() {
            self.ceiling.spend(1);
            return Entry::Go;
        }
        let id = self.buffer.place(turn);
        self.buffer.insert(id, Buffered { waiter, ticket });
        Entry::Buffered(id)
    }

    /// Leaves the buffer. False if the slot was taken already and must be given back.
    pub fn leave(&mut self, id: WaiterId) -> bool {
        let claiming = self.fleet.as_mut().is_some_and(|fleet| fleet.leave(id));
        claiming || self.buffer.remove(id).is_some()
    }

    pub(super) fn count_joins(&mut self, school: SchoolIndex, pupils: u64) {
        if let Some(joined) = self.joined.get_mut(school.0 as usize) {
            *joined += pupils;
        }
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
