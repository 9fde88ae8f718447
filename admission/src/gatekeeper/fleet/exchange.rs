//! The exchange with the ledger: what this gateway tells, and what it makes of the answer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::contact::{Stand, Told};
use super::{Fleet, Mode};
use crate::gatekeeper::{Gatekeeper, Grant};
use crate::ledger::{Caller, Exchange, Exchanged, LEASE, Leave, Merge, Publish, Report};
use crate::pacer::Memory;
use crate::state::RoomState;
use crate::turn::SchoolKey;

/// What is to be done after an exchange.
#[derive(Debug)]
#[must_use]
pub struct Answer<W> {
    /// Who to wake.
    pub grant: Grant<W>,
    /// To be told to the ledger; then call [`Gatekeeper::published`].
    pub publish: Option<Publish>,
    /// To be told to the ledger, in this order; then call [`Gatekeeper::merged`].
    pub merge: Vec<Merge>,
}

impl<W> Answer<W> {
    fn of(grant: Grant<W>) -> Self {
        Self {
            grant,
            publish: None,
            merge: Vec::new(),
        }
    }
}

impl<W> Gatekeeper<W> {
    /// What to tell the ledger now, if it is time to and nothing is under way.
    pub fn exchange(&mut self, now: Duration, nonce: u32) -> Option<Exchange> {
        let report = Report {
            in_flight: self.buffer.in_flight(),
            buffered: u32::try_from(self.buffered()).unwrap_or(u32::MAX),
            down: self.down,
        };
        let fleet = self.fleet.as_ref()?;
        let stand = Stand {
            report,
            share: fleet.share.slots(),
            free: self.buffer.free(),
            claims: !fleet.claims.is_empty(),
            idle: self.waiting == 0 && report.want() == 0,
        };
        if !fleet.contact.is_due(now, stand) {
            return None;
        }
        let keeps = self.tickets_to_keep();
        let fleet = self.fleet.as_mut()?;
        let share = if fleet.is_frozen() {
            fleet.share.slots()
        } else {
            fleet.share.leased(now)
        };
        let told = Told {
            kept: !keeps.is_empty(),
            claims: fleet.claims.keys(),
            news: std::mem::take(&mut fleet.untold),
        };
        let schools = told.news.schools();
        let schools = schools.filter_map(|index| self.room.schools().get(index.0 as usize));
        let (sent, released) = told.news.tickets();
        let call = Exchange {
            caller: Caller {
                member: fleet.member,
                nonce,
                seen: fleet.contact.seen(),
            },
            serving: self.room.serving(),
            share,
            report,
            events: told.news.events().clone(),
            learnt: schools
                .map(|school| (school.key(), school.tooth(school.last().0)))
                .collect(),
            keeps,
            claims: told.claims.iter().map(|(_, key)| *key).collect(),
            sent: sent.to_vec(),
            released: released.to_vec(),
        };
        fleet.contact.begin(now, report, share, told);
        Some(call)
    }

    /// The ledger has answered an exchange that was asked at `asked`.
    pub fn exchanged(&mut self, now: Duration, asked: Duration, reply: Exchanged) -> Answer<W> {
        let Some(fleet) = &mut self.fleet else {
            return Answer::of(self.grant());
        };
        let told = fleet.contact.finish().unwrap_or_default();
        let refused = self.decided(told.claims, &reply);
        let Some(fleet) = &mut self.fleet else {
            return Answer::of(self.grant());
        };
        let restored = fleet.hear(now, asked, &reply);
        let notice = fleet.notice;
        if reply.conduct.is_none() {
            self.conductor.follow(now, &notice);
        }
        let was_pacer = fleet.conducting.set_pacer(reply.conduct.is_some());
        // An answer that comes after the lease it gives is worth nothing.
        let slots = fleet.share.leased(now);
        self.set_slots(slots);
        self.room.merge_serving(reply.serving);
        self.hear_last(&reply.last);
        if let Some(state) = restored {
            self.take_over(corrected(state, &reply));
        }
        self.waiting = self.room.waiting();
        let publish = reply.conduct.and_then(|conduct| {
            if !was_pacer {
                let serving = self.room.serving();
                self.conductor.resume(now, serving, &notice, 1.0);
            }
            let complete = !reply.recovering;
            self.conduct(now, reply.seen.epoch, conduct, complete)
        });
        let mut grant = self.grant();
        grant.refused = refused;
        Answer {
            grant,
            publish,
            merge: self.merge(),
        }
    }

    /// Takes over the schools' last turns. What is new was given at other gateways.
    fn hear_last(&mut self, last: &[(SchoolKey, u64)]) {
        let mut elsewhere = 0;
        for (key, tooth) in last {
            if let Some(school) = self.room.index(*key) {
                let before = self.room.waiting_in(school);
                self.room.merge_tooth(school, *tooth);
                elsewhere += self.room.waiting_in(school).saturating_sub(before);
            }
        }
        if let Some(fleet) = &mut self.fleet {
            fleet.crowd.joined(0, elsewhere);
        }
    }

    /// The ledger has not answered. Nobody is woken by that: a process that was stopped may hear of it
    /// before it has looked at the clock, and its share may be somebody else's by now. The next tick
    /// lets in whoever may go.
    pub fn exchange_failed(&mut self) -> Grant<W> {
        if let Some(fleet) = &mut self.fleet
            && let Some(mut told) = fleet.contact.finish()
        {
            if told.kept {
                fleet.recovery.keep();
            }
            // Nobody waits longer for a ledger that does not answer.
            let claims = (fleet.mode == Mode::Shared).then_some(told.claims);
            for (id, _) in claims.into_iter().flatten() {
                if let Some(waiter) = fleet.claims.remove(id) {
                    self.buffer.insert(id, waiter);
                }
            }
            if fleet.is_frozen() {
                told.news.forget_logins();
            }
            if !fleet.untold.take_back(told.news) {
                fleet.recovery.merge();
            }
        }
        Grant::nobody()
    }

    /// The last word to the ledger: its slots are the others' at once, and what became of its tickets
    /// is known. `None` if there is nothing to be said: alone, cut off, while an exchange is under way,
    /// or with logins in flight whose slots are not free yet. Nothing else is told afterwards.
    pub fn last_word(&mut self) -> Option<Leave> {
        let in_flight = self.buffer.in_flight();
        let fleet = self.fleet.as_mut()?;
        let contact = &mut fleet.contact;
        let silent = fleet.mode == Mode::Frozen || !contact.is_made() || contact.has_ended();
        if silent || contact.is_busy() || in_flight > 0 {
            return None;
        }
        contact.end();
        self.buffer.set_cap(0);
        Some(std::mem::take(&mut fleet.untold).farewell(fleet.member))
    }
}

impl<W> Fleet<W> {
    /// What an answer to an exchange that was asked at `asked` says of the ledger, of the share and of
    /// the others. Returns what an earlier run left, if this is the first answer.
    fn hear(&mut self, now: Duration, asked: Duration, reply: &Exchanged) -> Option<RoomState> {
        let (before, first) = self.contact.answered(now, reply.seen);
        let lost = before.epoch != reply.seen.epoch;
        if lost {
            self.recovery.merge();
        }
        if lost || self.mode == Mode::Frozen {
            self.recovery.keep();
        }
        if reply.recovering || !self.recovery.is_merged() {
            self.set_mode(now, Mode::Recovering);
        } else {
            self.set_mode(now, Mode::Shared);
            self.recovery.is_over();
        }
        self.hear_share(now, asked, reply);
        let notice = reply.notice.unwrap_or(self.notice);
        if notice.members != self.notice.members {
            self.crowd.recount();
        }
        self.notice = notice;
        if first {
            self.recovery.restored()
        } else {
            None
        }
    }

    fn hear_share(&mut self, now: Duration, asked: Duration, reply: &Exchanged) {
        self.share.grant(reply.share, asked + LEASE);
        // Whoever has just come has no slots yet, and that says nothing.
        let long = now.saturating_sub(self.since) >= LEASE;
        let heard = self.mode == Mode::Shared && long;
        if reply.cap > 0 && !reply.recovering {
            self.share.is_of(reply.cap, heard);
            self.crowd.has_slots(self.share.portion());
        }
        self.crowd.hears(heard);
    }
}

/// What an earlier run left, as far as the ledger does not know better.
fn corrected(state: RoomState, reply: &Exchanged) -> RoomState {
    if reply.recovering {
        return state;
    }
    // Its own are the tickets that have entered here.
    RoomState {
        last: BTreeMap::new(),
        serving: reply.serving,
        pacer: Memory::default(),
        ..state
    }
}
