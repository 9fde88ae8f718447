//! What else there is, as models: ways to let logins in that the room is measured against.
//!
//! All of them are granted a number for everybody in order of arrival, pages that look again by
//! themselves, and settings that an operator who knows the capacity at the start of the morning
//! would choose.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use einlass_admission::Verdict;

use crate::policy::{Admit, Effects, Gauge, Pupil, Told};
use crate::scenario::Pool;

/// When the next numbers are called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Calls {
    /// So many a second, whatever happens.
    Rate(f64),
    /// As many as keep this number let in and not done: whoever is called counts as one from then
    /// on, and whoever does not come is replaced after this time.
    Places {
        /// Logins let in and not done.
        places: f64,
        /// How long a place is kept for somebody who does not come.
        expiry: Duration,
    },
    /// Every minute so many, less those who were called within the grace and have not come; spread
    /// evenly over the minute.
    Minute {
        /// Numbers a minute.
        numbers: f64,
        /// How long an absentee counts.
        grace: Duration,
    },
}

/// A counter: everybody has a number, numbers are called in order, weights are unknown.
pub(crate) struct Counter {
    calls: Calls,
    poll: Duration,
    given: u64,
    called: f64,
    numbers: Vec<u64>,
    /// Called and not come: when, and the numbers up to which.
    outstanding: VecDeque<(Duration, u64)>,
    come: HashSet<u64>,
    under_way: u64,
    expired: u64,
    /// Of a minute's numbers, called per second; and when that minute ends.
    quota: f64,
    minute_ends: Duration,
    ticked: Duration,
    rng: fastrand::Rng,
}

impl Counter {
    pub(crate) fn new(calls: Calls, poll: Duration, pupils: usize, seed: u64) -> Self {
        Self {
            calls,
            poll,
            given: 0,
            called: 0.0,
            numbers: vec![0; pupils],
            outstanding: VecDeque::new(),
            come: HashSet::new(),
            under_way: 0,
            expired: 0,
            quota: 0.0,
            minute_ends: Duration::ZERO,
            ticked: Duration::ZERO,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of pupils"
    )]
    fn serving(&self) -> u64 {
        self.called as u64
    }

    fn look(&mut self, pupil: Pupil) -> Told {
        let number = self.numbers[pupil as usize];
        if number <= self.serving() {
            self.come.insert(number);
            self.under_way += 1;
            return Told::Go;
        }
        let spread = 0.5 + self.rng.f64();
        Told::Wait {
            after: self.poll.mul_f64(spread),
            promise: None,
        }
    }

    /// Who was called within `grace` and has not come.
    fn absent(&mut self, now: Duration, grace: Duration) -> u64 {
        let mut upto = 0;
        while let Some((at, numbers)) = self.outstanding.front().copied()
            && now.saturating_sub(at) > grace
        {
            upto = numbers;
            self.outstanding.pop_front();
        }
        if upto > 0 {
            self.expired = self.expired.max(upto);
            let expired = self.expired;
            self.come.retain(|number| *number > expired);
        }
        let called = self.serving() - self.expired.min(self.serving());
        called.saturating_sub(self.come.len() as u64)
    }

    fn call(&mut self, now: Duration, numbers: f64) {
        let before = self.serving();
        self.called = (self.called + numbers).min(self.given as f64);
        let after = self.serving();
        if after > before {
            self.outstanding.push_back((now, after));
        }
    }
}

impl Admit for Counter {
    fn submit(&mut self, _: Duration, pupil: Pupil, _: &mut Effects) -> Told {
        if self.numbers[pupil as usize] == 0 {
            self.given += 1;
            self.numbers[pupil as usize] = self.given;
        }
        self.look(pupil)
    }

    fn poll(&mut self, _: Duration, pupil: Pupil, _: &mut Effects) -> Told {
        self.look(pupil)
    }

    fn again(&mut self, _: Duration, _: Pupil, _: &mut Effects) -> Told {
        self.under_way += 1;
        Told::Go
    }

    fn lose_patience(&mut self, _: Pupil) -> bool {
        false
    }

    fn left(&mut self, _: Duration, _: Pupil, _: &mut Effects) {}

    fn overdue(&mut self, _: Duration, _: Pupil) {}

    fn overdue_after(&self) -> Option<Duration> {
        None
    }

    fn ended(&mut self, _: Duration, _: Pupil, _: Verdict, _: &mut Effects) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    fn tick(&mut self, now: Duration, _: &mut Effects) {
        let dt = now.saturating_sub(self.ticked).as_secs_f64();
        self.ticked = now;
        match self.calls {
            Calls::Rate(rate) => self.call(now, rate * dt),
            Calls::Places { places, expiry } => {
                let taken = self.absent(now, expiry) + self.under_way;
                self.call(now, (places - taken as f64).max(0.0));
            }
            Calls::Minute { numbers, grace } => {
                if now >= self.minute_ends {
                    let absent = self.absent(now, grace);
                    self.quota = (numbers - absent as f64).max(0.0) / 60.0;
                    self.minute_ends = now + Duration::from_mins(1);
                }
                self.call(now, self.quota * dt);
            }
        }
    }

    fn later(&mut self, _: Duration, _: u64, _: &mut Effects) {}

    fn set_down(&mut self, _: bool) {}

    fn gauge(&self) -> Gauge {
        Gauge { cap: 0 }
    }
}

/// So many logins a second from each address, and every school is behind one. Others are refused
/// and press reload.
pub(crate) struct PerAddress {
    rate: f64,
    tokens: Vec<(f64, Duration)>,
    schools: Vec<u32>,
}

impl PerAddress {
    pub(crate) fn new(rate: f64, pool: &Pool, schools: Vec<u32>) -> Self {
        Self {
            rate,
            tokens: vec![(1.0, Duration::ZERO); pool.schools.len()],
            schools,
        }
    }
}

impl Admit for PerAddress {
    fn submit(&mut self, now: Duration, pupil: Pupil, _: &mut Effects) -> Told {
        let school = self.schools[pupil as usize] as usize;
        let (tokens, at) = &mut self.tokens[school];
        let earned = now.saturating_sub(*at).as_secs_f64() * self.rate;
        *tokens = (*tokens + earned).min(self.rate.max(1.0));
        *at = now;
        if *tokens < 1.0 {
            return Told::Turned;
        }
        *tokens -= 1.0;
        Told::Go
    }

    fn poll(&mut self, now: Duration, pupil: Pupil, effects: &mut Effects) -> Told {
        self.submit(now, pupil, effects)
    }

    fn again(&mut self, now: Duration, pupil: Pupil, effects: &mut Effects) -> Told {
        self.submit(now, pupil, effects)
    }

    fn lose_patience(&mut self, _: Pupil) -> bool {
        false
    }

    fn left(&mut self, _: Duration, _: Pupil, _: &mut Effects) {}

    fn overdue(&mut self, _: Duration, _: Pupil) {}

    fn overdue_after(&self) -> Option<Duration> {
        None
    }

    fn ended(&mut self, _: Duration, _: Pupil, _: Verdict, _: &mut Effects) {}

    fn tick(&mut self, _: Duration, _: &mut Effects) {}

    fn later(&mut self, _: Duration, _: u64, _: &mut Effects) {}

    fn set_down(&mut self, _: bool) {}

    fn gauge(&self) -> Gauge {
        Gauge { cap: 0 }
    }
}
