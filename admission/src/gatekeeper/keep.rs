//! What a gateway writes down for its next run.

use std::time::Duration;

use super::{Door, Gatekeeper};
use crate::state::RoomState;
use crate::turn::Turn;

impl<W> Gatekeeper<W> {
    /// What the next run needs after a clean stop: the registers as they are. Tickets that are not
    /// done with are left out: if this run ends now, nobody gets an answer to them.
    pub fn state(&self) -> RoomState {
        let schools = self.room.schools();
        RoomState {
            serving: self.room.serving(),
            last: schools
                .iter()
                .filter(|s| s.last() > Turn(0))
                .map(|s| (s.key(), s.last()))
                .collect(),
            used: self.tickets.done(&self.room),
            pacer: self.conductor.memory(),
            forecast: self.forecast.bands(),
        }
    }

    /// What the next run needs if this one is killed before it writes again, `interval` from now.
    ///
    /// The registers only grow, so each is written a little ahead of where it is: `serving` by what
    /// twice the interval releases at the present pace, so that nobody who was told to come is told
    /// to wait again; a school's last turn by twice its joins since the call before, so that turns
    /// given in the lost moment are not given again. What was too much counts like no-shows.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small non-negative number of pupils"
    )]
    pub fn state_ahead(&mut self, interval: Duration) -> RoomState {
        let mut state = self.state();
        let pace = self.pace();
        if self.waiting > 0 && self.door() == Door::Open {
            let lost = pace.unwrap_or(0.0) * 2.0 * interval.as_secs_f64();
            let pupils = (lost as u64).saturating_add(self.conductor.cap().into());
            state.serving = self.room.after(pupils).0;
        }
        for (school, joined) in self.room.schools().iter().zip(&mut self.joined) {
            let repeated = std::mem::take(joined).saturating_mul(2);
            if let Some(last) = state.last.get_mut(&school.key()) {
                let tooth = school.tooth(school.last().0);
                last.0 = school.turn_of(tooth.saturating_add(repeated));
            }
        }
        state
    }

    /// Takes over what an earlier run left. Schools that are gone are left out.
    pub(super) fn take_over(&mut self, state: RoomState) {
        self.learning = None;
        if state.pacer.no_load.is_some() {
            let now = self.ticked.unwrap_or_default();
            self.conductor.restart(now, &state.pacer);
        }
        self.forecast.restore(&state.forecast);
        self.room.merge_serving(state.serving);
        for (key, turn) in state.last {
            if let Some(school) = self.room.index(key) {
                self.room.merge_last(school, turn);
            }
        }
        for (key, used) in state.used {
            if let Some(school) = self.room.index(key) {
                self.tickets.restore(school, used);
            }
        }
        self.waiting = self.room.waiting();
    }
}
