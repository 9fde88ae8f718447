//! One pool's morning: pupils, their browsers, and the backend, moved on from slot to slot.

use std::collections::VecDeque;
use std::time::Duration;

use einlass_admission::Verdict;

use crate::backend::Sharing;
use crate::crowd::{Person, State, crowd};
use crate::outcome::PoolOutcome;
use crate::policy::{Admit, Effects, Promise, Pupil, Told};
use crate::record::{Record, Tick};
use crate::scenario::{Gate, Pool, Scenario};
use crate::ways::way_in;
use crate::wheel::Wheel;

/// How often the policy moves on, as in the gateway.
const TICK: Duration = Duration::from_millis(50);
/// The gateways have been up for so long when the morning begins.
const WARM_UP: Duration = Duration::from_secs(10);
/// A page, or a refusal before the hash, takes the backend so long.
const CHEAP: Duration = Duration::from_millis(12);
/// So long a request waits for a slot, as in the gateway; then its browser is sent back to wait.
const BUFFER_PATIENCE: Duration = Duration::from_secs(15);
/// Whoever sees an error tries again within this time, twice as late at most.
const RELOAD: Duration = Duration::from_secs(2);
/// Whoever has mistyped, or gets a fresh form, types again for so long.
const TYPE_AGAIN: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug)]
enum Event {
    Tick,
    /// The pupil asks again, unless something has happened since it was planned.
    Poll(Pupil, u32),
    /// The pupil logs in after having typed.
    Typed(Pupil),
    /// The pupil comes again after an error.
    Reload(Pupil),
    /// A cheap answer.
    Cheap(u32),
    /// The gated page.
    Page(u32),
    /// The policy asked for it.
    Later(u64),
}

struct Login {
    pupil: Pupil,
    began: Duration,
    open: bool,
    overdue: bool,
}

pub(crate) struct World<'a> {
    pool: &'a Pool,
    longest: Duration,
    rng: fastrand::Rng,
    wheel: Wheel<Event>,
    now: Duration,
    arrivals: VecDeque<(Duration, Pupil)>,
    people: Vec<Person>,
    policy: Box<dyn Admit>,
    effects: Effects,
    sharing: Sharing,
    logins: Vec<Login>,
    /// Under way, in the order they began; some have ended.
    young: VecDeque<u32>,
    old: VecDeque<u32>,
    in_flight: u32,
    left: usize,
    record: Record,
}

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &Scenario, pool: &'a Pool, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let people = crowd(pool, WARM_UP, &mut rng);
        let numbers = 0..u32::try_from(people.len()).unwrap_or(u32::MAX);
        let arrivals = people.iter().map(|p| p.came).zip(numbers).collect();
        let schools = people.iter().map(|person| person.school).collect();
        let mut fleet = scenario.fleet.clone();
        for (from, until) in &mut fleet.apart {
            *from += WARM_UP;
            *until += WARM_UP;
        }
        let policy = way_in(pool, &fleet, schools, rng.u64(..));
        Self {
            pool,
            longest: scenario.longest + WARM_UP,
            wheel: Wheel::new(),
            now: Duration::ZERO,
            arrivals,
            left: people.len(),
            record: Record::new(
                pool,
                people
                    .iter()
                    .map(|p| (p.came.saturating_sub(WARM_UP), p.school)),
            ),
            people,
            policy,
            effects: Effects::default(),
            sharing: Sharing::default(),
            logins: Vec::new(),
            young: VecDeque::new(),
            old: VecDeque::new(),
            in_flight: 0,
            rng,
        }
    }

    pub(crate) fn play(mut self) -> PoolOutcome {
        let mut events = Vec::new();
        let mut finished = Vec::new();
        self.wheel.add(Duration::ZERO, Event::Tick);
        self.sharing
            .set_cores(self.pool.backend.cores_at(Duration::ZERO));
        while self.left > 0 && self.now < self.longest {
            self.now = self.wheel.now();
            self.sharing.work(self.now, &mut finished);
            for login in finished.drain(..) {
                self.hashed(login);
            }
            while let Some((_, pupil)) = self.arrivals.pop_front_if(|(at, _)| *at <= self.now) {
                self.submit(pupil);
            }
            self.wheel.turn(&mut events);
            for event in events.drain(..) {
                self.handle(event);
            }
        }
        self.record.close()
    }

    /// The scenario's time.
    fn time(&self) -> Duration {
        self.now.saturating_sub(WARM_UP)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Tick => self.tick(),
            Event::Poll(pupil, number) => {
                let person = &self.people[pupil as usize];
                let (state, current) = (person.state, person.poll == number);
                if state == State::Waiting && current {
                    self.poll(pupil);
                } else if state == State::Buffered && current {
                    self.lose_patience(pupil);
                }
            }
            Event::Typed(pupil) => {
                let told = self.policy.again(self.now, pupil, &mut self.effects);
                self.tell(pupil, told);
                self.settle();
            }
            Event::Reload(pupil) => self.submit(pupil),
            Event::Cheap(login) => self.answered(login, Verdict::Refused),
            Event::Page(login) => self.answered(login, Verdict::Page),
            Event::Later(token) => {
                self.policy.later(self.now, token, &mut self.effects);
                self.settle();
            }
        }
    }

    fn submit(&mut self, pupil: Pupil) {
        let told = self.policy.submit(self.now, pupil, &mut self.effects);
        self.tell(pupil, told);
        self.settle();
    }

    fn poll(&mut self, pupil: Pupil) {
        if self.now >= self.people[pupil as usize].gives_up {
            self.policy.left(self.now, pupil, &mut self.effects);
            self.end(pupil, State::Gone);
            return;
        }
        let told = if self.people[pupil as usize].has_page {
            self.policy.again(self.now, pupil, &mut self.effects)
        } else {
            self.policy.poll(self.now, pupil, &mut self.effects)
        };
        self.tell(pupil, told);
        self.settle();
    }

    fn lose_patience(&mut self, pupil: Pupil) {
        if self.policy.lose_patience(pupil) {
            if !self.wants_page(pupil) {
                self.record.buffered(BUFFER_PATIENCE);
            }
            let after = RELOAD.mul_f64(self.rng.f64());
            self.plan_poll(pupil, after);
        }
    }

    /// Carries out what followed from a decision, until nothing follows any more.
    fn settle(&mut self) {
        loop {
            let effects = std::mem::take(&mut self.effects);
            let nothing = effects.go.is_empty()
                && effects.buffered.is_empty()
                && effects.told.is_empty()
                && effects.later.is_empty();
            if nothing {
                return;
            }
            for (at, token) in effects.later {
                self.wheel.add(at, Event::Later(token));
            }
            for pupil in effects.buffered {
                self.tell(pupil, Told::Buffered);
            }
            for pupil in effects.go {
                self.tell(pupil, Told::Go);
            }
            for (pupil, told) in effects.told {
                self.tell(pupil, told);
            }
        }
    }

    fn tell(&mut self, pupil: Pupil, told: Told) {
        let now = self.now;
        match told {
            Told::Go => {
                let person = &self.people[pupil as usize];
                let since = (person.state == State::Buffered).then_some(person.buffered);
                if !self.wants_page(pupil) {
                    let buffered = since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
                    self.record.buffered(buffered);
                }
                self.begin(pupil);
            }
            Told::Buffered => {
                self.set(pupil, State::Buffered);
                let person = &mut self.people[pupil as usize];
                person.buffered = now;
                person.poll = person.poll.wrapping_add(1);
                let event = Event::Poll(pupil, person.poll);
                self.wheel.add(now + BUFFER_PATIENCE, event);
            }
            Told::Held(time) => self.plan_poll(pupil, time),
            Told::Wait { after, promise } => self.wait(pupil, after, promise),
            Told::Turned => self.turned(pupil),
            Told::Nothing => self.set(pupil, State::Joining),
        }
    }

    fn wait(&mut self, pupil: Pupil, after: Duration, promise: Option<Promise>) {
        if let Some(promise) = promise {
            self.record.promised(self.time(), pupil, promise);
        }
        if self.people[pupil as usize].no_show {
            self.end(pupil, State::Gone);
            return;
        }
        self.plan_poll(pupil, after);
    }

    fn plan_poll(&mut self, pupil: Pupil, after: Duration) {
        self.set(pupil, State::Waiting);
        let person = &mut self.people[pupil as usize];
        person.poll = person.poll.wrapping_add(1);
        let event = Event::Poll(pupil, person.poll);
        self.wheel.add(self.now + after, event);
    }

    /// An error page: no place, so they press reload.
    fn turned(&mut self, pupil: Pupil) {
        self.record.error();
        if self.now >= self.people[pupil as usize].gives_up {
            self.end(pupil, State::Gone);
            return;
        }
        self.set(pupil, State::Coming);
        let after = RELOAD.mul_f64(1.0 + self.rng.f64());
        self.wheel.add(self.now + after, Event::Reload(pupil));
    }

    fn set(&mut self, pupil: Pupil, state: State) {
        let person = &mut self.people[pupil as usize];
        let waits = |s: State| matches!(s, State::Waiting | State::Buffered | State::Joining);
        let before = std::mem::replace(&mut person.state, state);
        let school = person.school;
        self.record.waits(school, waits(before), waits(state));
    }

    fn end(&mut self, pupil: Pupil, state: State) {
        self.set(pupil, state);
        self.left -= 1;
        let came = self.people[pupil as usize].came;
        let school = self.people[pupil as usize].school;
        if state == State::In {
            self.record
                .admitted(self.time(), school, came.saturating_sub(WARM_UP));
        } else {
            self.record.gave_up();
        }
    }

    /// The login page comes first, and is gated. It costs nothing and hardly waits.
    fn wants_page(&self, pupil: Pupil) -> bool {
        let gated = matches!(self.pool.admission.gate, Gate::Page { .. });
        gated && !self.people[pupil as usize].has_page
    }

    fn begin(&mut self, pupil: Pupil) {
        self.set(pupil, State::Running);
        self.record.began(self.time(), pupil);
        self.in_flight += 1;
        self.record.most(self.in_flight);
        let number = u32::try_from(self.logins.len()).unwrap_or(u32::MAX);
        self.logins.push(Login {
            pupil,
            began: self.now,
            open: true,
            overdue: false,
        });
        let backend = &self.pool.backend;
        let page = self.wants_page(pupil);
        if page || self.rng.f64() < backend.refused {
            let event = if page {
                Event::Page(number)
            } else {
                Event::Cheap(number)
            };
            self.wheel.add(self.now + CHEAP, event);
            return;
        }
        let full = backend
            .queue
            .is_some_and(|most| self.sharing.running() >= most as usize);
        if full {
            self.answered(number, Verdict::Lost);
            return;
        }
        let cost = backend.hash.as_secs_f64() * (backend.spread * self.normal()).exp();
        self.sharing.add(number, cost);
        self.young.push_back(number);
        self.old.push_back(number);
    }

    /// The backend is done with a login, whoever still waits for it.
    fn hashed(&mut self, number: u32) {
        let login = &self.logins[number as usize];
        if !login.open {
            return;
        }
        let latency = self.now.saturating_sub(login.began);
        self.record.hashed(self.time(), latency);
        self.answered(number, Verdict::Hashed(latency));
    }

    fn answered(&mut self, number: u32, verdict: Verdict) {
        let login = &mut self.logins[number as usize];
        login.open = false;
        let pupil = login.pupil;
        self.in_flight -= 1;
        let told = match verdict {
            // It has been lost for a while.
            Verdict::Lost if login.overdue => Verdict::Neutral,
            verdict => verdict,
        };
        self.policy.ended(self.now, pupil, told, &mut self.effects);
        match verdict {
            Verdict::Hashed(_) => {
                let school = self.people[pupil as usize].school;
                self.record.served(school);
                self.end(pupil, State::In);
            }
            Verdict::Refused | Verdict::Neutral | Verdict::Page => {
                let typing = match self.pool.admission.gate {
                    Gate::Page { typing } => typing,
                    Gate::Submit => TYPE_AGAIN,
                };
                self.people[pupil as usize].has_page = true;
                self.set(pupil, State::Typing);
                let after = typing.mul_f64(0.5 + self.rng.f64());
                self.wheel.add(self.now + after, Event::Typed(pupil));
            }
            Verdict::Lost => {
                self.record.error();
                // The page says so, and they have a pass.
                self.people[pupil as usize].has_page = true;
                self.set(pupil, State::Typing);
                let after = TYPE_AGAIN.mul_f64(0.5 + self.rng.f64());
                self.wheel.add(self.now + after, Event::Typed(pupil));
            }
        }
        self.settle();
    }

    fn tick(&mut self) {
        let now = self.now;
        self.wheel.add(now + TICK, Event::Tick);
        let time = self.time();
        let backend = &self.pool.backend;
        self.sharing.set_cores(backend.cores_at(time));
        self.policy.set_down(backend.is_down(time));
        self.look_at_clock();
        self.policy.tick(now, &mut self.effects);
        self.settle();
        let tick = Tick {
            busy: self.sharing.take_busy(),
            cores: self.pool.backend.cores_at(time) * TICK.as_secs_f64(),
            in_flight: self.in_flight,
            cap: self.policy.gauge().cap,
        };
        if now >= WARM_UP {
            self.record.tick(time, tick);
        }
    }

    /// Logins that are overdue, and those that nobody waits for any longer.
    fn look_at_clock(&mut self) {
        let overdue = self.policy.overdue_after();
        while let Some(number) = self.young.front().copied() {
            let login = &mut self.logins[number as usize];
            let age = self.now.saturating_sub(login.began);
            if login.open && overdue.is_none_or(|most| age <= most) {
                break;
            }
            self.young.pop_front();
            if login.open {
                login.overdue = true;
                let pupil = login.pupil;
                self.policy.overdue(self.now, pupil);
            }
        }
        while let Some(number) = self.old.front().copied() {
            let login = &self.logins[number as usize];
            let age = self.now.saturating_sub(login.began);
            if login.open && age <= self.pool.backend.timeout {
                break;
            }
            self.old.pop_front();
            if login.open {
                self.answered(number, Verdict::Lost);
            }
        }
    }

    /// A number with the standard normal distribution (Box and Muller, 1958).
    fn normal(&mut self) -> f64 {
        let (one, two) = (1.0 - self.rng.f64(), self.rng.f64());
        (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos()
    }
}
