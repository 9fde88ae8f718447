//! Gateways that vanish: dead, or only out of sight?
//!
//! A gateway that the ledger has lost sight of may still let browsers in. The pacer then misses
//! those who went there, takes them for no-shows, and would call more and more to make up for them,
//! all of whom would crowd at the gateway that nobody sees. So for some time after a gateway has
//! vanished the room is called no faster than before. If it is dead, that is just right: its
//! browsers come to the others.

use std::time::Duration;

/// How long a gateway that vanished is taken to be at work still.
const OUT_OF_SIGHT: Duration = Duration::from_mins(10);
/// Longer gaps between two steps are not made up for.
const LONGEST_STEP: Duration = Duration::from_millis(500);

/// What the pacer remembers of the others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Company {
    members: usize,
    vanished: Option<Vanished>,
}

#[derive(Clone, Copy, Debug)]
struct Vanished {
    at: Duration,
    /// How many there were.
    members: usize,
    /// How fast the room was called then, in pupils per second.
    pace: f64,
    /// Pupils who may be called.
    allowed: f64,
    stepped: Duration,
}

impl Company {
    /// How many of `pupils` may be called. `members` are in sight now; `before` were when the
    /// pacer, perhaps another one, published last.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not more than a number of pupils"
    )]
    pub(super) fn bound(
        &mut self,
        now: Duration,
        members: usize,
        before: usize,
        pace: f64,
        pupils: u64,
    ) -> u64 {
        let most = self.members.max(before);
        self.members = members;
        if members < most && self.vanished.is_none() {
            self.vanished = Some(Vanished {
                at: now,
                members: most,
                pace,
                allowed: 0.0,
                stepped: now,
            });
        }
        let back = |v: &Vanished| members >= v.members || now.saturating_sub(v.at) > OUT_OF_SIGHT;
        if self.vanished.as_ref().is_some_and(back) {
            self.vanished = None;
        }
        let Some(vanished) = &mut self.vanished else {
            return pupils;
        };
        let dt = now.saturating_sub(vanished.stepped).min(LONGEST_STEP);
        vanished.stepped = now;
        let allowed = vanished.allowed + vanished.pace * dt.as_secs_f64();
        vanished.allowed = allowed.min(vanished.pace.max(1.0));
        let called = pupils.min(vanished.allowed as u64);
        vanished.allowed -= called as f64;
        called
    }
}
