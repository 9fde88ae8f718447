//! The gateway's own room, at one gateway or at several that share it through a ledger.

mod gateway;
mod joins;
mod ledger;
mod turns;

use std::time::Duration;

use einlass_admission::{
    Entry, Pass, Refusal, Room, RoomKey, SchoolIndex, SchoolKey, Serving, Step, Straight, Turn,
    Unix, Verdict, WaiterId, Weight,
};

use crate::policy::{Admit, Effects, Gauge, Pupil, Told};
use crate::scenario::{Fleet, Pool};
use gateway::Gateway;
use ledger::{Ledger, Reply};

/// Every so many ticks polls get a new picture.
const PUBLISH: u64 = 2;
/// After a refusal, about so long.
const LATER: Duration = Duration::from_secs(1);

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
    /// The part of the browsers that comes to each gateway.
    skew: Vec<f64>,
    alone: bool,
    hold: Duration,
    gateways: Vec<Gateway>,
    ledger: Ledger,
    schools: Vec<u32>,
    steps: Vec<Step>,
    browsers: Vec<Browser>,
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
        let gateways = (1..=fleet.skew.len() as u64)
            .map(|number| Gateway::new(number, pool, room.clone(), alone));
        Self {
            skew: fleet.skew.clone(),
            alone,
            hold: pool.admission.hold,
            gateways: gateways.collect(),
            ledger: Ledger::of(fleet),
            browsers: vec![Browser::default(); schools.len()],
            steps: weights.iter().map(|weight| weight.step()).collect(),
            schools,
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
        let mut drawn = self.rng.f64() * self.skew.iter().sum::<f64>();
        for (g, part) in self.skew.iter().enumerate() {
            drawn -= part;
            if drawn < 0.0 {
                return g;
            }
        }
        self.skew.len() - 1
    }

    fn exchange(&mut self, now: Duration, g: usize, effects: &mut Effects) {
        if self.alone {
            return;
        }
        let nonce = self.rng.u32(1..);
        let Some(call) = self.gateways[g].keeper.exchange(now, nonce) else {
            return;
        };
        self.ledger.exchange(now, g, &call, effects);
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

/// The weight of a school; what is no weight counts as the nearest.
fn weight(pupils: u32) -> Weight {
    let pupils = pupils.clamp(1, Weight::MAX);
    // The range has just been seen to.
    Weight::new(pupils).unwrap_or_else(|| unreachable!("{pupils} is within the range"))
}

fn wait(after: Duration) -> Told {
    Told::Wait {
        after,
        promise: None,
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
        let Some((g, reply)) = self.ledger.take(token) else {
            return;
        };
        let keeper = &mut self.gateways[g].keeper;
        match reply {
            Reply::Exchanged(asked, exchanged) => {
                let answer = keeper.exchanged(now, asked, *exchanged);
                if let Some(publish) = answer.publish {
                    self.ledger.publish(now, g, publish, effects);
                }
                self.ledger.merge(now, g, &answer.merge, effects);
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
