//! Who may use how many of a room's slots: weighted max-min over what the gateways want.
//!
//! A gateway never gets more than it wants while another wants more than it has, and those that
//! want more than they can have are served in proportion to their wants. So a released pupil waits
//! as long in one gateway's buffer as in another's, however the browsers are spread. (Plain
//! max-min would give a gateway with a tenth of the pupils a third of the slots.) What nobody wants
//! is dealt out evenly, for whoever comes next.
//!
//! Slots are whole and every move costs an exchange in which the slot stands empty. So the weights
//! are smoothed, a slot moves only if that brings both ends nearer to what they should have, and
//! what a gateway lacks by rounding is remembered until it is its turn: the remainders rotate.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::ledger::MemberId;
use crate::span::Stepped;

/// Time constant of the weights, in seconds.
const SMOOTHING: f64 = 1.0;
/// A slot moves when the two ends together are off by more than this many slots.
const WORTH_MOVING: f64 = 1.5;
/// How much may be owed for rounding, in slots: enough to make a move worth it.
const MOST_OWED: f64 = 2.0;
/// Longer gaps between two divisions are not made up for.
const LONGEST_STEP: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug)]
struct Entry {
    want: f64,
    owed: f64,
    slots: u32,
}

/// The division of a cap, and what it owes to whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares {
    entries: BTreeMap<MemberId, Entry>,
    stepped: Stepped,
}

impl Shares {
    /// Divides `cap` among gateways by their wants, in logins. The sum is always `cap`, unless
    /// there is no gateway.
    pub(crate) fn divide(
        &mut self,
        now: Duration,
        cap: u32,
        wants: &[(MemberId, u32)],
    ) -> Vec<(MemberId, u32)> {
        let dt = self.stepped.step(now, LONGEST_STEP);
        self.entries
            .retain(|id, _| wants.iter().any(|(member, _)| member == id));
        for (id, want) in wants {
            let want = f64::from(*want);
            let entry = self.entries.entry(*id).or_insert(Entry {
                want,
                owed: 0.0,
                slots: 0,
            });
            entry.want += (dt / SMOOTHING).min(1.0) * (want - entry.want);
        }
        let ideals = ideals(
            cap,
            &wants
                .iter()
                .map(|(id, want)| (self.entries[id].want, *want))
                .collect::<Vec<_>>(),
        );
        let mut seats: Vec<(MemberId, f64)> = Vec::with_capacity(wants.len());
        for ((id, want), ideal) in wants.iter().zip(ideals) {
            if let Some(entry) = self.entries.get_mut(id) {
                let owed = entry.owed + (ideal - f64::from(entry.slots)) * dt;
                // Nothing is owed to somebody who could not use it.
                let most = if f64::from(*want) > f64::from(entry.slots) {
                    MOST_OWED
                } else {
                    0.0
                };
                entry.owed = owed.clamp(-MOST_OWED, most);
                seats.push((*id, ideal + entry.owed));
            }
        }
        self.seat(cap, &seats);
        seats
            .iter()
            .map(|(id, _)| (*id, self.entries[id].slots))
            .collect()
    }

    /// Moves slots, one by one, from whoever is most above to whoever is most below.
    fn seat(&mut self, cap: u32, seats: &[(MemberId, f64)]) {
        let mut given: u32 = self.entries.values().map(|e| e.slots).sum();
        loop {
            let excess =
                |(id, ideal): &(MemberId, f64)| (f64::from(self.entries[id].slots) - ideal, *id);
            let by_excess = |a: &(f64, MemberId), b: &(f64, MemberId)| {
                a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1))
            };
            let most = seats
                .iter()
                .filter(|(id, _)| self.entries[id].slots > 0)
                .map(excess)
                .max_by(by_excess);
            let least = seats.iter().map(excess).min_by(by_excess);
            let (take, give) = match given.cmp(&cap) {
                Ordering::Greater => (most, None),
                Ordering::Less => (None, least),
                Ordering::Equal => match (most, least) {
                    (Some(most), Some(least)) if most.0 - least.0 > WORTH_MOVING => {
                        (Some(most), Some(least))
                    }
                    _ => return,
                },
            };
            if take.is_none() && give.is_none() {
                return;
            }
            if let Some(entry) = take.and_then(|(_, id)| self.entries.get_mut(&id)) {
                entry.slots -= 1;
                given -= 1;
            }
            if let Some(entry) = give.and_then(|(_, id)| self.entries.get_mut(&id)) {
                entry.slots += 1;
                given += 1;
            }
        }
    }
}

/// The exact division: weighted max-min, then the rest evenly.
fn ideals(cap: u32, wants: &[(f64, u32)]) -> Vec<f64> {
    let mut ideals = vec![0.0; wants.len()];
    let mut open: Vec<usize> = (0..wants.len()).filter(|i| wants[*i].1 > 0).collect();
    let mut left = f64::from(cap);
    // Whoever wants less than its proportion gets what it wants, until nobody does.
    loop {
        let weights: f64 = open.iter().map(|i| wants[*i].0.max(0.01)).sum();
        let fair = |i: usize| left * wants[i].0.max(0.01) / weights;
        let (sated, hungry): (Vec<usize>, Vec<usize>) = open
            .iter()
            .partition(|i| f64::from(wants[**i].1) <= fair(**i));
        if sated.is_empty() {
            for i in hungry {
                ideals[i] = fair(i);
            }
            left = if open.is_empty() { left } else { 0.0 };
            break;
        }
        for i in sated {
            ideals[i] = f64::from(wants[i].1);
            left -= ideals[i];
        }
        open = hungry;
    }
    let spare = left.max(0.0) / wants.len().max(1) as f64;
    for ideal in &mut ideals {
        *ideal += spare;
    }
    ideals
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: [MemberId; 3] = [MemberId(1), MemberId(2), MemberId(3)];

    fn settled(cap: u32, wants: [u32; 3]) -> Vec<u32> {
        let wants: Vec<_> = MEMBERS.into_iter().zip(wants).collect();
        let mut shares = Shares::default();
        for step in 0..100 {
            shares.divide(Duration::from_millis(100 * step), cap, &wants);
        }
        let divided = shares.divide(Duration::from_secs(10), cap, &wants);
        divided.into_iter().map(|(_, slots)| slots).collect()
    }

    #[test]
    fn whoever_wants_more_than_there_is_gets_it_in_proportion() {
        assert_eq!(settled(20, [85, 10, 5]), [17, 2, 1]);
    }

    #[test]
    fn whoever_wants_nothing_any_more_leaves_its_slots_to_others_at_once() {
        let mut shares = Shares::default();
        let divide = |shares: &mut Shares, step: u64, wants: [u32; 3]| -> Vec<u32> {
            let wants: Vec<_> = MEMBERS.into_iter().zip(wants).collect();
            let divided = shares.divide(Duration::from_millis(100 * step), 12, &wants);
            divided.into_iter().map(|(_, slots)| slots).collect()
        };
        for step in 0..100 {
            divide(&mut shares, step, [30, 30, 0]);
        }
        assert_eq!(divide(&mut shares, 100, [30, 30, 0]), [6, 6, 0]);
        assert_eq!(divide(&mut shares, 101, [30, 0, 0]), [12, 0, 0]);
    }

    #[test]
    fn what_nobody_wants_is_dealt_out_evenly() {
        assert_eq!(settled(12, [0, 0, 0]), [4, 4, 4]);
        assert_eq!(settled(12, [3, 0, 0]), [6, 3, 3]);
    }

    #[test]
    fn the_sum_is_the_cap_and_remainders_rotate() {
        let members: Vec<_> = (0..8).map(|i| (MemberId(i), 10)).collect();
        let mut shares = Shares::default();
        let mut time = [0_u32; 8];
        for step in 0..1_000 {
            let divided = shares.divide(Duration::from_millis(100 * step), 5, &members);
            assert_eq!(divided.iter().map(|(_, slots)| slots).sum::<u32>(), 5);
            for (total, (_, slots)) in time.iter_mut().zip(divided) {
                *total += slots;
            }
        }
        // 5 slots over 8 gateways for 100 s: 62.5 s of a slot each.
        let (least, most) = (time.iter().min().unwrap(), time.iter().max().unwrap());
        assert!(*least >= 525 && *most <= 725, "{time:?}");
    }

    #[test]
    fn a_gateway_that_is_gone_leaves_its_slots_at_once() {
        let mut shares = Shares::default();
        let all: Vec<_> = MEMBERS.into_iter().map(|id| (id, 50)).collect();
        shares.divide(Duration::ZERO, 12, &all);
        let divided = shares.divide(Duration::from_millis(100), 12, &all[..2]);
        assert_eq!(divided, [(MEMBERS[0], 6), (MEMBERS[1], 6)]);
    }
}
