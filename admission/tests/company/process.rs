//! A gateway's process: it starts, ticks, takes its leave, or dies.

use std::collections::HashMap;
use std::time::Duration;

use einlass_admission::ledger::MemberId;
use einlass_admission::{Fixed, Gatekeeper, Membership, Room, SchoolKey, Settings, Weight};

use super::{Event, Gateway, Play};

const TICK: Duration = Duration::from_millis(50);

impl Play {
    pub(super) fn process(&mut self) -> Gateway {
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

    pub(super) fn tick(&mut self, g: usize, run: u32) {
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

    /// The process is gone, whatever it was doing.
    pub(super) fn kill(&mut self, g: usize) {
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
}
