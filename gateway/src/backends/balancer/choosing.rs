//! Which backend a request gets.

use std::net::SocketAddr;
use std::time::Duration;

use einlass_config::Policy;

use super::{Balancer, Id, Member, TRY, draw};
use crate::backends::Kind;
use crate::backends::affinity::{self, Home};
use crate::backends::priority::Rank;

/// A backend without an answer so far is taken for so much of the others' latency: it is tried, and
/// not stormed, because what is in flight there counts as everywhere.
const CURIOSITY: f64 = 0.5;

/// What a request wants.
#[derive(Clone, Copy, Debug)]
pub(in crate::backends) struct Wish<'a> {
    pub(in crate::backends) kind: Kind,
    pub(in crate::backends) rank: Rank,
    pub(in crate::backends) home: Home,
    /// Backends that could not be reached for it.
    pub(in crate::backends) tried: &'a [SocketAddr],
}

/// What it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backends) enum Choice {
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

impl Balancer {
    pub(in crate::backends) fn choose(&mut self, now: Duration, wish: Wish<'_>) -> Choice {
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
    pub(in crate::backends) fn line_up(&mut self, home: Home) -> Option<SocketAddr> {
        let keeps = |m: &Member, at| m.address == at && m.keeps_sessions();
        let there = |at: &SocketAddr| self.members.iter().any(|m| keeps(m, *at));
        let at = home.backend().filter(there);
        self.ahead.join(at);
        at
    }

    fn index(&mut self, now: Duration, wish: Wish<'_>) -> Option<usize> {
        let (rules, parts, ahead) = (self.rules, self.parts, &self.ahead);
        let (members, dice) = (&mut self.members[..], &mut self.dice);
        let most = |m: &Member, bound| match parts {
            Some(parts) => parts.most(wish.rank, bound),
            None if wish.rank == Rank::Page => ahead.leave_for_pages(bound, m.address),
            None => bound,
        };
        let untried = |m: &Member| !wish.tried.contains(&m.address);
        if let Some(home) = wish.home.backend() {
            // A session is not sent away because its backend starts slowly, or is drained; and to one
            // that has been restarted it comes a second time.
            let there =
                |m: &Member| m.address == home && (untried(m) || m.drains()) && m.keeps_sessions();
            if let Some(index) = members.iter().position(there) {
                let member = &members[index];
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
            let all = members.iter().enumerate();
            let highest = all
                .filter(|(_, m)| untried(m) && fits(m))
                .max_by(|(_, a), (_, b)| height(a).total_cmp(&height(b)));
            if let Some((index, _)) = highest {
                return Some(index);
            }
        }
        let trial = |m: &Member| untried(m) && m.wants_trial(now, wish.kind);
        if let Some(index) = members.iter().position(trial) {
            return Some(index);
        }
        let fits =
            |m: &Member| untried(m) && m.open() && m.in_flight < most(m, m.limit(now, &rules));
        let cost = |members: &[Member], index: usize| {
            let unmeasured = || mean_latency(members, now, wish.kind) * CURIOSITY;
            members[index].cost(now, wish.kind, unmeasured)
        };
        let open = members.iter().any(|m| untried(m) && m.open());
        if open {
            return match rules.policy {
                Policy::PeakEwma => {
                    let (one, other) = draw::two(members, dice, fits)?;
                    let cheaper = cost(members, other) < cost(members, one);
                    Some(if cheaper { other } else { one })
                }
                Policy::LeastInFlight => draw::least_in_flight(members, dice, fits),
                Policy::RoundRobin => draw::next_in_turn(members, fits),
            };
        }
        // Better an ejected backend than none, but not one that does not answer at all.
        let last =
            |m: &Member| untried(m) && m.at_all() && m.in_flight < most(m, rules.max_in_flight);
        let (one, _) = draw::two(members, dice, last)?;
        Some(one)
    }
}

/// Of the backends in use, in seconds.
fn mean_latency(members: &[Member], now: Duration, kind: Kind) -> f64 {
    let open = members.iter().filter(|m| m.open());
    let known = open.filter_map(|m| m.latency_now(now, kind));
    let (sum, count) = known.fold((0.0, 0_u32), |(sum, n), one| (sum + one, n + 1));
    if count == 0 {
        1.0
    } else {
        sum / f64::from(count)
    }
}
