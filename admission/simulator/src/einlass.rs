//! The gateway's own room, at one gateway or at several that share it through a ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use einlass_admission::ledger::{Exchanged, Joined, MemberId, Merge, Publish, Registers};
use einlass_admission::state::RoomState;
use einlass_admission::{
    Adaptive, Bands, Bounds, Entry, Fixed, Gatekeeper, Grant, Membership, Memory, Pacer, Pass,
    Refusal, Room, RoomKey, SchoolIndex, SchoolKey, Serving, Settings, Standing, Step, Straight,
    Turn, Unix, Verdict, View, WaiterId, Weight,
};

use crate::aimd::Aimd;
use crate::policy::{Admit, Effects, Gauge, Promise, Pupil, Told};
use crate::scenario::{Fleet, Gate, Policy, Pool};

/// Every so many ticks polls get a new picture.
const PUBLISH: u64 = 2;
/// How long one call to the ledger may take.
const TIMEOUT: Duration = Duration::from_millis(250);
/// While the buffer is full, about so long until it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// After a refusal, about so long.
const LATER: Duration = Duration::from_secs(1);

struct Gateway {
    keeper: Gatekeeper<Pupil>,
    view: View,
    /// Requests that are held, by turn.
    held: BTreeSet<(Turn, Pupil)>,
    joins: Vec<Pupil>,
    joining: Option<Vec<Pupil>>,
}

/// What comes back from the ledger.
enum Reply {
    Exchanged(Duration, Box<Exchanged>),
    ExchangeFailed,
    Published(Box<Publish>, bool),
    Merged(bool),
    Joined(Option<Joined>),
}

/// What the policy keeps of a pupil: what the browser has in its cookies, and where it is served.
#[derive(Clone, Copy, Default)]
struct Browser {
    turn: Turn0,
    epoch: u32,
    called: u64,
    gateway: u8,
    held: bool,
    by_ticket: bool,
    waiter: Option<WaiterId>,
    /// Passes they were given: a fresh one comes with every answer.
    passes: u32,
    /// The latest has no tries left: they have a turn again.
    worn_out: bool,
}

/// A turn, or 0 for none.
type Turn0 = u64;

pub(crate) struct Einlass {
    fleet: Fleet,
    alone: bool,
    hold: Duration,
    gateways: Vec<Gateway>,
    registers: Registers,
    schools: Vec<u32>,
    steps: Vec<Step>,
    browsers: Vec<Browser>,
    replies: HashMap<u64, (usize, Reply)>,
    calls: u64,
    ticks: u64,
    rng: fastrand::Rng,
}

impl Einlass {
    /// `schools` is the school of every pupil.
    pub(crate) fn new(pool: &Pool, fleet: &Fleet, schools: Vec<u32>, seed: u64) -> Self {
        let alone = fleet.skew.len() < 2;
        let weights: Vec<Weight> = pool
            .schools
            .iter()
            .map(|school| weight(school.pupils))
            .collect();
        let keys = pool.schools.iter().map(|s| SchoolKey::of(&s.name));
        let room = Room::new(keys.zip(weights.iter().copied()));
        let settings = Settings {
            closed: false,
            observe: false,
            page_gate: matches!(pool.admission.gate, Gate::Page { .. }),
            ceiling: pool.admission.ceiling,
            ticket_lifetime: Duration::from_hours(4),
            pass_tries: 3,
        };
        let gateways = (1..=fleet.skew.len() as u64).map(|number| {
            let epoch = u32::try_from(number).unwrap_or(u32::MAX);
            let pacer = pacer(pool);
            let mut keeper = Gatekeeper::new(room.clone(), epoch, settings, pacer);
            if !pool.admission.first_day {
                keeper.restore(earlier_day(pool));
            }
            if !alone {
                keeper = keeper.in_fleet(Membership {
                    member: MemberId(number),
                    share_unheard: 1,
                });
            }
            Gateway {
                view: keeper.view(),
                keeper,
                held: BTreeSet::new(),
                joins: Vec::new(),
                joining: None,
            }
        });
        Self {
            fleet: fleet.clone(),
            alone,
            hold: pool.admission.hold,
            gateways: gateways.collect(),
            registers: Registers::default(),
            browsers: vec![Browser::default(); schools.len()],
            steps: weights.iter().map(|weight| weight.step()).collect(),
            schools,
            replies: HashMap::new(),
            calls: 0,
            ticks: 0,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    fn school(&self, pupil: Pupil) -> SchoolIndex {
        SchoolIndex(self.schools[pupil as usize])
    }

    fn browser(&mut self, pupil: Pupil) -> &mut Browser {
        &mut self.browsers[pupil as usize]
    }

    /// Which gateway the load balancer in front chooses.
    fn any(&mut self) -> usize {
        if self.alone {
            return 0;
        }
        let mut drawn = self.rng.f64() * self.fleet.skew.iter().sum::<f64>();
        for (g, part) in self.fleet.skew.iter().enumerate() {
            drawn -= part;
            if drawn < 0.0 {
                return g;
            }
        }
        self.fleet.skew.len() - 1
    }

    /// A place has been given: hold the request if the turn is near.
    fn placed(&mut self, now: Duration, g: usize, pupil: Pupil) -> Told {
        let turn = Turn(self.browsers[pupil as usize].turn);
        let gateway = &self.gateways[g];
        if gateway.keeper.serving().admits(turn) {
            return self.enter(now, g, pupil);
        }
        let view = &gateway.view;
        let waiting = gateway.keeper.waiting();
        let joined = waiting.saturating_sub(view.waiting) as f64;
        let ahead = (view.curve.ahead(turn) + joined).min(waiting as f64);
        let soon = match view.pace {
            Some(pace) => ahead <= pace * self.hold.as_secs_f64(),
            None => ahead <= f64::from(gateway.keeper.in_flight().1),
        };
        if soon && !self.hold.is_zero() {
            self.gateways[g].held.insert((turn, pupil));
            let browser = self.browser(pupil);
            browser.held = true;
            browser.gateway = u8::try_from(g).unwrap_or(u8::MAX);
            return Told::Held(self.hold);
        }
        self.standing(now, g, pupil)
    }

    fn standing(&mut self, now: Duration, g: usize, pupil: Pupil) -> Told {
        let jitter = self.rng.f64();
        let school = self.school(pupil);
        let turn = Turn(self.browsers[pupil as usize].turn);
        let gateway = &mut self.gateways[g];
        let known = gateway.view.last.get(school.0 as usize).copied();
        if gateway.keeper.is_learning() || known.is_some_and(|last| turn > last) {
            gateway.keeper.observe(school, turn);
        }
        let serving = gateway.keeper.serving();
        let step = self.steps[school.0 as usize];
        match gateway.view.standing(serving, turn, step, jitter) {
            Standing::Ready => self.enter(now, g, pupil),
            Standing::Waiting {
                eta,
                reason,
                poll_after,
                ..
            } => Told::Wait {
                after: Duration::from_secs_f64(poll_after),
                promise: eta.map(|eta| Promise {
                    low: eta.low as f64,
                    likely: eta.likely as f64,
                    high: eta.high as f64,
                    reason: reason.is_some(),
                }),
            },
            Standing::Shut { poll_after, .. } => Told::Wait {
                after: Duration::from_secs_f64(poll_after),
                promise: None,
            },
        }
    }

    fn enter(&mut self, now: Duration, g: usize, pupil: Pupil) -> Told {
        let school = self.school(pupil);
        let Browser { turn, epoch, .. } = self.browsers[pupil as usize];
        let keeper = &mut self.gateways[g].keeper;
        match keeper.enter(now, school, Turn(turn), epoch, pupil) {
            Ok(entry) => {
                let browser = self.browser(pupil);
                browser.gateway = u8::try_from(g).unwrap_or(u8::MAX);
                browser.by_ticket = true;
                match entry {
                    Entry::Go => Told::Go,
                    Entry::Buffered(id) => {
                        browser.waiter = Some(id);
                        Told::Buffered
                    }
                }
            }
            Err(Refusal::Full) => wait(AGAIN.mul_f64(0.5 + self.rng.f64())),
            Err(_) => wait(LATER.mul_f64(0.5 + self.rng.f64())),
        }
    }

    /// Lets held requests in whose turn has come.
    fn look_at_held(&mut self, now: Duration, g: usize, effects: &mut Effects) {
        while let Some((turn, pupil)) = self.gateways[g].held.first()
            && self.gateways[g].keeper.serving().admits(*turn)
        {
            let (turn, pupil) = (*turn, *pupil);
            self.gateways[g].held.remove(&(turn, pupil));
            self.browser(pupil).held = false;
            match self.enter(now, g, pupil) {
                Told::Go => effects.go.push(pupil),
                Told::Buffered => effects.buffered.push(pupil),
                told => effects.told.push((pupil, told)),
            }
        }
    }

    fn wake(&mut self, grant: Grant<Pupil>, effects: &mut Effects) {
        effects.go.extend(grant.go);
        for pupil in grant.refused.into_iter().chain(grant.shut) {
            let after = wait(LATER.mul_f64(0.5 + self.rng.f64()));
            effects.told.push((pupil, after));
        }
    }

    // --- The ledger, a round trip away. ---

    fn reaches(&self, now: Duration) -> bool {
        !self
            .fleet
            .apart
            .iter()
            .any(|(from, until)| (*from..*until).contains(&now))
    }

    fn wall(now: Duration) -> u64 {
        1_000_000 + u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    fn answer(&mut self, at: Duration, g: usize, reply: Reply, effects: &mut Effects) {
        self.calls += 1;
        self.replies.insert(self.calls, (g, reply));
        effects.later.push((at, self.calls));
    }

    fn exchange(&mut self, now: Duration, g: usize, effects: &mut Effects) {
        if self.alone {
            return;
        }
        let nonce = self.rng.u32(1..);
        let Some(call) = self.gateways[g].keeper.exchange(now, nonce) else {
            return;
        };
        if self.reaches(now) {
            let exchanged = self.registers.exchange(Self::wall(now), &call);
            let reply = Reply::Exchanged(now, Box::new(exchanged));
            self.answer(now + self.fleet.round_trip, g, reply, effects);
        } else {
            self.answer(now + TIMEOUT, g, Reply::ExchangeFailed, effects);
        }
    }

    fn publish(&mut self, now: Duration, g: usize, publish: Publish, effects: &mut Effects) {
        if self.reaches(now) {
            let accepted = self.registers.publish(&publish);
            let reply = Reply::Published(Box::new(publish), accepted);
            self.answer(now + self.fleet.round_trip, g, reply, effects);
        }
    }

    fn merge(&mut self, now: Duration, g: usize, merges: &[Merge], effects: &mut Effects) {
        if merges.is_empty() {
            return;
        }
        let reaches = self.reaches(now);
        let wall = Self::wall(now);
        let accepted = reaches && merges.iter().all(|m| self.registers.merge(wall, m));
        let trip = if reaches {
            self.fleet.round_trip
        } else {
            TIMEOUT
        };
        self.answer(now + trip, g, Reply::Merged(accepted), effects);
    }

    fn join(&mut self, now: Duration, g: usize, effects: &mut Effects) {
        if self.gateways[g].joins.is_empty() || self.gateways[g].joining.is_some() {
            return;
        }
        let mut batch = std::mem::take(&mut self.gateways[g].joins);
        // Per school in the order of arrival.
        batch.sort_by_key(|pupil| self.schools[*pupil as usize]);
        let counts = self.counted(&batch);
        self.gateways[g].joining = Some(batch);
        let nonce = self.rng.u32(1..);
        match self.gateways[g].keeper.joining(nonce, &counts) {
            Some(call) if self.reaches(now) => {
                let joined = self.registers.join(Self::wall(now), &call);
                let at = now + self.fleet.round_trip;
                self.answer(at, g, Reply::Joined(Some(joined)), effects);
            }
            Some(_) => self.answer(now + TIMEOUT, g, Reply::Joined(None), effects),
            None => self.joined(now, g, None, effects),
        }
    }

    fn counted(&self, batch: &[Pupil]) -> Vec<(SchoolIndex, u32)> {
        let school = |pupil: &Pupil| self.schools[*pupil as usize];
        batch
            .chunk_by(|one, other| school(one) == school(other))
            .map(|same| {
                let pupils = u32::try_from(same.len()).unwrap_or(u32::MAX);
                (SchoolIndex(school(&same[0])), pupils)
            })
            .collect()
    }

    fn joined(&mut self, now: Duration, g: usize, joined: Option<Joined>, effects: &mut Effects) {
        let Some(batch) = self.gateways[g].joining.take() else {
            return;
        };
        let counts = self.counted(&batch);
        let turns: Vec<(Turn, u32)> = match joined {
            Some(joined) => self.gateways[g].keeper.joined(&counts, &joined),
            None => batch
                .iter()
                .filter_map(|pupil| {
                    let school = SchoolIndex(self.schools[*pupil as usize]);
                    self.gateways[g].keeper.join(school)
                })
                .collect(),
        };
        for (pupil, (turn, epoch)) in batch.into_iter().zip(turns) {
            let browser = self.browser(pupil);
            browser.turn = turn.0;
            browser.epoch = epoch;
            match self.placed(now, g, pupil) {
                Told::Go => effects.go.push(pupil),
                told => effects.told.push((pupil, told)),
            }
        }
        self.join(now, g, effects);
    }

    /// Takes over how far another gateway has called the room, from the browser's cookie.
    fn hear(&mut self, now: Duration, g: usize, pupil: Pupil) {
        if self.alone {
            return;
        }
        let called = Serving(self.browsers[pupil as usize].called);
        let keeper = &mut self.gateways[g].keeper;
        if called > keeper.serving() {
            keeper.hear(now, called);
        }
        self.browsers[pupil as usize].called = self.gateways[g].keeper.serving().0;
    }
}

fn wait(after: Duration) -> Told {
    Told::Wait {
        after,
        promise: None,
    }
}

/// The weight of a school; what is no weight counts as the nearest.
fn weight(pupils: u32) -> Weight {
    let pupils = pupils.clamp(1, Weight::MAX);
    // The range has just been seen to.
    Weight::new(pupils).unwrap_or_else(|| unreachable!("{pupils} is within the range"))
}

/// What a gateway has in its state file from a day on which the backend was as it is at the start.
fn earlier_day(pool: &Pool) -> RoomState {
    let backend = &pool.backend;
    let cores = backend.cores.at(Duration::ZERO);
    RoomState {
        serving: Serving::START,
        last: BTreeMap::new(),
        used: BTreeMap::new(),
        pacer: Memory {
            no_load: Some(backend.hash.as_secs_f64()),
            // Quantiles and mean of a log-normal cost, over its median.
            tail: Some((1.282 * backend.spread).exp()),
            mean: Some((backend.spread * backend.spread / 2.0).exp()),
            cap: Some(1.15 * cores),
            rate: None,
            fresh: false,
            typing: match pool.admission.gate {
                Gate::Page { typing } => Some(typing.as_secs_f64()),
                _ => None,
            },
        },
        forecast: Bands::default(),
    }
}

fn pacer(pool: &Pool) -> Box<dyn Pacer> {
    let ceiling = pool.admission.ceiling;
    match pool.admission.policy {
        Policy::Adaptive { min, max } | Policy::Fifo { min, max } => {
            Box::new(Adaptive::new(Bounds { min, max }, ceiling))
        }
        Policy::Aimd { min, max } => Box::new(Aimd::new(min, max)),
        Policy::Fixed { cap } => Box::new(Fixed::new(cap, ceiling)),
        // Those have no pacer, and no room either.
        Policy::Counter { .. } | Policy::PerAddress { .. } => Box::new(Fixed::new(1, ceiling)),
    }
}

impl Admit for Einlass {
    fn submit(&mut self, now: Duration, pupil: Pupil, effects: &mut Effects) -> Told {
        let g = self.any();
        self.hear(now, g, pupil);
        if self.gateways[g].keeper.straight(now) == Straight::Go {
            let browser = self.browser(pupil);
            browser.gateway = u8::try_from(g).unwrap_or(u8::MAX);
            browser.by_ticket = false;
            return Told::Go;
        }
        if !self.alone {
            self.gateways[g].joins.push(pupil);
            self.join(now, g, effects);
            return Told::Nothing;
        }
        let school = self.school(pupil);
        let Some((turn, epoch)) = self.gateways[g].keeper.join(school) else {
            return Told::Turned;
        };
        let browser = self.browser(pupil);
        browser.turn = turn.0;
        browser.epoch = epoch;
        self.placed(now, g, pupil)
    }

    fn poll(&mut self, now: Duration, pupil: Pupil, effects: &mut Effects) -> Told {
        let Browser {
            turn,
            gateway,
            held,
            ..
        } = self.browsers[pupil as usize];
        if turn == 0 {
            return self.submit(now, pupil, effects);
        }
        if held {
            self.gateways[usize::from(gateway)]
                .held
                .remove(&(Turn(turn), pupil));
            self.browser(pupil).held = false;
        }
        let g = self.any();
        self.hear(now, g, pupil);
        let told = self.standing(now, g, pupil);
        if matches!(told, Told::Buffered) {
            self.exchange(now, g, effects);
        }
        told
    }

    fn again(&mut self, now: Duration, pupil: Pupil, effects: &mut Effects) -> Told {
        if self.browser(pupil).worn_out {
            return self.poll(now, pupil, effects);
        }
        let g = self.any();
        let browser = self.browser(pupil);
        let pass = Pass {
            room: RoomKey(0),
            school: SchoolKey(0),
            expires: Unix(u64::MAX),
            id: u64::from(browser.passes) << 32 | u64::from(pupil),
        };
        browser.gateway = u8::try_from(g).unwrap_or(u8::MAX);
        browser.by_ticket = false;
        match self.gateways[g].keeper.enter_again(now, &pass, pupil) {
            Ok(Entry::Go) => Told::Go,
            Ok(Entry::Buffered(id)) => {
                self.browser(pupil).waiter = Some(id);
                Told::Buffered
            }
            Err(Refusal::Used) => {
                let browser = self.browser(pupil);
                browser.worn_out = true;
                browser.turn = 0;
                self.submit(now, pupil, effects)
            }
            Err(_) => wait(LATER),
        }
    }

    fn lose_patience(&mut self, pupil: Pupil) -> bool {
        let school = self.school(pupil);
        let Browser {
            turn,
            epoch,
            gateway,
            by_ticket,
            waiter,
            ..
        } = self.browsers[pupil as usize];
        let keeper = &mut self.gateways[usize::from(gateway)].keeper;
        let left = waiter.is_some_and(|id| keeper.leave(id));
        if left && by_ticket {
            keeper.unuse(school, Turn(turn), epoch);
        }
        left
    }

    fn left(&mut self, _: Duration, pupil: Pupil, _: &mut Effects) {
        let Browser {
            turn,
            gateway,
            held,
            ..
        } = self.browsers[pupil as usize];
        if held {
            self.gateways[usize::from(gateway)]
                .held
                .remove(&(Turn(turn), pupil));
        }
    }

    fn overdue(&mut self, _: Duration, pupil: Pupil) {
        let g = usize::from(self.browsers[pupil as usize].gateway);
        self.gateways[g].keeper.overdue();
    }

    fn overdue_after(&self) -> Option<Duration> {
        self.gateways
            .iter()
            .find_map(|gateway| gateway.keeper.overdue_after())
    }

    fn ended(&mut self, now: Duration, pupil: Pupil, verdict: Verdict, effects: &mut Effects) {
        let school = self.school(pupil);
        let Browser {
            turn,
            epoch,
            gateway,
            by_ticket,
            ..
        } = self.browsers[pupil as usize];
        let g = usize::from(gateway);
        let keeper = &mut self.gateways[g].keeper;
        if by_ticket {
            keeper.done(school, Turn(turn), epoch);
        }
        let browser = &mut self.browsers[pupil as usize];
        browser.passes += 1;
        browser.worn_out = false;
        let grant = keeper.finish(now, verdict);
        self.wake(grant, effects);
        self.exchange(now, g, effects);
    }

    fn tick(&mut self, now: Duration, effects: &mut Effects) {
        self.ticks += 1;
        for g in 0..self.gateways.len() {
            let grant = self.gateways[g].keeper.tick(now);
            self.wake(grant, effects);
            self.look_at_held(now, g, effects);
            self.exchange(now, g, effects);
            self.join(now, g, effects);
            if self.ticks.is_multiple_of(PUBLISH) {
                self.gateways[g].view = self.gateways[g].keeper.view();
            }
        }
    }

    fn later(&mut self, now: Duration, token: u64, effects: &mut Effects) {
        let Some((g, reply)) = self.replies.remove(&token) else {
            return;
        };
        let keeper = &mut self.gateways[g].keeper;
        match reply {
            Reply::Exchanged(asked, exchanged) => {
                let answer = keeper.exchanged(now, asked, *exchanged);
                if let Some(publish) = answer.publish {
                    self.publish(now, g, publish, effects);
                }
                self.merge(now, g, &answer.merge, effects);
                self.wake(answer.grant, effects);
                self.look_at_held(now, g, effects);
                self.exchange(now, g, effects);
            }
            Reply::ExchangeFailed => {
                let grant = keeper.exchange_failed();
                self.wake(grant, effects);
            }
            Reply::Published(publish, accepted) => keeper.published(now, &publish, accepted),
            Reply::Merged(accepted) => keeper.merged(accepted),
            Reply::Joined(joined) => self.joined(now, g, joined, effects),
        }
    }

    fn set_down(&mut self, down: bool) {
        for gateway in &mut self.gateways {
            gateway.keeper.set_down(down);
        }
    }

    fn gauge(&self) -> Gauge {
        let caps = self.gateways.iter().map(|g| g.keeper.in_flight().1);
        Gauge { cap: caps.sum() }
    }
}
