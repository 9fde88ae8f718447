//! By what one backend is chosen among those that fit.

use super::Member;

/// A pseudo-random sequence (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^= x >> 31;
        usize::try_from(x % sides.max(1) as u64).unwrap_or(0)
    }
}

/// Two different ones of those that fit; the same twice if there is only one.
pub(super) fn two(
    members: &[Member],
    dice: &mut Dice,
    fits: impl Fn(&Member) -> bool,
) -> Option<(usize, usize)> {
    let count = members.iter().filter(|m| fits(m)).count();
    if count == 0 {
        return None;
    }
    let first = dice.roll(count);
    let second = match count {
        1 => first,
        _ => (first + 1 + dice.roll(count - 1)) % count,
    };
    let nth = |n: usize| {
        let mut fitting = members.iter().enumerate().filter(|(_, m)| fits(m));
        fitting.nth(n).map(|(index, _)| index)
    };
    Some((nth(first)?, nth(second)?))
}

/// The one of those that fit that has the least to do for its weight; of several, any.
pub(super) fn least_in_flight(
    members: &[Member],
    dice: &mut Dice,
    fits: impl Fn(&Member) -> bool,
) -> Option<usize> {
    let load = |m: &Member| f64::from(m.in_flight) / m.weight;
    let count = members.len();
    let from = dice.roll(count);
    (0..count)
        .map(|n| (from + n) % count)
        .filter(|index| fits(&members[*index]))
        .min_by(|a, b| load(&members[*a]).total_cmp(&load(&members[*b])))
}

/// The next of those that fit, each as often as its weight says and spread evenly, as nginx does.
pub(super) fn next_in_turn(
    members: &mut [Member],
    fits: impl Fn(&Member) -> bool,
) -> Option<usize> {
    let mut all = 0.0;
    for member in members.iter_mut().filter(|m| fits(m)) {
        member.credit += member.weight;
        all += member.weight;
    }
    let fitting = members.iter().enumerate().filter(|(_, m)| fits(m));
    let (index, _) = fitting.max_by(|(_, a), (_, b)| a.credit.total_cmp(&b.credit))?;
    members[index].credit -= all;
    Some(index)
}
