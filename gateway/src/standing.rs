//! A pupil's standing, as JSON and as what the pages show.

use std::time::Duration;

use einlass_admission::{Door, Reason, Standing, Ticket};
use serde::Serialize;

use crate::clock::wall;
use crate::pages::Language;
use crate::random;
use crate::site::Seat;

/// What `GET /_einlass/turn` answers.
#[derive(Debug, Serialize)]
pub(crate) struct TurnBody {
    pub(crate) state: State,
    /// Pupils, or staff, of the own school who go first.
    pub(crate) ahead: u64,
    pub(crate) eta_seconds: Option<EtaBody>,
    /// To a tenth, so that the spread of the polls survives.
    pub(crate) poll_after_seconds: f64,
    /// When the place was taken, RFC 3339.
    pub(crate) since: Option<String>,
    pub(crate) message: Option<&'static str>,
    /// The place is in the line of staff; for the page.
    #[serde(skip)]
    pub(crate) staff: bool,
}

/// The contract's states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// The turn has not come.
    Waiting,
    /// The turn has come.
    Ready,
    /// No backend answers; the place is kept.
    Held,
    /// No ticket, or one that is used or expired.
    None,
    /// The operator closed the room; the place is kept.
    Closed,
}

/// Seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct EtaBody {
    pub(crate) low: u64,
    pub(crate) likely: u64,
    pub(crate) high: u64,
}

impl TurnBody {
    /// Where the holder of a ticket stands. While the pupil waits this reads and never locks, but
    /// for a ticket newer than the room's last picture, which may teach the room something.
    pub(crate) fn of(seat: &Seat, ticket: &Ticket, language: Language) -> Self {
        let room = &seat.pool.room;
        let (line, step) = seat.line(ticket);
        room.observe(line, ticket.turn);
        let standing = room
            .view()
            .standing(room.serving(), ticket.turn, step, random::fraction());
        let (state, ahead, eta, later, poll_after) = match standing {
            // Reloading while the login is under way joins it.
            Standing::Ready
                if room.is_used(line, ticket) && !seat.pool.flights.has(line, ticket) =>
            {
                return Self::none(language);
            }
            Standing::Ready => (State::Ready, 0, None, None, 2.0),
            Standing::Waiting {
                ahead,
                eta,
                reason,
                poll_after,
            } => {
                // Whoever came afterwards was never told anything else.
                let told = Duration::from_secs(wall().0.saturating_sub(ticket.issued.0));
                let later = reason.filter(|(_, ago)| told > *ago);
                (State::Waiting, ahead, eta, later, poll_after)
            }
            Standing::Shut {
                door,
                ahead,
                poll_after,
            } => {
                let state = if door == Door::Closed {
                    State::Closed
                } else {
                    State::Held
                };
                (state, ahead, None, None, poll_after)
            }
        };
        let texts = language.texts();
        Self {
            state,
            ahead,
            eta_seconds: eta.map(|e| EtaBody {
                low: e.low,
                likely: e.likely,
                high: e.high,
            }),
            poll_after_seconds: (poll_after * 10.0).round() / 10.0,
            since: i64::try_from(ticket.issued.0)
                .ok()
                .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
                .map(|at| at.to_string()),
            message: match state {
                State::Held => Some(texts.held),
                State::Closed => Some(texts.closed),
                _ => later.map(|(reason, _)| match reason {
                    Reason::Slower => texts.slower,
                    Reason::Fuller => texts.fuller,
                    Reason::Outage => texts.outage,
                    Reason::Closed => texts.reopened,
                }),
            },
            staff: ticket.staff,
        }
    }

    /// When to ask again, for fields that know whole seconds only.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and some dozens of seconds"
    )]
    pub(crate) fn whole_seconds(&self) -> u64 {
        self.poll_after_seconds.ceil() as u64
    }

    /// There is no place.
    pub(crate) fn none(language: Language) -> Self {
        Self {
            state: State::None,
            ahead: 0,
            eta_seconds: None,
            poll_after_seconds: 30.0,
            since: None,
            message: Some(language.texts().none),
            staff: false,
        }
    }
}
