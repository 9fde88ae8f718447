//! A morning to play, and what goes wrong in it.

use std::time::Duration;

/// How long a gateway that is stopped may take to finish what it has begun.
pub(super) const DRAIN: Duration = Duration::from_secs(3);

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The ledger does not answer for so long.
    Down(Duration),
    /// The ledger forgets everything.
    Wiped,
    /// The ledger restarts with what it had so long ago.
    Back(Duration),
    /// One gateway does not reach the ledger for so long.
    Cut(usize, Duration),
    /// What one gateway says reaches the ledger, and no answer comes back, for so long.
    Deaf(usize, Duration),
    /// One gateway is stopped and goes on.
    Paused(usize, Duration),
    /// One gateway is killed; a new one comes in its place so much later.
    Killed(usize, Duration),
    /// One gateway is stopped as it should be; a new one comes in its place so much later.
    Left(usize, Duration),
}

impl Fault {
    /// How long it goes on, at most.
    pub fn lasts(self) -> Duration {
        match self {
            Self::Down(time)
            | Self::Cut(_, time)
            | Self::Deaf(_, time)
            | Self::Paused(_, time)
            | Self::Killed(_, time) => time,
            Self::Left(_, time) => time + DRAIN,
            Self::Wiped | Self::Back(_) => Duration::ZERO,
        }
    }
}

/// A morning to play.
#[derive(Clone, Debug)]
pub struct Company {
    pub gateways: usize,
    /// How many of a hundred browsers come to each gateway.
    pub skew: Vec<u32>,
    pub cap: u32,
    pub login: Duration,
    pub pupils: usize,
    pub over: Duration,
    pub schools: Vec<u32>,
    /// Part of the pupils who send their ticket to two gateways at once.
    pub cheats: f64,
    pub round_trip: Duration,
    pub faults: Vec<(Duration, Fault)>,
    pub seed: u64,
}

impl Default for Company {
    fn default() -> Self {
        Self {
            gateways: 3,
            skew: vec![85, 10, 5],
            cap: 12,
            login: Duration::from_millis(250),
            pupils: 1_500,
            over: Duration::from_secs(5),
            schools: vec![900, 300, 60],
            cheats: 0.02,
            round_trip: Duration::from_millis(1),
            faults: Vec::new(),
            seed: 1,
        }
    }
}
