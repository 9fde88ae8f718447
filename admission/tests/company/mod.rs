//! Several gateways, one ledger, one backend and a crowd, in virtual time, with everything that can
//! break between them.

mod browsers;
mod calls;
mod outcome;
mod plan;
mod process;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use einlass_admission::ledger::{Exchanged, Joined, LEASE, Publish, Registers};
use einlass_admission::{Gatekeeper, Mode, SchoolIndex, Turn, WaiterId};

use outcome::tenth;
use plan::DRAIN;

pub use outcome::Outcome;
pub use plan::{Company, Fault};

/// How long a gateway keeps what it has to tell at most: until the next tick after the next exchange.
const UNTOLD: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Tick(usize, u32),
    Come(usize),
    Poll(usize),
    Cheat(usize, usize),
    Done(usize, u32, usize),
    Reply(usize, u32, u64),
    TimeOut(usize, u32, u64, Kind),
    JoinReply(usize, u32, u64),
    Revive(usize),
    Fault(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Exchange,
    Publish,
    Merge,
    Join,
    Leave,
}

enum Reply {
    Exchanged(Duration, Box<Exchanged>),
    Published(Box<Publish>, bool),
    Merged(bool),
    Farewell,
    Joined(Joined),
}

struct Gateway {
    keeper: Gatekeeper<usize>,
    /// Which process this is, counted.
    run: u32,
    alive: bool,
    /// It takes nobody in any more, and has to be gone by then.
    leaves_by: Option<Duration>,
    paused_since: Duration,
    paused_until: Duration,
    /// When it was stopped for longer than its lease.
    silent_since: Vec<Duration>,
    cut_until: Duration,
    deaf_until: Duration,
    /// What happened while it was stopped.
    missed: Vec<Event>,
    joins: Vec<(usize, SchoolIndex)>,
    joining: Option<Vec<(usize, SchoolIndex)>>,
    waiters: HashMap<usize, (WaiterId, usize)>,
    next_waiter: usize,
}

#[derive(Clone, Debug, Default)]
struct Pupil {
    school: u32,
    came: Duration,
    turn: Option<(Turn, u32)>,
    joined: Duration,
    at: usize,
    begun: u32,
    by_ticket: bool,
    /// Which process performs the login, and since when.
    performer: Option<u32>,
    performed_since: Duration,
    done: bool,
    /// Nothing before has been heard of a request that is under way.
    asked: u32,
}

pub struct Play {
    plan: Company,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    order: u64,
    registers: Registers,
    history: Vec<(Duration, Registers)>,
    down_until: Duration,
    gateways: Vec<Gateway>,
    pupils: Vec<Pupil>,
    replies: HashMap<u64, Reply>,
    calls: u64,
    in_flight: u32,
    rng: u64,
    outcome: Outcome,
    busy: f64,
    waited: f64,
    integrated: Duration,
    left: usize,
    /// Per school, when the latest of those came who are in.
    latest_in: Vec<Duration>,
    faults_over: Duration,
    runs: u32,
    /// Processes that were stopped and whose last word nobody has heard.
    unsaid: Vec<u32>,
}

impl Play {
    pub fn new(plan: Company) -> Self {
        let mut play = Self {
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            order: 0,
            registers: Registers::default(),
            history: Vec::new(),
            down_until: Duration::ZERO,
            gateways: Vec::new(),
            pupils: Vec::new(),
            replies: HashMap::new(),
            calls: 0,
            in_flight: 0,
            rng: plan.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            outcome: Outcome::default(),
            busy: 0.0,
            waited: 0.0,
            integrated: Duration::ZERO,
            left: plan.pupils,
            latest_in: vec![Duration::ZERO; plan.schools.len()],
            faults_over: Duration::ZERO,
            runs: 0,
            unsaid: Vec::new(),
            plan,
        };
        for g in 0..play.plan.gateways {
            let gateway = play.process();
            play.gateways.push(gateway);
            let phase = Duration::from_millis(7 * g as u64);
            play.at(phase, Event::Tick(g, play.gateways[g].run));
        }
        play.invite();
        for (i, (at, fault)) in play.plan.faults.clone().into_iter().enumerate() {
            play.at(at, Event::Fault(i));
            play.faults_over = play.faults_over.max(at + fault.lasts());
        }
        play
    }

    fn unit(&mut self) -> f64 {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        (self.rng >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    /// Until everybody is in, or `longest`.
    pub fn run(mut self, longest: Duration) -> Outcome {
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at > longest || (self.left == 0 && at > self.faults_over + Duration::from_secs(4)) {
                break;
            }
            self.integrate(at);
            self.now = at;
            self.handle(event);
        }
        self.outcome.ended = self.now;
        self.outcome.used = self.busy / self.waited.max(0.001) / f64::from(self.plan.cap);
        self.outcome.admitted = self.pupils.iter().filter(|p| p.done).count();
        self.outcome
    }

    fn integrate(&mut self, to: Duration) {
        let dt = to.saturating_sub(self.integrated).as_secs_f64();
        while self.integrated < to {
            let now = tenth(self.integrated);
            let end = Duration::from_millis(100 * (now as u64 + 1)).min(to);
            if self.outcome.in_flight.len() <= now {
                self.outcome.in_flight.resize(now + 1, 0.0);
            }
            let part = end.saturating_sub(self.integrated).as_secs_f64();
            self.outcome.in_flight[now] += part * f64::from(self.in_flight);
            self.integrated = end;
        }
        // Waiting: with a place, and the school has not been called up to it anywhere.
        let waiting = self
            .gateways
            .iter()
            .filter(|g| g.alive)
            .map(|g| g.keeper.waiting())
            .min()
            .unwrap_or(0);
        if waiting > 40 {
            self.busy += dt * f64::from(self.in_flight);
            self.waited += dt;
        }
    }

    fn handle(&mut self, event: Event) {
        // What reaches a stopped process waits until it goes on.
        let of = match &event {
            Event::Tick(g, _)
            | Event::Reply(g, ..)
            | Event::TimeOut(g, ..)
            | Event::JoinReply(g, ..)
            | Event::Done(g, ..) => Some(*g),
            _ => None,
        };
        if let Event::Done(..) = event {
            self.in_flight -= 1;
        }
        if let Some(g) = of
            && self.now < self.gateways[g].paused_until
        {
            self.gateways[g].missed.push(event);
            return;
        }
        self.act(event);
    }

    fn act(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Tick(g, run) => self.tick(g, run),
            Event::Come(pupil) => self.come(pupil),
            Event::Poll(pupil) => self.poll(pupil),
            Event::Cheat(pupil, g) => self.enter(pupil, g, false),
            Event::Done(g, run, pupil) => self.ended(g, run, pupil),
            Event::Reply(g, run, call) => {
                let reply = self.replies.remove(&call);
                if self.gateways[g].run == run
                    && self.gateways[g].alive
                    && let Some(reply) = reply
                {
                    self.reply(g, reply);
                }
            }
            Event::TimeOut(g, run, call, kind) => self.timed_out(g, run, call, kind),
            Event::JoinReply(g, run, call) => {
                let reply = self.replies.remove(&call);
                if self.gateways[g].run == run && self.gateways[g].alive {
                    match reply {
                        Some(Reply::Joined(joined)) => self.joined(g, Some(&joined)),
                        _ => self.joined(g, None),
                    }
                }
            }
            Event::Revive(g) => {
                if self.gateways[g].alive {
                    self.unsaid.push(self.gateways[g].run);
                    self.kill(g);
                }
                self.gateways[g] = self.process();
                let run = self.gateways[g].run;
                self.at(now, Event::Tick(g, run));
            }
            Event::Fault(i) => self.fault(self.plan.faults[i].1),
        }
    }

    fn fault(&mut self, fault: Fault) {
        let now = self.now;
        match fault {
            Fault::Down(time) => self.down_until = now + time,
            Fault::Wiped => self.registers = Registers::default(),
            Fault::Back(time) => {
                let then = now.saturating_sub(time);
                let (_, old) = self
                    .history
                    .iter()
                    .rfind(|(at, _)| *at <= then)
                    .expect("a picture that old");
                self.registers = old.restarted();
            }
            Fault::Cut(g, time) => self.gateways[g].cut_until = now + time,
            Fault::Deaf(g, time) => self.gateways[g].deaf_until = now + time,
            Fault::Killed(g, _) | Fault::Paused(g, _) | Fault::Left(g, _)
                if !self.gateways[g].alive || self.gateways[g].leaves_by.is_some() => {}
            Fault::Left(g, time) => {
                self.gateways[g].leaves_by = Some(now + DRAIN);
                self.at(now + DRAIN + time, Event::Revive(g));
            }
            Fault::Paused(g, time) => {
                self.gateways[g].paused_since = now;
                self.gateways[g].paused_until = now + time;
                // The lease runs from when the ledger last heard of it.
                if time + UNTOLD + self.plan.round_trip > LEASE {
                    self.gateways[g].silent_since.push(now);
                }
                let run = self.gateways[g].run;
                self.at(now + time, Event::Tick(g, run));
            }
            Fault::Killed(g, time) => {
                self.kill(g);
                self.at(now + time, Event::Revive(g));
            }
        }
    }

    fn look(&mut self) {
        let shared = self
            .gateways
            .iter()
            .all(|g| g.alive && g.keeper.mode().0 == Mode::Shared);
        if self.now > self.faults_over && shared && self.outcome.shared_after.is_none() {
            self.outcome.shared_after = Some(self.now.saturating_sub(self.faults_over));
        }
    }
}
