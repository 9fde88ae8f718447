//! A room that starts with nothing while browsers still hold its tickets.
//!
//! How many turns were given it learns from the tickets themselves. How far the room had been
//! called it cannot see in them: counted from the start, everybody who ever got in would be
//! waiting still. But browsers at the front of the line ask most often, so after a moment the
//! lowest turn that still asks is where the line begins.

use std::time::Duration;

use crate::turn::{Serving, Turn};

/// How long it listens: some of the shortest poll intervals, which are those of the front.
const LISTEN: Duration = Duration::from_secs(5);

/// What was heard so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Learning {
    since: Option<Duration>,
    lowest: Option<Turn>,
}

/// What the room does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// Nobody has come with a ticket: everything as usual.
    Nothing,
    /// Nobody is released until it is known who is first.
    Listening,
    /// The line begins above this.
    Begins(Serving),
    /// There is no line.
    Over,
}

impl Learning {
    /// A browser asks about a turn that has not come.
    pub(crate) fn asked(&mut self, turn: Turn) {
        let lowest = self.lowest.get_or_insert(turn);
        *lowest = turn.min(*lowest);
    }

    /// To be called with every step of the room.
    pub(crate) fn step(&mut self, now: Duration) -> Lesson {
        let since = *self.since.get_or_insert(now);
        let heard = now.saturating_sub(since) >= LISTEN;
        match (self.lowest, heard) {
            (None, false) => Lesson::Nothing,
            (None, true) => Lesson::Over,
            (Some(_), false) => Lesson::Listening,
            (Some(lowest), true) => Lesson::Begins(Serving(lowest.0.saturating_sub(1))),
        }
    }
}
