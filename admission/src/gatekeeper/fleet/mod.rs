//! One gateway among several: what it tells the ledger, and what it does without one.
//!
//! In touch with the ledger it is [`Mode::Shared`]: turns, shares and tickets are the ledger's,
//! and whoever has the pacer's lease conducts the room for all. Cut off it is [`Mode::Frozen`]: it
//! keeps the share it has, conducts its own part of the room with the same pacer and release, and
//! gives turns itself. Every register only grows, so coming back is taking the larger.

mod claims;
mod company;
mod conducting;
mod contact;
mod crowd;
mod exchange;
mod frozen;
mod joins;
mod recovery;
mod share;
mod untold;

use std::time::Duration;

use super::{Buffered, Gatekeeper};
use crate::buffer::WaiterId;
use crate::conductor::part;
use crate::forecast::Word;
use crate::ledger::{MemberId, Notice, TicketKey};
use crate::pacer::Verdict;
use crate::room::SchoolIndex;
use crate::turn::Turn;

use claims::Claims;
use conducting::Conducting;
use contact::Contact;
use crowd::Crowd;
use recovery::Recovery;
use share::Share;
use untold::Untold;

pub use exchange::Answer;

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

/// What a gateway knows as one of several.
pub(super) struct Fleet<W> {
    member: MemberId,
    mode: Mode,
    /// Since when it is in this mode.
    since: Duration,
    contact: Contact,
    recovery: Recovery,
    share: Share,
    /// The part of the browsers that comes here, and the turns given to them alone.
    crowd: Crowd,
    /// What the pacer published last.
    notice: Notice,
    conducting: Conducting,
    untold: Untold,
    claims: Claims<W>,
    /// What each pupil of the batch under way costs, in the order asked.
    costs: Vec<u64>,
}

impl<W> Fleet<W> {
    fn new(membership: Membership) -> Self {
        Self {
            member: membership.member,
            mode: Mode::Recovering,
            since: Duration::ZERO,
            contact: Contact::default(),
            recovery: Recovery::default(),
            share: Share::unheard(membership.share_unheard),
            crowd: Crowd::default(),
            notice: Notice::default(),
            conducting: Conducting::default(),
            untold: Untold::default(),
            claims: Claims::default(),
            costs: Vec::new(),
        }
    }

    fn set_mode(&mut self, now: Duration, mode: Mode) {
        if self.mode != mode {
            self.mode = mode;
            self.since = now;
        }
    }

    fn is_frozen(&self) -> bool {
        self.mode == Mode::Frozen
    }

    /// Whether it hears from another gateway, or from itself as the pacer, how the room is conducted.
    fn hears(&self) -> bool {
        matches!(self.mode, Mode::Shared | Mode::Recovering)
    }

    /// Those who wait for the ledger's word on their tickets.
    pub(super) fn claiming(&self) -> u64 {
        self.claims.len() as u64
    }

    pub(super) fn claim(&mut self, id: WaiterId, key: TicketKey, waiter: Buffered<W>) {
        self.claims.insert(id, key, waiter);
    }

    pub(super) fn leave(&mut self, id: WaiterId) -> bool {
        self.claims.remove(id).is_some()
    }

    pub(super) fn done(&mut self, key: TicketKey) {
        if !self.untold.sent(key) {
            self.recovery.merge();
        }
    }

    pub(super) fn released(&mut self, key: TicketKey) {
        self.untold.released(key);
    }

    /// Whether this gateway's own conductor decides, and is to be told what happens here. Otherwise
    /// the pacer hears of it by way of the ledger, also when it is at this very gateway.
    pub(super) fn conducts_alone(&self) -> bool {
        self.is_frozen()
    }

    /// Notes how a login ended, for the pacer.
    pub(super) fn ended(&mut self, verdict: Verdict) {
        self.untold.ended(verdict);
    }

    /// Somebody with a pass logs in.
    pub(super) fn typed(&mut self) {
        self.untold.typed();
    }

    /// Gated pages over the whole room that the pacer does not know yet, if the other gateways serve
    /// as many for their part.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small non-negative number"
    )]
    pub(super) fn pages_untold(&self) -> u64 {
        (f64::from(self.untold.pages()) / self.crowd.part()) as u64
    }

    /// The ledger may not know how far this school is.
    pub(super) fn learn(&mut self, school: SchoolIndex) {
        self.untold.learnt(school);
    }

    /// How many to call over the whole room so that so many come here.
    pub(super) fn call_for(&mut self, pupils: u64) -> u64 {
        self.crowd.call_for(pupils)
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
        self.fleet.as_ref().map_or(1.0, |f| f.share.portion())
    }

    /// Pupils released per second in the whole room.
    pub(super) fn pace(&self) -> Option<f64> {
        match &self.fleet {
            Some(f) if f.hears() => f.notice.pace,
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
        let follows = fleet.hears() && !fleet.conducting.is_pacer();
        follows.then_some(fleet.notice.promise)
    }

    /// Pupils in the buffers that this gateway conducts for, and the part of the room that is.
    pub(super) fn buffered_here(&self) -> (f64, f64) {
        match &self.fleet {
            Some(f) if f.mode == Mode::Shared && f.conducting.is_pacer() => {
                (f64::from(f.conducting.buffered()), 1.0)
            }
            Some(f) => (self.buffered() as f64, f.share.portion()),
            None => (self.buffered() as f64, 1.0),
        }
    }

    /// Released pupils who are on their way to this gateway.
    pub(super) fn coming(&self, now: Duration) -> u64 {
        match &self.fleet {
            Some(f) if f.mode == Mode::Shared && f.conducting.is_pacer() => {
                part(self.conductor.coming(now), f.crowd.part())
            }
            Some(f) if f.mode == Mode::Shared => part(f.notice.coming, f.crowd.part()),
            _ => self.conductor.coming(now),
        }
    }

    pub(super) fn arrived(&mut self, now: Duration, turn: Turn) {
        match &mut self.fleet {
            Some(fleet) if !fleet.is_frozen() => fleet.untold.arrived(turn),
            _ => self.conductor.arrived(now, turn),
        }
    }
}
