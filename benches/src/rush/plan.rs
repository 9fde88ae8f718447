//! What a rush is: who comes, when, and how they behave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::curve::Shape;
use super::live::Live;
use super::schools::{School, generated};
use crate::platform::PASSWORD;

/// A whole rush. The default is 100 pupils of one school within one second who type quickly and make no mistakes.
#[derive(Debug, Clone)]
pub struct Plan {
    /// For reports and the comparison.
    pub name: String,
    /// Addresses of the gateway (or of a platform itself). Loopback only.
    pub targets: Vec<SocketAddr>,
    /// Who shares the pupils. Never empty.
    pub schools: Vec<School>,
    /// How many come.
    pub pupils: u32,
    /// Within which time they open the login page.
    pub arrive_over: Duration,
    /// Along which curve.
    pub shape: Shape,
    /// From the opened page to the submit: uniform between these.
    pub think: (Duration, Duration),
    /// Fraction that leaves after `patience`.
    pub give_up: f64,
    /// How long they have it, from the first submit's intended time.
    pub patience: Patience,
    /// Fraction that types a wrong password the first time.
    pub mistype: f64,
    /// Fraction that closes the tab as soon as it is told to wait.
    pub no_show: f64,
    /// Pages visited after the start page once somebody is in.
    pub pages: u32,
    /// How often a pupil starts again at the login page after an error, before it counts as failed.
    pub reloads: u32,
    /// The pause before such a reload: uniform between these.
    pub reload_after: (Duration, Duration),
    /// Failed polls in a row after which the waiting page is given up as dead. A page polls on through a restart.
    pub failed_polls: u32,
    /// When connections are closed.
    pub connections: Connections,
    /// Longest time for one request, connecting included.
    pub request_timeout: Duration,
    /// Every request goes to any of the targets that answers, as behind a load balancer with health checks, instead
    /// of each pupil staying with one. A target written twice gets twice the requests.
    pub move_between: bool,
    /// Joins no further apart than this have no order: gateways that share a room hear of one another only so often.
    pub joins_apart: Duration,
    /// A submit answered directly, but not faster than this, counts as held.
    pub held_after: Duration,
    /// The rush ends after this time; whoever is not in by then has failed.
    pub deadline: Duration,
    /// The password of all.
    pub password: String,
    /// The same seed makes the same pupils.
    pub seed: u64,
    /// Control listeners of the platforms behind, whose records become part of the report. Loopback only.
    pub platforms: Vec<SocketAddr>,
    /// Counters to look at while it runs.
    pub live: Arc<Live>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            name: "rush".to_owned(),
            targets: Vec::new(),
            schools: generated(1, 0),
            pupils: 100,
            arrive_over: Duration::from_secs(1),
            shape: Shape::Burst,
            think: (Duration::from_millis(10), Duration::from_millis(200)),
            give_up: 0.0,
            patience: Patience::Exponential(Duration::from_mins(3)),
            mistype: 0.0,
            no_show: 0.0,
            pages: 2,
            reloads: 3,
            reload_after: (Duration::from_secs(2), Duration::from_secs(5)),
            failed_polls: 60,
            connections: Connections::KeepAlive(Duration::from_secs(2)),
            request_timeout: Duration::from_mins(1),
            move_between: false,
            joins_apart: Duration::ZERO,
            held_after: Duration::from_secs(1),
            deadline: Duration::from_mins(15),
            password: PASSWORD.to_owned(),
            seed: 8,
            platforms: Vec::new(),
            live: Arc::default(),
        }
    }
}

/// How long somebody waits who will not wait for ever.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Patience {
    /// Exponentially distributed with this mean.
    Exponential(Duration),
    /// Equally likely anywhere between the two.
    Uniform(Duration, Duration),
}

impl Patience {
    pub(super) fn draw(self, rng: &mut fastrand::Rng) -> Duration {
        match self {
            // 1 - u is in (0, 1], so the logarithm is finite.
            Self::Exponential(mean) => mean.mul_f64(-(1.0 - rng.f64()).ln()),
            Self::Uniform(low, high) => between(rng, (low, high)),
        }
    }
}

/// When a pupil's connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// After every answer.
    PerRequest,
    /// After this idle time, as browsers do later: waiting pupils must not need a socket each.
    KeepAlive(Duration),
}

/// Why a plan cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum RushError {
    /// Load is sent to this machine only: give an address in 127.0.0.0/8 or `::1`.
    #[error("{0} is not a loopback address; a rush only ever goes to this machine")]
    NotLoopback(SocketAddr),
    /// Give at least one target.
    #[error("no target to send pupils to")]
    NoTarget,
    /// Give at least one school with pupils.
    #[error("no school has pupils")]
    NoSchool,
    /// A fraction must be between 0 and 1.
    #[error("{name} is {value}, not a fraction between 0 and 1")]
    Fraction {
        /// Which one.
        name: &'static str,
        /// What was given.
        value: f64,
    },
    /// The platform's control listener does not answer with a record: is it running, is the address its control address?
    #[error("cannot read the record of the platform at {address}: {reason}")]
    Record {
        /// The control address.
        address: SocketAddr,
        /// What went wrong.
        reason: String,
    },
    /// The file of schools cannot be read.
    #[error("cannot read the schools: {0}")]
    Schools(#[from] csv::Error),
}

impl Plan {
    /// Whether this can and may be run.
    pub fn check(&self) -> Result<(), RushError> {
        if self.targets.is_empty() {
            return Err(RushError::NoTarget);
        }
        let foreign = self
            .targets
            .iter()
            .chain(&self.platforms)
            .find(|address| !address.ip().is_loopback());
        if let Some(address) = foreign {
            return Err(RushError::NotLoopback(*address));
        }
        if !self.schools.iter().any(|school| school.share > 0.0) {
            return Err(RushError::NoSchool);
        }
        let fractions = [
            ("give_up", self.give_up),
            ("mistype", self.mistype),
            ("no_show", self.no_show),
        ];
        match fractions
            .into_iter()
            .find(|(_, value)| !(0.0..=1.0).contains(value))
        {
            Some((name, value)) => Err(RushError::Fraction { name, value }),
            None => Ok(()),
        }
    }
}

/// Uniform between the two.
pub(super) fn between(rng: &mut fastrand::Rng, (low, high): (Duration, Duration)) -> Duration {
    low + high.saturating_sub(low).mul_f64(rng.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_goes_to_this_machine_only() {
        let foreign = SocketAddr::from(([192, 0, 2, 1], 80));
        let refused = Plan {
            targets: vec![foreign],
            ..Plan::default()
        }
        .check();
        assert!(matches!(refused, Err(RushError::NotLoopback(address)) if address == foreign));
        let local = SocketAddr::from(([127, 0, 0, 1], 80));
        Plan {
            targets: vec![local],
            ..Plan::default()
        }
        .check()
        .unwrap();
        let record = Plan {
            targets: vec![local],
            platforms: vec![foreign],
            ..Plan::default()
        }
        .check();
        assert!(matches!(record, Err(RushError::NotLoopback(_))));
    }

    #[test]
    fn patience_has_the_mean_it_was_given() {
        let mut rng = fastrand::Rng::with_seed(1);
        let patience = Patience::Exponential(Duration::from_secs(100));
        let sum: f64 = (0..20_000)
            .map(|_| patience.draw(&mut rng).as_secs_f64())
            .sum();
        assert!((sum / 20_000.0 - 100.0).abs() < 3.0);
    }
}
