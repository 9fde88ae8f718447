//! The memory of tickets: each admits once, unless nothing was sent for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Gatekeeper, Refusal};
use crate::room::{Room, SchoolIndex};
use crate::turn::{SchoolKey, Turn, Unix};
use crate::used::Used;

/// A ticket as it is known in its room: school, turn, and the epoch the turn belongs to.
pub(super) type Entrance = (SchoolIndex, Turn, u32);

/// Which tickets have entered.
#[derive(Debug)]
pub(super) struct Tickets {
    /// Of each school.
    used: Vec<Used>,
    /// Those that have entered and are not done with: nothing was sent for them, or no answer has
    /// come. Should this gateway die now, they may enter again.
    open: BTreeSet<Entrance>,
}

impl Tickets {
    pub(super) fn new(schools: usize) -> Self {
        Self {
            used: vec![Used::default(); schools],
            open: BTreeSet::new(),
        }
    }

    /// Enters. False if the ticket has entered before, or is for another room.
    #[must_use]
    pub(super) fn take(&mut self, room: &Room, (school, turn, epoch): Entrance) -> bool {
        let tooth = room.tooth(school, turn);
        let used = self.used.get_mut(school.0 as usize);
        used.is_some_and(|used| used.take(epoch, tooth))
    }

    /// Its login is not done with yet.
    pub(super) fn open(&mut self, ticket: Entrance) {
        self.open.insert(ticket);
    }

    /// Its login is done with.
    pub(super) fn close(&mut self, ticket: Entrance) {
        self.open.remove(&ticket);
    }

    /// It may enter again.
    pub(super) fn give_back(&mut self, room: &Room, ticket: Entrance) {
        self.open.remove(&ticket);
        let (school, turn, epoch) = ticket;
        if let Some(used) = self.used.get_mut(school.0 as usize) {
            used.give_back(epoch, room.tooth(school, turn));
        }
    }

    fn contains(&self, room: &Room, (school, turn, epoch): Entrance) -> bool {
        let tooth = room.tooth(school, turn);
        let used = self.used.get(school.0 as usize);
        used.is_some_and(|used| used.contains(epoch, tooth))
    }

    /// Those that have entered and are not done with.
    pub(super) fn not_done(&self) -> &BTreeSet<Entrance> {
        &self.open
    }

    /// Those that have entered and are done with, of each school that has any.
    pub(super) fn done(&self, room: &Room) -> BTreeMap<SchoolKey, Used> {
        let mut all = self.used.clone();
        for (school, turn, epoch) in self.open.iter().copied() {
            if let Some(used) = all.get_mut(school.0 as usize) {
                used.give_back(epoch, room.tooth(school, turn));
            }
        }
        let schools = room.schools().iter().map(crate::School::key);
        let all = schools.zip(all);
        all.filter(|(_, used)| used.blocks() > 0).collect()
    }

    /// What an earlier run knew of a school's tickets.
    pub(super) fn restore(&mut self, school: SchoolIndex, used: Used) {
        if let Some(slot) = self.used.get_mut(school.0 as usize) {
            *slot = used;
        }
    }

    /// Forgets those that are not believed any more after `lifetime`.
    fn expire(&mut self, now: Duration, room: &Room, lifetime: Duration) {
        for (used, school) in self.used.iter_mut().zip(room.schools()) {
            let highest = school.last().max(Turn(room.serving().0));
            used.expire(now, lifetime, school.tooth(highest.0));
        }
    }
}

impl<W> Gatekeeper<W> {
    /// Uses up a ticket whose turn has come without taking a slot: its login has to be typed again.
    pub fn redeem(&mut self, school: SchoolIndex, turn: Turn, epoch: u32) -> Result<(), Refusal> {
        if !self.room.serving().admits(turn) {
            return Err(Refusal::TooEarly);
        }
        if !self.tickets.take(&self.room, (school, turn, epoch)) {
            return Err(Refusal::Used);
        }
        self.arrived(self.ticked.unwrap_or_default(), turn);
        self.done(school, turn, epoch);
        Ok(())
    }

    /// Whether the ticket has admitted somebody.
    pub fn is_used(&self, school: SchoolIndex, turn: Turn, epoch: u32) -> bool {
        self.tickets.contains(&self.room, (school, turn, epoch))
    }

    /// The login is done with, whatever the backend said: nobody else enters with this ticket, here
    /// or elsewhere.
    pub fn done(&mut self, school: SchoolIndex, turn: Turn, epoch: u32) {
        self.tickets.close((school, turn, epoch));
        let key = self.ticket_key(school, turn, epoch);
        if let (Some(fleet), Some(key)) = (&mut self.fleet, key) {
            fleet.done(key);
        }
    }

    /// Nothing was sent for this ticket: it may be used again.
    pub fn unuse(&mut self, school: SchoolIndex, turn: Turn, epoch: u32) {
        self.tickets.give_back(&self.room, (school, turn, epoch));
        let key = self.ticket_key(school, turn, epoch);
        if let (Some(fleet), Some(key)) = (&mut self.fleet, key) {
            fleet.released(key);
        }
    }

    /// Forgets what can no longer be replayed. To be called every few seconds.
    pub fn expire(&mut self, now: Duration, wall: Unix) {
        self.tries.expire(wall);
        let lifetime = self.settings.ticket_lifetime;
        self.tickets.expire(now, &self.room, lifetime);
    }
}
