//! The waiting room: turns, tickets, fairness, the buffer and the pacer.
//!
//! A room is one number per school. `serving` is the room's watermark, every school keeps the
//! turn it gave to its latest pupil, and everything a pupil needs to prove is in a signed ticket
//! kept by the browser. Nothing here knows HTTP, reads a clock or rolls a die: time is passed in,
//! so that the same functions run in a gateway, in a simulator and in a property test.
//!
//! Top-down: [`Gatekeeper`] composes one room's parts, [`Room`] holds the registers, [`Pacer`]
//! decides how fast the doors open, [`Ticket`], [`Pass`] and [`Seal`](seal) are what a
//! browser carries, and [`state`] is what a restarted gateway reads back.

mod arrivals;
mod buffer;
pub mod called;
mod conductor;
mod curve;
mod flow;
mod forecast;
mod gatekeeper;
mod inside;
pub mod keys;
mod learning;
pub mod ledger;
pub mod overflow;
mod pacer;
pub mod pass;
mod pulse;
mod room;
pub mod seal;
mod shares;
mod span;
mod staff;
mod staff_pass;
pub mod state;
pub mod ticket;
mod turn;
mod typing;
mod used;
mod view;
mod waterfill;

pub use buffer::WaiterId;
pub use called::Called;
pub use curve::Curve;
pub use forecast::{Bands, Outlook, Reason, Scores, Word};
pub use gatekeeper::{
    Answer, Entry, Gatekeeper, Grant, Help, Membership, Mode, Refusal, Settings, Straight,
};
pub use inside::Inside;
pub use keys::Keyring;
pub use overflow::Overflow;
pub use pacer::{Adaptive, Bounds, Fixed, Inputs, Memory, Outputs, Pacer, Verdict};
pub use pass::Pass;
pub use room::{Room, School, SchoolIndex};
pub use staff::StaffShare;
pub use staff_pass::{BadPass, StaffPass};
pub use ticket::Ticket;
pub use turn::{RoomKey, SchoolKey, Serving, Step, Turn, Unix, Weight};
pub use used::Used;
pub use view::{Door, Eta, Standing, View};
