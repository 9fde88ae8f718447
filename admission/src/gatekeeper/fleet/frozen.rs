//! A gateway without its ledger: when it goes on alone, and how it conducts its own part of the room.

use std::time::Duration;

use super::Mode;
use crate::conductor::part;
use crate::gatekeeper::{Gatekeeper, Grant};
use crate::turn::Serving;

/// A process that did not tick for so long was stopped: it must not believe in its share.
const PAUSED: Duration = Duration::from_millis(400);

impl<W> Gatekeeper<W> {
    /// A process that was stopped wakes up with everything as it was, but its share may be somebody
    /// else's by now: nothing starts before the next tick has looked into that.
    pub(in crate::gatekeeper) fn look_at_clock(&mut self, now: Duration) {
        let slept = self
            .ticked
            .is_some_and(|ticked| now.saturating_sub(ticked) > PAUSED);
        if slept && self.fleet.is_some() {
            self.set_slots(0);
        }
    }

    pub(in crate::gatekeeper) fn tick_in_fleet(&mut self, now: Duration, dt: Duration) -> Grant<W> {
        self.look_for_ledger(now, dt);
        let Some(fleet) = &self.fleet else {
            return self.grant();
        };
        if !fleet.is_frozen() {
            self.set_slots(fleet.share.leased(now));
            return self.grant();
        }
        let portion = fleet.share.portion();
        let in_flight = self.buffer.in_flight();
        self.conductor.pace(now, in_flight, portion, self.down);
        let slots = fleet.share.frozen(self.conductor.cap());
        self.set_slots(slots);
        if self.releases() {
            let pace = self.pace_before();
            let shows = self.shows(now);
            if let Some(fleet) = &mut self.fleet {
                fleet.crowd.allow_calls(dt, pace, shows);
            }
            self.release(now);
        }
        self.grant()
    }

    /// Whether this process was stopped, or the ledger has been silent for too long.
    fn look_for_ledger(&mut self, now: Duration, dt: Duration) {
        let Some(fleet) = &mut self.fleet else { return };
        if dt > PAUSED {
            fleet.contact.excuse(now);
        }
        let lost = fleet.contact.is_lost(now);
        if dt > PAUSED && !fleet.share.is_leased(now) {
            // Stopped for longer than the lease: first hear what became of the share. Even if it was
            // frozen: the ledger may have come back meanwhile, and given the share to others.
            fleet.set_mode(now, Mode::Recovering);
            fleet.share.lose();
            fleet.conducting.resign();
            // With its share, the tickets of the logins it performs may have been given up.
            fleet.recovery.keep();
            self.claim_again();
        } else if lost && !fleet.is_frozen() {
            self.freeze(now);
        }
    }

    /// Goes on alone with the share it has.
    fn freeze(&mut self, now: Duration) {
        let Some(fleet) = &mut self.fleet else { return };
        fleet.share.freeze(self.conductor.cap());
        fleet.crowd.has_slots(fleet.share.portion());
        fleet.crowd.cut_off();
        fleet.set_mode(now, Mode::Frozen);
        fleet.recovery.cut_off();
        fleet.conducting.resign();
        let serving = self.room.serving();
        self.conductor
            .resume(now, serving, &fleet.notice, fleet.crowd.part());
        fleet.share.frozen_at(self.conductor.cap());
        fleet.untold.forget_logins();
        for (id, waiter) in fleet.claims.take_all() {
            self.buffer.insert(id, waiter);
        }
        if let Some(state) = fleet.recovery.restored() {
            self.take_over(state);
        }
    }

    /// How fast the room was called when the ledger was last heard of, at least as fast as the
    /// pool is believed to work; without end if nobody knows.
    pub(super) fn pace_before(&self) -> f64 {
        let heard = self.fleet.as_ref().and_then(|f| f.notice.pace);
        match self.conductor.capacity() {
            Some(capacity) => heard.unwrap_or(0.0).max(capacity),
            None => f64::MAX,
        }
    }

    /// Another gateway has called the room up to here.
    pub fn hear(&mut self, now: Duration, serving: Serving) {
        let waiting = self.room.waiting();
        let places = self.room.places_per_pupil();
        self.room.merge_serving(serving);
        self.waiting = self.room.waiting();
        let called = part(waiting.saturating_sub(self.waiting), 1.0 / places);
        let pace = self.pace_before();
        let Some(fleet) = &mut self.fleet else { return };
        if fleet.is_frozen() && called > 0 {
            // Those are not to be called here once more; a part of them will come here.
            fleet.crowd.called_elsewhere(called, pace);
            let ours = part(called, fleet.crowd.part());
            self.conductor.released(now, serving, ours);
        }
    }
}
