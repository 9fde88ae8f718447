//! Eight o'clock in virtual time: one room, one backend, a crowd.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unchecked_time_subtraction,
    reason = "small numbers, and times that follow each other"
)]

mod plan;
mod report;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashSet};
use std::time::Duration;

use einlass_admission::{
    Entry, Eta, Gatekeeper, Grant, Refusal, SchoolIndex, Standing, Straight, Turn, Verdict, View,
    state::RoomState,
};

pub(crate) use plan::{Morning, Restart, Shut};
pub(crate) use report::Report;

/// How often the room moves on, as in the gateway.
const TICK: Duration = Duration::from_millis(50);
/// From the redirect to the waiting page's first look at the turn.
const PAGE: Duration = Duration::from_millis(200);
/// From a poll's answer to the login on its way in.
const ROUND_TRIP: Duration = Duration::from_millis(40);
/// What a cheap answer takes.
const CHEAP: Duration = Duration::from_millis(12);
/// A morning that is not over by then has stalled.
const LONGEST: Duration = Duration::from_mins(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Tick,
    Arrive(usize),
    Poll(usize),
    Enter(usize),
    HoldEnds(usize),
    /// By the run that sent it.
    Done(usize, u32),
}

#[derive(Clone, Debug)]
struct Pupil {
    school: SchoolIndex,
    shows: bool,
    turn: Option<(Turn, u32)>,
    held: bool,
    /// The last place shown.
    ahead: u64,
    promises: Vec<(Duration, Eta)>,
    come: Option<Duration>,
    entered: Option<Duration>,
    started: Option<Duration>,
    took: Duration,
}

/// A morning going on.
struct World {
    plan: Morning,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    scheduled: u64,
    random: u64,
    gatekeeper: Gatekeeper<usize>,
    view: View,
    pupils: Vec<Pupil>,
    ticks: u64,
    /// Given turns whose time has not come: (turn, school, pupil).
    waiting: BTreeSet<(Turn, u32, usize)>,
    /// Every turn ever given.
    given: HashSet<(u32, Turn)>,
    /// Entered, without a slot yet.
    buffered: BTreeSet<usize>,
    epoch: u32,
    written: Option<RoomState>,
    busy: f64,
    busy_later: f64,
    waited: f64,
    waited_later: f64,
    in_flight: u32,
    answers: u64,
    report: Report,
    left: usize,
    delays: Vec<f64>,
}

impl Morning {
    pub(crate) fn run(self) -> Report {
        let mut world = World::new(self);
        world.play();
        world.close()
    }
}

impl World {
    fn new(plan: Morning) -> Self {
        let gatekeeper = plan.gatekeeper(1);
        let mut world = Self {
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            scheduled: 0,
            random: plan.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            view: gatekeeper.view(),
            gatekeeper,
            pupils: Vec::new(),
            ticks: 0,
            waiting: BTreeSet::new(),
            given: HashSet::new(),
            buffered: BTreeSet::new(),
            epoch: 1,
            written: None,
            busy: 0.0,
            busy_later: 0.0,
            waited: 0.0,
            waited_later: 0.0,
            in_flight: 0,
            answers: 0,
            report: Report::default(),
            left: 0,
            delays: Vec::new(),
            plan,
        };
        world.crowd();
        world.at(Duration::ZERO, Event::Tick);
        world
    }

    /// Pupils come in proportion to their school's size.
    fn crowd(&mut self) {
        let room = self.plan.room();
        let weights: Vec<u32> = room.schools().iter().map(|s| s.weight().pupils()).collect();
        let total: u32 = weights.iter().sum();
        for pupil in 0..self.plan.pupils {
            let mut pick = (self.unit() * f64::from(total)) as u32;
            let school = weights.iter().position(|w| {
                let here = pick < *w;
                pick = pick.saturating_sub(*w);
                here
            });
            let shows = self.unit() >= self.plan.no_shows;
            let at = self.plan.crowd.mul_f64(self.unit());
            self.pupils.push(Pupil {
                school: SchoolIndex(school.unwrap_or(0) as u32),
                shows,
                turn: None,
                held: false,
                ahead: u64::MAX,
                promises: Vec::new(),
                come: None,
                entered: None,
                started: None,
                took: Duration::ZERO,
            });
            self.at(at, Event::Arrive(pupil));
        }
        self.left = self.pupils.len();
    }

    fn play(&mut self) {
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if self.left == 0 && self.in_flight == 0 {
                break;
            }
            assert!(at < LONGEST, "stalled with {} to come", self.left);
            self.account(at);
            self.now = at;
            match event {
                Event::Tick => self.tick(),
                Event::Arrive(pupil) => self.arrive(pupil),
                Event::Poll(pupil) => self.poll(pupil),
                Event::Enter(pupil) => self.enter(pupil),
                Event::HoldEnds(pupil) => self.hold_ends(pupil),
                Event::Done(pupil, epoch) if epoch == self.epoch => self.done(pupil),
                Event::Done(..) => {}
            }
        }
    }

    fn account(&mut self, until: Duration) {
        if self.gatekeeper.waiting() == 0 || self.shut() {
            return;
        }
        let dt = until.saturating_sub(self.now).as_secs_f64();
        self.waited += dt;
        self.busy += dt * f64::from(self.in_flight);
        if self.now > Duration::from_secs(4) {
            self.waited_later += dt;
            self.busy_later += dt * f64::from(self.in_flight);
        }
    }

    fn shut(&self) -> bool {
        self.plan
            .shut
            .is_some_and(|s| (s.from..s.until).contains(&self.now))
    }

    fn tick(&mut self) {
        self.at(self.now + TICK, Event::Tick);
        self.ticks += 1;
        self.restart();
        let shut = self.shut();
        self.gatekeeper.set_down(shut);
        let before = self.gatekeeper.serving();
        let grant = self.gatekeeper.tick(self.now);
        let serving = self.gatekeeper.serving();
        if shut && serving > before {
            self.report.released_while_shut += 1;
        }
        self.wake(grant);
        if self.ticks.is_multiple_of(2) {
            self.view = self.gatekeeper.view();
        }
        while let Some(first) = self.waiting.first()
            && serving.admits(first.0)
        {
            let (_, _, pupil) = self.waiting.pop_first().expect("just seen");
            let p = &mut self.pupils[pupil];
            p.come = Some(self.now);
            if p.held {
                p.held = false;
                self.enter(pupil);
            } else if !p.shows {
                self.left -= 1;
            }
        }
        if self.ticks.is_multiple_of(20) {
            self.written = Some(self.gatekeeper.state_ahead(TICK * 20));
        }
        self.report.deepest = self.report.deepest.max(self.gatekeeper.buffered());
        let (ours, cap) = self.gatekeeper.in_flight();
        assert_eq!(ours, self.in_flight);
        // In an outage, and for a while after it, the cap is lower than what may be in flight still.
        let was_shut = self.plan.shut.is_some_and(|shut| self.now >= shut.from);
        assert!(ours <= self.plan.cap && cap <= self.plan.cap);
        assert!(was_shut || (ours <= cap && cap == self.plan.cap));
        self.report.most_in_flight = self.report.most_in_flight.max(ours);
    }

    /// A new gateway in the place of the old one. Connections break, browsers ask again.
    fn restart(&mut self) {
        let Some(restart) = self.plan.restart.take_if(|r| r.at <= self.now) else {
            return;
        };
        let state = match self.written.take() {
            Some(written) if restart.killed => written,
            _ => self.gatekeeper.state(),
        };
        let old = self.gatekeeper.serving();
        self.epoch += 1;
        self.gatekeeper = self.plan.gatekeeper(self.epoch);
        self.gatekeeper.restore(state);
        assert!(self.gatekeeper.serving() >= old, "places moved back");
        self.view = self.gatekeeper.view();
        // Whom it had sent in is done with, for all it knows.
        self.in_flight = 0;
        for pupil in std::mem::take(&mut self.buffered) {
            self.pupils[pupil].entered = None;
            self.at(self.now + 2 * PAGE, Event::Poll(pupil));
        }
        let held: Vec<usize> = (0..self.pupils.len())
            .filter(|p| self.pupils[*p].held)
            .collect();
        for pupil in held {
            self.hold_ends(pupil);
        }
    }

    fn arrive(&mut self, pupil: usize) {
        if self.gatekeeper.straight(self.now) == Straight::Go {
            assert!(!self.shut());
            self.pupils[pupil].entered = Some(self.now);
            self.start(pupil);
            return;
        }
        let school = self.pupils[pupil].school;
        let given = self.gatekeeper.join(school).expect("a school of this room");
        self.pupils[pupil].turn = Some(given);
        self.waiting.insert((given.0, school.0, pupil));
        if !self.given.insert((school.0, given.0)) {
            // A run that was killed cannot have written its last second.
            assert!(self.epoch > 1, "a turn given twice");
            self.report.given_again += 1;
        }
        // As the gateway decides whom to hold.
        let waiting = self.gatekeeper.waiting();
        let joined = waiting.saturating_sub(self.view.waiting) as f64;
        let ahead = (self.view.curve.ahead(given.0) + joined).min(waiting as f64);
        let hold = self.plan.hold.as_secs_f64();
        let soon = match self.view.pace {
            Some(pace) => ahead <= pace * hold,
            None => ahead <= f64::from(self.plan.cap),
        };
        if soon && hold > 0.0 && self.pupils[pupil].shows {
            self.pupils[pupil].held = true;
            self.at(self.now + self.plan.hold, Event::HoldEnds(pupil));
        } else if self.pupils[pupil].shows {
            self.at(self.now + PAGE, Event::Poll(pupil));
        }
    }

    fn hold_ends(&mut self, pupil: usize) {
        if self.pupils[pupil].held {
            self.pupils[pupil].held = false;
            self.at(self.now + PAGE, Event::Poll(pupil));
        }
    }

    fn poll(&mut self, pupil: usize) {
        self.report.polls += 1;
        let jitter = self.unit();
        let p = &mut self.pupils[pupil];
        let (turn, _) = p.turn.expect("joined");
        let step = self.gatekeeper.room().schools()[p.school.0 as usize]
            .weight()
            .step();
        let standing = self
            .view
            .standing(self.gatekeeper.serving(), turn, step, jitter);
        let (shown, again) = match standing {
            Standing::Ready => {
                assert!(p.come.is_some());
                self.at(self.now + ROUND_TRIP, Event::Enter(pupil));
                return;
            }
            Standing::Waiting {
                ahead,
                eta,
                reason: _,
                poll_after,
            } => {
                p.promises.extend(eta.map(|eta| (self.now, eta)));
                (ahead, poll_after)
            }
            Standing::Shut {
                ahead, poll_after, ..
            } => (ahead, poll_after),
        };
        assert!(shown <= p.ahead, "a shown place grew");
        p.ahead = shown;
        let again = Duration::from_secs_f64(again);
        self.at(self.now + again + ROUND_TRIP, Event::Poll(pupil));
    }

    fn enter(&mut self, pupil: usize) {
        let p = &mut self.pupils[pupil];
        let (turn, epoch) = p.turn.expect("joined");
        let school = p.school;
        match self.gatekeeper.enter(self.now, school, turn, epoch, pupil) {
            Ok(entry) => {
                p.entered = Some(self.now);
                if let Some(come) = p.come {
                    self.delays.push((self.now - come).as_secs_f64());
                }
                self.buffered.insert(pupil);
                if entry == Entry::Go {
                    self.start(pupil);
                }
                if pupil.is_multiple_of(16) {
                    let again = self.gatekeeper.enter(self.now, school, turn, epoch, pupil);
                    assert!(again.is_err(), "a ticket that admits twice");
                }
            }
            Err(refusal) => {
                assert!(matches!(refusal, Refusal::Full | Refusal::Shut));
                self.report.full += u64::from(refusal == Refusal::Full);
                let again = Duration::from_secs_f64(1.7 + 0.6 * self.unit());
                self.at(self.now + again, Event::Poll(pupil));
            }
        }
    }

    fn start(&mut self, pupil: usize) {
        self.in_flight += 1;
        self.answers += 1;
        let cheap = self
            .plan
            .cheap_every
            .is_some_and(|n| self.answers.is_multiple_of(n));
        let took = if cheap {
            CHEAP
        } else {
            self.plan.login.mul_f64(0.8 + 0.4 * self.unit())
        };
        let p = &mut self.pupils[pupil];
        assert!(p.started.is_none(), "let in twice");
        p.started = Some(self.now);
        p.took = took;
        self.buffered.remove(&pupil);
        self.left -= usize::from(p.shows || p.turn.is_none());
        self.report.starts.push(self.now);
        self.at(self.now + took, Event::Done(pupil, self.epoch));
    }

    fn done(&mut self, pupil: usize) {
        self.in_flight -= 1;
        let grant = self
            .gatekeeper
            .finish(self.now, Verdict::Hashed(self.pupils[pupil].took));
        self.wake(grant);
    }

    fn wake(&mut self, grant: Grant<usize>) {
        for pupil in grant.go {
            self.start(pupil);
        }
        // Back to the waiting page, which says why.
        for pupil in grant.shut {
            self.buffered.remove(&pupil);
            self.at(self.now + PAGE, Event::Poll(pupil));
        }
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((at, self.scheduled, event)));
    }

    /// From 0 to 1, xorshift64*.
    fn unit(&mut self) -> f64 {
        let mut x = self.random;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random = x;
        (x.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
