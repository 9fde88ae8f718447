//! Turns for those who come: from the ledger for a whole batch, and without it for one after the other.

use crate::gatekeeper::Gatekeeper;
use crate::ledger::{Caller, Join, Joined};
use crate::room::SchoolIndex;
use crate::turn::Turn;

impl<W> Gatekeeper<W> {
    /// Asks for turns for pupils of these schools; `None` if the ledger is not to be asked.
    pub fn joining(&mut self, nonce: u32, pupils: &[(SchoolIndex, u32)]) -> Option<Join> {
        let costs: Vec<u64> = pupils.iter().map(|(s, _)| self.room.cost(*s)).collect();
        let fleet = self.fleet.as_mut()?;
        if fleet.is_frozen() || !fleet.contact.is_made() {
            return None;
        }
        let serving = self.room.serving();
        let schools = pupils.iter().zip(&costs).map(|((index, count), cost)| {
            let school = self.room.schools().get(index.0 as usize)?;
            let floor = school.tooth(serving.0.max(school.last().0));
            let teeth = u64::from(*count).saturating_mul(*cost);
            let teeth = u32::try_from(teeth).unwrap_or(u32::MAX);
            Some((school.key(), floor, teeth))
        });
        let schools = schools.collect::<Option<_>>()?;
        fleet.costs = costs;
        Some(Join {
            caller: Caller {
                member: fleet.member,
                nonce,
                seen: fleet.contact.seen(),
            },
            schools,
        })
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

    /// A turn is given without the ledger: how many teeth to leave out for those who come to other
    /// gateways meanwhile. None before it is known how many those are: turns left out for nobody would
    /// have to be called later, one by one, while the backend rests. If there are others after all, their
    /// tickets tell how far they are.
    pub(in crate::gatekeeper) fn leave_out(&mut self, school: SchoolIndex, cost: u64) -> u64 {
        let (Some(fleet), Some(line)) =
            (&mut self.fleet, self.room.schools().get(school.0 as usize))
        else {
            return 0;
        };
        let served = line.tooth(self.room.serving().0);
        let last = line.tooth(line.last().0).max(served);
        fleet.learn(school);
        if !fleet.share.is_counted() {
            return 0;
        }
        fleet.crowd.leave_out(school, (served, last), cost)
    }
}
