//! Tickets that wait for the ledger's word: whether they have entered at another gateway.

use std::collections::BTreeMap;

use crate::buffer::WaiterId;
use crate::gatekeeper::tickets::Entrance;
use crate::gatekeeper::{Buffered, Gatekeeper};
use crate::ledger::{Exchanged, TicketKey};
use crate::room::SchoolIndex;
use crate::turn::Turn;

struct Claiming<W> {
    key: TicketKey,
    waiter: Buffered<W>,
}

/// Who waits for the ledger's word, by the place in the buffer that is kept meanwhile.
pub(super) struct Claims<W>(BTreeMap<WaiterId, Claiming<W>>);

impl<W> Default for Claims<W> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<W> Claims<W> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn insert(&mut self, id: WaiterId, key: TicketKey, waiter: Buffered<W>) {
        self.0.insert(id, Claiming { key, waiter });
    }

    pub(super) fn remove(&mut self, id: WaiterId) -> Option<Buffered<W>> {
        self.0.remove(&id).map(|claiming| claiming.waiter)
    }

    /// Those who wait, with their places, leaving nobody behind.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = (WaiterId, Buffered<W>)> + use<W> {
        let all = std::mem::take(&mut self.0).into_iter();
        all.map(|(id, claiming)| (id, claiming.waiter))
    }

    /// What the ledger is asked.
    pub(super) fn keys(&self) -> Vec<(WaiterId, TicketKey)> {
        self.0.iter().map(|(id, c)| (*id, c.key)).collect()
    }

    /// The tickets, as they are known here.
    pub(super) fn tickets(&self) -> impl Iterator<Item = Entrance> {
        self.0
            .values()
            .filter_map(|claiming| claiming.waiter.ticket)
    }
}

impl<W> Gatekeeper<W> {
    /// Whether tickets that come are to be claimed at the ledger first.
    pub(in crate::gatekeeper) fn claims_first(&self) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| !fleet.is_frozen())
    }

    /// The ledger's name for a ticket; `None` for a school of another room.
    pub(in crate::gatekeeper) fn ticket_key(
        &self,
        school: SchoolIndex,
        turn: Turn,
        epoch: u32,
    ) -> Option<TicketKey> {
        let school = self.room.schools().get(school.0 as usize)?;
        Some(TicketKey {
            epoch,
            school: school.key(),
            tooth: school.tooth(turn.0),
        })
    }

    /// What is in the buffer may have entered elsewhere while this process was stopped.
    pub(super) fn claim_again(&mut self) {
        for (id, waiter) in self.buffer.take_all() {
            let key = waiter
                .ticket
                .and_then(|(school, turn, epoch)| self.ticket_key(school, turn, epoch));
            match (key, &mut self.fleet) {
                (Some(key), Some(fleet)) => fleet.claims.insert(id, key, waiter),
                _ => self.buffer.insert(id, waiter),
            }
        }
    }

    /// What became of the tickets that were claimed: those that may go are in the buffer now, those
    /// that may not are returned.
    pub(super) fn decided(
        &mut self,
        claims: Vec<(WaiterId, TicketKey)>,
        reply: &Exchanged,
    ) -> Vec<W> {
        let mut refused = Vec::new();
        let Some(fleet) = &mut self.fleet else {
            return refused;
        };
        if reply.recovering && !fleet.recovery.was_frozen() {
            return refused;
        }
        for (id, key) in claims {
            if reply.undecided.contains(&key) {
                // Asked again with the next exchange, until the other gateway has said.
                continue;
            }
            let Some(waiter) = fleet.claims.remove(id) else {
                // It left meanwhile; if it had been accepted, `released` follows.
                continue;
            };
            if !reply.refused.contains(&key) {
                // While the ledger was away nobody could ask whether a ticket had entered elsewhere, and
                // nobody waits for the time that all have to say so now that it is back.
                if reply.recovering {
                    fleet.recovery.keep();
                }
                self.buffer.insert(id, waiter);
                continue;
            }
            // Should the other gateway die before it sends anything, the ticket is good here.
            if let Some(ticket) = waiter.ticket {
                self.tickets.give_back(&self.room, ticket);
            }
            refused.push(waiter.waiter);
        }
        refused
    }
}
