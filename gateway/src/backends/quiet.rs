//! Whether a backend that owes answers is silent, or only slow with them.
//!
//! A login that gets no answer is a sign, since a login is a matter of moments. A page is not: a long poll
//! owes its answer for half a minute on purpose. So a backend that owes pages and gives no sign of life is
//! asked for a page of its own accord, and is mute when that gets no answer either.
//!
//! Pages may be as good as ever where logins hang: the directory behind them does not answer. So logins are
//! owed by themselves as well, and several of them are a sign, whatever else is answered.

use std::time::Duration;

use super::Kind;

/// From one knock to the next at a backend that did not answer the last, and at one that did.
const AGAIN: Duration = Duration::from_secs(1);
const ANSWERED: Duration = Duration::from_secs(2);
/// So many good answers of the others make silence one backend's own.
const OTHERS: u64 = 5;
/// So many logins without an answer are no longer one user's own trouble.
const SEVERAL: u32 = 3;

/// Good answers of all backends of the pool so far, by their heads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Goods {
    pub(super) all: u64,
    /// Those to logins.
    pub(super) logins: u64,
}

/// What one backend has not answered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quiet {
    owed: Option<Owed>,
    logins: Option<OwedLogins>,
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

/// The logins that have been sent since it last answered one.
#[derive(Clone, Copy, Debug)]
struct OwedLogins {
    since: Duration,
    sent: u32,
    /// How many logins the pool had answered when it began.
    goods: u64,
}

impl Quiet {
    /// A request has been sent. Nothing is expected of those that take as long as the browser.
    pub(super) fn sent(&mut self, now: Duration, kind: Kind, goods: Goods) {
        if kind != Kind::Write {
            let owed = self.owed.get_or_insert(Owed {
                since: now,
                login: false,
                goods: goods.all,
            });
            owed.login |= kind == Kind::Login;
        }
        if kind == Kind::Login {
            let logins = self.logins.get_or_insert(OwedLogins {
                since: now,
                sent: 0,
                goods: goods.logins,
            });
            logins.sent += 1;
        }
    }

    /// It has answered a request of this kind; a knock is a page.
    pub(super) fn answered(&mut self, kind: Kind) {
        self.settled(kind);
        self.mute = false;
        if self.knock == Knock::Unsettled {
            self.knock = Knock::UnderWay;
        }
    }

    /// A request of this kind is over, answered or not.
    pub(super) fn settled(&mut self, kind: Kind) {
        self.owed = None;
        if kind == Kind::Login {
            self.logins = None;
        }
    }

    /// It owes nothing any more, answered or not.
    pub(super) fn forgive(&mut self) {
        self.owed = None;
        self.logins = None;
    }

    /// It is left out. What it owes is nobody's measure any more, but the answer to a knock still says
    /// whether those who wait there wait in vain.
    pub(super) fn left_out(&mut self) {
        self.forgive();
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
    pub(super) fn is_silent(&self, now: Duration, patience: Duration, goods: Goods) -> bool {
        self.owed.is_some_and(|owed| {
            (owed.login || self.mute)
                && now.saturating_sub(owed.since) > patience
                && goods.all >= owed.goods + OTHERS
        })
    }

    /// Whether it has answered no login for longer than `patience`, of several, while the others have answered
    /// several.
    pub(super) fn hangs_logins(&self, now: Duration, patience: Duration, goods: Goods) -> bool {
        self.logins.is_some_and(|owed| {
            owed.sent >= SEVERAL
                && now.saturating_sub(owed.since) > patience
                && goods.logins >= owed.goods + OTHERS
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
            self.answered(Kind::Read);
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

    fn goods(all: u64) -> Goods {
        Goods { all, logins: all }
    }

    #[test]
    fn who_answers_knocks_may_owe_pages_for_as_long_as_they_take() {
        let mut quiet = Quiet::default();
        quiet.sent(at(0.0), Kind::Read, Goods::default());
        assert!(!quiet.knock(at(1.0), PATIENCE), "not yet");
        assert!(quiet.knock(at(1.1), PATIENCE));
        assert!(!quiet.knock(at(1.2), PATIENCE), "one at a time");
        quiet.knocked(at(1.3), PATIENCE, true);
        assert!(!quiet.is_silent(at(30.0), PATIENCE, goods(100)) && !quiet.is_mute());
        assert!(quiet.knock(at(3.4), PATIENCE), "and again");
        quiet.knocked(at(4.4), PATIENCE, false);
        assert!(quiet.is_silent(at(4.4), PATIENCE, goods(100)) && quiet.is_mute());
        assert!(
            !quiet.is_silent(at(4.4), PATIENCE, goods(4)),
            "the others are no better"
        );
    }

    #[test]
    fn any_answer_ends_it() {
        let mut quiet = Quiet::default();
        quiet.sent(at(0.0), Kind::Read, Goods::default());
        assert!(quiet.knock(at(1.1), PATIENCE));
        quiet.answered(Kind::Read);
        quiet.sent(at(1.5), Kind::Read, Goods::default());
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
            quiet.sent(at(0.0), Kind::Login, Goods::default());
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
        quiet.answered(Kind::Read);
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
        quiet.sent(at(0.0), Kind::Read, Goods::default());
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
        quiet.sent(at(0.0), Kind::Read, Goods::default());
        quiet.sent(at(0.5), Kind::Login, Goods::default());
        assert!(!quiet.is_silent(at(2.0), PATIENCE, goods(5)));
        assert!(quiet.is_silent(at(2.1), PATIENCE, goods(5)));
        let mut quiet = Quiet::default();
        quiet.sent(at(0.0), Kind::Write, Goods::default());
        assert!(!quiet.knock(at(10.0), PATIENCE), "an upload takes its time");
    }

    #[test]
    fn several_logins_without_an_answer_are_a_sign_whatever_else_is_answered() {
        let owes = |logins: u32| {
            let mut quiet = Quiet::default();
            for n in 0..logins {
                quiet.sent(at(0.1 * f64::from(n)), Kind::Login, goods(0));
                quiet.answered(Kind::Read);
            }
            quiet
        };
        let mut quiet = owes(3);
        assert!(!quiet.is_silent(at(9.0), PATIENCE, goods(100)), "it is not");
        assert!(!quiet.hangs_logins(at(2.0), PATIENCE, goods(5)), "not yet");
        assert!(quiet.hangs_logins(at(2.1), PATIENCE, goods(5)));
        let others_hang = Goods {
            all: 100,
            logins: 4,
        };
        assert!(!quiet.hangs_logins(at(2.1), PATIENCE, others_hang));
        assert!(!owes(2).hangs_logins(at(9.0), PATIENCE, goods(100)), "few");
        quiet.answered(Kind::Login);
        assert!(!quiet.hangs_logins(at(9.0), PATIENCE, goods(100)));
    }
}
