//! One gateway among several: what it tells the ledger, and what it does without one.
//!
//! In touch with the ledger it is [`Mode::Shared`]: turns, shares and tickets are the ledger's,
//! and whoever has the pacer's lease conducts the room for all. Cut off it is [`Mode::Frozen`]: it
//! keeps the share it has, conducts its own part of the room with the same pacer and release, and
//! gives turns itself. Every register only grows, so coming back is taking the larger.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::company::{Company, Sight};
use super::crowd::Crowd;
use super::{Buffered, Gatekeeper, Grant};
use crate::buffer::WaiterId;
use crate::conductor::{Scene, part, times};
use crate::flow::TARGET_SHARED;
use crate::forecast::Word;
use crate::ledger::{
    Caller, Conduct, Events, Exchange, Exchanged, Join, Joined, LEASE, Leave, MemberId, Merge,
    Notice, Publish, Report, Seen, TicketKey,
};
use crate::pacer::{Memory, Verdict};
use crate::room::SchoolIndex;
use crate::shares::Shares;
use crate::state::RoomState;
use crate::turn::{SchoolKey, Serving, Turn};

/// How often a gateway exchanges while there is something to do.
const BUSY: Duration = Duration::from_millis(100);
/// How often while there is not.
const IDLE: Duration = Duration::from_millis(300);
/// The shortest time between two exchanges, when something has changed that others wait for.
const AT_ONCE: Duration = Duration::from_millis(20);
/// So long without an answer, and the gateway goes on alone. Less than the work in the buffers.
const PATIENCE: Duration = Duration::from_millis(600);
/// A process that did not tick for so long was stopped: it must not believe in its share.
const PAUSED: Duration = Duration::from_millis(400);
/// Events kept for the next exchange.
const MOST_EVENTS: usize = 4_096;
/// Tickets kept for the next exchange; what is more is told by the merge that follows an outage.
const MOST_TICKETS: usize = 16_384;
/// The least part of a room's slots that a cut-off gateway reckons with.
const LEAST_PORTION: f64 = 1.0 / 16.0;
/// Blocks of used tickets in one merge.
const MERGE_BLOCKS: usize = 2_000;

/// How a room's ledger is at one gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// This gateway is alone, its room is in memory.
    Embedded,
    /// In touch with the other gateways.
    Shared,
    /// The ledger does not answer: the share is frozen, turns go on.
    Frozen,
    /// The ledger answers again, and is being told what it lost.
    Recovering,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Embedded, Self::Shared, Self::Frozen, Self::Recovering];

    /// Its name for operators.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Shared => "shared",
            Self::Frozen => "frozen",
            Self::Recovering => "recovering",
        }
    }
}

/// A gateway's part in a fleet.
#[derive(Clone, Copy, Debug)]
pub struct Membership {
    /// This run of this gateway, different from every other.
    pub member: MemberId,
    /// The slots it may use if it starts while the ledger does not answer.
    pub share_unheard: u32,
}

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

struct Claiming<W> {
    key: TicketKey,
    waiter: Buffered<W>,
}

/// What was told in the exchange that is under way.
#[derive(Default)]
struct Told {
    kept: bool,
    learnt: BTreeSet<SchoolIndex>,
    claims: Vec<(WaiterId, TicketKey)>,
    sent: Vec<TicketKey>,
    released: Vec<TicketKey>,
    events: Events,
}

#[allow(
    clippy::struct_excessive_bools,
    reason = "each is true for a time of its own"
)]
pub(super) struct Fleet<W> {
    member: MemberId,
    mode: Mode,
    since: Duration,
    seen: Seen,
    share: u32,
    /// The share stays this gateway's own until then.
    lease_until: Duration,
    /// The part of the room this gateway is, as last heard.
    portion: f64,
    /// The ledger was away, and what it lost is not told yet.
    was_frozen: bool,
    /// The room's cap when this gateway was cut off.
    cap_then: u32,
    /// Whether that was ever heard, and for long enough to be true.
    counted: bool,
    /// The part of the browsers that comes here, and the turns given to them alone.
    pub(super) crowd: Crowd,
    notice: Notice,
    pacer: bool,
    shares: Shares,
    events: Events,
    /// Schools whose last turn the ledger may not know.
    learnt: BTreeSet<SchoolIndex>,
    /// What each pupil of the batch under way costs, in the order asked.
    costs: Vec<u64>,
    claims: BTreeMap<WaiterId, Claiming<W>>,
    sent: Vec<TicketKey>,
    released: Vec<TicketKey>,
    told: Option<Told>,
    last_told: Report,
    last_share_told: u32,
    asked: Option<Duration>,
    /// Whether the ledger has ever answered.
    answered: bool,
    /// When this gateway began to wait for an answer.
    alone_since: Option<Duration>,
    /// What the ledger may not know yet has to be told.
    must_merge: bool,
    /// So have the tickets in the buffer.
    must_keep: bool,
    merging: bool,
    /// It has said good-bye.
    has_left: bool,
    /// What an earlier run left, until it is known whether the ledger knows better.
    restored: Option<RoomState>,
    /// What the pacer remembers of the others.
    company: Company,
    /// Pupils in the buffers of all gateways, as the pacer last heard.
    buffered: u32,
}

impl<W> Fleet<W> {
    fn new(membership: Membership) -> Self {
        Self {
            member: membership.member,
            mode: Mode::Recovering,
            since: Duration::ZERO,
            seen: Seen::default(),
            share: membership.share_unheard,
            lease_until: Duration::ZERO,
            portion: 1.0,
            was_frozen: false,
            cap_then: 0,
            counted: false,
            crowd: Crowd::default(),
            notice: Notice::default(),
            pacer: false,
            shares: Shares::default(),
            events: Events::default(),
            learnt: BTreeSet::new(),
            costs: Vec::new(),
            claims: BTreeMap::new(),
            sent: Vec::new(),
            released: Vec::new(),
            told: None,
            last_told: Report::default(),
            last_share_told: 0,
            asked: None,
            answered: false,
            alone_since: None,
            must_merge: false,
            must_keep: false,
            merging: false,
            has_left: false,
            restored: None,
            company: Company::default(),
            buffered: 0,
        }
    }

    fn set_mode(&mut self, now: Duration, mode: Mode) {
        if self.mode != mode {
            self.mode = mode;
            self.since = now;
        }
    }

    /// Those who wait for the ledger's word on their tickets.
    pub(super) fn claiming(&self) -> u64 {
        self.claims.len() as u64
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &Buffered<W>> {
        self.claims.values().map(|claiming| &claiming.waiter)
    }

    pub(super) fn claim(&mut self, id: WaiterId, key: TicketKey, waiter: Buffered<W>) {
        self.claims.insert(id, Claiming { key, waiter });
    }

    pub(super) fn leave(&mut self, id: WaiterId) -> bool {
        self.claims.remove(&id).is_some()
    }

    pub(super) fn done(&mut self, key: TicketKey) {
        if self.sent.len() < MOST_TICKETS {
            self.sent.push(key);
        } else {
            self.must_merge = true;
        }
    }

    pub(super) fn released(&mut self, key: TicketKey) {
        if self.released.len() < MOST_TICKETS {
            self.released.push(key);
        }
    }

    /// Whether this gateway's own conductor decides, and is to be told what happens here. Otherwise
    /// the pacer hears of it by way of the ledger, also when it is at this very gateway.
    pub(super) fn conducts_alone(&self) -> bool {
        self.mode == Mode::Frozen
    }

    /// Notes how a login ended, for the pacer.
    pub(super) fn ended(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Hashed(latency) if self.events.latencies.len() < MOST_EVENTS => {
                let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
                self.events.latencies.push(micros);
            }
            Verdict::Hashed(_) | Verdict::Neutral => {}
            Verdict::Refused => self.events.refused = self.events.refused.saturating_add(1),
            Verdict::Page => self.events.pages = self.events.pages.saturating_add(1),
            Verdict::Lost => self.events.losses = self.events.losses.saturating_add(1),
        }
    }

    /// Somebody with a pass logs in.
    pub(super) fn typed(&mut self) {
        self.events.typed = self.events.typed.saturating_add(1);
    }

    /// Gated pages over the whole room that the pacer does not know yet, if the other gateways serve
    /// as many for their part.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small non-negative number"
    )]
    pub(super) fn pages_untold(&self) -> u64 {
        (f64::from(self.events.pages) / self.crowd.part()) as u64
    }

    /// The ledger may not know how far this school is.
    pub(super) fn learn(&mut self, school: SchoolIndex) {
        self.learnt.insert(school);
    }
}

impl<W> Gatekeeper<W> {
    /// Makes this gateway one of several. To be called once, before anything else.
    #[must_use]
    pub fn in_fleet(mut self, membership: Membership) -> Self {
        self.fleet = Some(Fleet::new(membership));
        // The ledger knows.
        self.learning = None;
        self.set_slots(0);
        self
    }

    /// How the room's ledger is, and since when on the clock that is passed in.
    pub fn mode(&self) -> (Mode, Duration) {
        self.fleet
            .as_ref()
            .map_or((Mode::Embedded, Duration::ZERO), |f| (f.mode, f.since))
    }

    /// Whether tickets that come are to be claimed at the ledger first.
    pub(super) fn claims_first(&self) -> bool {
        self.fleet.as_ref().is_some_and(|f| f.mode != Mode::Frozen)
    }

    /// A turn is given without the ledger: how many teeth to leave out for those who come to other
    /// gateways meanwhile. None before it is known how many those are: turns left out for nobody would
    /// have to be called later, one by one, while the backend rests. If there are others after all, their
    /// tickets tell how far they are.
    pub(super) fn leave_out(&mut self, school: SchoolIndex, cost: u64) -> u64 {
        let (Some(fleet), Some(line)) =
            (&mut self.fleet, self.room.schools().get(school.0 as usize))
        else {
            return 0;
        };
        let served = line.tooth(self.room.serving().0);
        let last = line.tooth(line.last().0).max(served);
        fleet.learn(school);
        if !fleet.counted {
            return 0;
        }
        fleet.crowd.leave_out(school, (served, last), cost)
    }

    /// The part of the room's browsers that comes to this gateway.
    pub(super) fn browsers(&self) -> f64 {
        self.fleet.as_ref().map_or(1.0, |f| f.crowd.part())
    }

    /// Of those who are on the way to this gateway so many come, as far as it matters for the release.
    pub(super) fn shows(&self, now: Duration) -> f64 {
        match &self.fleet {
            Some(f) if f.conducts_alone() => Crowd::shows(self.conductor.show_rate(now)),
            _ => 1.0,
        }
    }

    /// The part of the pool's slots this gateway works with.
    pub(super) fn portion(&self) -> f64 {
        self.fleet.as_ref().map_or(1.0, |f| f.portion)
    }

    /// Pupils released per second in the whole room.
    pub(super) fn pace(&self) -> Option<f64> {
        match &self.fleet {
            Some(f) if matches!(f.mode, Mode::Shared | Mode::Recovering) => f.notice.pace,
            Some(f) => self
                .conductor
                .pace_shown()
                .map(|pace| pace / f.crowd.part()),
            None => self.conductor.pace_shown(),
        }
    }

    /// What another gateway promises, if it conducts the room.
    pub(super) fn heard_promise(&self) -> Option<Word> {
        let fleet = self.fleet.as_ref()?;
        let follows = matches!(fleet.mode, Mode::Shared | Mode::Recovering) && !fleet.pacer;
        follows.then_some(fleet.notice.promise)
    }

    /// Pupils in the buffers that this gateway conducts for, and the part of the room that is.
    pub(super) fn buffered_here(&self) -> (f64, f64) {
        match &self.fleet {
            Some(f) if f.mode == Mode::Shared && f.pacer => (f64::from(f.buffered), 1.0),
            Some(f) => (self.buffered() as f64, f.portion),
            None => (self.buffered() as f64, 1.0),
        }
    }

    /// How fast the room was called when the ledger was last heard of, at least as fast as the
    /// pool is believed to work; without end if nobody knows.
    fn pace_before(&self) -> f64 {
        let heard = self.fleet.as_ref().and_then(|f| f.notice.pace);
        match self.conductor.capacity() {
            Some(capacity) => heard.unwrap_or(0.0).max(capacity),
            None => f64::MAX,
        }
    }

    /// Released pupils who are on their way to this gateway.
    pub(super) fn coming(&self, now: Duration) -> u64 {
        match &self.fleet {
            Some(f) if f.mode == Mode::Shared && f.pacer => {
                part(self.conductor.coming(now), f.crowd.part())
            }
            Some(f) if f.mode == Mode::Shared => part(f.notice.coming, f.crowd.part()),
            _ => self.conductor.coming(now),
        }
    }

    pub(super) fn arrived(&mut self, now: Duration, turn: Turn) {
        match &mut self.fleet {
            Some(f) if f.mode != Mode::Frozen => {
                if f.events.arrived.len() < MOST_EVENTS {
                    f.events.arrived.push(turn);
                }
            }
            _ => self.conductor.arrived(now, turn),
        }
    }

    pub(super) fn ticket_key(
        &self,
        school: SchoolIndex,
        turn: Turn,
        epoch: u32,
    ) -> Option<TicketKey> {
        let school = self.room.schools().get(school.0 as usize)?;
        Some(TicketKey {
            epoch,
            school: school.key(),
            tooth: school.tooth(turn.0),
        })
    }

    /// A process that was stopped wakes up with everything as it was, but its share may be somebody
    /// else's by now: nothing starts before the next tick has looked into that.
    pub(super) fn look_at_clock(&mut self, now: Duration) {
        let slept = self
            .ticked
            .is_some_and(|ticked| now.saturating_sub(ticked) > PAUSED);
        if slept && self.fleet.is_some() {
            self.set_slots(0);
        }
    }

    pub(super) fn tick_in_fleet(&mut self, now: Duration, dt: Duration) -> Grant<W> {
        let in_flight = self.buffer.in_flight();
        let unreachable = self.down;
        let Some(fleet) = &mut self.fleet else {
            return self.grant();
        };
        if dt > PAUSED {
            // The ledger had no time to answer.
            fleet.alone_since = Some(now);
        }
        let alone_since = *fleet.alone_since.get_or_insert(now);
        if dt > PAUSED && now > fleet.lease_until {
            // Stopped for longer than the lease: first hear what became of the share. Even if it was
            // frozen: the ledger may have come back meanwhile, and given the share to others.
            fleet.set_mode(now, Mode::Recovering);
            fleet.lease_until = Duration::ZERO;
            fleet.pacer = false;
            // With its share, the tickets of the logins it performs may have been given up.
            fleet.must_keep = true;
            self.claim_again();
        } else if now.saturating_sub(alone_since) > PATIENCE && fleet.mode != Mode::Frozen {
            self.freeze(now);
        }
        let Some(fleet) = &self.fleet else {
            return self.grant();
        };
        let frozen = fleet.mode == Mode::Frozen;
        let usable = frozen || now <= fleet.lease_until;
        let (share, portion, full) = (fleet.share, fleet.portion, fleet.cap_then.max(1));
        let mut cap = if usable { share } else { 0 };
        if frozen {
            // The share is as much as there may be, and less if the backend can do less by now.
            self.conductor.pace(now, in_flight, portion, unreachable);
            let left = f64::from(self.conductor.cap()) / f64::from(full);
            cap = slots(f64::from(share) * left.min(1.0));
        }
        self.set_slots(cap);
        if frozen && self.releases() {
            let pace = self.pace_before();
            let shows = self.shows(now);
            if let Some(fleet) = &mut self.fleet {
                fleet.crowd.allow_calls(dt, pace, shows);
            }
            self.release(now);
        }
        self.grant()
    }

    /// Goes on alone with the share it has.
    fn freeze(&mut self, now: Duration) {
        let serving = self.room.serving();
        let cap = self.conductor.cap();
        let Some(fleet) = &mut self.fleet else { return };
        if !fleet.counted {
            fleet.portion = portion(fleet.share, cap);
            fleet.crowd.has_slots(fleet.portion);
        }
        fleet.set_mode(now, Mode::Frozen);
        fleet.was_frozen = true;
        fleet.crowd.cut_off();
        // Where there are more gateways than slots, or a slot was just changing hands, some have
        // none. Whoever waits there must not wait until the ledger is back.
        fleet.share = fleet.share.max(1);
        fleet.pacer = false;
        fleet.must_merge = true;
        self.conductor
            .resume(now, serving, &fleet.notice, fleet.crowd.part());
        fleet.cap_then = self.conductor.cap();
        fleet.events = Events::default();
        fleet.sent.clear();
        for (id, claiming) in std::mem::take(&mut fleet.claims) {
            self.buffer.insert(id, claiming.waiter);
        }
        let restored = fleet.restored.take();
        if let Some(state) = restored {
            self.take_over(state);
        }
    }

    /// What is in the buffer may have entered elsewhere while this process was stopped.
    fn claim_again(&mut self) {
        for (id, waiter) in self.buffer.take_all() {
            let key = waiter
                .ticket
                .and_then(|(school, turn, epoch)| self.ticket_key(school, turn, epoch));
            match (key, &mut self.fleet) {
                (Some(key), Some(fleet)) => fleet.claim(id, key, waiter),
                _ => self.buffer.insert(id, waiter),
            }
        }
    }

    /// What to tell the ledger now, if it is time to and nothing is under way.
    pub fn exchange(&mut self, now: Duration, nonce: u32) -> Option<Exchange> {
        let report = Report {
            in_flight: self.buffer.in_flight(),
            buffered: u32::try_from(self.buffered()).unwrap_or(u32::MAX),
            down: self.down,
        };
        let serving = self.room.serving();
        let idle = self.waiting == 0 && report.want() == 0;
        let free = self.buffer.free();
        let fleet = self.fleet.as_mut()?;
        if fleet.told.is_some() || fleet.has_left {
            return None;
        }
        let since = fleet.asked.map(|asked| now.saturating_sub(asked));
        let due = since.is_none_or(|since| {
            let period = if idle { IDLE } else { BUSY };
            since >= period || (since >= AT_ONCE && fleet.has_news(report, free))
        });
        if !due {
            return None;
        }
        let share = if fleet.mode == Mode::Frozen || now <= fleet.lease_until {
            fleet.share
        } else {
            0
        };
        let keeps: Vec<_> = if std::mem::take(&mut fleet.must_keep) {
            let claiming: BTreeSet<_> = fleet.waiting().filter_map(|b| b.ticket).collect();
            self.open.difference(&claiming).copied().collect()
        } else {
            Vec::new()
        };
        let told = Told {
            kept: !keeps.is_empty(),
            learnt: std::mem::take(&mut fleet.learnt),
            claims: fleet.claims.iter().map(|(id, c)| (*id, c.key)).collect(),
            sent: std::mem::take(&mut fleet.sent),
            released: std::mem::take(&mut fleet.released),
            events: std::mem::take(&mut fleet.events),
        };
        fleet.asked = Some(now);
        fleet.last_told = report;
        fleet.last_share_told = share;
        let call = Exchange {
            caller: Caller {
                member: fleet.member,
                nonce,
                seen: fleet.seen,
            },
            serving,
            share,
            report,
            events: told.events.clone(),
            learnt: told
                .learnt
                .iter()
                .filter_map(|index| self.room.schools().get(index.0 as usize))
                .map(|school| (school.key(), school.tooth(school.last().0)))
                .collect(),
            keeps: Vec::new(),
            claims: told.claims.iter().map(|(_, key)| *key).collect(),
            sent: told.sent.clone(),
            released: told.released.clone(),
        };
        fleet.told = Some(told);
        let keeps = keeps
            .into_iter()
            .filter_map(|(school, turn, epoch)| self.ticket_key(school, turn, epoch))
            .collect();
        Some(Exchange { keeps, ..call })
    }

    /// What became of the tickets that were claimed: those that may go are in the buffer now, those
    /// that may not are returned.
    fn decided(&mut self, told: Told, reply: &Exchanged) -> Vec<W> {
        let mut refused = Vec::new();
        let Some(fleet) = &mut self.fleet else {
            return refused;
        };
        if reply.recovering && !fleet.was_frozen {
            return refused;
        }
        for (id, key) in told.claims {
            if reply.undecided.contains(&key) {
                // Asked again with the next exchange, until the other gateway has said.
                continue;
            }
            let Some(claiming) = fleet.claims.remove(&id) else {
                // It left meanwhile; if it had been accepted, `released` follows.
                continue;
            };
            if reply.refused.contains(&key) {
                // Should the other gateway die before it sends anything, the ticket is good here.
                if let Some(ticket) = &claiming.waiter.ticket {
                    self.open.remove(ticket);
                }
                if let Some((school, turn, epoch)) = claiming.waiter.ticket
                    && let Some(used) = self.used.get_mut(school.0 as usize)
                {
                    used.give_back(epoch, self.room.tooth(school, turn));
                }
                refused.push(claiming.waiter.waiter);
                continue;
            }
            // While the ledger was away nobody could ask whether a ticket had entered elsewhere, and
            // nobody waits for the time that all have to say so now that it is back.
            fleet.must_keep |= reply.recovering;
            self.buffer.insert(id, claiming.waiter);
        }
        refused
    }

    /// The ledger has answered an exchange that was asked at `asked`.
    pub fn exchanged(&mut self, now: Duration, asked: Duration, reply: Exchanged) -> Answer<W> {
        let Some(fleet) = &mut self.fleet else {
            return Answer::of(self.grant());
        };
        let told = fleet.told.take().unwrap_or_default();
        let refused = self.decided(told, &reply);
        let Some(fleet) = &mut self.fleet else {
            return Answer::of(self.grant());
        };
        let lost = fleet.seen.epoch != reply.seen.epoch;
        let first = !std::mem::replace(&mut fleet.answered, true);
        fleet.alone_since = Some(now);
        fleet.seen = reply.seen;
        let restored = if first { fleet.restored.take() } else { None };
        fleet.must_merge |= lost;
        fleet.must_keep |= lost || fleet.mode == Mode::Frozen;
        if reply.recovering || fleet.must_merge {
            fleet.set_mode(now, Mode::Recovering);
        } else {
            fleet.set_mode(now, Mode::Shared);
            fleet.was_frozen = false;
        }
        fleet.share = reply.share;
        fleet.lease_until = asked + LEASE;
        // Whoever has just come has no slots yet, and that says nothing.
        let long = now.saturating_sub(fleet.since) >= LEASE;
        let heard = fleet.mode == Mode::Shared && long;
        if reply.cap > 0 && !reply.recovering {
            // Slots move to and fro; the part of the browsers that comes here does not.
            let weight = if fleet.counted { 0.1 } else { 1.0 };
            let portion = portion(reply.share, reply.cap);
            fleet.portion += weight * (portion - fleet.portion);
            fleet.crowd.has_slots(fleet.portion);
            fleet.counted |= heard;
        }
        fleet.crowd.hears(heard);
        let notice = reply.notice.unwrap_or(fleet.notice);
        if notice.members != fleet.notice.members {
            fleet.crowd.recount();
        }
        fleet.notice = notice;
        if reply.conduct.is_none() {
            self.conductor.follow(now, &notice);
        }
        let was_pacer = std::mem::replace(&mut fleet.pacer, reply.conduct.is_some());
        // An answer that comes after the lease it gives is worth nothing.
        let usable = now <= fleet.lease_until;
        self.set_slots(if usable { reply.share } else { 0 });
        self.room.merge_serving(reply.serving);
        self.hear_last(&reply.last);
        if let Some(state) = restored {
            self.take_over(if reply.recovering {
                state
            } else {
                // The ledger knows better, but for the tickets that have entered here.
                RoomState {
                    last: BTreeMap::new(),
                    serving: reply.serving,
                    pacer: Memory::default(),
                    ..state
                }
            });
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
            && let Some(told) = fleet.told.take()
        {
            fleet.must_keep |= told.kept;
            fleet.learnt.extend(told.learnt);
            // Nobody waits longer for a ledger that does not answer.
            let claims = (fleet.mode == Mode::Shared).then_some(told.claims);
            for (id, _) in claims.into_iter().flatten() {
                if let Some(claiming) = fleet.claims.remove(&id) {
                    self.buffer.insert(id, claiming.waiter);
                }
            }
            // What this gateway gave up is nobody's, however long it takes to say so.
            told.released
                .into_iter()
                .for_each(|key| fleet.released(key));
            if fleet.mode != Mode::Frozen {
                told.sent.into_iter().for_each(|key| fleet.done(key));
                if fleet.events.latencies.len() + fleet.events.arrived.len() < MOST_EVENTS {
                    fleet.events.latencies.extend(told.events.latencies);
                    fleet.events.arrived.extend(told.events.arrived);
                    fleet.events.losses += told.events.losses;
                    fleet.events.refused += told.events.refused;
                    fleet.events.pages += told.events.pages;
                    fleet.events.typed += told.events.typed;
                    fleet.events.left += told.events.left;
                }
            }
        }
        Grant {
            go: Vec::new(),
            refused: Vec::new(),
            shut: Vec::new(),
        }
    }

    /// The last word to the ledger: its slots are the others' at once, and what became of its tickets
    /// is known. `None` if there is nothing to be said: alone, cut off, while an exchange is under way,
    /// or with logins in flight whose slots are not free yet. Nothing else is told afterwards.
    pub fn last_word(&mut self) -> Option<Leave> {
        let in_flight = self.buffer.in_flight();
        let fleet = self.fleet.as_mut()?;
        let silent = fleet.mode == Mode::Frozen || !fleet.answered || fleet.has_left;
        if silent || fleet.told.is_some() || in_flight > 0 {
            return None;
        }
        fleet.has_left = true;
        self.buffer.set_cap(0);
        Some(Leave {
            member: fleet.member,
            events: Events {
                left: 1,
                ..std::mem::take(&mut fleet.events)
            },
            sent: std::mem::take(&mut fleet.sent),
            released: std::mem::take(&mut fleet.released),
        })
    }

    /// Whether a publication was accepted. If not, somebody else is the pacer, and nothing happened.
    pub fn published(&mut self, now: Duration, publish: &Publish, accepted: bool) {
        if !accepted {
            return;
        }
        let waiting = self.room.waiting();
        let places = self.room.places_per_pupil();
        self.room.merge_serving(publish.serving);
        self.waiting = self.room.waiting();
        let released = waiting.saturating_sub(self.waiting);
        let pupils = part(released, 1.0 / places);
        self.conductor.released(now, publish.serving, pupils);
    }

    /// Whether the ledger has taken over what it was told.
    pub fn merged(&mut self, accepted: bool) {
        if let Some(fleet) = &mut self.fleet {
            fleet.merging = false;
            fleet.must_merge &= !accepted;
        }
    }

    /// Asks for turns for pupils of these schools; `None` if the ledger is not to be asked.
    pub fn joining(&mut self, nonce: u32, pupils: &[(SchoolIndex, u32)]) -> Option<Join> {
        let costs: Vec<u64> = pupils.iter().map(|(s, _)| self.room.cost(*s)).collect();
        let asks = |f: &&Fleet<W>| f.mode != Mode::Frozen && f.answered;
        let fleet = self.fleet.as_ref().filter(asks)?;
        let serving = self.room.serving();
        let schools = pupils.iter().zip(&costs).map(|((index, count), cost)| {
            let school = self.room.schools().get(index.0 as usize)?;
            let floor = school.tooth(serving.0.max(school.last().0));
            let teeth = u64::from(*count).saturating_mul(*cost);
            Some((
                school.key(),
                floor,
                u32::try_from(teeth).unwrap_or(u32::MAX),
            ))
        });
        let call = Join {
            caller: Caller {
                member: fleet.member,
                nonce,
                seen: fleet.seen,
            },
            schools: schools.collect::<Option<_>>()?,
        };
        if let Some(fleet) = &mut self.fleet {
            fleet.costs = costs;
        }
        Some(call)
    }

    /// The turns the ledger gave, in the order asked.
    pub fn joined(&mut self, pupils: &[(SchoolIndex, u32)], joined: &Joined) -> Vec<(Turn, u32)> {
        let mut turns = Vec::new();
        let costs = self.fleet.as_mut().map(|f| std::mem::take(&mut f.costs));
        let costs = costs.into_iter().flatten().chain(std::iter::repeat(1));
        for (((index, count), upto), cost) in pupils.iter().zip(&joined.upto).zip(costs) {
            let before = self.room.waiting_in(*index);
            if let Some(school) = self.room.schools().get(index.0 as usize) {
                let behind = (0..u64::from(*count)).rev().map(|n| n.saturating_mul(cost));
                let teeth = behind.map(|n| upto.saturating_sub(n));
                turns.extend(teeth.map(|t| (Turn(school.turn_of(t)), joined.epoch)));
            }
            self.room.merge_tooth(*index, *upto);
            let after = self.room.waiting_in(*index);
            let all = after.saturating_sub(before);
            self.waiting = self.waiting.saturating_add(all);
            let ours = u64::from(*count).saturating_mul(cost);
            self.count_joins(*index, ours);
            if let Some(fleet) = &mut self.fleet {
                fleet.crowd.joined(ours, all.saturating_sub(ours));
            }
        }
        turns
    }

    /// Another gateway has called the room up to here.
    pub fn hear(&mut self, now: Duration, serving: Serving) {
        let waiting = self.room.waiting();
        let places = self.room.places_per_pupil();
        self.room.merge_serving(serving);
        self.waiting = self.room.waiting();
        let called = part(waiting.saturating_sub(self.waiting), 1.0 / places);
        let pace = self.pace_before();
        let Some(fleet) = &mut self.fleet else { return };
        if fleet.mode == Mode::Frozen && called > 0 {
            // Those are not to be called here once more; a part of them will come here.
            fleet.crowd.called_elsewhere(called, pace);
            let ours = part(called, fleet.crowd.part());
            self.conductor.released(now, serving, ours);
        }
    }

    /// One step of the pacer for all gateways; `complete` if the ledger knows all there are.
    fn conduct(
        &mut self,
        now: Duration,
        epoch: u32,
        conduct: Conduct,
        complete: bool,
    ) -> Option<Publish> {
        let mut left = 0;
        for events in conduct.events {
            left += events.left as usize;
            for micros in events.latencies {
                let latency = Duration::from_micros(micros.into());
                self.conductor.ended(now, Verdict::Hashed(latency));
            }
            self.conductor.served(now, events.pages.into());
            self.conductor.typed(now, events.typed.into());
            self.conductor.lost(events.losses);
            self.conductor.answered(events.refused);
            for turn in events.arrived {
                self.conductor.arrived(now, turn);
            }
        }
        let sum = |of: fn(&Report) -> u32| -> u32 {
            conduct
                .members
                .iter()
                .fold(0, |sum, (_, _, report)| sum.saturating_add(of(report)))
        };
        let in_flight = sum(|r| r.in_flight);
        let buffered = sum(|r| r.buffered);
        // One gateway that reaches no backend does not close the room for the others.
        let down = conduct.members.iter().all(|(_, _, report)| report.down);
        self.conductor.pace(now, in_flight, 1.0, down);
        let cap = self.conductor.cap();
        let mut serving = self.room.serving();
        if self.settings.observe && !down {
            serving = self.room.after(self.waiting).0;
        } else if !self.settings.closed && !down {
            let pupils = self.conductor.release(
                now,
                &Scene {
                    portion: 1.0,
                    depth: TARGET_SHARED,
                    buffered: buffered as usize,
                    cap,
                    free: cap.saturating_sub(in_flight).saturating_sub(buffered),
                    waiting: self.waiting,
                    ceiling: self.settings.ceiling,
                    // What others take shows in the buffers, which are filled again.
                    help: 0.0,
                    shows: 1.0,
                },
            );
            let pace = self.pace_before();
            let fleet = self.fleet.as_mut()?;
            fleet.buffered = buffered;
            let full = u64::from(cap).saturating_add(work(pace));
            let at_work = u64::from(in_flight) + u64::from(buffered);
            let sight = Sight {
                members: conduct.members.len(),
                before: fleet.notice.members as usize,
                left,
                missing: complete.then(|| full.saturating_sub(at_work)),
            };
            let pupils = fleet.company.bound(now, sight, pace, pupils);
            let places = times(pupils, self.room.places_per_pupil());
            serving = self.room.after(places).0;
        }
        let wants: Vec<_> = conduct
            .members
            .iter()
            .map(|(id, _, report)| (*id, report.want()))
            .collect();
        let fleet = self.fleet.as_mut()?;
        Some(Publish {
            member: fleet.member,
            epoch,
            fence: conduct.fence,
            serving,
            cap,
            notice: Notice {
                members: u32::try_from(fleet.company.known()).unwrap_or(u32::MAX),
                promise: self.forecast.word(now),
                ..self.conductor.notice(now)
            },
            shares: fleet.shares.divide(now, cap, &wants),
        })
    }

    /// What the ledger has to be told, after it lost something or this gateway was cut off.
    fn merge(&mut self) -> Vec<Merge> {
        let due = |f: &Fleet<W>| f.must_merge && !f.merging;
        let Some(fleet) = self.fleet.as_ref().filter(|f| due(f)) else {
            return Vec::new();
        };
        let caller = Caller {
            member: fleet.member,
            // Should the ledger lose everything once more before this, its epoch is another.
            nonce: if fleet.seen.epoch == 1 { 2 } else { 1 },
            seen: fleet.seen,
        };
        let state = self.state();
        let last: Vec<_> = state
            .last
            .iter()
            .filter_map(|(key, turn)| {
                let school = self.room.index(*key)?;
                Some((*key, self.tooth(school, *turn)))
            })
            .collect();
        let used: Vec<_> = state
            .used
            .into_iter()
            .flat_map(|(school, used)| {
                Vec::from(used)
                    .into_iter()
                    .map(move |(epoch, block, bits)| (epoch, school, block, bits))
            })
            .collect();
        let mut merges: Vec<Merge> = used
            .chunks(MERGE_BLOCKS)
            .map(|used| Merge {
                caller,
                last: Vec::new(),
                used: used.to_vec(),
            })
            .collect();
        merges.insert(
            0,
            Merge {
                caller,
                last,
                used: Vec::new(),
            },
        );
        if let Some(fleet) = &mut self.fleet {
            fleet.merging = true;
        }
        merges
    }

    /// Takes over what an earlier run left: at once, or once it is known what the ledger knows.
    pub fn restore(&mut self, state: RoomState) {
        match &mut self.fleet {
            Some(fleet) if !fleet.answered => fleet.restored = Some(state),
            _ => self.take_over(state),
        }
    }
}

/// A number of slots, rounded, and at least one.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small positive number"
)]
fn slots(number: f64) -> u32 {
    number.round().max(1.0) as u32
}

/// How many pupils make up the work that the buffers should hold, at a pace in pupils per second.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and a number of pupils is positive"
)]
fn work(pace: f64) -> u64 {
    (pace * TARGET_SHARED.as_secs_f64()) as u64
}

fn portion(share: u32, cap: u32) -> f64 {
    (f64::from(share) / f64::from(cap.max(1))).clamp(LEAST_PORTION, 1.0)
}

impl<W> Fleet<W> {
    /// Whether others, or somebody here, would have to wait if this were told only in time.
    fn has_news(&self, report: Report, free: u32) -> bool {
        let held = self.share.max(report.in_flight);
        let held_told = self.last_share_told.max(self.last_told.in_flight);
        let gave_way = held < held_told;
        let first_in_buffer = report.buffered > 0 && free == 0 && self.last_told.buffered == 0;
        let ran_dry = report.want() < self.share && self.last_told.want() >= self.last_share_told;
        let claim = !self.claims.is_empty() && free > 0;
        gave_way || first_in_buffer || ran_dry || claim
    }
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
