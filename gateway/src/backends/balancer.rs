//! The balancer: which backend gets the next request. A state machine without a clock or I/O.
//!
//! Two backends are drawn, and the one where a request costs less gets it: peak-EWMA of the latency
//! times requests in flight (Mitzenmacher's power of two choices, as in Finagle and Linkerd). The
//! draw keeps many gateways, which all see the same idle backend, from all choosing it.

mod asked;
mod choosing;
mod draw;

use std::net::SocketAddr;
use std::time::Duration;

use einlass_config::{Balancing, Health};

use super::budget::Budget;
use super::checks::Finding;
use super::ewma::PeakEwma;
use super::member::{Id, Member, Out};
use super::priority::{Ahead, Parts, Rank};
use super::quiet::Goods;
use super::{Kind, State};
use draw::Dice;

pub(super) use asked::Comparison;
pub(super) use choosing::{Choice, Wish};

/// At most this share of a pool is ejected.
const MOST_EJECTED: f64 = 0.3;
/// While no backend answers anything, a page may try so often.
const TRY: Duration = Duration::from_secs(5);
/// How fast the peak latency of all logins fades.
const FADE: Duration = Duration::from_secs(30);

/// All backends of a pool.
#[derive(Clone, Debug)]
pub(super) struct Balancer {
    rules: Balancing,
    /// What of a backend's bound each rank may fill; without it, everybody all.
    parts: Option<Parts>,
    /// Without it: who waits and goes before pages.
    pub(super) ahead: Ahead,
    pub(super) budget: Budget,
    members: Vec<Member>,
    next_id: Id,
    dice: Dice,
    goods: Goods,
    logins: PeakEwma,
    /// While no backend answers anything: when the next page may try.
    next_try: Option<Duration>,
    events: Vec<Event>,
}

/// Where a backend is, and its part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) address: SocketAddr,
    pub(super) weight: u32,
    pub(super) drain: bool,
}

/// What has happened to a backend, to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) address: SocketAddr,
    pub(super) before: State,
    pub(super) after: State,
    /// Why, if it is ejected.
    pub(super) why: Option<Out>,
}

/// The numbers of a backend, for the desk.
#[derive(Clone, Debug)]
pub(crate) struct Gauge {
    pub(crate) address: SocketAddr,
    pub(crate) state: State,
    /// Nobody new is sent there.
    pub(crate) drains: bool,
    pub(crate) in_flight: u32,
    /// Those, and the streams and downloads that are not over.
    pub(crate) unfinished: u32,
    /// How long no request has gone there.
    pub(crate) idle: Duration,
    pub(crate) limit: u32,
    pub(crate) ejections: u32,
    /// Seconds, of logins; `None` before the first.
    pub(crate) latency: Option<f64>,
}

impl Balancer {
    pub(super) fn new(rules: Balancing, seed: u64) -> Self {
        Self {
            budget: Budget::new(rules.retry_budget),
            rules,
            parts: None,
            ahead: Ahead::default(),
            members: Vec::new(),
            next_id: 0,
            dice: Dice::new(seed),
            goods: Goods::default(),
            logins: PeakEwma::new(FADE),
            next_try: None,
            events: Vec::new(),
        }
    }

    pub(super) fn with_parts(mut self, parts: Option<Parts>) -> Self {
        self.parts = parts;
        self
    }

    /// From now on these are the pool's backends. Known ones stay as they are, others are let go
    /// of as soon as nothing is in flight there.
    pub(super) fn set(&mut self, sites: &[Site]) {
        for member in &mut self.members {
            member.leaving = !sites.iter().any(|site| site.address == member.address);
        }
        for site in sites {
            let known = self.members.iter_mut().find(|m| m.address == site.address);
            if let Some(member) = known {
                member.weight = f64::from(site.weight.max(1));
                member.drain = site.drain;
            } else {
                let member = Member::new(self.next_id, site.address, site.weight, site.drain);
                self.next_id += 1;
                self.members.push(member);
            }
        }
        self.members.retain(|m| !m.leaving || m.in_flight > 0);
    }

    /// The desk's word on whether anybody new is sent to a backend; it outlasts lookups of names.
    /// False if the pool has no such backend.
    pub(super) fn drain(&mut self, address: SocketAddr, drain: bool) -> bool {
        let of = |m: &&Member| m.address == address && !m.leaving;
        let Some(id) = self.members.iter().find(of).map(|m| m.id) else {
            return false;
        };
        self.change(id, |member, _| member.said = Some(drain));
        true
    }

    pub(super) fn drains(&self, id: Id) -> bool {
        self.members.iter().any(|m| m.id == id && m.drains())
    }

    pub(super) fn connected(&mut self, now: Duration, id: Id) {
        self.change(id, |member, _| member.connected(now));
    }

    /// Nothing was sent. That is a fact and no matter of statistics: the backend is left out until a
    /// connection stands again, however many others are out.
    pub(super) fn not_connected(&mut self, now: Duration, id: Id) {
        self.change(id, |member, _| member.not_connected(now));
    }

    /// The head of a good answer has come: a sign of life, and `latency` if its time means something. `sent`
    /// says when the request was sent, if the head is enough to end a trial.
    pub(super) fn answered(
        &mut self,
        now: Duration,
        id: Id,
        kind: Kind,
        sent: Option<Duration>,
        latency: Option<Duration>,
    ) {
        self.goods.all += 1;
        if kind == Kind::Login {
            self.goods.logins += 1;
            if let Some(took) = latency {
                self.logins.observe(now, took.as_secs_f64());
            }
        }
        self.change(id, |member, _| {
            member.answered(now, kind, latency);
            if let Some(sent) = sent {
                member.proven(now, sent, kind);
            }
        });
        if let Some(took) = latency {
            self.weigh(id, kind, took);
        }
    }

    /// The answer to a login that was sent at `sent` has come, and not only its head.
    pub(super) fn proven(&mut self, now: Duration, id: Id, sent: Duration) {
        self.change(id, |member, _| member.proven(now, sent, Kind::Login));
    }

    /// All of it has come.
    pub(super) fn whole(&mut self, now: Duration, id: Id, kind: Kind) {
        self.change(id, |member, _| member.whole(now, kind));
    }

    pub(super) fn failed(&mut self, now: Duration, id: Id, kind: Kind) {
        self.change(id, |member, _| member.failed(now, kind));
        self.judge(now, id);
    }

    /// The request is over, or the backend owes it nothing any more.
    pub(super) fn free(&mut self, now: Duration, id: Id) {
        self.change(id, |member, _| {
            member.free();
            member.undecided(now);
        });
    }

    /// Whatever a request was given by the backend has ended, streams included.
    pub(super) fn over(&mut self, id: Id) {
        if let Some(member) = self.members.iter_mut().find(|m| m.id == id) {
            member.unfinished = member.unfinished.saturating_sub(1);
        }
    }

    /// To be called several times a second: trials begin, silence is noticed, what has left goes.
    pub(super) fn tick(&mut self, now: Duration) {
        let ids: Vec<Id> = self.members.iter().map(|m| m.id).collect();
        for id in ids {
            let compares = self.others(id).next().is_some();
            self.change(id, |member, _| member.tick(now, compares));
            self.judge(now, id);
        }
        self.members.retain(|m| !m.leaving || m.in_flight > 0);
    }

    /// Backends to be checked now.
    pub(super) fn due(&mut self, now: Duration) -> Vec<(Id, SocketAddr)> {
        let members = self.members.iter_mut().filter(|m| !m.leaving);
        members
            .filter_map(|m| m.checks.begin(now).then_some((m.id, m.address)))
            .collect()
    }

    pub(super) fn checked(&mut self, now: Duration, id: Id, finding: Finding, rules: &Health) {
        let spread = f64::from(u32::try_from(self.dice.roll(1_000)).unwrap_or(0)) / 1_000.0;
        self.change(id, |member, _| {
            member.checked(now, finding, rules, spread);
        });
        self.decide_leniency(now);
    }

    /// A check that no backend passes is wrong rather than all backends, if they answer: those are used.
    fn decide_leniency(&mut self, now: Duration) {
        let mut there = self.members.iter().filter(|m| !m.leaving && !m.drains());
        let none_passes = there.all(|m| !m.passes());
        let ids: Vec<Id> = self.members.iter().map(|m| m.id).collect();
        for id in ids {
            self.change(id, |member, _| {
                let ignore = none_passes && member.checks.fail_otherwise();
                if member.checks.is_ignored() != ignore {
                    member.ignore_checks(now, ignore);
                }
            });
        }
    }

    /// Backends are used although their checks get another answer than expected.
    pub(super) fn is_lenient(&self) -> bool {
        self.members.iter().any(|m| m.checks.is_ignored())
    }

    /// The latency of the pool's logins, in seconds.
    fn usual(&self, now: Duration) -> f64 {
        self.logins.value(now).unwrap_or(0.0)
    }

    /// No backend can be reached, or none answers anything, or the operator lets nobody in at any.
    pub(super) fn down(&self) -> bool {
        let mut there = self.members.iter().filter(|m| !m.leaving && !m.drains());
        there.all(|m| !m.reachable()) || self.is_mute()
    }

    /// Requests that all of them together may owe an answer now: little while they start slowly.
    pub(super) fn limit(&self, now: Duration) -> u32 {
        self.sum(now, |_, bound| bound)
    }

    /// How many requests of a rank still find a place, if not everybody may have all there is.
    pub(super) fn places(&self, now: Duration, rank: Rank) -> Option<u32> {
        let parts = self.parts?;
        let left = |m: &Member, bound| parts.most(rank, bound).saturating_sub(m.in_flight);
        Some(self.sum(now, left))
    }

    /// Adds up what a member and its bound come to, over those that are used now.
    fn sum(&self, now: Duration, of: impl Fn(&Member, u32) -> u32) -> u32 {
        let open = self.members.iter().any(Member::open);
        let bounds = self.members.iter().filter_map(|m| match open {
            true if m.open() || m.is_ejected() && m.at_all() => {
                Some((m, m.limit(now, &self.rules)))
            }
            true => None,
            // Those that are used for want of better ones.
            false => m.at_all().then_some((m, self.rules.max_in_flight)),
        });
        bounds.fold(0, |sum, (m, bound)| sum.saturating_add(of(m, bound)))
    }

    /// Backends that belong to the pool.
    pub(super) fn len(&self) -> usize {
        self.members.iter().filter(|m| !m.leaving).count()
    }

    pub(super) fn gauges(&self, now: Duration) -> Vec<Gauge> {
        let gauge = |m: &Member| Gauge {
            address: m.address,
            state: m.state(),
            drains: m.drains(),
            in_flight: m.in_flight,
            unfinished: m.unfinished,
            idle: now.saturating_sub(m.last),
            limit: m.limit(now, &self.rules),
            ejections: m.ejections,
            latency: m.latency_now(now, Kind::Login),
        };
        self.members.iter().map(gauge).collect()
    }

    /// What has happened since the last call.
    pub(super) fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Ejects a backend if its answers, how long they take, or that it gives none ask for it and it is not the last.
    fn judge(&mut self, now: Duration, id: Id) {
        let usual = self.usual(now);
        let Some(member) = self.members.iter().find(|m| m.id == id) else {
            return;
        };
        let may = member.is_ejected() || self.may_eject(id);
        let out = if member.trial_lost(now, &self.rules, usual) {
            Some(Out::Trial)
        } else if may && member.keeps_sessions() {
            let slow = || (member.usable() && member.slow.is_certain()).then_some(Out::Slow);
            member
                .outlier(now, &self.rules, usual, self.goods)
                .or_else(slow)
        } else {
            None
        };
        if let Some(out) = out {
            self.change(id, |member, rules| member.eject(now, rules, out));
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a small count"
    )]
    fn may_eject(&self, id: Id) -> bool {
        let here = || self.members.iter().filter(|m| !m.leaving);
        let most = ((here().count() as f64 * MOST_EJECTED) as usize).max(1);
        let ejected = here().filter(|m| m.is_ejected()).count();
        let another = here().any(|m| m.id != id && m.open());
        another && ejected < most
    }

    fn change(&mut self, id: Id, change: impl FnOnce(&mut Member, &Balancing)) {
        if let Some(member) = self.members.iter_mut().find(|m| m.id == id) {
            let before = member.state();
            change(member, &self.rules);
            let after = member.state();
            if before != after {
                self.events.push(Event {
                    address: member.address,
                    before,
                    after,
                    why: member.why.filter(|_| after == State::Ejected),
                });
            }
        }
    }
}

#[cfg(test)]
#[path = "balancer_tests.rs"]
mod tests;
