//! The room's number line: turns, the watermark, and the step one pupil costs.

use std::fmt;

use ring::digest;
use serde::{Deserialize, Serialize};

/// Length of the number line that a school of weight 1 uses for one pupil.
///
/// 2^32 leaves room for four billion admissions of a one-pupil school in the 64 bits of a turn,
/// and rounds the step of a school of a million pupils by less than 0.03 %.
pub(crate) const SCALE: u64 = 1 << 32;

/// A pupil's place in a room: a virtual finish time. Smaller goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Turn(pub u64);

/// A room's watermark: everyone with `turn <= serving` may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Serving(pub u64);

impl Serving {
    /// Where a room that nobody has ever used begins: above the first turn of every school.
    pub const START: Self = Self(SCALE);

    /// Whether a pupil with this turn may go.
    pub fn admits(self, turn: Turn) -> bool {
        turn.0 <= self.0
    }
}

/// A school's share of its room: its number of pupils, 1 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Weight(u32);

impl Weight {
    /// The largest weight, in pupils.
    pub const MAX: u32 = 1_000_000;

    /// The weight of a school with so many pupils, or `None` outside 1 to [`Weight::MAX`].
    pub fn new(pupils: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&pupils).then_some(Self(pupils))
    }

    /// The number of pupils.
    pub fn pupils(self) -> u32 {
        self.0
    }

    /// What one pupil of such a school costs on the number line.
    pub fn step(self) -> Step {
        Step(SCALE / u64::from(self.0))
    }
}

/// The distance between two turns of one school: `2^32 / weight`, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step(pub(crate) u64);

/// Names a school for ever: a digest of its host, the same on every gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchoolKey(pub u64);

impl SchoolKey {
    /// The key of the school with this (normalised) host.
    pub fn of(host: &str) -> Self {
        Self(short_digest("school", host))
    }

    /// The key of this school's staff, which is no school's.
    pub(crate) fn staff(self) -> Self {
        Self(short_digest("staff", &format!("{:016x}", self.0)))
    }
}

/// Names a room for ever: a digest of its pool's name, the same on every gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoomKey(pub u64);

impl RoomKey {
    /// The key of the room in front of the pool with this name.
    pub fn of(pool: &str) -> Self {
        Self(short_digest("room", pool))
    }
}

/// Wall-clock time in seconds since 1970. Used for lifetimes of tickets only, never for order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unix(pub u64);

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn short_digest(kind: &str, name: &str) -> u64 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(kind.as_bytes());
    context.update(&[0]);
    context.update(name.as_bytes());
    let full = context.finish();
    full.as_ref()
        .iter()
        .take(8)
        .fold(0, |acc, byte| (acc << 8) | u64::from(*byte))
}
