//! Logins of one room that are performed at another room's pool: what the one gives away and the
//! other takes in. How many, [`Overflow`](crate::overflow::Overflow) decides.

use std::time::Duration;

use super::{Door, Gatekeeper};
use crate::overflow::{Host, reserve};

/// What the other pools do for this room.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Help {
    /// Logins per second, besides the room's own pool.
    pub logins_per_second: f64,
    /// Slots there that nobody of this room has yet.
    pub free: u32,
}

impl<W> Gatekeeper<W> {
    /// This room's pool, as others who might send their logins see it.
    pub fn as_host(&self, now: Duration) -> Host {
        let (in_flight, cap) = self.in_flight();
        Host {
            open: self.door() == Door::Open,
            cap,
            in_flight,
            waiting: self.waiting + self.buffered() as u64 + self.coming(now),
        }
    }

    /// How many logins a second one slot here is good for; `None` while nobody knows.
    pub fn logins_per_slot(&self) -> Option<f64> {
        let cap = f64::from(self.conductor.cap().max(1));
        self.capacity().map(|capacity| capacity / cap)
    }

    /// Takes a slot for somebody of another room. False if anybody here might miss it.
    pub fn lend(&mut self, now: Duration) -> bool {
        self.look_at_clock(now);
        let host = self.as_host(now);
        let spare = self.buffer.free() > reserve(host.cap);
        let tokens = self.ceiling.has_to_spare(self.portion());
        let lent = host.open && host.waiting == 0 && spare && tokens && self.buffer.try_take();
        if lent {
            self.ceiling.spend(1);
        }
        lent
    }

    /// Takes up to so many out of the buffer, the first ones first, for slots that other rooms have
    /// lent. Each leaves without a slot of this room.
    pub fn send_away(&mut self, most: usize) -> Vec<W> {
        if self.door() != Door::Open {
            return Vec::new();
        }
        let first = self.buffer.take_first(most);
        first.into_iter().map(|b| b.waiter).collect()
    }

    /// From now on so many more are called than the room's own pool can work on.
    pub fn set_help(&mut self, help: Help) {
        self.help = help;
    }
}
