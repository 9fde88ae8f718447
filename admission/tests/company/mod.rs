//! Several gateways, one ledger, one backend and a crowd, in virtual time, with everything that can
//! break between them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use einlass_admission::ledger::{
    Exchange, Exchanged, Join, Joined, LEASE, Leave, MemberId, Merge, Publish, Registers,
};
use einlass_admission::{
    Entry, Fixed, Gatekeeper, Membership, Mode, Room, SchoolIndex, SchoolKey, Settings, Straight,
    Turn, Verdict, WaiterId, Weight,
};

const TICK: Duration = Duration::from_millis(50);
/// How long a load balancer sends browsers to a gateway that does not answer.
const NOTICED: Duration = Duration::from_secs(1);
/// How long a gateway keeps what it has to tell at most: until the next tick after the next exchange.
const UNTOLD: Duration = Duration::from_millis(250);
const TIMEOUT: Duration = Duration::from_millis(250);
/// How long a gateway that is stopped may take to finish what it has begun.
const DRAIN: Duration = Duration::from_secs(3);

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

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub admitted: usize,
    /// Tickets that admitted twice.
    pub doubled: usize,
    /// Those of them of whose first login nobody could know.
    pub begun_again: usize,
    pub most_in_flight: u32,
    /// Part of the cap in use while somebody waited.
    pub used: f64,
    /// Logins that began, per second of the morning.
    pub begun: Vec<u32>,
    /// Time in flight of all logins together, in seconds, per tenth of a second of the morning.
    pub in_flight: Vec<f64>,
    /// By how much somebody who came later went first inside a school, at most.
    pub inversion: Duration,
    /// By how much somebody came later who was let in before one who still had to wait, at most.
    pub overtaken: Duration,
    pub waits: Vec<f64>,
    /// When all gateways were in [`Mode::Shared`] again after the last fault was over.
    pub shared_after: Option<Duration>,
    pub ended: Duration,
}

impl Outcome {
    /// How many logins were in flight between two moments, on average.
    pub fn mean_in_flight(&self, from: Duration, to: Duration) -> f64 {
        let (from, to) = (tenth(from), tenth(to));
        let sum: f64 = self.in_flight[from..to].iter().sum();
        sum * 10.0 / (to - from) as f64
    }

    /// Logins that began per second between two whole seconds.
    pub fn rate(&self, from: Duration, to: Duration) -> f64 {
        let (from, to) = (from.as_secs() as usize, to.as_secs() as usize);
        let sum: u32 = self.begun[from..to].iter().sum();
        f64::from(sum) / (to - from) as f64
    }

    pub fn median_wait(&self) -> f64 {
        let mut waits = self.waits.clone();
        waits.sort_by(f64::total_cmp);
        waits[waits.len() / 2]
    }
}

fn tenth(time: Duration) -> usize {
    (time.as_millis() / 100) as usize
}

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
        let weights: u32 = play.plan.schools.iter().sum();
        // The gateways have been up for a while when the first come.
        let start = Duration::from_secs(3);
        for number in 0..play.plan.pupils {
            let mut drawn = (play.unit() * f64::from(weights)) as u32;
            let mut school = 0;
            while drawn >= play.plan.schools[school as usize] {
                drawn -= play.plan.schools[school as usize];
                school += 1;
            }
            let came = start + play.plan.over.mul_f64(play.unit());
            play.pupils.push(Pupil {
                school,
                came,
                ..Pupil::default()
            });
            play.at(came, Event::Come(number));
        }
        for (i, (at, fault)) in play.plan.faults.clone().into_iter().enumerate() {
            play.at(at, Event::Fault(i));
            let lasts = match fault {
                Fault::Down(d)
                | Fault::Cut(_, d)
                | Fault::Deaf(_, d)
                | Fault::Paused(_, d)
                | Fault::Killed(_, d) => d,
                Fault::Left(_, d) => d + DRAIN,
                Fault::Wiped | Fault::Back(_) => Duration::ZERO,
            };
            play.faults_over = play.faults_over.max(at + lasts);
        }
        play
    }

    fn process(&mut self) -> Gateway {
        self.runs += 1;
        let settings = Settings {
            closed: false,
            observe: false,
            page_gate: false,
            ceiling: None,
            ticket_lifetime: Duration::from_hours(1),
            pass_tries: 3,
        };
        let schools = self.plan.schools.iter().enumerate().map(|(i, pupils)| {
            (
                SchoolKey::of(&format!("school{i}.example")),
                Weight::new(*pupils).unwrap(),
            )
        });
        let pacer = Box::new(Fixed::new(self.plan.cap, None));
        Gateway {
            keeper: Gatekeeper::new(Room::new(schools), 1_000 + self.runs, settings, pacer)
                .in_fleet(Membership {
                    member: MemberId(self.runs.into()),
                    share_unheard: 1,
                }),
            run: self.runs,
            alive: true,
            leaves_by: None,
            paused_since: Duration::ZERO,
            paused_until: Duration::ZERO,
            silent_since: Vec::new(),
            cut_until: Duration::ZERO,
            deaf_until: Duration::ZERO,
            missed: Vec::new(),
            joins: Vec::new(),
            joining: None,
            waiters: HashMap::new(),
            next_waiter: 0,
        }
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

    /// A gateway as a load balancer would choose it: never a dead one, and not for long a silent one.
    fn any_gateway(&mut self) -> Option<usize> {
        for _ in 0..100 {
            let mut drawn = (self.unit() * f64::from(self.plan.skew.iter().sum::<u32>())) as u32;
            let mut g = 0;
            while drawn >= self.plan.skew[g] {
                drawn -= self.plan.skew[g];
                g += 1;
            }
            let gateway = &self.gateways[g];
            let silent = self.now.saturating_sub(gateway.paused_since);
            let paused = self.now < gateway.paused_until;
            let takes = gateway.alive && gateway.leaves_by.is_none();
            if takes && !(paused && silent > NOTICED) {
                return Some(g);
            }
        }
        None
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
            Event::Done(g, run, pupil) => {
                let answered = self.gateways[g].run == run && self.gateways[g].alive;
                let finished = &mut self.pupils[pupil];
                if answered && !finished.done {
                    finished.done = true;
                    self.left -= 1;
                    let wait = now.saturating_sub(finished.came).as_secs_f64();
                    self.outcome.waits.push(wait);
                }
                if answered {
                    let pupil = &self.pupils[pupil];
                    if let Some((turn, epoch)) = pupil.turn
                        && pupil.by_ticket
                    {
                        let school = SchoolIndex(pupil.school);
                        self.gateways[g].keeper.done(school, turn, epoch);
                    }
                    let grant = self.gateways[g]
                        .keeper
                        .finish(now, Verdict::Hashed(self.plan.login));
                    self.wake(g, grant.go, grant.refused);
                }
            }
            Event::Reply(g, run, call) => {
                let reply = self.replies.remove(&call);
                if self.gateways[g].run == run
                    && self.gateways[g].alive
                    && let Some(reply) = reply
                {
                    self.reply(g, reply);
                }
            }
            Event::TimeOut(g, run, call, kind) => {
                self.replies.remove(&call);
                // A dead process notices nothing.
                if self.gateways[g].run != run || !self.gateways[g].alive {
                    return;
                }
                match kind {
                    Kind::Exchange => {
                        let grant = self.gateways[g].keeper.exchange_failed();
                        self.wake(g, grant.go, grant.refused);
                    }
                    Kind::Merge => self.gateways[g].keeper.merged(false),
                    Kind::Publish | Kind::Join | Kind::Leave => {}
                }
            }
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

    /// The process is gone, whatever it was doing.
    fn kill(&mut self, g: usize) {
        let now = self.now;
        self.gateways[g].alive = false;
        self.gateways[g].paused_until = Duration::ZERO;
        // The backend has finished what it was given all the same.
        for event in std::mem::take(&mut self.gateways[g].missed) {
            if matches!(event, Event::Done(..)) {
                self.act(event);
            }
        }
        // Whoever was at it, or hears no answer to the own login, comes again somewhere.
        let run = self.gateways[g].run;
        let lost: Vec<usize> = self
            .pupils
            .iter()
            .enumerate()
            .filter(|(_, p)| !p.done)
            .filter(|(_, p)| match p.begun {
                0 => p.at == g && p.asked > 0,
                _ => p.performer == Some(run),
            })
            .map(|(i, _)| i)
            .collect();
        for pupil in lost {
            self.pupils[pupil].asked = 0;
            self.pupils[pupil].begun = 0;
            self.pupils[pupil].performer = None;
            let again = now + Duration::from_millis(500);
            let known = self.pupils[pupil].turn.is_some();
            let event = if known {
                Event::Poll(pupil)
            } else {
                Event::Come(pupil)
            };
            self.at(again, event);
        }
    }

    fn reaches(&self, g: usize) -> bool {
        self.now >= self.down_until && self.now >= self.gateways[g].cut_until
    }

    fn wall(&self) -> u64 {
        1_000_000 + u64::try_from(self.now.as_millis()).unwrap()
    }

    fn nonce(&mut self) -> u32 {
        1 + (self.unit() * f64::from(u32::MAX - 1)) as u32
    }

    /// Sends something to the ledger; its answer, or a time-out, comes later.
    fn call(&mut self, g: usize, kind: Kind, reply: impl FnOnce(&mut Registers, u64) -> Reply) {
        self.calls += 1;
        let (call, run, now, trip) = (
            self.calls,
            self.gateways[g].run,
            self.now,
            self.plan.round_trip,
        );
        let answer = if self.reaches(g) {
            let wall = self.wall();
            Some(reply(&mut self.registers, wall))
        } else {
            None
        };
        if let Some(answer) = answer.filter(|_| now >= self.gateways[g].deaf_until) {
            self.replies.insert(call, answer);
            let event = if kind == Kind::Join {
                Event::JoinReply(g, run, call)
            } else {
                Event::Reply(g, run, call)
            };
            self.at(now + trip, event);
        } else if kind == Kind::Join {
            self.at(now + TIMEOUT, Event::JoinReply(g, run, call));
        } else {
            self.at(now + TIMEOUT, Event::TimeOut(g, run, call, kind));
        }
    }

    fn tick(&mut self, g: usize, run: u32) {
        let now = self.now;
        if self.gateways[g].run != run || !self.gateways[g].alive {
            return;
        }
        let missed = std::mem::take(&mut self.gateways[g].missed);
        // A stopped process finds what it missed in any order; the worst is the tick coming last.
        let (ticks, others): (Vec<_>, Vec<_>) = missed
            .into_iter()
            .partition(|e| matches!(e, Event::Tick(..)));
        drop(ticks);
        for event in others {
            self.act(event);
        }
        let grant = self.gateways[g].keeper.tick(now);
        self.wake(g, grant.go, grant.refused);
        self.exchange(g);
        self.join(g);
        self.leave(g);
        self.at(now + TICK, Event::Tick(g, run));
        if g == 0 {
            self.history.push((now, self.registers.clone()));
        }
        self.look();
    }

    /// Says good-bye as soon as nothing is left to do, and is gone.
    fn leave(&mut self, g: usize) {
        let now = self.now;
        let gateway = &mut self.gateways[g];
        let Some(by) = gateway.leaves_by.filter(|_| gateway.alive) else {
            return;
        };
        let idle = gateway.keeper.in_flight().0 == 0
            && gateway.waiters.is_empty()
            && gateway.joins.is_empty()
            && gateway.joining.is_none();
        let word = if idle {
            gateway.keeper.last_word()
        } else {
            None
        };
        if word.is_none() && now < by {
            return;
        }
        match word {
            Some(word) if self.reaches(g) => self.send_leave(g, &word),
            _ => self.unsaid.push(self.gateways[g].run),
        }
        self.kill(g);
    }

    fn send_leave(&mut self, g: usize, word: &Leave) {
        self.call(g, Kind::Leave, |registers, _| {
            registers.leave(word);
            Reply::Farewell
        });
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

    fn exchange(&mut self, g: usize) {
        let (now, nonce) = (self.now, self.nonce());
        if let Some(call) = self.gateways[g].keeper.exchange(now, nonce) {
            self.send_exchange(g, &call);
        }
    }

    fn send_exchange(&mut self, g: usize, call: &Exchange) {
        let asked = self.now;
        self.call(g, Kind::Exchange, |registers, wall| {
            Reply::Exchanged(asked, Box::new(registers.exchange(wall, call)))
        });
    }

    fn reply(&mut self, g: usize, reply: Reply) {
        let now = self.now;
        match reply {
            Reply::Exchanged(asked, exchanged) => {
                let keeper = &mut self.gateways[g].keeper;
                let answer = keeper.exchanged(now, asked, *exchanged);
                let merges = answer.merge;
                if let Some(publish) = answer.publish {
                    self.call(g, Kind::Publish, move |registers, _| {
                        let accepted = registers.publish(&publish);
                        Reply::Published(Box::new(publish), accepted)
                    });
                }
                self.merge(g, merges);
                self.wake(g, answer.grant.go, answer.grant.refused);
                self.exchange(g);
            }
            Reply::Published(publish, accepted) => {
                let keeper = &mut self.gateways[g].keeper;
                keeper.published(now, &publish, accepted);
            }
            Reply::Merged(accepted) => self.gateways[g].keeper.merged(accepted),
            Reply::Farewell => {}
            Reply::Joined(_) => unreachable!(),
        }
    }

    fn merge(&mut self, g: usize, merges: Vec<Merge>) {
        if merges.is_empty() {
            return;
        }
        self.call(g, Kind::Merge, move |registers, wall| {
            Reply::Merged(merges.iter().all(|merge| registers.merge(wall, merge)))
        });
    }

    fn join(&mut self, g: usize) {
        let gateway = &mut self.gateways[g];
        if gateway.joins.is_empty() || gateway.joining.is_some() {
            return;
        }
        let batch = std::mem::take(&mut gateway.joins);
        let counts = counts(&batch);
        gateway.joining = Some(batch);
        let nonce = self.nonce();
        match self.gateways[g].keeper.joining(nonce, &counts) {
            Some(call) => self.send_join(g, &call),
            None => self.joined(g, None),
        }
    }

    fn send_join(&mut self, g: usize, call: &Join) {
        self.call(g, Kind::Join, |registers, wall| {
            Reply::Joined(registers.join(wall, call))
        });
    }

    fn joined(&mut self, g: usize, joined: Option<&Joined>) {
        let now = self.now;
        let batch = self.gateways[g].joining.take().expect("asked");
        let keeper = &mut self.gateways[g].keeper;
        let mut sorted = batch;
        sorted.sort_by_key(|(_, school)| school.0);
        let turns: Vec<_> = match joined {
            Some(joined) => keeper.joined(&counts(&sorted), joined),
            None => sorted
                .iter()
                .map(|(_, school)| keeper.join(*school).unwrap())
                .collect(),
        };
        assert_eq!(turns.len(), sorted.len());
        for ((number, _), turn) in sorted.into_iter().zip(turns) {
            let pupil = &mut self.pupils[number];
            pupil.turn = Some(turn);
            pupil.joined = now;
            pupil.asked = 0;
            let (joined, school) = (now, pupil.school);
            // Somebody who joined clearly earlier has a later turn.
            let inversion = self
                .pupils
                .iter()
                .filter(|p| p.school == school && p.begun == 0)
                .filter(|p| p.turn.is_some_and(|(other, _)| other > turn.0))
                .map(|p| joined.saturating_sub(p.joined))
                .max()
                .unwrap_or_default();
            self.outcome.inversion = self.outcome.inversion.max(inversion);
            let soon = Duration::from_secs_f64(0.2 + self.unit());
            self.at(now + soon, Event::Poll(number));
        }
    }

    fn come(&mut self, number: usize) {
        let now = self.now;
        let Some(g) = self
            .any_gateway()
            .filter(|g| now >= self.gateways[*g].paused_until)
        else {
            self.at(now + Duration::from_secs(1), Event::Come(number));
            return;
        };
        let gateway = &mut self.gateways[g];
        self.pupils[number].at = g;
        self.pupils[number].asked = 1;
        if gateway.keeper.straight(now) == Straight::Go {
            self.begin(g, number);
            return;
        }
        let school = SchoolIndex(self.pupils[number].school);
        gateway.joins.push((number, school));
        self.join(g);
    }

    fn poll(&mut self, number: usize) {
        if self.pupils[number].begun > 0 || self.pupils[number].asked > 0 {
            return;
        }
        let now = self.now;
        let again = now + Duration::from_secs_f64(0.8 + 0.4 * self.unit());
        let (turn, _) = self.pupils[number].turn.expect("joined");
        let Some(g) = self.any_gateway() else {
            self.at(again, Event::Poll(number));
            return;
        };
        let school = SchoolIndex(self.pupils[number].school);
        let gateway = &mut self.gateways[g];
        if now >= gateway.paused_until {
            gateway.keeper.observe(school, turn);
        }
        let paused = now < gateway.paused_until;
        if paused || !gateway.keeper.serving().admits(turn) {
            let latest = self.latest_in[school.0 as usize];
            let by = latest.saturating_sub(self.pupils[number].joined);
            if !paused {
                self.outcome.overtaken = self.outcome.overtaken.max(by);
            }
            self.at(again, Event::Poll(number));
            return;
        }
        if self.unit() < self.plan.cheats
            && let Some(other) = self.any_gateway()
        {
            let at = now + Duration::from_secs_f64(0.1 * self.unit());
            self.at(at, Event::Cheat(number, other));
        }
        self.enter(number, g, true);
    }

    fn enter(&mut self, number: usize, g: usize, honest: bool) {
        let now = self.now;
        let again = now + Duration::from_secs_f64(0.8 + 0.4 * self.unit());
        let (turn, epoch) = self.pupils[number].turn.expect("joined");
        let school = SchoolIndex(self.pupils[number].school);
        let gateway = &mut self.gateways[g];
        if !gateway.alive || now < gateway.paused_until {
            return;
        }
        let waiter = gateway.next_waiter;
        gateway.next_waiter += 1;
        match gateway.keeper.enter(now, school, turn, epoch, waiter) {
            Ok(Entry::Go) => self.begin_ticket(g, number),
            Ok(Entry::Buffered(id)) => {
                gateway.waiters.insert(waiter, (id, number));
                if honest {
                    self.pupils[number].asked = 1;
                    self.pupils[number].at = g;
                }
                self.exchange(g);
            }
            // Used, if it was not it, was its own second try: it asks until that is decided.
            Err(_) if honest => self.at(again, Event::Poll(number)),
            Err(_) => {}
        }
    }

    fn wake(&mut self, g: usize, go: Vec<usize>, refused: Vec<usize>) {
        for waiter in go {
            let (_, number) = self.gateways[g].waiters.remove(&waiter).expect("waits");
            self.begin_ticket(g, number);
        }
        for waiter in refused {
            // Only a cheat has its ticket in two places.
            let (_, number) = self.gateways[g].waiters.remove(&waiter).expect("waits");
            self.pupils[number].asked = 0;
            let again = self.now + Duration::from_secs(1);
            self.at(again, Event::Poll(number));
        }
    }

    fn begin_ticket(&mut self, g: usize, number: usize) {
        let pupil = &mut self.pupils[number];
        pupil.by_ticket = true;
        let latest = &mut self.latest_in[pupil.school as usize];
        *latest = pupil.joined.max(*latest);
        self.begin(g, number);
    }

    /// Whether nobody can know of a pupil's login: the gateway that performed it was stopped for longer
    /// than its lease, or it died before it could tell the ledger, or after that and the ledger forgot.
    fn nobody_knows(&self, number: usize) -> bool {
        let Pupil {
            performer,
            performed_since: since,
            ..
        } = self.pupils[number];
        let mut alive = self.gateways.iter().filter(|g| g.alive);
        if let Some(gateway) = alive.find(|g| Some(g.run) == performer) {
            return gateway.silent_since.iter().any(|at| *at >= since);
        }
        if performer.is_some_and(|run| self.unsaid.contains(&run)) {
            return true;
        }
        let until_told = self.plan.login.mul_f64(1.2) + UNTOLD + self.plan.round_trip;
        // Whoever is stopped tells nothing meanwhile.
        let stopped = |until: Duration| -> Duration {
            let faults = self.plan.faults.iter();
            let stops = faults.filter_map(|(at, fault)| match fault {
                Fault::Paused(_, time) if *at <= until && *at + *time >= since => Some(*time),
                _ => None,
            });
            stops.sum()
        };
        let mut later = self.plan.faults.iter().filter(|(at, _)| *at >= since);
        later.any(|(at, fault)| match fault {
            Fault::Wiped | Fault::Back(_) => true,
            Fault::Killed(..) => *at <= since + until_told + stopped(*at),
            _ => false,
        })
    }

    fn begin(&mut self, g: usize, number: usize) {
        self.in_flight += 1;
        self.outcome.most_in_flight = self.outcome.most_in_flight.max(self.in_flight);
        self.pupils[number].begun += 1;
        if self.pupils[number].begun == 2 {
            self.outcome.doubled += 1;
            self.outcome.begun_again += usize::from(self.nobody_knows(number));
        }
        let pupil = &mut self.pupils[number];
        pupil.performer = Some(self.gateways[g].run);
        pupil.performed_since = self.now;
        let second = self.now.as_secs() as usize;
        if self.outcome.begun.len() <= second {
            self.outcome.begun.resize(second + 1, 0);
        }
        self.outcome.begun[second] += 1;
        let took = self.plan.login.mul_f64(0.8 + 0.4 * self.unit());
        let run = self.gateways[g].run;
        self.at(self.now + took, Event::Done(g, run, number));
    }
}

fn counts(batch: &[(usize, SchoolIndex)]) -> Vec<(SchoolIndex, u32)> {
    let mut counts = std::collections::BTreeMap::new();
    for (_, school) in batch {
        *counts.entry(*school).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}
