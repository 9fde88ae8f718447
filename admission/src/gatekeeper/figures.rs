//! What is read of a room: the picture for polls, and the figures for the desk.

use super::Gatekeeper;
use super::fleet::Fleet;
use crate::forecast::Scores;
use crate::room::Room;
use crate::turn::Serving;
use crate::view::View;

impl<W> Gatekeeper<W> {
    /// The picture that polls read.
    pub fn view(&self) -> View {
        View {
            serving: self.room.serving(),
            waiting: self.waiting,
            pace: self.pace(),
            settled: self.conductor.settled(),
            door: self.door(),
            trial: self.may_try(self.ticked.unwrap_or_default()),
            last: self
                .room
                .schools()
                .iter()
                .map(crate::School::last)
                .collect(),
            curve: self.forecast.curve(&self.room),
            outlook: self.forecast.outlook(),
        }
    }

    /// How good this gateway's forecasts were, since it started.
    pub fn scores(&self) -> Scores {
        *self.forecast.scores()
    }

    /// The watermark.
    pub fn serving(&self) -> Serving {
        self.room.serving()
    }

    /// The registers.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// Pupils waiting.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Pupils in the buffer.
    pub fn buffered(&self) -> usize {
        let claiming = self.fleet.as_ref().map_or(0, Fleet::claiming);
        self.buffer.depth() + usize::try_from(claiming).unwrap_or(0)
    }

    /// Logins in flight, and how many may be.
    pub fn in_flight(&self) -> (u32, u32) {
        let cap = if self.settings.observe {
            self.conductor.cap()
        } else {
            self.buffer.cap()
        };
        (self.buffer.in_flight(), cap)
    }

    /// Believed capacity of the pool in logins per second.
    pub fn capacity(&self) -> Option<f64> {
        self.conductor.capacity()
    }
}
