//! Who goes before a turn, over the whole room, prepared once so that a poll is a binary search.

use crate::room::Room;
use crate::turn::Turn;

/// The number of pupils waiting at or below each turn, as a piecewise straight line with one
/// corner per backlogged school. Exact at the corners, off by less than one pupil per backlogged
/// school between them: enough for an estimate of time, which is all it is used for.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    serving: u64,
    /// (turn, pupils up to it, pupils per unit of turn above it), by turn.
    corners: Vec<(u64, f64, f64)>,
}

impl Curve {
    /// Prepares the curve of a room as it stands.
    pub fn of(room: &Room) -> Self {
        let serving = room.serving().0;
        let mut vessels: Vec<(u64, f64)> = room
            .schools()
            .iter()
            .filter(|s| s.last().0 > serving)
            .map(|s| (s.last().0, 1.0 / s.step() as f64))
            .collect();
        vessels.sort_unstable_by_key(|(last, _)| *last);
        let mut slope: f64 = vessels.iter().map(|(_, width)| width).sum();
        let mut corners = Vec::with_capacity(vessels.len() + 1);
        let (mut at, mut sum) = (serving, 0.0);
        corners.push((at, sum, slope));
        for (last, width) in vessels {
            sum += (last - at) as f64 * slope;
            slope = (slope - width).max(0.0);
            at = last;
            corners.push((at, sum, slope));
        }
        Self { serving, corners }
    }

    /// Pupils waiting, over all schools.
    pub(crate) fn waiting(&self) -> f64 {
        self.corners.last().map_or(0.0, |(_, sum, _)| *sum)
    }

    /// The turn that so many pupils go before or with; `None` if fewer wait.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a distance between two turns, not negative"
    )]
    pub(crate) fn turn_at(&self, pupils: f64) -> Option<Turn> {
        let above = self.corners.partition_point(|(_, sum, _)| *sum < pupils);
        let end = self.corners.get(above)?;
        let Some((at, sum, slope)) = above.checked_sub(1).and_then(|i| self.corners.get(i)) else {
            return Some(Turn(end.0));
        };
        let further = (pupils - sum) / slope.max(f64::MIN_POSITIVE);
        Some(Turn(at.saturating_add(further as u64).min(end.0)))
    }

    /// Pupils who go no later than `turn`, over all schools.
    pub fn ahead(&self, turn: Turn) -> f64 {
        if turn.0 <= self.serving {
            return 0.0;
        }
        let above = self.corners.partition_point(|(at, ..)| *at <= turn.0);
        match above.checked_sub(1).and_then(|i| self.corners.get(i)) {
            Some((at, sum, slope)) => sum + (turn.0 - at) as f64 * slope,
            None => 0.0,
        }
    }
}
