//! What happens when: a ring of short slots, so that millions of events cost nearly nothing.

use std::time::Duration;

/// The length of a slot.
const SLOT: Duration = Duration::from_micros(250);
/// Slots in the ring: a little more than the longest poll interval.
const RING: usize = 160_000;

/// Events of type `E`, in the order of their slots, and within a slot as they were added.
pub(crate) struct Wheel<E> {
    slots: Vec<Vec<E>>,
    /// The slot that comes next.
    next: u64,
    far: Vec<(u64, E)>,
}

impl<E> Wheel<E> {
    pub(crate) fn new() -> Self {
        Self {
            slots: std::iter::repeat_with(Vec::new).take(RING).collect(),
            next: 0,
            far: Vec::new(),
        }
    }

    /// The time of the slot that comes next.
    pub(crate) fn now(&self) -> Duration {
        SLOT * u32::try_from(self.next).unwrap_or(u32::MAX)
    }

    /// Adds an event; one in the past happens in the next slot.
    pub(crate) fn add(&mut self, at: Duration, event: E) {
        let slot = u64::try_from(at.as_micros() / SLOT.as_micros()).unwrap_or(u64::MAX);
        let slot = slot.max(self.next);
        if slot < self.next + RING as u64 {
            self.put(slot, event);
        } else {
            self.far.push((slot, event));
        }
    }

    fn put(&mut self, slot: u64, event: E) {
        let at = usize::try_from(slot % RING as u64).unwrap_or(0);
        self.slots[at].push(event);
    }

    /// The events of the next slot; what is added meanwhile for now comes in the one after.
    pub(crate) fn turn(&mut self, into: &mut Vec<E>) {
        let at = usize::try_from(self.next % RING as u64).unwrap_or(0);
        into.clear();
        std::mem::swap(into, &mut self.slots[at]);
        self.next += 1;
        if at == 0 && !self.far.is_empty() {
            let within = self.next + RING as u64;
            for (slot, event) in std::mem::take(&mut self.far) {
                if slot < within {
                    self.put(slot.max(self.next), event);
                } else {
                    self.far.push((slot, event));
                }
            }
        }
    }
}
