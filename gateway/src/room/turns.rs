//! Turns: whose is whose, and whether one has come.

use std::sync::atomic::Ordering;
use std::time::Duration;

use einlass_admission::{SchoolIndex, Serving, Turn};

use super::LiveRoom;

/// How long a turn is waited for that another gateway, a moment ahead, has called already.
const BEHIND: Duration = Duration::from_secs(1);

impl LiveRoom {
    pub(crate) fn serving(&self) -> Serving {
        self.watermark.serving()
    }

    /// Learns from a browser how far another gateway has called the room.
    pub(crate) fn hear(&self, serving: Serving) {
        if serving > self.serving() {
            self.lock().hear(self.clock.now(), serving);
            self.watermark.move_on(serving);
        }
    }

    /// Waits until it is known how far the room has been called: a moment after the start, when
    /// there are other gateways.
    pub(crate) async fn informed(&self) {
        if !*self.informed.borrow() {
            let mut informed = self.informed.subscribe();
            let known = informed.wait_for(|known| *known);
            let _ = tokio::time::timeout(BEHIND, known).await;
        }
    }

    /// Whether the turn has come. What another gateway has called a moment ago comes here at once.
    pub(crate) async fn come(&self, turn: Turn) -> bool {
        let come = self.serving().admits(turn);
        if come || !self.in_fleet || !self.soon(turn, 2 * BEHIND) {
            return come;
        }
        self.hold(turn, BEHIND).await
    }

    /// Whether a turn given just now is likely to come within `hold`. The picture that polls read
    /// may be a moment old; whoever joined since then counts as going first.
    pub(crate) fn soon(&self, turn: Turn, hold: Duration) -> bool {
        let view = self.view.load();
        let (waiting, cap) = {
            let gatekeeper = self.lock();
            (gatekeeper.waiting(), gatekeeper.in_flight().1)
        };
        let joined = waiting.saturating_sub(view.waiting) as f64;
        let ahead = (view.curve.ahead(turn) + joined).min(waiting as f64);
        match view.pace {
            Some(pace) => ahead <= pace * hold.as_secs_f64(),
            None => ahead <= f64::from(cap),
        }
    }

    /// Waits until the turn has come, at most for `hold`. True if it has.
    pub(crate) async fn hold(&self, turn: Turn, hold: Duration) -> bool {
        self.watermark.reaches(turn, hold).await
    }

    /// The line in which somebody of a school's staff comes in soonest.
    pub(crate) fn soonest(&self, school: SchoolIndex) -> SchoolIndex {
        self.lock().room().soonest(school)
    }

    /// Whether the next of a school's staff comes before this turn.
    pub(crate) fn staff_before(&self, school: SchoolIndex, turn: Turn) -> bool {
        self.lock().room().staff_before(school, turn)
    }

    /// Learns from a ticket that its turn was given, if this gateway does not know it yet.
    pub(crate) fn observe(&self, school: SchoolIndex, turn: Turn) {
        let known = self.view.load().last.get(school.0 as usize).copied();
        let learning = self.learning.load(Ordering::Relaxed);
        if learning || known.is_some_and(|last| turn > last) {
            self.lock().observe(school, turn);
        }
    }
}
