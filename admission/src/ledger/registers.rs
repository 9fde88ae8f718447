//! The ledger in memory: the reference for every other one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::{
    Caller, Conduct, Events, Exchange, Exchanged, Join, Joined, LEASE, Leave, MOST_EVENTS,
    MemberId, Merge, Notice, PACER_LEASE, Publish, RECOVERY, Report, SILENCE, Seen, TicketKey,
};
use crate::turn::{SchoolKey, Serving};

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// One gateway's row.
#[derive(Clone, Debug)]
struct Row {
    held: u32,
    until: u64,
    report: Report,
}

/// One room's registers, shared by several gateways.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    epoch: u32,
    /// Whether this process has seen the room before: what a restarted one has read from a disk
    /// may be older than what the gateways know.
    awake: bool,
    born: u64,
    /// The last exchange of anybody.
    heard: u64,
    version: u64,
    serving: u64,
    cap: u32,
    fence: u64,
    pacer: Option<(MemberId, u64)>,
    notice: Option<Notice>,
    members: BTreeMap<MemberId, Row>,
    targets: BTreeMap<MemberId, u32>,
    last: BTreeMap<SchoolKey, (u64, u64)>,
    used: BTreeSet<TicketKey>,
    claims: BTreeMap<MemberId, BTreeSet<TicketKey>>,
    events: VecDeque<Events>,
}

impl Registers {
    /// The same registers as another process reads them from a disk.
    #[must_use]
    pub fn restarted(&self) -> Self {
        Self {
            awake: false,
            ..self.clone()
        }
    }

    /// Begins a new epoch if what is here may be less than what the gateways know. A new epoch
    /// keeps new tickets apart from those of the time that was lost.
    fn wake(&mut self, now: u64, caller: &Caller) {
        let back = caller.seen.epoch == self.epoch && caller.seen.version > self.version;
        if self.awake && self.epoch != 0 && !back {
            return;
        }
        self.awake = true;
        self.epoch = caller.nonce;
        self.version = self.version.max(caller.seen.version) + 1;
        self.born = now;
        self.pacer = None;
        self.members.clear();
        for ticket in std::mem::take(&mut self.claims).into_values().flatten() {
            self.used.remove(&ticket);
        }
        self.events.clear();
    }

    /// What a gateway has and wants.
    pub fn exchange(&mut self, now: u64, call: &Exchange) -> Exchanged {
        let me = call.caller.member;
        self.wake(now, &call.caller);
        if now > self.heard + ms(SILENCE) || now < self.heard {
            // Nobody could reach the ledger. They go on with the shares they have: nothing is given to one
            // of them before all the others had the time to say. A clock that was set back says
            // nothing about how long it was.
            self.born = now;
        }
        self.heard = now;
        self.bury(now);
        let recovering = now < self.born + ms(RECOVERY);
        self.serving = self.serving.max(call.serving.0);
        let others: u32 = self
            .members
            .iter()
            .filter(|(id, _)| **id != me)
            .map(|(_, row)| row.held)
            .sum();
        let target = self.targets.get(&me).copied().unwrap_or(0);
        let share = if recovering {
            call.share
        } else {
            target.min(self.cap.saturating_sub(others))
        };
        self.members.insert(
            me,
            Row {
                // A share that shrinks counts until the gateway has said that it gave way.
                held: share.max(call.share).max(call.report.in_flight),
                until: now + ms(LEASE),
                report: call.report,
            },
        );
        self.learn(&call.learnt);
        let (refused, undecided) = self.tickets(me, call, recovering);
        self.note(&call.events);
        let known = if call.caller.seen.epoch == self.epoch {
            call.caller.seen.version
        } else {
            0
        };
        let mut changed: Vec<_> = self
            .last
            .iter()
            .filter(|(_, (_, version))| *version > known)
            .map(|(school, (tooth, version))| (*version, *school, *tooth))
            .collect();
        changed.sort_unstable_by_key(|(version, school, _)| (*version, school.0));
        Exchanged {
            now,
            seen: Seen {
                epoch: self.epoch,
                version: self.version,
            },
            recovering,
            share,
            serving: Serving(self.serving),
            cap: self.cap,
            notice: self.notice,
            last: changed
                .into_iter()
                .map(|(_, s, tooth)| (s, tooth))
                .collect(),
            refused,
            undecided,
            conduct: self.conduct(now, me),
        }
    }

    /// Gives new teeth.
    pub fn join(&mut self, now: u64, call: &Join) -> Joined {
        self.wake(now, &call.caller);
        self.version += 1;
        let mut upto = Vec::with_capacity(call.schools.len());
        for (school, floor, count) in &call.schools {
            let entry = self.last.entry(*school).or_default();
            *entry = (entry.0.max(*floor) + u64::from(*count), self.version);
            upto.push(entry.0);
        }
        Joined {
            epoch: self.epoch,
            upto,
        }
    }

    /// Writes the pacer's decision down. False if somebody else is the pacer by now.
    pub fn publish(&mut self, call: &Publish) -> bool {
        let mine = self.pacer.is_some_and(|(id, _)| id == call.member);
        if call.epoch != self.epoch || call.fence != self.fence || !mine || !self.awake {
            return false;
        }
        self.serving = self.serving.max(call.serving.0);
        self.cap = call.cap;
        self.notice = Some(call.notice);
        self.targets = call.shares.iter().copied().collect();
        true
    }

    /// Takes leave of a gateway: its slots are free, and nobody waits for its lease to run out.
    pub fn leave(&mut self, call: &Leave) {
        self.done_with(call.member, &call.released, &call.sent);
        self.forget(call.member);
        self.targets.remove(&call.member);
        self.pacer = self.pacer.filter(|(id, _)| *id != call.member);
        self.note(&call.events);
    }

    /// Takes over what a gateway knows. True if nothing was lost meanwhile.
    pub fn merge(&mut self, now: u64, call: &Merge) -> bool {
        self.wake(now, &call.caller);
        if call.caller.seen.epoch != self.epoch {
            return false;
        }
        self.learn(&call.last);
        for (epoch, school, block, bits) in &call.used {
            for bit in (0..64).filter(|bit| bits & (1 << bit) != 0) {
                self.used.insert(TicketKey {
                    epoch: *epoch,
                    school: *school,
                    tooth: block * 64 + bit,
                });
            }
        }
        true
    }

    /// Logins that the gateways may have in flight together.
    pub fn held(&self) -> u32 {
        self.members.values().map(|row| row.held).sum()
    }

    fn learn(&mut self, last: &[(SchoolKey, u64)]) {
        self.version += u64::from(!last.is_empty());
        for (school, tooth) in last {
            let entry = self.last.entry(*school).or_default();
            if entry.0 < *tooth {
                *entry = (*tooth, self.version);
            }
        }
    }

    /// Claims that are refused, and those that are undecided.
    fn tickets(
        &mut self,
        me: MemberId,
        call: &Exchange,
        recovering: bool,
    ) -> (Vec<TicketKey>, Vec<TicketKey>) {
        self.done_with(me, &call.released, &call.sent);
        let mine = self.claims.entry(me).or_default();
        for ticket in &call.keeps {
            if self.used.insert(*ticket) {
                mine.insert(*ticket);
            }
        }
        let (mut refused, mut undecided) = (Vec::new(), Vec::new());
        if recovering {
            return (refused, undecided);
        }
        for ticket in &call.claims {
            let mine = self.claims.entry(me).or_default();
            if self.used.insert(*ticket) {
                mine.insert(*ticket);
            } else if !mine.contains(ticket) {
                if self.claims.values().any(|claims| claims.contains(ticket)) {
                    undecided.push(*ticket);
                } else {
                    refused.push(*ticket);
                }
            }
        }
        (refused, undecided)
    }

    fn done_with(&mut self, me: MemberId, released: &[TicketKey], sent: &[TicketKey]) {
        let mine = self.claims.entry(me).or_default();
        for ticket in released {
            if mine.remove(ticket) {
                self.used.remove(ticket);
            }
        }
        for ticket in sent {
            mine.remove(ticket);
            self.used.insert(*ticket);
        }
    }

    fn note(&mut self, events: &Events) {
        if !events.is_empty() {
            self.events.push_back(events.clone());
            while self.events.len() > MOST_EVENTS {
                self.events.pop_front();
            }
        }
    }

    /// Its tickets that nothing was sent for may come again elsewhere.
    fn forget(&mut self, id: MemberId) {
        self.members.remove(&id);
        for ticket in self.claims.remove(&id).unwrap_or_default() {
            self.used.remove(&ticket);
        }
    }

    /// Removes gateways that did not come back. What was in their buffers may come again elsewhere.
    fn bury(&mut self, now: u64) {
        for row in self.members.values_mut() {
            // By a clock that was set back since.
            row.until = row.until.min(now + ms(LEASE));
        }
        let dead: Vec<MemberId> = self
            .members
            .iter()
            .filter(|(_, row)| row.until < now)
            .map(|(id, _)| *id)
            .collect();
        for id in dead {
            self.forget(id);
        }
    }

    fn conduct(&mut self, now: u64, me: MemberId) -> Option<Conduct> {
        match self.pacer {
            Some((id, until)) if id != me && until >= now && until <= now + ms(PACER_LEASE) => {
                return None;
            }
            Some((id, _)) if id == me => {}
            _ => self.fence += 1,
        }
        self.pacer = Some((me, now + ms(PACER_LEASE)));
        Some(Conduct {
            fence: self.fence,
            members: self
                .members
                .iter()
                .map(|(id, row)| (*id, row.held, row.report))
                .collect(),
            events: self.events.drain(..).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn asks(registers: &mut Registers, now: u64, id: u64, seen: Seen) -> Exchanged {
        let call = Exchange {
            caller: Caller {
                member: MemberId(id),
                nonce: 7,
                seen,
            },
            serving: Serving(0),
            share: 2,
            report: Report {
                in_flight: 2,
                buffered: 5,
                down: false,
            },
            events: Events::default(),
            learnt: Vec::new(),
            released: Vec::new(),
            sent: Vec::new(),
            keeps: Vec::new(),
            claims: Vec::new(),
        };
        registers.exchange(now, &call)
    }

    #[test]
    fn a_clock_that_is_set_back_holds_the_room_for_a_lease_and_no_longer() {
        let mut registers = Registers::default();
        let begun = 10 * HOUR;
        let seen = asks(&mut registers, begun, 1, Seen::default()).seen;
        asks(&mut registers, begun, 2, seen);
        // The one that conducts falls silent in the moment in which the clock is set right.
        let back = begun - HOUR;
        let mut asks = |time| asks(&mut registers, back + time, 2, seen);
        for time in (0..ms(RECOVERY)).step_by(200) {
            assert!(asks(time).recovering, "{time}");
        }
        let over = asks(ms(RECOVERY) + 100);
        assert!(!over.recovering);
        let conduct = over.conduct.expect("nobody else conducts");
        assert_eq!(
            conduct.members.len(),
            1,
            "the silent one is not missed for an hour"
        );
    }
}
