//! The in-flight slots and the buffer in front of them: released pupils, lowest turn first.

use std::collections::BTreeMap;

use crate::turn::Turn;

/// A place in the buffer: turn first, then order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId {
    turn: Turn,
    arrival: u64,
}

/// Slots of the in-flight cap, and who waits for one. `W` is whatever wakes a waiter.
#[derive(Debug)]
pub(crate) struct Buffer<W> {
    cap: u32,
    in_flight: u32,
    arrivals: u64,
    waiters: BTreeMap<WaiterId, W>,
}

impl<W> Buffer<W> {
    pub(crate) fn new(cap: u32) -> Self {
        Self {
            cap,
            in_flight: 0,
            arrivals: 0,
            waiters: BTreeMap::new(),
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(crate) fn cap(&self) -> u32 {
        self.cap
    }

    pub(crate) fn depth(&self) -> usize {
        self.waiters.len()
    }

    /// Slots that nobody holds and nobody in the buffer is owed.
    pub(crate) fn free(&self) -> u32 {
        let owed = u32::try_from(self.waiters.len()).unwrap_or(u32::MAX);
        self.cap.saturating_sub(self.in_flight).saturating_sub(owed)
    }

    /// Takes a slot at once, if one is free and nobody in the buffer is owed it.
    pub(crate) fn try_take(&mut self) -> bool {
        let free = self.free() > 0;
        self.in_flight += u32::from(free);
        free
    }

    /// Takes a slot whether one is free or not.
    pub(crate) fn take_any(&mut self) {
        self.in_flight += 1;
    }

    /// The place that a turn has in the buffer: behind every lower one.
    pub(crate) fn place(&mut self, turn: Turn) -> WaiterId {
        self.arrivals += 1;
        WaiterId {
            turn,
            arrival: self.arrivals,
        }
    }

    /// Waits for a slot.
    pub(crate) fn insert(&mut self, place: WaiterId, waiter: W) {
        self.waiters.insert(place, waiter);
    }

    /// Everybody, with their places, leaving nobody behind.
    pub(crate) fn take_all(&mut self) -> BTreeMap<WaiterId, W> {
        std::mem::take(&mut self.waiters)
    }

    /// Leaves the buffer; `None` if the waiter has been given a slot already.
    pub(crate) fn remove(&mut self, id: WaiterId) -> Option<W> {
        self.waiters.remove(&id)
    }

    /// Up to so many with the lowest turns, who get no slot here.
    pub(crate) fn take_first(&mut self, most: usize) -> Vec<W> {
        let first = (0..most).map_while(|_| self.waiters.pop_first());
        first.map(|(_, waiter)| waiter).collect()
    }

    /// A slot is free again.
    pub(crate) fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A new cap. Slots above it are not taken away, only not given again.
    pub(crate) fn set_cap(&mut self, cap: u32) {
        self.cap = cap;
    }

    /// Gives free slots, at most `limit`, to the waiters with the lowest turns.
    pub(crate) fn grant(&mut self, limit: usize) -> Vec<W> {
        let mut granted = Vec::new();
        while self.in_flight < self.cap && granted.len() < limit {
            let Some((_, waiter)) = self.waiters.pop_first() else {
                break;
            };
            self.in_flight += 1;
            granted.push(waiter);
        }
        granted
    }
}
