//! What moves a room on: time, and logins that end.

use std::time::Duration;

use super::{Gatekeeper, Grant};
use crate::conductor::{Scene, part, times};
use crate::flow::{TARGET, TARGET_APART};
use crate::forecast::Sight;
use crate::learning::Lesson;
use crate::pacer::Verdict;
use crate::view::Door;

impl<W> Gatekeeper<W> {
    /// Gives a slot back. A login that was [`overdue`](Self::overdue) is lost already: its verdict
    /// is [`Verdict::Hashed`] if an answer came after all, else [`Verdict::Neutral`].
    pub fn finish(&mut self, now: Duration, verdict: Verdict) -> Grant<W> {
        self.look_at_clock(now);
        self.buffer.give_back();
        self.tell_pacer(now, verdict);
        self.grant()
    }

    /// A login has been under way for longer than [`Gatekeeper::overdue_after`]: it is lost, though
    /// its slot is still in use.
    pub fn overdue(&mut self) {
        self.tell_pacer(Duration::ZERO, Verdict::Lost);
    }

    /// How long a login may be under way before it counts as lost; `None` while nobody can say.
    pub fn overdue_after(&self) -> Option<Duration> {
        self.conductor.overdue_after()
    }

    fn tell_pacer(&mut self, now: Duration, verdict: Verdict) {
        match &mut self.fleet {
            Some(fleet) if !fleet.conducts_alone() => fleet.ended(verdict),
            _ => self.conductor.ended(now, verdict),
        }
    }

    /// One step of the pacer, of the release and of the forecast. To be called about 20 times a
    /// second.
    pub fn tick(&mut self, now: Duration) -> Grant<W> {
        let grant = self.move_on(now);
        if self.forecast.is_due(now) {
            let (buffered, part) = self.buffered_here();
            let (owed, lead) = self.conductor.owed(now, buffered);
            let sight = Sight {
                owed: owed / part,
                lead,
                capacity: self.capacity_with_help(),
                overdue: self.conductor.overdue_after().unwrap_or_default(),
                show_rate: self.conductor.show_rate(now),
                settled: self.conductor.settled(),
                door: self.door(),
                heard: self.heard_promise(),
            };
            self.forecast.step(now, &self.room, &sight);
        }
        grant
    }

    fn move_on(&mut self, now: Duration) -> Grant<W> {
        let dt = self
            .ticked
            .map_or(Duration::ZERO, |last| now.saturating_sub(last));
        self.ticked = Some(now);
        self.ceiling.refill(dt, self.portion());
        if self.fleet.is_some() {
            return self.tick_in_fleet(now, dt);
        }
        let in_flight = self.buffer.in_flight();
        self.conductor.pace(now, in_flight, 1.0, self.down);
        self.set_slots(self.conductor.cap());
        if self.releases() && (!self.listens(now) || self.settings.observe) {
            self.release(now);
        }
        self.grant()
    }

    /// Whether it has to listen first where the line begins.
    fn listens(&mut self, now: Duration) -> bool {
        match self.learning.as_mut().map(|learning| learning.step(now)) {
            None | Some(Lesson::Nothing) => false,
            Some(Lesson::Listening) => true,
            Some(Lesson::Begins(serving)) => {
                self.room.merge_serving(serving);
                self.waiting = self.room.waiting();
                self.learning = None;
                false
            }
            Some(Lesson::Over) => {
                self.learning = None;
                false
            }
        }
    }

    /// Whether it still wants to hear of every ticket, and not only of new ones.
    pub fn is_learning(&self) -> bool {
        self.learning.is_some()
    }

    /// How many logins the backends can take now, at least 1: less than the cap while they start
    /// slowly.
    pub fn set_room_at_backends(&mut self, logins: u32) {
        self.room_at_backends = logins.max(1);
    }

    /// Believed capacity with what other pools do besides; with several gateways only the pool's own.
    fn capacity_with_help(&self) -> Option<f64> {
        let help = if self.fleet.is_none() {
            self.help.logins_per_second
        } else {
            0.0
        };
        self.conductor.capacity().map(|capacity| capacity + help)
    }

    /// So many logins may be in flight here; as many as come if the pacer only observes.
    pub(super) fn set_slots(&mut self, slots: u32) {
        let observe = self.settings.observe;
        let slots = slots.min(self.room_at_backends);
        self.buffer.set_cap(if observe { u32::MAX } else { slots });
    }

    /// Releases for the part of the room that is conducted here.
    pub(super) fn release(&mut self, now: Duration) {
        if self.settings.observe {
            // Whoever has a place from before, or from an outage, is held no longer either.
            let released = self.room.release(self.waiting);
            self.waiting = self.waiting.saturating_sub(released);
            return;
        }
        let scene = self.scene(now);
        let pupils = self.conductor.release(now, &scene);
        if pupils > 0 {
            // Cut off, it sees only its part of the browsers: to let one in, others must be called.
            let called = self
                .fleet
                .as_mut()
                .map_or(pupils, |fleet| fleet.call_for(pupils));
            let places = self.room.places_per_pupil();
            let released = self.room.release(times(called, places));
            self.waiting = self.waiting.saturating_sub(released);
            let ours = part(released, self.browsers() / places);
            self.conductor.released(now, self.room.serving(), ours);
        }
    }

    /// What the release looks at, of the part of the room that is conducted here.
    fn scene(&self, now: Duration) -> Scene {
        let portion = self.portion();
        // Backends that start slowly do not work off what the pool will soon do again.
        let cap = f64::from(self.conductor.cap().max(1)) * portion;
        let reach = (f64::from(self.room_at_backends) / cap).min(1.0);
        Scene {
            portion: portion * reach,
            depth: match self.fleet {
                Some(_) => TARGET_APART,
                None => TARGET,
            },
            buffered: self.buffered(),
            cap: self.buffer.cap(),
            free: self
                .buffer
                .free()
                .min(self.ceiling.allowed())
                .saturating_add(self.help.free),
            waiting: self.waiting,
            ceiling: self.settings.ceiling,
            help: self.help.logins_per_second,
            shows: self.shows(now),
        }
    }

    /// The first of the buffer take the slots that are free.
    pub(super) fn grant(&mut self) -> Grant<W> {
        let unreachable = self.door() == Door::Down && self.down;
        let allowed = if unreachable {
            0
        } else {
            self.ceiling.allowed()
        };
        let granted = self.buffer.grant(allowed as usize);
        self.ceiling.spend(granted.len());
        Grant {
            go: granted.into_iter().map(|b| b.waiter).collect(),
            refused: Vec::new(),
            shut: self.clear_buffer(),
        }
    }
}
