//! The share of the room's slots that this gateway has: how many, until when, and what is left of it
//! when the ledger is away.

use std::time::Duration;

/// The least part of a room's slots that a cut-off gateway reckons with.
const LEAST_PORTION: f64 = 1.0 / 16.0;
/// How much the newest share counts in the part of the slots, once that is known.
const NEWEST: f64 = 0.1;

/// A gateway's share.
#[derive(Debug)]
pub(super) struct Share {
    slots: u32,
    /// It stays this gateway's own until then.
    lease_until: Duration,
    /// The part of the room this gateway is, as last heard.
    portion: f64,
    /// Whether that was ever heard, and for long enough to be true.
    counted: bool,
    /// The room's cap when this gateway was cut off.
    cap_then: u32,
}

impl Share {
    /// Of a gateway that has not heard from the ledger yet.
    pub(super) fn unheard(slots: u32) -> Self {
        Self {
            slots,
            lease_until: Duration::ZERO,
            portion: 1.0,
            counted: false,
            cap_then: 0,
        }
    }

    /// Its slots, whether they are still its own or not.
    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    /// Whether they are its own for certain.
    pub(super) fn is_leased(&self, now: Duration) -> bool {
        now <= self.lease_until
    }

    /// The slots that are its own for certain.
    pub(super) fn leased(&self, now: Duration) -> u32 {
        if self.is_leased(now) { self.slots } else { 0 }
    }

    /// The part of the room's slots that it is, above 0 up to 1.
    pub(super) fn portion(&self) -> f64 {
        self.portion
    }

    /// Whether that part was ever heard, and for long enough to be true.
    pub(super) fn is_counted(&self) -> bool {
        self.counted
    }

    /// The ledger has granted so many slots, until then.
    pub(super) fn grant(&mut self, slots: u32, lease_until: Duration) {
        self.slots = slots;
        self.lease_until = lease_until;
    }

    /// The slots are of so many in the whole room; `long` if that has been told for some time.
    pub(super) fn is_of(&mut self, cap: u32, long: bool) {
        // Slots move to and fro; the part of the browsers that comes here does not.
        let weight = if self.counted { NEWEST } else { 1.0 };
        self.portion += weight * (portion(self.slots, cap) - self.portion);
        self.counted |= long;
    }

    /// It may be somebody else's by now.
    pub(super) fn lose(&mut self) {
        self.lease_until = Duration::ZERO;
    }

    /// It stays what it is while the ledger is away, of a room that has so many slots.
    pub(super) fn freeze(&mut self, cap: u32) {
        if !self.counted {
            self.portion = portion(self.slots, cap);
        }
        // Where there are more gateways than slots, or a slot was just changing hands, some have
        // none. Whoever waits there must not wait until the ledger is back.
        self.slots = self.slots.max(1);
    }

    /// The cap of the whole room with which it was frozen.
    pub(super) fn frozen_at(&mut self, cap: u32) {
        self.cap_then = cap;
    }

    /// How many of the slots may be used while it is frozen and the pacer would allow the whole room so
    /// many: it is as much as there may be, and less if the backend can do less by now.
    pub(super) fn frozen(&self, cap: u32) -> u32 {
        let left = f64::from(cap) / f64::from(self.cap_then.max(1));
        slots(f64::from(self.slots) * left.min(1.0))
    }
}

/// A number of slots, rounded, and at least one.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small positive number"
)]
fn slots(number: f64) -> u32 {
    number.round().max(1.0) as u32
}

fn portion(slots: u32, cap: u32) -> f64 {
    (f64::from(slots) / f64::from(cap.max(1))).clamp(LEAST_PORTION, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_share_is_cut_only_by_as_much_as_the_backend_can_do_less() {
        let mut share = Share::unheard(0);
        share.grant(8, Duration::from_secs(1));
        share.freeze(32);
        share.frozen_at(32);
        assert_eq!((share.frozen(32), share.frozen(64)), (8, 8));
        assert_eq!((share.frozen(16), share.frozen(1)), (4, 1));
    }

    #[test]
    fn a_share_is_its_own_until_the_lease_runs_out() {
        let mut share = Share::unheard(3);
        share.grant(5, Duration::from_secs(2));
        assert_eq!(share.leased(Duration::from_secs(2)), 5);
        assert_eq!(share.leased(Duration::from_millis(2_001)), 0);
        share.lose();
        assert_eq!(share.leased(Duration::from_secs(1)), 0);
        assert_eq!(share.slots(), 5, "it is still told");
    }

    #[test]
    fn the_part_of_the_room_follows_slots_that_move_slowly() {
        let mut share = Share::unheard(0);
        share.grant(10, Duration::ZERO);
        share.is_of(40, true);
        assert!((share.portion() - 0.25).abs() < 1e-9);
        share.grant(20, Duration::ZERO);
        share.is_of(40, true);
        assert!((share.portion() - 0.275).abs() < 1e-9);
    }
}
