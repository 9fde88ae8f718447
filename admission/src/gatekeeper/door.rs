//! The room's door: who shuts it, who may try all the same, and who must not stay behind it.

use std::time::Duration;

use super::Gatekeeper;
use crate::pulse::Trials;
use crate::view::Door;

impl<W> Gatekeeper<W> {
    /// Whether any backend of the pool can be reached. Without one nobody is released.
    pub fn set_down(&mut self, down: bool) {
        self.down = down;
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
    pub(super) fn may_try(&self, now: Duration) -> bool {
        let shut = self.door() == Door::Down && !self.down;
        shut && self.buffer.free() > 0 && self.trials.due(now)
    }

    /// Whether pupils are called: as many as the pool can work on, or a few who try.
    pub(super) fn releases(&self) -> bool {
        !self.settings.closed && !self.down
    }

    /// Nobody stays in the buffer of a pool that does not answer: the waiting page says why, and a
    /// request that hangs does not.
    pub(super) fn clear_buffer(&mut self) -> Vec<W> {
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
}
