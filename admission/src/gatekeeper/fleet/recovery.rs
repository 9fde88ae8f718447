//! What the ledger has to be told after it lost something, or after this gateway was cut off.

use std::collections::BTreeSet;

use crate::gatekeeper::Gatekeeper;
use crate::ledger::{Caller, Merge, TicketKey};
use crate::state::RoomState;

/// Blocks of used tickets in one merge.
const MERGE_BLOCKS: usize = 2_000;

/// How far the ledger has been told what it may not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Merging {
    /// It knows.
    #[default]
    Done,
    Due,
    UnderWay,
}

/// What is owed to the ledger.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    merging: Merging,
    /// So have the tickets in the buffer to be told.
    must_keep: bool,
    /// The ledger was away, and what it lost is not told yet.
    was_frozen: bool,
    /// What an earlier run left, until it is known whether the ledger knows better.
    restored: Option<RoomState>,
}

impl Recovery {
    /// What the ledger may not know yet has to be told.
    pub(super) fn merge(&mut self) {
        if self.merging == Merging::Done {
            self.merging = Merging::Due;
        }
    }

    /// Whether all of that has been told.
    pub(super) fn is_merged(&self) -> bool {
        self.merging == Merging::Done
    }

    /// Tickets that this gateway has let in have to be told, so that they stay its own.
    pub(super) fn keep(&mut self) {
        self.must_keep = true;
    }

    /// The ledger is away.
    pub(super) fn cut_off(&mut self) {
        self.was_frozen = true;
        self.merge();
    }

    /// The ledger is back, and knows everything.
    pub(super) fn is_over(&mut self) {
        self.was_frozen = false;
    }

    /// Whether the ledger was away, and what it lost is not told yet.
    pub(super) fn was_frozen(&self) -> bool {
        self.was_frozen
    }

    /// What an earlier run left, once.
    pub(super) fn restored(&mut self) -> Option<RoomState> {
        self.restored.take()
    }
}

impl<W> Gatekeeper<W> {
    /// Takes over what an earlier run left: at once, or once it is known what the ledger knows.
    pub fn restore(&mut self, state: RoomState) {
        match &mut self.fleet {
            Some(fleet) if !fleet.contact.is_made() => fleet.recovery.restored = Some(state),
            _ => self.take_over(state),
        }
    }

    /// The tickets to be told as this gateway's own: those that it has let in, if the ledger may not
    /// know them.
    pub(super) fn tickets_to_keep(&mut self) -> Vec<TicketKey> {
        let Some(fleet) = self.fleet.as_mut().filter(|f| f.recovery.must_keep) else {
            return Vec::new();
        };
        fleet.recovery.must_keep = false;
        let claiming: BTreeSet<_> = fleet.claims.tickets().collect();
        let open = self.tickets.not_done().difference(&claiming);
        open.filter_map(|(school, turn, epoch)| self.ticket_key(*school, *turn, *epoch))
            .collect()
    }

    /// What the ledger has to be told, after it lost something or this gateway was cut off.
    pub(super) fn merge(&mut self) -> Vec<Merge> {
        let Some(fleet) = &mut self.fleet else {
            return Vec::new();
        };
        if fleet.recovery.merging != Merging::Due {
            return Vec::new();
        }
        fleet.recovery.merging = Merging::UnderWay;
        let seen = fleet.contact.seen();
        let caller = Caller {
            member: fleet.member,
            // Should the ledger lose everything once more before this, its epoch is another.
            nonce: if seen.epoch == 1 { 2 } else { 1 },
            seen,
        };
        let state = self.state();
        let tooth = |(key, turn)| {
            let school = self.room.index(key)?;
            Some((key, self.room.tooth(school, turn)))
        };
        let registers = Merge {
            caller,
            last: state.last.into_iter().filter_map(tooth).collect(),
            used: Vec::new(),
        };
        let blocks = state.used.into_iter().flat_map(|(school, used)| {
            let blocks = Vec::from(used).into_iter();
            blocks.map(move |(epoch, block, bits)| (epoch, school, block, bits))
        });
        let blocks: Vec<_> = blocks.collect();
        let tickets = blocks.chunks(MERGE_BLOCKS).map(|used| Merge {
            caller,
            last: Vec::new(),
            used: used.to_vec(),
        });
        std::iter::once(registers).chain(tickets).collect()
    }

    /// Whether the ledger has taken over what it was told.
    pub fn merged(&mut self, accepted: bool) {
        if let Some(fleet) = &mut self.fleet {
            let recovery = &mut fleet.recovery;
            recovery.merging = match recovery.merging {
                Merging::Due | Merging::UnderWay if !accepted => Merging::Due,
                _ => Merging::Done,
            };
        }
    }
}
