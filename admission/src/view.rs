//! What a poll reads: a picture of the room, made several times a second, never locked.

use std::time::Duration;

use crate::curve::Curve;
use crate::forecast::{Outlook, Reason};
use crate::turn::{Serving, Step, Turn};

/// The shortest time a browser is told to wait before it asks again, in seconds: what a released
/// pupil needs to notice is half of it on average, and the pipe behind it is as long. The price is
/// one more poll or two per pupil in the last seconds.
const POLL_MIN: f64 = 1.0;
/// While the pace of a room is unknown, as many as these who go first ask every second, others the less often the more
/// go before them. Nobody is told to stay away for longer than it has been looked for already, for whoever is away when
/// the backend turns out to be a hundred times as fast as the pacer began is missing; so of a crowd no more ask each
/// second than came. Within these bounds, in seconds: it may also never be found out. Of n who wait, about the first
/// number times 1 + ln(n / that number) ask each second in the end: 22,000 of 160,000.
const FIRST_UNKNOWN: f64 = 5_000.0;
const POLL_UNKNOWN: (f64, f64) = (4.0, 15.0);
/// How often somebody asks in the time that is left.
const POLLS: f64 = 4.0;
/// The longest.
const POLL_MAX: f64 = 30.0;
/// Who is called at once is in after so long at least, in seconds: the browser has to notice.
const EARLIEST: f64 = 0.7;
/// By so much of itself the excess of those let in already may be wrong.
const EXCESS_DOUBT: f64 = 0.7;
/// Of n pupils some stay away and some take long: by so many square roots of n the count may be off.
const FEW_DOUBT: f64 = 0.5;
/// While nobody is let in, in seconds: whoever has been called or will be first asks more often, to try
/// whether the pool answers and to be there when it does.
const SHUT_POLL: f64 = 10.0;
const SHUT_POLL_FIRST: f64 = 2.0;
/// So many are the first.
const FIRST: f64 = 500.0;
/// Polls per second that such a room accepts from all the others, as long as nobody is told to stay
/// away for longer than [`POLL_MAX`].
const SHUT_POLLS: f64 = 2_000.0;

/// Whether anybody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// As fast as the pacer allows.
    Open,
    /// The operator closed the room. Places are kept.
    Closed,
    /// No backend of the pool can be reached, or none answers. Places are kept, and now and then
    /// somebody whose turn has come tries.
    Down,
}

/// A room as seen from outside.
#[derive(Clone, Debug)]
pub struct View {
    /// The watermark.
    pub serving: Serving,
    /// Pupils waiting, over all schools.
    pub waiting: u64,
    /// Pupils released per second, smoothed; `None` while unknown.
    pub pace: Option<f64>,
    /// Whether it is known what the pool can do; until then there is no estimate of time.
    pub settled: bool,
    /// Whether anybody is let in.
    pub door: Door,
    /// While the door is [`Door::Down`]: somebody whose turn has come may try now.
    pub trial: bool,
    /// The last turns per school, by index.
    pub last: Vec<Turn>,
    /// Who goes before a turn.
    pub curve: Curve,
    /// What is promised.
    pub outlook: Outlook,
}

/// The remaining wait, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eta {
    /// Hardly less.
    pub low: u64,
    /// Slightly pessimistic.
    pub likely: u64,
    /// Hardly more.
    pub high: u64,
}

/// Where a pupil stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    /// The turn has come.
    Ready,
    /// Not yet.
    Waiting {
        /// Pupils of the own school who go first. It can only fall.
        ahead: u64,
        /// When the turn will come, if the pace is known.
        eta: Option<Eta>,
        /// Why that may be later than was told before, and how long ago the reason began.
        reason: Option<(Reason, Duration)>,
        /// Ask again after so many seconds.
        poll_after: f64,
    },
    /// Nobody is let in for the moment; the place is kept.
    Shut {
        /// Why; never [`Door::Open`].
        door: Door,
        /// Pupils of the own school who go first.
        ahead: u64,
        /// Ask again after so many seconds.
        poll_after: f64,
    },
}

impl View {
    /// Where the holder of a turn stands. `serving` may be newer than this view's own; `jitter`
    /// is a random number from 0 to 1 that spreads the polls.
    pub fn standing(&self, serving: Serving, turn: Turn, step: Step, jitter: f64) -> Standing {
        let serving = serving.max(self.serving);
        let spread = 0.85 + 0.3 * jitter.clamp(0.0, 1.0);
        let place = turn.0.saturating_sub(serving.0).div_ceil(step.0);
        let ahead = place.saturating_sub(1);
        let called = serving.admits(turn);
        if called && (self.door == Door::Open || self.trial) {
            return Standing::Ready;
        }
        if self.door != Door::Open {
            let poll = if called || self.curve.ahead(turn) < FIRST {
                SHUT_POLL_FIRST
            } else {
                (self.waiting as f64 / SHUT_POLLS).clamp(SHUT_POLL, POLL_MAX)
            };
            return Standing::Shut {
                door: self.door,
                ahead,
                poll_after: poll * spread,
            };
        }
        let eta = self.eta(turn);
        let wait = eta.map_or_else(
            || self.unknown_poll(turn),
            |e| {
                // Whoever may have a turn sooner asks sooner.
                f64::midpoint(e.low as f64, e.likely as f64 * self.outlook.doubt) / POLLS
            },
        );
        Standing::Waiting {
            ahead,
            eta,
            reason: self.outlook.reason,
            poll_after: wait.clamp(POLL_MIN, POLL_MAX) * spread,
        }
    }

    /// How long until somebody asks again while the pace is not known for sure, in seconds.
    fn unknown_poll(&self, turn: Turn) -> f64 {
        let believed = POLLS * self.pace.unwrap_or_default();
        let (least, most) = POLL_UNKNOWN;
        let longest = self.outlook.sought.as_secs_f64().clamp(least, most);
        (self.curve.ahead(turn) / FIRST_UNKNOWN.max(believed)).min(longest)
    }

    /// How long until a turn comes; `None` while the pace is unknown.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "non-negative seconds, saturating"
    )]
    pub fn eta(&self, turn: Turn) -> Option<Eta> {
        let pace = self.outlook.pace.filter(|_| self.settled)?;
        let seconds = self.curve.ahead(turn) / pace;
        let (low, likely, high) = self.outlook.bands.at(seconds);
        let excess = self.outlook.excess;
        let doubt = excess.abs() * EXCESS_DOUBT + FEW_DOUBT * (seconds / pace).sqrt();
        // The buffer in front of the slots holds a second of work, but at least one pupil.
        let buffer = (1.0 / pace).max(1.0);
        Some(Eta {
            low: ((seconds * low * self.outlook.doubt + excess - doubt).max(0.0) + EARLIEST).floor()
                as u64,
            // Half a second for the browser to notice.
            likely: ((seconds * likely + excess).max(0.0) + buffer + 0.5).ceil() as u64,
            high: ((seconds * high + excess + doubt).max(0.0) + buffer + 1.2).ceil() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Door, Standing, View};
    use crate::curve::Curve;
    use crate::forecast::Outlook;
    use crate::room::{Room, SchoolIndex};
    use crate::turn::{SchoolKey, Serving, Turn, Weight};

    /// When somebody asks again before whom so many go, in a room whose pace has been looked for so many seconds.
    fn asks_after(before: u64, pace: Option<f64>, sought: u64) -> f64 {
        let weight = Weight::new(100_000).unwrap();
        let mut room = Room::new([(SchoolKey(1), weight)]);
        let turns: Vec<Turn> = (0..300_000)
            .map(|_| room.join(SchoolIndex(0)).unwrap())
            .collect();
        let view = View {
            serving: Serving::START,
            waiting: room.waiting(),
            pace,
            settled: false,
            door: Door::Open,
            trial: false,
            last: vec![],
            curve: Curve::of(&room),
            outlook: Outlook {
                sought: Duration::from_secs(sought),
                ..Outlook::default()
            },
        };
        let turn = turns[usize::try_from(before).unwrap()];
        match view.standing(Serving::START, turn, weight.step(), 0.5) {
            Standing::Waiting { poll_after, .. } => poll_after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn while_the_pace_is_unknown_whoever_is_first_asks_often() {
        let near = |seconds: f64, wanted: f64| (seconds / wanted - 1.0).abs() < 0.01;
        for sought in [0, 8, 60] {
            assert!(near(asks_after(5_000, None, sought), 1.0));
        }
        assert!(near(asks_after(25_000, None, 60), 5.0));
        // The pool is believed to be fast: on another day it was.
        assert!(near(asks_after(160_000, Some(20_000.0), 60), 2.0));
    }

    #[test]
    fn nobody_stays_away_for_longer_than_the_pace_has_been_unknown() {
        let told = [0, 4, 8, 15, 60].map(|sought| asks_after(250_000, None, sought));
        for (told, wanted) in told.into_iter().zip([4.0, 4.0, 8.0, 15.0, 15.0]) {
            assert!((told - wanted).abs() < 0.01, "{told} {wanted}");
        }
    }
}
