//! Which tickets have been used: one bit each, kept as long as the ticket could be replayed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The used tickets of one school, as blocks of 64 teeth of its comb.
///
/// A block exists only once a ticket in it was used, so a busy school costs a bit per admitted
/// pupil, and a gap costs nothing. Blocks are kept apart by the epoch of their tickets: a gateway
/// that was killed may give the last second's turns once more, and both holders may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u32, u64, u64)>", into = "Vec<(u32, u64, u64)>")]
pub struct Used {
    blocks: BTreeMap<(u32, u64), u64>,
    /// (when, the highest tooth given until then); younger ones at the back.
    marks: VecDeque<(Duration, u64)>,
}

impl Used {
    /// Marks a tooth. False if it was marked already: the ticket has admitted somebody.
    pub fn take(&mut self, epoch: u32, tooth: u64) -> bool {
        let block = self.blocks.entry((epoch, tooth / 64)).or_default();
        let bit = 1 << (tooth % 64);
        let fresh = *block & bit == 0;
        *block |= bit;
        fresh
    }

    /// Gives a tooth back: nothing was sent for it.
    pub fn give_back(&mut self, epoch: u32, tooth: u64) {
        let key = (epoch, tooth / 64);
        if let Some(block) = self.blocks.get_mut(&key) {
            *block &= !(1 << (tooth % 64));
            if *block == 0 {
                self.blocks.remove(&key);
            }
        }
    }

    /// Whether the tooth's ticket has admitted somebody.
    pub fn contains(&self, epoch: u32, tooth: u64) -> bool {
        self.blocks
            .get(&(epoch, tooth / 64))
            .is_some_and(|block| block & (1 << (tooth % 64)) != 0)
    }

    /// Notes that up to now no tooth above `highest` was given, and forgets every block whose
    /// tickets are all older than `lifetime`.
    pub fn expire(&mut self, now: Duration, lifetime: Duration, highest: u64) {
        if self.blocks.is_empty() {
            self.marks.clear();
            return;
        }
        let due = |(at, _): &(Duration, u64)| now.saturating_sub(*at) >= lifetime / 8;
        if self.marks.back().is_none_or(due) {
            self.marks.push_back((now, highest));
        }
        while let Some((at, tooth)) = self.marks.front().copied()
            && now.saturating_sub(at) > lifetime
        {
            self.marks.pop_front();
            self.blocks.retain(|(_, block), _| *block >= tooth / 64);
        }
    }

    /// How many blocks are kept: what the state file grows with.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }
}

impl From<Vec<(u32, u64, u64)>> for Used {
    fn from(blocks: Vec<(u32, u64, u64)>) -> Self {
        Self {
            blocks: blocks
                .into_iter()
                .map(|(e, b, bits)| ((e, b), bits))
                .collect(),
            marks: VecDeque::new(),
        }
    }
}

impl From<Used> for Vec<(u32, u64, u64)> {
    fn from(used: Used) -> Self {
        used.blocks
            .into_iter()
            .map(|((e, b), bits)| (e, b, bits))
            .collect()
    }
}
