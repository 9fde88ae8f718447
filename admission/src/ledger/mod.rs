//! The ledger that several gateways share: what they say to it, and what it answers.
//!
//! It keeps registers and sums, nothing else: which turns were given, how far the doors are open,
//! which slots are in use and by whom, which tickets have entered. How many may go in and how the
//! slots are divided is decided in one place, by the pacer at one of the gateways, and only
//! written down here. [`Registers`] is the ledger in memory and says exactly what the one in Redis
//! does; the two are compared, call by call, in the tests.
//!
//! Times in here are the ledger's own, in milliseconds since 1970. No gateway's clock enters.

pub mod redis;
mod registers;

use std::time::Duration;

pub use registers::Registers;
use serde::{Deserialize, Serialize};

use crate::forecast::Word;
use crate::pacer::Memory;
use crate::turn::{SchoolKey, Serving, Turn};

/// How long a gateway's slots stay its own without another exchange: some times what lies between two of a
/// busy one, and short enough that little work is left undone when it dies.
pub const LEASE: Duration = Duration::from_millis(700);
/// So long without an exchange of anybody, and nobody could reach the ledger: longer than between two
/// exchanges of an idle gateway.
pub const SILENCE: Duration = Duration::from_millis(500);
/// How long a ledger that lost something, or could not be reached, decides nothing: in this time every
/// gateway is connected again and has said what it has.
pub const RECOVERY: Duration = Duration::from_secs(1);
/// How long the pacer stays the pacer without another exchange.
pub const PACER_LEASE: Duration = Duration::from_millis(500);
/// How many events the ledger keeps for a pacer that does not come: a minute of a busy room.
pub const MOST_EVENTS: usize = 1_000;

/// One run of one gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// What a gateway knows of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The ledger's epoch; 0 if none was seen yet.
    pub epoch: u32,
    /// Everything up to this version of the schools' last turns.
    pub version: u64,
}

/// Who speaks, and what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The gateway.
    pub member: MemberId,
    /// A random number: the next epoch, should the ledger need one. Never 0.
    pub nonce: u32,
    /// What it knows.
    pub seen: Seen,
}

/// A ticket, as far as the ledger has to tell it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketKey {
    /// Which ledger, or which cut-off gateway, gave it.
    pub epoch: u32,
    /// Its school.
    pub school: SchoolKey,
    /// Its turn, as a tooth of the school's comb.
    pub tooth: u64,
}

/// What a gateway has to do, in logins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In flight.
    pub in_flight: u32,
    /// In the buffer.
    pub buffered: u32,
    /// It reaches no backend.
    pub down: bool,
}

impl Report {
    /// The slots it could use.
    pub fn want(self) -> u32 {
        let buffered = if self.down { 0 } else { self.buffered };
        self.in_flight.saturating_add(buffered)
    }
}

/// What happened at a gateway since it last said so; for the pacer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Latencies of logins that really hashed, in microseconds.
    #[serde(rename = "l", default, skip_serializing_if = "Vec::is_empty")]
    pub latencies: Vec<u32>,
    /// Logins that were lost.
    #[serde(rename = "x", default, skip_serializing_if = "is_zero")]
    pub losses: u32,
    /// Logins that the backend refused before the hash.
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    pub refused: u32,
    /// Gated pages that were served.
    #[serde(rename = "g", default, skip_serializing_if = "is_zero")]
    pub pages: u32,
    /// Logins of those who had such a page.
    #[serde(rename = "t", default, skip_serializing_if = "is_zero")]
    pub typed: u32,
    /// Turns that came and entered the buffer.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub arrived: Vec<Turn>,
    /// Gateways that have said good-bye, and are not to be missed.
    #[serde(rename = "q", default, skip_serializing_if = "is_zero")]
    pub left: u32,
}

impl Events {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.latencies.is_empty()
            && self.arrived.is_empty()
            && (self.losses, self.refused, self.pages, self.typed) == (0, 0, 0, 0)
            && self.left == 0
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the form serde asks for")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Several times a second: what a gateway has and wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Who.
    pub caller: Caller,
    /// Its watermark: the ledger keeps the highest.
    pub serving: Serving,
    /// The slots it may use until it hears otherwise.
    pub share: u32,
    /// What it has to do.
    pub report: Report,
    /// What happened.
    pub events: Events,
    /// Last teeth that were learnt otherwise than from the ledger: from tickets, or given alone.
    pub learnt: Vec<(SchoolKey, u64)>,
    /// Tickets in the buffer or in flight, for a ledger that may not know them.
    pub keeps: Vec<TicketKey>,
    /// Tickets that came and want to enter.
    pub claims: Vec<TicketKey>,
    /// Tickets whose login is done with.
    pub sent: Vec<TicketKey>,
    /// Tickets for which nothing was sent: they may come again.
    pub released: Vec<TicketKey>,
}

/// The pacer's word to everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// What the pool is believed to complete, in logins per second.
    #[serde(rename = "c")]
    pub capacity: Option<f64>,
    /// Pupils released per second, smoothed.
    #[serde(rename = "p")]
    pub pace: Option<f64>,
    /// Share of released pupils who come.
    #[serde(rename = "s")]
    pub show_rate: Option<f64>,
    /// Pupils released and still on their way.
    #[serde(rename = "o")]
    pub coming: u64,
    /// The release controller's integral.
    #[serde(rename = "i")]
    pub integral: f64,
    /// How many gateways there are.
    #[serde(rename = "m")]
    pub members: u32,
    /// What the pacer has learnt.
    #[serde(rename = "y", default)]
    pub memory: Memory,
    /// Pupils who have a gated login page in front of them.
    #[serde(rename = "t", default)]
    pub typing: u64,
    /// What is promised to those who wait.
    #[serde(rename = "w", default)]
    pub promise: Word,
    /// The pool gives no sign of life: only those who try are let in.
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
}

/// What the pacer needs; only it gets this.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conduct {
    /// What a publication must bear. It grows with every change of the pacer.
    pub fence: u64,
    /// The gateways whose lease runs, each with the slots it holds and what it has to do.
    pub members: Vec<(MemberId, u32, Report)>,
    /// What happened at all of them since the pacer last asked.
    pub events: Vec<Events>,
}

/// The answer to an [`Exchange`].
#[derive(Clone, Debug, PartialEq)]
pub struct Exchanged {
    /// The ledger's clock: milliseconds since 1970.
    pub now: u64,
    /// What the caller knows from now on.
    pub seen: Seen,
    /// The ledger lost something a moment ago: every gateway keeps the share it has and says what
    /// it knows by `keeps` and a [`Merge`]. No claim is decided until all had the time to.
    pub recovering: bool,
    /// The slots the caller may use, for one [`LEASE`] from when it asked.
    pub share: u32,
    /// The watermark.
    pub serving: Serving,
    /// The cap over all gateways; 0 until a pacer has published.
    pub cap: u32,
    /// The pacer's latest word.
    pub notice: Option<Notice>,
    /// Last teeth of the schools that changed since what the caller knew.
    pub last: Vec<(SchoolKey, u64)>,
    /// Claims that came too late: these tickets have entered at another gateway.
    pub refused: Vec<TicketKey>,
    /// Claims that another gateway has made before and may still give back. They are to be made again.
    pub undecided: Vec<TicketKey>,
    /// The caller is the pacer.
    pub conduct: Option<Conduct>,
}

/// New turns for pupils who came to one gateway: one call for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Who.
    pub caller: Caller,
    /// Per school: the highest tooth that cannot be given any more (passed by the watermark, or
    /// given already as far as the caller knows), and how many are asked for.
    pub schools: Vec<(SchoolKey, u64, u32)>,
}

/// The answer to a [`Join`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The epoch of the new tickets.
    pub epoch: u32,
    /// Per school, in the order asked: the last tooth given. The caller has that many below it.
    pub upto: Vec<u64>,
}

/// The pacer's decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// Who.
    pub member: MemberId,
    /// The epoch in which the fence was given.
    pub epoch: u32,
    /// From [`Conduct::fence`].
    pub fence: u64,
    /// The new watermark.
    pub serving: Serving,
    /// The cap over all gateways.
    pub cap: u32,
    /// For everybody.
    pub notice: Notice,
    /// The slots each gateway should have.
    pub shares: Vec<(MemberId, u32)>,
}

/// A gateway's last word: it has nothing in flight any more, and its slots are the others' at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// Who.
    pub member: MemberId,
    /// What happened since its last exchange.
    pub events: Events,
    /// Tickets whose login is done with.
    pub sent: Vec<TicketKey>,
    /// Tickets for which nothing was sent: they may come again.
    pub released: Vec<TicketKey>,
}

/// What a gateway knows, for a ledger that does not know it any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Who.
    pub caller: Caller,
    /// Last teeth.
    pub last: Vec<(SchoolKey, u64)>,
    /// Used tickets: epoch, school, block of 64 teeth, one bit each.
    pub used: Vec<(u32, SchoolKey, u64, u64)>,
}
