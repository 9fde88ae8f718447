//! What the ledger does not know yet: gathered between two exchanges, taken back if one fails.

use std::collections::BTreeSet;

use crate::ledger::{Events, Leave, MemberId, TicketKey};
use crate::pacer::Verdict;
use crate::room::SchoolIndex;
use crate::turn::Turn;

/// Events kept for the next exchange.
const MOST_EVENTS: usize = 4_096;
/// Tickets kept for the next exchange; what is more is told by the merge that follows an outage.
const MOST_TICKETS: usize = 16_384;

/// News for the ledger.
#[derive(Debug, Default)]
pub(super) struct Untold {
    events: Events,
    /// Schools whose last turn the ledger may not know.
    learnt: BTreeSet<SchoolIndex>,
    /// Tickets that are done with.
    sent: Vec<TicketKey>,
    /// Tickets that are good again.
    released: Vec<TicketKey>,
}

impl Untold {
    /// Notes how a login ended.
    pub(super) fn ended(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Hashed(latency) if self.events.latencies.len() < MOST_EVENTS => {
                let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
                self.events.latencies.push(micros);
            }
            Verdict::Hashed(_) | Verdict::Neutral => {}
            Verdict::Refused => self.events.refused = self.events.refused.saturating_add(1),
            Verdict::Page => self.events.pages = self.events.pages.saturating_add(1),
            Verdict::Lost => self.events.losses = self.events.losses.saturating_add(1),
        }
    }

    /// Somebody with a pass logs in.
    pub(super) fn typed(&mut self) {
        self.events.typed = self.events.typed.saturating_add(1);
    }

    /// Somebody whose turn was called has come.
    pub(super) fn arrived(&mut self, turn: Turn) {
        if self.events.arrived.len() < MOST_EVENTS {
            self.events.arrived.push(turn);
        }
    }

    /// The ledger may not know how far this school is.
    pub(super) fn learnt(&mut self, school: SchoolIndex) {
        self.learnt.insert(school);
    }

    /// A ticket is done with. False if that is one too many to be kept.
    #[must_use]
    pub(super) fn sent(&mut self, key: TicketKey) -> bool {
        let fits = self.sent.len() < MOST_TICKETS;
        if fits {
            self.sent.push(key);
        }
        fits
    }

    /// A ticket is good again.
    pub(super) fn released(&mut self, key: TicketKey) {
        if self.released.len() < MOST_TICKETS {
            self.released.push(key);
        }
    }

    /// Gated pages served.
    pub(super) fn pages(&self) -> u32 {
        self.events.pages
    }

    /// How logins ended and who came.
    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    /// Schools whose last turn is to be told.
    pub(super) fn schools(&self) -> impl Iterator<Item = SchoolIndex> {
        self.learnt.iter().copied()
    }

    /// Tickets that are done with, and those that are good again.
    pub(super) fn tickets(&self) -> (&[TicketKey], &[TicketKey]) {
        (&self.sent, &self.released)
    }

    /// Nobody is told how logins ended and which tickets are done with: this gateway goes on alone, and
    /// what it knows of tickets is merged later.
    pub(super) fn forget_logins(&mut self) {
        self.events = Events::default();
        self.sent.clear();
    }

    /// What was told did not arrive. False if some of the tickets that are done with are too many to
    /// be kept.
    #[must_use]
    pub(super) fn take_back(&mut self, told: Self) -> bool {
        self.learnt.extend(told.learnt);
        // What this gateway gave up is nobody's, however long it takes to say so.
        told.released.into_iter().for_each(|key| self.released(key));
        if self.events.latencies.len() + self.events.arrived.len() < MOST_EVENTS {
            self.events.latencies.extend(told.events.latencies);
            self.events.arrived.extend(told.events.arrived);
            self.events.losses += told.events.losses;
            self.events.refused += told.events.refused;
            self.events.pages += told.events.pages;
            self.events.typed += told.events.typed;
            self.events.left += told.events.left;
        }
        // Once one is too many, so are all that follow.
        told.sent.into_iter().all(|key| self.sent(key))
    }

    /// The last that is told: this gateway goes.
    pub(super) fn farewell(self, member: MemberId) -> Leave {
        Leave {
            member,
            events: Events {
                left: 1,
                ..self.events
            },
            sent: self.sent,
            released: self.released,
        }
    }
}
