//! Backends that the gateway asks itself: whether they answer at all, and whether they are slow.

use std::net::SocketAddr;
use std::time::Duration;

use einlass_config::Policy;

use super::{Balancer, Id, Member, TRY};
use crate::backends::Kind;
use crate::backends::slow;

/// The same page is to be asked for at both, at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backends) struct Comparison {
    pub(in crate::backends) id: Id,
    pub(in crate::backends) suspect: SocketAddr,
    pub(in crate::backends) other: SocketAddr,
}

impl Balancer {
    /// Backends to be asked now whether they answer at all, and how long for.
    pub(in crate::backends) fn knocks(&mut self, now: Duration) -> Vec<(Id, SocketAddr, Duration)> {
        let usual = self.usual(now);
        let rules = self.rules;
        let knock = |m: &mut Member| {
            let within = m.knock(now, &rules, usual)?;
            Some((m.id, m.address, within))
        };
        self.members.iter_mut().filter_map(knock).collect()
    }

    pub(in crate::backends) fn knocked(&mut self, now: Duration, id: Id, answered: bool) {
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
    pub(in crate::backends) fn is_mute(&self) -> bool {
        let mut usable = self.members.iter().filter(|m| m.usable()).peekable();
        usable.peek().is_some() && usable.all(Member::is_mute)
    }

    /// The backends that answer nothing, in use or not, and how long a page waits there.
    pub(in crate::backends) fn mute(&self, now: Duration) -> Vec<(Id, Duration)> {
        let mute = self.members.iter().filter(|m| m.is_mute());
        mute.map(|m| (m.id, m.page_patience(now))).collect()
    }

    /// Whether the answer to a knock that came too late is to be waited for.
    pub(in crate::backends) fn waits_on(&mut self, id: Id) -> bool {
        let member = self.members.iter_mut().find(|m| m.id == id);
        member.is_some_and(Member::waits_on)
    }

    /// The answer to a late knock has come, after so long; or none will.
    pub(in crate::backends) fn late(&mut self, now: Duration, id: Id, took: Option<Duration>) {
        self.change(id, |member, _| member.late(now, took));
    }

    /// An answer took so long. A backend that takes much longer than another usually does is to be compared.
    ///
    /// Not under a policy that knows nothing of speed: it makes lines at the slower backends, and a line is no
    /// reason to leave one out.
    pub(super) fn weigh(&mut self, id: Id, kind: Kind, took: Duration) {
        if took < slow::MORE || self.rules.policy != Policy::PeakEwma {
            return;
        }
        let elsewhere = self.in_the_middle(id, kind).and_then(|m| m.usual(kind));
        let slow = elsewhere.is_some_and(|usual| took >= slow::slow_from(usual));
        if slow && let Some(member) = self.members.iter_mut().find(|m| m.id == id) {
            member.slow.suspect();
        }
    }

    /// Backends to be compared now, and with which.
    pub(in crate::backends) fn comparisons(&mut self, now: Duration) -> Vec<Comparison> {
        let due = self.members.iter().filter(|m| m.comparison_is_due(now));
        let with = |m: &Member| {
            let any = || self.others(m.id).next();
            let other = self.in_the_middle(m.id, Kind::Read).or_else(any)?;
            Some(Comparison {
                id: m.id,
                suspect: m.address,
                other: other.address,
            })
        };
        let comparisons: Vec<Comparison> = due.filter_map(with).collect();
        for comparison in &comparisons {
            if let Some(member) = self.members.iter_mut().find(|m| m.id == comparison.id) {
                member.slow.begin();
            }
        }
        comparisons
    }

    /// A comparison has ended; `None` if one of both gave no answer.
    pub(in crate::backends) fn compared(&mut self, now: Duration, id: Id, slow: Option<bool>) {
        self.change(id, |member, rules| member.compared(now, rules, slow));
        self.judge(now, id);
    }

    /// The backends that this one may be compared with.
    pub(super) fn others(&self, id: Id) -> impl Iterator<Item = &Member> {
        let others = self.members.iter().filter(move |m| m.id != id);
        others.filter(|m| m.open() && !m.is_mute())
    }

    /// Of those the one in the middle, by what is usual there.
    fn in_the_middle(&self, id: Id, kind: Kind) -> Option<&Member> {
        let known = self.others(id).filter_map(|m| Some((m.usual(kind)?, m)));
        let mut known: Vec<(Duration, &Member)> = known.collect();
        known.sort_by_key(|(usual, _)| *usual);
        let middle = known.len().checked_sub(1)? / 2;
        Some(known[middle].1)
    }
}
