//! Whoever has a turn: held, told to wait, or let in.

use std::time::Duration;

use einlass_admission::{Entry, Grant, Refusal, Standing, Turn};

use super::{Browser, Einlass, LATER, wait};
use crate::policy::{Effects, Promise, Pupil, Told};

/// While the buffer is full, about so long until it is tried again.
const AGAIN: Duration = Duration::from_millis(500);

impl Einlass {
    /// A place has been given: hold the request if the turn is near.
    pub(super) fn placed(&mut self, now: Duration, g: usize, pupil: Pupil) -> Told {
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

    pub(super) fn standing(&mut self, now: Duration, g: usize, pupil: Pupil) -> Told {
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
                    reason: reason.map(|(_, ago)| ago.as_secs_f64()),
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
    pub(super) fn look_at_held(&mut self, now: Duration, g: usize, effects: &mut Effects) {
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

    pub(super) fn wake(&mut self, grant: Grant<Pupil>, effects: &mut Effects) {
        effects.go.extend(grant.go);
        for pupil in grant.refused.into_iter().chain(grant.shut) {
            let after = wait(LATER.mul_f64(0.5 + self.rng.f64()));
            effects.told.push((pupil, after));
        }
    }
}
