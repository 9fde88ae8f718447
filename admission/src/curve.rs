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
        let lines = room.schools().iter().filter(|s| s.last().0 > serving);
        let mut bends: Vec<(u64, f64)> = lines
            .map(|s| (s.last().0, -1.0 / s.step() as f64))
            .collect();
        let slope = bends.iter().map(|(_, less)| -less).sum();
        Self::bent(serving, slope, &mut bends)
    }

    /// The same of those who really wait: in the line of a flood there are turns that nobody holds.
    pub(crate) fn of_pupils(room: &Room) -> Self {
        let serving = room.serving();
        let mut bends = Vec::with_capacity(room.schools().len());
        let mut slope = 0.0;
        for school in room.schools() {
            if school.last().0 <= serving.0 {
                continue;
            }
            let width = 1.0 / school.step() as f64;
            let (mut at, mut held) = (serving.0, None);
            for (upto, part) in school.pieces(serving) {
                if upto <= at {
                    continue;
                }
                match held {
                    None => slope += part * width,
                    Some(before) => bends.push((at, (part - before) * width)),
                }
                (at, held) = (upto, Some(part));
            }
            bends.push((at, -held.unwrap_or_default() * width));
        }
        Self::bent(serving.0, slope, &mut bends)
    }

    /// A line that begins with a slope, which becomes another at each bend.
    fn bent(serving: u64, mut slope: f64, bends: &mut [(u64, f64)]) -> Self {
        bends.sort_unstable_by_key(|(at, _)| *at);
        let mut corners = Vec::with_capacity(bends.len() + 1);
        let (mut at, mut sum) = (serving, 0.0);
        corners.push((at, sum, slope));
        for (turn, change) in bends {
            sum += (*turn - at) as f64 * slope;
            slope = (slope + *change).max(0.0);
            at = *turn;
            corners.push((at, sum, slope));
        }
        Self { serving, corners }
    }

    /// The same with others who will have gone first, at some turns, in their order; between those in
    /// proportion.
    pub(crate) fn with(&self, others: &[(u64, f64)]) -> Self {
        if others.is_empty() {
            return self.clone();
        }
        let mut turns: Vec<u64> = self.corners.iter().map(|(at, ..)| *at).collect();
        turns.extend(others.iter().map(|(at, _)| *at));
        turns.sort_unstable();
        turns.dedup();
        let (mut before, mut next) = ((self.serving, 0.0), others.iter().peekable());
        let mut corners: Vec<(u64, f64, f64)> = Vec::with_capacity(turns.len());
        for turn in turns.into_iter().filter(|turn| *turn >= self.serving) {
            while let Some(point) = next.next_if(|(at, _)| *at <= turn) {
                before = *point;
            }
            let more = next.peek().map_or(before.1, |(at, pupils)| {
                let part =
                    (turn - before.0.min(turn)) as f64 / (at - before.0.min(*at)).max(1) as f64;
                before.1 + part * (pupils - before.1)
            });
            let sum = self.ahead(Turn(turn)) + more;
            if let Some((at, first, slope)) = corners.last_mut() {
                *slope = ((sum - *first) / (turn - *at) as f64).max(0.0);
            }
            corners.push((turn, sum, 0.0));
        }
        Self {
            serving: self.serving,
            corners,
        }
    }

    /// Where the line ends.
    pub(crate) fn end(&self) -> u64 {
        self.corners.last().map_or(self.serving, |(at, ..)| *at)
    }

    /// Pupils per unit of turn just above one.
    pub(crate) fn slope(&self, turn: u64) -> f64 {
        let above = self.corners.partition_point(|(at, ..)| *at <= turn);
        let corner = above.checked_sub(1).and_then(|i| self.corners.get(i));
        corner.map_or(0.0, |(.., slope)| *slope)
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

#[cfg(test)]
mod tests {
    use super::Curve;
    use crate::room::{Room, SchoolIndex};
    use crate::turn::{SchoolKey, Turn, Weight};

    const FLOODED: SchoolIndex = SchoolIndex(0);

    /// A school of a hundred pupils to which a thousand come, and one of a thousand to which two hundred come.
    fn flooded() -> Room {
        let weights = [100, 1_000].map(|pupils| Weight::new(pupils).unwrap());
        let mut room = Room::new([SchoolKey(1), SchoolKey(2)].into_iter().zip(weights));
        for number in 0..1_000 {
            room.join(FLOODED).unwrap();
            if number < 200 {
                room.join(SchoolIndex(1)).unwrap();
            }
        }
        room
    }

    #[test]
    fn places_that_nobody_holds_are_no_pupils() {
        let mut room = flooded();
        let pupils = |room: &Room| Curve::of_pupils(room).waiting();
        assert!((pupils(&room) - 1_200.0).abs() < 2.0, "{}", pupils(&room));
        assert!(room.waiting() > 1_800);
        // The first three hundred stand close together, and then two places go with each pupil.
        assert!((room.places_per_pupil() - 1.0).abs() < 1e-9);
        room.release(500);
        assert!((pupils(&room) - 700.0).abs() < 2.0, "{}", pupils(&room));
        assert!((room.places_per_pupil() - 2.0).abs() < 0.01);
        room.release(700);
        assert!((pupils(&room) - 350.0).abs() < 2.0, "{}", pupils(&room));
        let last = room.schools()[0].last();
        assert_eq!(room.ahead(last), room.waiting());
        let ahead = Curve::of_pupils(&room).ahead(last);
        assert!((ahead - pupils(&room)).abs() < 1e-6);
    }

    #[test]
    fn others_who_go_first_are_added_in_proportion() {
        let room = flooded();
        let line = Curve::of_pupils(&room);
        let (serving, end) = (room.serving().0, line.end());
        let middle = serving + (end - serving) / 2;
        let all = line.with(&[(middle, 100.0), (end, 400.0)]);
        let more = |turn: u64| all.ahead(Turn(turn)) - line.ahead(Turn(turn));
        assert!(more(serving).abs() < 1e-6);
        assert!((more(middle) - 100.0).abs() < 1e-6);
        assert!((more(end) - 400.0).abs() < 1e-6);
        assert!((100.0..400.0).contains(&more(middle + (end - middle) / 2)));
        let mut before = 0.0;
        for part in 0..=100 {
            let ahead = all.ahead(Turn(serving + (end - serving) / 100 * part));
            assert!(ahead >= before);
            before = ahead;
        }
    }
}
