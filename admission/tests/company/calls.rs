//! What the gateways and the ledger say to each other, with all that may go wrong on the way.

use std::time::Duration;

use einlass_admission::SchoolIndex;
use einlass_admission::ledger::{Exchange, Join, Joined, Leave, Merge, Registers};

use super::{Event, Kind, Play, Reply};

const TIMEOUT: Duration = Duration::from_millis(250);

impl Play {
    pub(super) fn reaches(&self, g: usize) -> bool {
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

    pub(super) fn timed_out(&mut self, g: usize, run: u32, call: u64, kind: Kind) {
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

    pub(super) fn exchange(&mut self, g: usize) {
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

    pub(super) fn reply(&mut self, g: usize, reply: Reply) {
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

    pub(super) fn join(&mut self, g: usize) {
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

    pub(super) fn joined(&mut self, g: usize, joined: Option<&Joined>) {
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

    pub(super) fn send_leave(&mut self, g: usize, word: &Leave) {
        self.call(g, Kind::Leave, |registers, _| {
            registers.leave(word);
            Reply::Farewell
        });
    }
}

fn counts(batch: &[(usize, SchoolIndex)]) -> Vec<(SchoolIndex, u32)> {
    let mut counts = std::collections::BTreeMap::new();
    for (_, school) in batch {
        *counts.entry(*school).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}
