//! Staff who must open the lesson: a second line for each school, as large as its share.
//!
//! With the share `f`, a place in a school's staff line costs `(1-f)/f` places of its pupils' line. So
//! while its pupils wait, `f` of those who are let in of the school are staff and no more, however many
//! of them come; what staff do not use goes to pupils, and the other way round. The lines are lines
//! like all others: nothing goes around the room, and there is nothing else to count, to keep or to
//! tell other gateways.
//!
//! Not one line for the staff of the whole room, with the share of all schools' pupils for its weight:
//! where only some of the schools wait, the others' part would be its own, and a link that has leaked
//! would take from the staff of every school instead of from the school that it is good for.

use crate::turn::{Step, Weight};

/// The part of a school's admissions that its staff may have while its pupils wait: more than 0, and not
/// more than a half.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct StaffShare(f64);

impl StaffShare {
    /// The largest share.
    pub const MAX: f64 = 0.5;

    /// `None` outside the range: staff have no line of their own.
    pub fn new(share: f64) -> Option<Self> {
        (share > 0.0 && share <= Self::MAX).then_some(Self(share))
    }

    /// What one of the staff costs where a pupil costs so much, rounded so that the share is rather too
    /// small than too large.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and saturating where a share is absurdly small"
    )]
    pub(crate) fn step(self, pupil: Step) -> Step {
        Step((pupil.0 as f64 / self.per_pupil()).ceil() as u64)
    }

    /// About how many staff that is.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not more than the pupils"
    )]
    pub(crate) fn weight(self, pupils: Weight) -> Weight {
        let staff = (f64::from(pupils.pupils()) * self.per_pupil()) as u32;
        Weight::new(staff.max(1)).unwrap_or(pupils)
    }

    fn per_pupil(self) -> f64 {
        self.0 / (1.0 - self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::SCALE;

    #[test]
    fn a_share_is_more_than_nothing_and_at_most_a_half() {
        for none in [0.0, -0.1, 0.51, 1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(StaffShare::new(none), None, "{none}");
        }
        let pupils = Weight::new(900).unwrap();
        let half = StaffShare::new(0.5).unwrap();
        assert_eq!(half.weight(pupils), pupils);
        assert_eq!(half.step(pupils.step()), pupils.step());
        let tenth = StaffShare::new(0.1).unwrap();
        assert_eq!(tenth.weight(pupils), Weight::new(100).unwrap());
        assert_eq!(tenth.weight(Weight::new(3).unwrap()).pupils(), 1);
        let one = Weight::new(1).unwrap().step();
        let step = tenth.step(one).0;
        assert!((9 * SCALE..=9 * SCALE + 1_024).contains(&step), "{step}");
    }
}
