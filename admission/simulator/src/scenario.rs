//! What a morning is like: pools with their backends, schools and crowds, and the gateways.

use std::time::Duration;

use crate::baseline::Calls;

/// A value that changes at given times; before the first of them it has the first value.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    steps: Vec<(Duration, f64)>,
}

impl Steps {
    /// The same at all times.
    pub fn constant(value: f64) -> Self {
        Self {
            steps: vec![(Duration::ZERO, value)],
        }
    }

    /// From each time on the value beside it; `None` if there is none. They are put in order.
    pub fn new(mut steps: Vec<(Duration, f64)>) -> Option<Self> {
        steps.sort_by_key(|(at, _)| *at);
        (!steps.is_empty()).then_some(Self { steps })
    }

    /// The value at a time.
    pub fn at(&self, now: Duration) -> f64 {
        let later = self.steps.partition_point(|(at, _)| *at <= now);
        self.steps[later.saturating_sub(1)].1
    }

    /// When it changes, after the start.
    pub fn changes(&self) -> impl Iterator<Item = Duration> + '_ {
        self.steps.iter().skip(1).map(|(at, _)| *at)
    }

    /// The largest value.
    pub fn largest(&self) -> f64 {
        self.steps.iter().map(|(_, v)| *v).fold(0.0, f64::max)
    }
}

/// A morning.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// For tables and reports.
    pub name: String,
    /// The same seed gives the same morning.
    pub seed: u64,
    /// It ends when everybody is in or has given up, but at the latest then.
    pub longest: Duration,
    /// The gateways.
    pub fleet: Fleet,
    /// The pools; rooms share nothing.
    pub pools: Vec<Pool>,
}

/// The gateways in front of every pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// The part of the browsers that comes to each gateway; one entry per gateway, any scale.
    pub skew: Vec<f64>,
    /// One call to the ledger and back.
    pub round_trip: Duration,
    /// From when until when no gateway reaches the ledger.
    pub apart: Vec<(Duration, Duration)>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            skew: vec![1.0],
            round_trip: Duration::from_millis(2),
            apart: Vec::new(),
        }
    }
}

/// A pool: backends that share one capacity, its schools, and how logins are let in.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// The region it belongs to.
    pub region: String,
    /// How logins are let in.
    pub admission: Admission,
    /// What works them off.
    pub backend: Backend,
    /// Who comes.
    pub schools: Vec<School>,
    /// When they come.
    pub waves: Vec<Wave>,
}

/// How logins are let in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Admission {
    /// Who decides.
    pub policy: Policy,
    /// Ceiling in logins per second.
    pub ceiling: Option<f64>,
    /// What needs admission.
    pub gate: Gate,
    /// How long a request is held in the hope of its turn.
    pub hold: Duration,
    /// Nothing is known of the backend. Otherwise the pacer has learnt on an earlier day what it
    /// could do then, which is what it can do at the start, and begins at half of that.
    pub first_day: bool,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            policy: Policy::Adaptive { min: 4, max: 2_000 },
            ceiling: None,
            gate: Gate::Submit,
            hold: Duration::from_secs(2),
            first_day: false,
        }
    }
}

/// Who decides who may log in. The first two are the gateway's own room and pacer, the same code
/// that runs in a gateway; the others are models of what else there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// The room with the adaptive pacer, between these bounds.
    Adaptive {
        /// Logins in flight at least.
        min: u32,
        /// And at most.
        max: u32,
    },
    /// The room with a fixed cap.
    Fixed {
        /// Logins in flight at most.
        cap: u32,
    },
    /// The room with a cap that grows by one a second and is halved by a time-out of 5 s.
    Aimd {
        /// Logins in flight at the start.
        min: u32,
        /// And at most.
        max: u32,
    },
    /// The adaptive pacer, and everybody in one line whatever school they are of.
    Fifo {
        /// Logins in flight at least.
        min: u32,
        /// And at most.
        max: u32,
    },
    /// Numbers that are called in order, by a page that looks again this often.
    Counter {
        /// How they are called.
        calls: Calls,
        /// How often a page looks, on average.
        poll: Duration,
    },
    /// So many logins a second from each address, with every school behind one; others are refused.
    PerAddress {
        /// Logins per second.
        rate: f64,
    },
}

/// What needs admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The login itself: the gateway performs it when the turn has come.
    Submit,
    /// The login page: it is fetched when the turn has come, and then somebody types.
    Page {
        /// For how long.
        typing: Duration,
    },
}

/// The backends of a pool, together: processor sharing over so many cores.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// Cores that hash. 0: it hangs.
    pub cores: Steps,
    /// What one login costs alone on a core.
    pub hash: Duration,
    /// Standard deviation of the logarithm of that cost.
    pub spread: f64,
    /// The part of the logins that is refused before the hash.
    pub refused: f64,
    /// More in flight than this are turned away with an error.
    pub queue: Option<u32>,
    /// A login that takes longer is given up by the gateway, though not by the backend.
    pub timeout: Duration,
    /// From when until when no connection is accepted, and nothing is worked on.
    pub down: Vec<(Duration, Duration)>,
}

impl Backend {
    /// So many cores, all of the time.
    pub fn steady(cores: f64, hash: Duration) -> Self {
        Self {
            cores: Steps::constant(cores),
            hash,
            spread: 0.15,
            refused: 0.0,
            queue: None,
            timeout: Duration::from_secs(30),
            down: Vec::new(),
        }
    }

    /// Whether it is down at a time.
    pub fn is_down(&self, now: Duration) -> bool {
        self.down
            .iter()
            .any(|(from, until)| (*from..*until).contains(&now))
    }

    /// Cores that work at a time.
    pub fn cores_at(&self, now: Duration) -> f64 {
        if self.is_down(now) {
            0.0
        } else {
            self.cores.at(now)
        }
    }

    /// Logins per second it can complete at a time.
    pub fn capacity(&self, now: Duration) -> f64 {
        // The mean of a log-normal cost lies above its median.
        let mean = self.hash.as_secs_f64() * (self.spread * self.spread / 2.0).exp();
        self.cores_at(now) / mean
    }
}

/// A school.
#[derive(Clone, Debug, PartialEq)]
pub struct School {
    /// Its name.
    pub name: String,
    /// Enrolled pupils: its weight.
    pub pupils: u32,
}

/// Some who come.
#[derive(Clone, Debug, PartialEq)]
pub struct Wave {
    /// Of which school, by its place in the list; all of them if `None`.
    pub school: Option<usize>,
    /// How many.
    pub size: Size,
    /// The first comes.
    pub from: Duration,
    /// All have come so much later.
    pub over: Duration,
    /// How they spread over that time.
    pub shape: Shape,
    /// The part who close the tab while they wait, by when they came.
    pub no_shows: Steps,
    /// How long somebody waits before giving up, on average; `None`: as long as it takes.
    pub patience: Option<Duration>,
}

impl Wave {
    /// Every enrolled pupil of every school, evenly.
    pub fn everybody(over: Duration) -> Self {
        Self {
            school: None,
            size: Size::Enrolled(1.0),
            from: Duration::ZERO,
            over,
            shape: Shape::Even,
            no_shows: Steps::constant(0.0),
            patience: None,
        }
    }
}

/// How many come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// This part of the enrolled pupils of each school.
    Enrolled(f64),
    /// So many, over all schools by their enrolment.
    Pupils(u32),
}

/// How arrivals spread over their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Evenly.
    Even,
    /// Most at the beginning: falling to nothing in a straight line.
    Bell,
}
