//! What the pupils' browsers do: come, poll, go in, and in a few cases go in twice.

use std::time::Duration;

use einlass_admission::{Entry, SchoolIndex, Straight, Verdict};

use super::{Event, Fault, Play, Pupil, UNTOLD};

/// How long a load balancer sends browsers to a gateway that does not answer.
const NOTICED: Duration = Duration::from_secs(1);

impl Play {
    /// The pupils, and when each of them comes.
    pub(super) fn invite(&mut self) {
        let weights: u32 = self.plan.schools.iter().sum();
        // The gateways have been up for a while when the first come.
        let start = Duration::from_secs(3);
        for number in 0..self.plan.pupils {
            let mut drawn = (self.unit() * f64::from(weights)) as u32;
            let mut school = 0;
            while drawn >= self.plan.schools[school as usize] {
                drawn -= self.plan.schools[school as usize];
                school += 1;
            }
            let came = start + self.plan.over.mul_f64(self.unit());
            self.pupils.push(Pupil {
                school,
                came,
                ..Pupil::default()
            });
            self.at(came, Event::Come(number));
        }
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

    pub(super) fn come(&mut self, number: usize) {
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

    pub(super) fn poll(&mut self, number: usize) {
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

    pub(super) fn enter(&mut self, number: usize, g: usize, honest: bool) {
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

    pub(super) fn wake(&mut self, g: usize, go: Vec<usize>, refused: Vec<usize>) {
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

    /// The backend has finished a login, which nobody hears of if the gateway is another by now.
    pub(super) fn ended(&mut self, g: usize, run: u32, pupil: usize) {
        let now = self.now;
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
}
