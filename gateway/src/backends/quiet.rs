//! Whether a backend that owes answers is silent, or only slow with them.
//!
//! A login that gets no answer is a sign, since a login is a matter of moments. A page is not: a long poll
//! owes its answer for half a minute on purpose. So a backend that owes pages and gives no sign of life is
//! asked for a page of its own accord, and is mute when that gets no answer either.

use std::time::Duration;

use super::Kind;

/// From one knock to the next at a backend that did not answer the last, and at one that did.
const AGAIN: Duration = Duration::from_secs(1);
const ANSWERED: Duration = Duration::from_secs(2);
/// So many good answers of the others make silence one backend's own.
const OTHERS: u64 = 5;

/// What one backend has not answered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quiet {
    owed: Option<Owed>,
    /// It has not answered the last knock either.
    mute: bool,
    knock: Knock,
    /// An answer to an earlier knock is still waited for.
    late: bool,
    next_knock: Duration,
}

/// Whether the backend is being asked for a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Knock {
    #[default]
    No,
    UnderWay,
    /// And it was ejected meanwhile: whether it is mute is known when this is over, although nothing is owed
    /// any more.
    Unsettled,
}

/// What has been sent since the backend last gave a sign of life.
#[derive(Clone, Copy, Debug)]
struct Owed {
    since: Duration,
    login: bool,
    /// How many good answers the pool had given when it began.
    goods: u64,
}

impl Quiet {
    /// A request has been sent. Nothing is expected of those that take as long as the browser.
    pub(super) fn sent(&mut self, now: Duration, kind: Kind, goods: u64) {
        if kind != Kind::Write {
            let owed = self.owed.get_or_insert(Owed {
                since: now,
                login: false,
                goods,
            });
            owed.login |= kind == Kind::Login;
        }
    }

    /// It has answered.
    pub(super) fn answered(&mut self) {
        self.owed = None;
        self.mute = false;
        if self.knock == Knock::Unsettled {
            self.knock = Knock::UnderWay;
        }
    }

    /// It owes nothing any more, answered or not.
    pub(super) fn forgive(&mut self) {
        self.owed = None;
    }

    /// It is left out. What it owes is nobody's measure any more, but the answer to a knock still says
    /// whether those who wait there wait in vain.
    pub(super) fn left_out(&mut self) {
        self.owed = None;
        if self.knock == Knock::UnderWay {
            self.knock = Knock::Unsettled;
        }
    }

    /// It answers neither requests nor knocks.
    pub(super) fn is_mute(&self) -> bool {
        self.mute
    }

    /// Whether it has owed a login, or been mute, for longer than `patience` while the others have
    /// given several answers. `goods`: those of the pool so far.
    pub(super) fn is_silent(&self, now: Duration, patience: Duration, goods: u64) -> bool {
        self.owed.is_some_and(|owed| {
            (owed.login || self.mute)
                && now.saturating_sub(owed.since) > patience
                && goods >= owed.goods + OTHERS
        })
    }

    /// Whether to knock now; if so it counts as begun. After half of the patience, so that the answer
    /// is known when all of it is over.
    pub(super) fn knock(&mut self, now: Duration, patience: Duration) -> bool {
        let idle = self.knock == Knock::No && now >= self.next_knock;
        let due = idle && self.suspect(now, patience);
        if due {
            self.knock = Knock::UnderWay;
        }
        due
    }

    pub(super) fn knocked(&mut self, now: Duration, patience: Duration, answered: bool) {
        let unsettled = std::mem::take(&mut self.knock) == Knock::Unsettled;
        // It may have answered in the meantime, and owe something new.
        self.mute = !answered && (unsettled || self.suspect(now, patience));
        self.next_knock = now + if answered { ANSWERED } else { AGAIN };
    }

    /// Whether the answer to a knock that came too late is to be waited for: of one at a time.
    pub(super) fn waits_on(&mut self) -> bool {
        !std::mem::replace(&mut self.late, true)
    }

    /// The answer to a late knock has come, so it is slow and not silent; or none will.
    pub(super) fn late(&mut self, answered: bool) {
        self.late = false;
        if answered {
            self.answered();
        }
    }

    fn suspect(&self, now: Duration, patience: Duration) -> bool {
        let long = |owed: Owed| now.saturating_sub(owed.since) > patience / 2;
        self.mute || self.owed.is_some_and(long)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn who_answers_knocks_may_owe_pages_for_as_long_as_they_take() {
        let mut quiet = Quiet::default();
        quiet.sent(at(0.0), Kind::Read, 0);
        assert!(!quiet.knock(at(1.0), PATIENCE), "not yet");
        assert!(quiet.knock(at(1.1), PATIENCE));
        assert!(!quiet.knock(at(1.2), PATIENCE), "one at a time");
        quiet.knocked(at(1.3), PATIENCE, true);
        assert!(!quiet.is_silent(at(30.0), PATIENCE, 100) && !quiet.is_mute());
        assert!(quiet.knock(at(3.4), PATIENCE), "and again");
        quiet.knocked(at(4.4), PATIENCE, false);
        assert!(quiet.is_silent(at(4.4), PATIENCE, 100) && quiet.is_mute());
        assert!(
            !quiet.is_silent(at(4.4), PATIENCE, 4),
            "the others are no better"
        );
    }

    #[test]
    fn any_answer_ends_it() {
        let mut quiet = Quiet::default();
        quiet.sent(at(0.0), Kind::Read, 0);
        assert!(quiet.knock(at(1.1), PATIENCE));
        quiet.answered();
        quiet.sent(at(1.5), Kind::Read, 0);
        quiet.knocked(at(2.1), PATIENCE, false);
        assert!(!quiet.is_mute(), "what it owes now is too young");
        assert!(quiet.knock(at(3.2), PATIENCE));
        quiet.knocked(at(4.2), PATIENCE, false);
        assert!(quiet.is_mute());
        quiet.forgive();
        assert!(
            quiet.is_mute(),
            "that nobody waits any more is no sign of life"
        );
        assert!(quiet.knock(at(5.2), PATIENCE));
        quiet.knocked(at(5.3), PATIENCE, true);
        assert!(!quiet.is_mute());
    }

    #[test]
    fn who_is_left_out_while_it_is_asked_is_mute_if_no_answer_comes() {
        let asked = || {
            let mut quiet = Quiet::default();
            quiet.sent(at(0.0), Kind::Login, 0);
            assert!(quiet.knock(at(1.1), PATIENCE));
            quiet.left_out();
            quiet
        };
        let mut quiet = asked();
        quiet.knocked(at(2.1), PATIENCE, false);
        assert!(quiet.is_mute() && quiet.knock(at(3.2), PATIENCE));
        quiet.knocked(at(3.3), PATIENCE, true);
        assert!(!quiet.is_mute());
        let mut quiet = asked();
        quiet.answered();
        quiet.knocked(at(2.1), PATIENCE, false);
        assert!(!quiet.is_mute(), "it has answered meanwhile");
        let mut quiet = Quiet::default();
        quiet.left_out();
        assert!(
            !quiet.knock(at(9.0), PATIENCE),
            "nobody asks for that alone"
        );
    }

    #[test]
    fn a_late_answer_to_a_knock_is_a_sign_of_life() {
        let mut quiet = Quiet::default();
        quiet.sent(at(0.0), Kind::Read, 0);
        assert!(quiet.knock(at(1.1), PATIENCE));
        quiet.knocked(at(2.1), PATIENCE, false);
        assert!(quiet.is_mute() && quiet.waits_on());
        assert!(quiet.knock(at(3.2), PATIENCE), "others follow meanwhile");
        quiet.knocked(at(4.2), PATIENCE, false);
        assert!(!quiet.waits_on(), "and are not waited for as well");
        quiet.late(true);
        assert!(!quiet.is_mute());
        assert!(quiet.waits_on());
    }

    #[test]
    fn a_login_without_an_answer_needs_no_knock() {
        let mut quiet = Quiet::default();
        quiet.sent(at(0.0), Kind::Read, 0);
        quiet.sent(at(0.5), Kind::Login, 0);
        assert!(!quiet.is_silent(at(2.0), PATIENCE, 5));
        assert!(quiet.is_silent(at(2.1), PATIENCE, 5));
        let mut quiet = Quiet::default();
        quiet.sent(at(0.0), Kind::Write, 0);
        assert!(!quiet.knock(at(10.0), PATIENCE), "an upload takes its time");
    }
}
