//! The balancer: which backend gets the next request. A state machine without a clock or I/O.
//!
//! Two backends are drawn, and the one where a request costs less gets it: peak-EWMA of the latency
//! times requests in flight (Mitzenmacher's power of two choices, as in Finagle and Linkerd). The
//! draw keeps many gateways, which all see the same idle backend, from all choosing it.

use std::net::SocketAddr;
use std::time::Duration;

use einlass_config::{Balancing, Health, Policy};

use super::affinity::{self, Home};
use super::budget::Budget;
use super::checks::Finding;
use super::ewma::PeakEwma;
use super::member::{Id, Member};
use super::priority::{Ahead, Parts, Rank};
use super::{Kind, State};

/// At most this share of a pool is ejected.
const MOST_EJECTED: f64 = 0.3;
/// A backend without an answer so far is taken for so much of the pool's latency: it is tried, and
/// not stormed, because what is in flight there counts as everywhere.
const CURIOSITY: f64 = 0.5;
/// While no backend answers anything, a page may try so often.
const TRY: Duration = Duration::from_secs(5);
/// How fast the pool's own peak latency fades.
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
    /// The state of a pseudo-random sequence (splitmix64).
    dice: u64,
    /// Good answers of all backends so far, by their heads.
    goods: u64,
    logins: PeakEwma,
    reads: PeakEwma,
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

/// What a request wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) kind: Kind,
    pub(super) rank: Rank,
    pub(super) home: Home,
    /// Backends that could not be reached for it.
    pub(super) tried: &'a [SocketAddr],
}

/// What it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This one. It counts as sent.
    At(Id, SocketAddr),
    /// The same, to try whether anything comes back.
    Try(Id, SocketAddr),
    /// All that would do are at their bound.
    Full,
    /// The one where its session lives is being restarted.
    Away,
    /// There is none, or none that has not been tried.
    Nobody,
}

/// What has happened to a backend, to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) address: SocketAddr,
    pub(super) before: State,
    pub(super) after: State,
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
            dice: seed,
            goods: 0,
            logins: PeakEwma::new(FADE),
            reads: PeakEwma::new(FADE),
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

    pub(super) fn choose(&mut self, now: Duration, wish: Wish<'_>) -> Choice {
        let home = wish.home.backend();
        let away = |m: &Member| home == Some(m.address) && m.restarts(now);
        if self.members.iter().any(away) {
            return Choice::Away;
        }
        let tries = wish.kind != Kind::Login && self.is_mute();
        if tries && self.next_try.is_some_and(|next| now < next) {
            return Choice::Nobody;
        }
        let Some(index) = self.index(now, wish) else {
            let untried = |m: &&Member| !wish.tried.contains(&m.address);
            let busy = self.members.iter().filter(untried).any(Member::at_all);
            return if busy { Choice::Full } else { Choice::Nobody };
        };
        let goods = self.goods;
        let member = &mut self.members[index];
        member.send(now, wish.kind, goods);
        if tries {
            self.next_try = Some(now + TRY);
            return Choice::Try(member.id, member.address);
        }
        Choice::At(member.id, member.address)
    }

    /// Somebody waits for a place who goes before pages: where, at any backend if there is no home.
    pub(super) fn line_up(&mut self, home: Home) -> Option<SocketAddr> {
        let there = |at: &SocketAddr| self.members.iter().any(|m| m.address == *at && m.usable());
        let at = home.backend().filter(there);
        self.ahead.join(at);
        at
    }

    fn index(&mut self, now: Duration, wish: Wish<'_>) -> Option<usize> {
        let rules = self.rules;
        let parts = self.parts;
        let ahead = (wish.rank == Rank::Page && !self.ahead.is_empty()).then(|| self.ahead.clone());
        let most = |m: &Member, bound| match (parts, &ahead) {
            (Some(parts), _) => parts.most(wish.rank, bound),
            (None, Some(ahead)) => ahead.leave_for_pages(bound, m.address),
            (None, None) => bound,
        };
        let untried = |m: &Member| !wish.tried.contains(&m.address);
        if let Some(home) = wish.home.backend() {
            // A session is not sent away because its backend starts slowly, or is drained; and to one
            // that has been restarted it comes a second time.
            let there = |m: &Member| m.address == home && (untried(m) || m.drains()) && m.usable();
            if let Some(index) = self.members.iter().position(there) {
                let member = &self.members[index];
                let room = member.in_flight < most(member, rules.max_in_flight);
                return room.then_some(index);
            }
        }
        if let Some(hash) = wish.home.hash() {
            let fits = |m: &Member| {
                m.open() && m.in_flight < most(m, m.limit(now, &rules))
                    || m.wants_trial(now, wish.kind)
            };
            let height = |m: &Member| affinity::rendezvous(hash, m.address, m.weight);
            let all = self.members.iter().enumerate();
            let highest = all
                .filter(|(_, m)| untried(m) && fits(m))
                .max_by(|(_, a), (_, b)| height(a).total_cmp(&height(b)));
            if let Some((index, _)) = highest {
                return Some(index);
            }
        }
        let trial = |m: &Member| untried(m) && m.wants_trial(now, wish.kind);
        if let Some(index) = self.members.iter().position(trial) {
            return Some(index);
        }
        let fits =
            |m: &Member| untried(m) && m.open() && m.in_flight < most(m, m.limit(now, &rules));
        let mean = match wish.kind {
            Kind::Login => &self.logins,
            Kind::Read | Kind::Write => &self.reads,
        };
        let unmeasured = mean.value(now).map_or(1.0, |mean| mean * CURIOSITY);
        let cost = |m: &Member| m.cost(now, wish.kind, unmeasured);
        let open = self.members.iter().any(|m| untried(m) && m.open());
        if open {
            return match rules.policy {
                Policy::PeakEwma => {
                    let (one, other) = self.draw_two(fits)?;
                    let cheaper = cost(&self.members[other]) < cost(&self.members[one]);
                    Some(if cheaper { other } else { one })
                }
                Policy::LeastInFlight => self.least_in_flight(fits),
                Policy::RoundRobin => self.next_in_turn(fits),
            };
        }
        // Better an ejected backend than none, but not one that does not answer at all.
        let last =
            |m: &Member| untried(m) && m.at_all() && m.in_flight < most(m, rules.max_in_flight);
        let (one, _) = self.draw_two(last)?;
        Some(one)
    }

    /// Two different ones of those that fit; the same twice if there is only one.
    fn draw_two(&mut self, fits: impl Fn(&Member) -> bool) -> Option<(usize, usize)> {
        let count = self.members.iter().filter(|m| fits(m)).count();
        if count == 0 {
            return None;
        }
        let first = self.roll(count);
        let second = match count {
            1 => first,
            _ => (first + 1 + self.roll(count - 1)) % count,
        };
        let nth = |n: usize| {
            let mut fitting = self.members.iter().enumerate().filter(|(_, m)| fits(m));
            fitting.nth(n).map(|(index, _)| index)
        };
        Some((nth(first)?, nth(second)?))
    }

    /// The one of those that fit that has the least to do for its weight; of several, any.
    fn least_in_flight(&mut self, fits: impl Fn(&Member) -> bool) -> Option<usize> {
        let load = |m: &Member| f64::from(m.in_flight) / m.weight;
        let count = self.members.len();
        let from = self.roll(count);
        (0..count)
            .map(|n| (from + n) % count)
            .filter(|index| fits(&self.members[*index]))
            .min_by(|a, b| load(&self.members[*a]).total_cmp(&load(&self.members[*b])))
    }

    /// The next of those that fit, each as often as its weight says and spread evenly, as nginx does.
    fn next_in_turn(&mut self, fits: impl Fn(&Member) -> bool) -> Option<usize> {
        let mut all = 0.0;
        for member in self.members.iter_mut().filter(|m| fits(m)) {
            member.credit += member.weight;
            all += member.weight;
        }
        let fitting = self.members.iter().enumerate().filter(|(_, m)| fits(m));
        let (index, _) = fitting.max_by(|(_, a), (_, b)| a.credit.total_cmp(&b.credit))?;
        self.members[index].credit -= all;
        Some(index)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.dice;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^= x >> 31;
        usize::try_from(x % sides.max(1) as u64).unwrap_or(0)
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
        sent: Option<Duration>,
        latency: Option<(Kind, Duration)>,
    ) {
        self.goods += 1;
        match latency {
            Some((Kind::Login, took)) => self.logins.observe(now, took.as_secs_f64()),
            Some((Kind::Read, took)) => self.reads.observe(now, took.as_secs_f64()),
            Some((Kind::Write, _)) | None => {}
        }
        self.change(id, |member, _| {
            member.answered(now, latency);
            if let Some(sent) = sent {
                member.proven(now, sent);
            }
        });
    }

    /// The answer to a login that was sent at `sent` has come, and not only its head.
    pub(super) fn proven(&mut self, now: Duration, id: Id, sent: Duration) {
        self.change(id, |member, _| member.proven(now, sent));
    }

    /// All of it has come.
    pub(super) fn whole(&mut self, now: Duration, id: Id) {
        self.change(id, |member, _| member.whole(now));
    }

    pub(super) fn failed(&mut self, now: Duration, id: Id) {
        self.change(id, |member, _| member.failed(now));
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
            self.change(id, |member, _| member.tick(now));
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
        let spread = f64::from(u32::try_from(self.roll(1_000)).unwrap_or(0)) / 1_000.0;
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

    /// Backends to be asked now whether they answer at all, and how long for.
    pub(super) fn knocks(&mut self, now: Duration) -> Vec<(Id, SocketAddr, Duration)> {
        let usual = self.usual(now);
        let rules = self.rules;
        let knock = |m: &mut Member| {
            let within = m.knock(now, &rules, usual)?;
            Some((m.id, m.address, within))
        };
        self.members.iter_mut().filter_map(knock).collect()
    }

    pub(super) fn knocked(&mut self, now: Duration, id: Id, answered: bool) {
        let usual = self.usual(now);
        let before = self.is_mute();
        self.change(id, |member, rules| {
            member.knocked(now, rules, usual, answered);
        });
        if self.is_mute() && !before {
            self.next_try = Some(now + TRY);
        }
        self.judge(now, id);
    }

    /// Connections stand, and nothing at all comes back, from any backend in use.
    pub(super) fn is_mute(&self) -> bool {
        let mut usable = self.members.iter().filter(|m| m.usable()).peekable();
        usable.peek().is_some() && usable.all(Member::is_mute)
    }

    /// The backends that answer nothing, in use or not, and how long a page waits there.
    pub(super) fn mute(&self, now: Duration) -> Vec<(Id, Duration)> {
        let mute = self.members.iter().filter(|m| m.is_mute());
        mute.map(|m| (m.id, m.page_patience(now))).collect()
    }

    /// Whether the answer to a knock that came too late is to be waited for.
    pub(super) fn waits_on(&mut self, id: Id) -> bool {
        let member = self.members.iter_mut().find(|m| m.id == id);
        member.is_some_and(Member::waits_on)
    }

    /// The answer to a late knock has come, after so long; or none will.
    pub(super) fn late(&mut self, now: Duration, id: Id, took: Option<Duration>) {
        self.change(id, |member, _| member.late(now, took));
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

    /// Ejects a backend if its answers, or that it gives none, ask for it and it is not the last.
    fn judge(&mut self, now: Duration, id: Id) {
        let usual = self.usual(now);
        let Some(member) = self.members.iter().find(|m| m.id == id) else {
            return;
        };
        let lost = member.trial_lost(now, &self.rules, usual);
        let out = member.usable()
            && (member.is_outlier(now, &self.rules)
                || member.is_silent(now, &self.rules, usual, self.goods))
            && self.may_eject(id);
        if lost || out {
            self.change(id, |member, rules| member.eject(now, rules));
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
                });
            }
        }
    }
}

#[cfg(test)]
#[path = "balancer_tests.rs"]
mod tests;
