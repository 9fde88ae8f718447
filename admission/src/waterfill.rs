//! Releasing `k` pupils: the water level on the schools' backlogs, found in O(S log S).
//!
//! Every school is a vessel reaching from `serving` to its last turn; a vessel's width is
//! `1/step`. Pouring in `k` pupils raises one common level, the new `serving`. The level is first
//! computed for a liquid (sort the vessels by height, walk up), stopping short of what rounding to
//! whole pupils could add, and then the few pupils still missing are taken one by one, lowest turn
//! first, from a heap. The result is the smallest level at which at least `k` pupils may go.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::room::School;
use crate::turn::Serving;

/// The new watermark after releasing `pupils`, and how many are released by it.
pub(crate) fn level(serving: Serving, schools: &[School], pupils: u64) -> (Serving, u64) {
    let backlogged: Vec<&School> = schools.iter().filter(|s| s.last().0 > serving.0).collect();
    let waiting: u64 = backlogged
        .iter()
        .map(|s| s.between(serving, u64::MAX))
        .sum();
    if pupils == 0 || waiting == 0 {
        return (serving, 0);
    }
    if pupils >= waiting {
        let top = backlogged.iter().map(|s| s.last().0).max();
        return (Serving(top.unwrap_or(serving.0)), waiting);
    }
    let vessels = backlogged.len() as u64;
    let mut low = liquid(serving, &backlogged, pupils.saturating_sub(vessels));
    let mut released = count(serving, &backlogged, low);
    if released > pupils {
        // Only rounding of f64 on absurdly long backlogs can bring us here; the heap is exact.
        (low, released) = (serving.0, 0);
    }
    let top = drops(&backlogged, low, pupils - released);
    (Serving(top), count(serving, &backlogged, top))
}

fn count(serving: Serving, backlogged: &[&School], upto: u64) -> u64 {
    backlogged.iter().map(|s| s.between(serving, upto)).sum()
}

/// The level at which `amount` of a liquid stands in the vessels.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the level is non-negative and rounded down on purpose"
)]
fn liquid(serving: Serving, backlogged: &[&School], amount: u64) -> u64 {
    if amount == 0 {
        return serving.0;
    }
    let mut by_height: Vec<(u64, f64)> = backlogged
        .iter()
        .map(|s| (s.last().0 - serving.0, 1.0 / s.step() as f64))
        .collect();
    by_height.sort_unstable_by_key(|(height, _)| *height);
    let mut width: f64 = by_height.iter().map(|(_, width)| width).sum();
    let mut missing = amount as f64;
    let mut level = 0_u64;
    for (height, own) in by_height {
        let room = (height - level) as f64 * width;
        if room >= missing {
            // Rounded, it may reach above the vessel, and near the end of the line beyond it.
            let rest = ((missing / width) as u64).min(height - level);
            return serving.0 + level + rest;
        }
        missing -= room;
        level = height;
        width -= own;
    }
    serving.0 + level
}

/// Raises `low` by the next `pupils` teeth, lowest first.
fn drops(backlogged: &[&School], low: u64, pupils: u64) -> u64 {
    let next_above = |school: &School, value: u64| {
        let turn = school.turn_of(school.tooth(value) + 1);
        (turn <= school.last().0).then_some(turn)
    };
    let mut heap: BinaryHeap<Reverse<(u64, usize)>> = backlogged
        .iter()
        .enumerate()
        .filter_map(|(i, s)| Some(Reverse((next_above(s, low)?, i))))
        .collect();
    let mut level = low;
    for _ in 0..pupils {
        let Some(Reverse((turn, i))) = heap.pop() else {
            break;
        };
        level = turn;
        if let Some(next) = next_above(backlogged[i], turn) {
            heap.push(Reverse((next, i)));
        }
    }
    level
}
