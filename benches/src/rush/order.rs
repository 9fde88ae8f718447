//! Watches that nobody of a school is let in before somebody who came earlier.
//!
//! A gateway answers concurrently, so not every late answer is an injustice. What counts, because no reordering on
//! the way can excuse it: pupil A had the answer to the join *before* B sent the join, B was told to go in, and only
//! *then* A asked again, and was told to wait.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Microseconds since the rush began.
pub(super) type Micros = u64;

/// One school's door. Needs one number however many wait.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// One more than the latest join sent by anybody who has been let in; 0 for nobody.
    latest_in: AtomicU64,
}

/// What had happened at the door when a poll was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(u64);

impl Door {
    /// The answer that lets somebody in has been received.
    pub(super) fn let_in(&self, join_sent: Micros) {
        self.latest_in.fetch_max(join_sent + 1, SeqCst);
    }

    /// To be taken just before a poll is sent.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.latest_in.load(SeqCst))
    }
}

impl Mark {
    /// Whether "wait" as the answer to a poll sent at this mark is an inversion for who had the place at
    /// `join_received`. Joins no more than `apart` from one another have no order.
    pub(super) fn overtaken(self, join_received: Micros, apart: Micros) -> bool {
        self.0
            .checked_sub(1)
            .is_some_and(|later_join_sent| later_join_sent > join_received + apart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overtaken_pupil_is_found() {
        let door = Door::default();
        let a_join_received = 100;
        let b_join_sent = 150;
        assert!(!door.mark().overtaken(a_join_received, 0));
        door.let_in(b_join_sent);
        assert!(door.mark().overtaken(a_join_received, 0));
    }

    #[test]
    fn a_poll_already_under_way_proves_nothing() {
        let door = Door::default();
        let sent_before = door.mark();
        door.let_in(150);
        assert!(!sent_before.overtaken(100, 0));
    }

    #[test]
    fn joins_that_overlap_have_no_order() {
        let door = Door::default();
        door.let_in(90);
        assert!(
            !door.mark().overtaken(100, 0),
            "B asked before A had an answer"
        );
        door.let_in(100);
        assert!(!door.mark().overtaken(100, 0));
    }

    #[test]
    fn several_gateways_need_a_moment_to_agree() {
        let door = Door::default();
        door.let_in(150);
        assert!(door.mark().overtaken(100, 49));
        assert!(!door.mark().overtaken(100, 50));
    }

    #[test]
    fn who_came_later_may_wait() {
        let door = Door::default();
        door.let_in(50);
        assert!(!door.mark().overtaken(500, 0));
    }
}
