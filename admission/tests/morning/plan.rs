//! What a morning is like, and the room it begins with.

use std::time::Duration;

use einlass_admission::{Fixed, Gatekeeper, Room, SchoolKey, Settings, Weight};

/// What the morning is like.
#[derive(Clone, Debug)]
pub(crate) struct Morning {
    pub(crate) cap: u32,
    pub(crate) login: Duration,
    /// Every so many answers one comes without a hash.
    pub(crate) cheap_every: Option<u64>,
    pub(crate) schools: u32,
    pub(crate) pupils: usize,
    /// Within this time everybody arrives.
    pub(crate) crowd: Duration,
    /// The share who close the tab while they wait.
    pub(crate) no_shows: f64,
    pub(crate) ceiling: Option<f64>,
    /// How long a request is held when its turn is near.
    pub(crate) hold: Duration,
    /// From when until when the room is shut.
    pub(crate) shut: Option<Shut>,
    pub(crate) restart: Option<Restart>,
    pub(crate) seed: u64,
}

impl Default for Morning {
    fn default() -> Self {
        Self {
            cap: 20,
            login: Duration::from_millis(250),
            cheap_every: None,
            schools: 40,
            pupils: 3_200,
            crowd: Duration::from_secs(2),
            no_shows: 0.0,
            ceiling: None,
            hold: Duration::from_secs(2),
            shut: None,
            restart: None,
            seed: 8,
        }
    }
}

/// Nobody is let in for a while: no backend answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shut {
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// The gateway starts again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Restart {
    pub(crate) at: Duration,
    /// Killed: what was written last, up to a second before, is all that is left. Else stopped.
    pub(crate) killed: bool,
}

impl Morning {
    pub(super) fn room(&self) -> Room {
        Room::new((0..self.schools).map(|i| {
            let key = SchoolKey::of(&format!("school-{i}.example"));
            // 200 to 1,400 pupils each.
            (key, Weight::new(200 + (i * 577) % 1_200).expect("a weight"))
        }))
    }

    pub(super) fn gatekeeper(&self, epoch: u32) -> Gatekeeper<usize> {
        let settings = Settings {
            closed: false,
            observe: false,
            page_gate: false,
            ceiling: self.ceiling,
            ticket_lifetime: Duration::from_hours(2),
            pass_tries: 3,
        };
        let pacer = Box::new(Fixed::new(self.cap, self.ceiling));
        Gatekeeper::new(self.room(), epoch, settings, pacer)
    }
}
