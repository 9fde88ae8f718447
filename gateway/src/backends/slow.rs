//! Whether a backend is slow, or only some of what it is asked for is dear.
//!
//! What a page should take nobody can say: a report takes a second wherever it is made, a long poll half a
//! minute. So an answer that took ten times what is usual in the middle of the pool is a suspicion and no
//! more. Then both backends are asked for the same page at the same moment, some times in a row: what is slow
//! each time is not the page.

use std::time::Duration;

/// So many times what it takes elsewhere is slow: such a backend does a tenth of what another does, so little
/// is lost without it.
const TIMES: f64 = 10.0;
/// And so much more than there, at least: less is no trouble to anybody.
pub(super) const MORE: Duration = Duration::from_millis(250);
/// The other is waited for so long. Ten times more would be silence, which is noticed without it.
pub(super) const LONGEST: Duration = Duration::from_millis(500);
/// So many comparisons in a row make it certain.
const CERTAIN: u32 = 3;
/// From a comparison to the next if that one did not come out as slow.
const AGAIN: Duration = Duration::from_secs(1);

/// From this on an answer is slow, where another backend's takes so long.
pub(super) fn slow_from(elsewhere: Duration) -> Duration {
    elsewhere.mul_f64(TIMES).max(elsewhere + MORE)
}

/// What is known of one backend.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slow {
    suspected: bool,
    /// A comparison is under way.
    compares: bool,
    in_a_row: u32,
    next: Duration,
    /// It is left out for that, or for its logins alone.
    out: bool,
}

impl Slow {
    /// It has taken much longer than another usually does.
    pub(super) fn suspect(&mut self) {
        self.suspected = true;
    }

    /// Whether to compare it now, as it is suspected or `returns`.
    pub(super) fn is_due(&self, now: Duration, returns: bool) -> bool {
        !self.compares && now >= self.next && (self.suspected || returns)
    }

    pub(super) fn begin(&mut self) {
        self.compares = true;
    }

    /// A comparison has ended; `None` if one of both gave no answer.
    pub(super) fn compared(&mut self, now: Duration, slow: Option<bool>) {
        self.compares = false;
        if slow == Some(true) {
            self.in_a_row += 1;
        } else {
            self.in_a_row = 0;
        }
        self.suspected &= slow != Some(false);
        let at_once = (1..CERTAIN).contains(&self.in_a_row);
        self.next = if at_once { now } else { now + AGAIN };
    }

    pub(super) fn is_certain(&self) -> bool {
        self.in_a_row >= CERTAIN
    }

    /// It is left out; for being slow, or for its logins alone, its pages `stay`.
    pub(super) fn left_out(&mut self, stay: bool) {
        *self = Self {
            compares: self.compares,
            out: stay,
            ..Self::default()
        };
    }

    pub(super) fn is_out(&self) -> bool {
        self.out
    }

    /// It is used again.
    pub(super) fn back(&mut self) {
        self.left_out(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn slow_is_ten_times_as_long_and_a_quarter_of_a_second_more() {
        let from = |ms| slow_from(Duration::from_millis(ms)).as_millis();
        assert_eq!([1, 20, 100].map(from), [251, 270, 1_000]);
    }

    #[test]
    fn three_in_a_row_make_it_certain_and_one_that_is_quick_clears_it() {
        let mut slow = Slow::default();
        assert!(!slow.is_due(at(0.0), false), "nobody suspects it");
        slow.suspect();
        for n in 0..3 {
            assert!(!slow.is_certain(), "after {n}");
            assert!(slow.is_due(at(0.0), false));
            slow.begin();
            assert!(!slow.is_due(at(0.0), false), "one at a time");
            slow.compared(at(0.0), Some(true));
        }
        assert!(slow.is_certain());
        assert!(!slow.is_due(at(0.9), false) && slow.is_due(at(1.0), false));
        slow.compared(at(1.0), Some(false));
        assert!(!slow.is_certain());
        assert!(!slow.is_due(at(9.0), false), "it was the page");
    }

    #[test]
    fn a_comparison_without_an_answer_says_nothing() {
        let mut slow = Slow::default();
        slow.suspect();
        for answer in [Some(true), Some(true), None, Some(true), Some(true)] {
            slow.compared(at(0.0), answer);
            assert!(!slow.is_certain());
        }
        slow.compared(at(0.0), None);
        assert!(slow.is_due(at(1.0), false), "it is still suspected");
    }
}
