//! What a backend's answers say about it: failures in a row, and the share of good ones lately.

use std::time::Duration;

use einlass_config::Balancing;

use super::Kind;

/// The window is so many buckets of a second.
const BUCKETS: usize = 10;

/// The two signals of passive outlier detection. The first notices a dead backend, the second one
/// that fails now and then, between good answers.
#[derive(Clone, Debug, Default)]
struct Signals {
    in_a_row: u32,
    /// Good and failed answers of a second, by the second modulo [`BUCKETS`].
    window: [Bucket; BUCKETS],
}

/// The signals of all answers, and those of logins and of all else by themselves: good pages between them do not
/// make logins good that fail, nor the other way round.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    all: Signals,
    logins: Signals,
    others: Signals,
}

/// What fails too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// Logins, and nothing else.
    Logins,
    /// More than those.
    Any,
}

impl Answers {
    pub(super) fn good(&mut self, now: Duration, kind: Kind) {
        self.all.good(now);
        self.of(kind).good(now);
    }

    pub(super) fn failed(&mut self, now: Duration, kind: Kind) {
        self.all.failed(now);
        self.of(kind).failed(now);
    }

    /// Whether the last answer of any kind was a failure.
    pub(super) fn just_failed(&self) -> bool {
        let signals = [&self.all, &self.logins, &self.others];
        signals.iter().any(|signals| signals.in_a_row() > 0)
    }

    /// What fails too often, by these rules.
    pub(super) fn failing(&self, now: Duration, rules: &Balancing) -> Option<Failing> {
        let fails = |signals: &Signals| {
            let rate = signals.success_rate(now, rules.success_samples);
            signals.in_a_row() >= rules.consecutive_failures
                || rate.is_some_and(|rate| rate < rules.success_rate)
        };
        let pages = fails(&self.others);
        if fails(&self.logins) && !pages && self.others.any_good(now) {
            return Some(Failing::Logins);
        }
        (pages || fails(&self.all) || fails(&self.logins)).then_some(Failing::Any)
    }

    /// Forgets everything: a backend that comes back is judged by what it does from now on.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn of(&mut self, kind: Kind) -> &mut Signals {
        match kind {
            Kind::Login => &mut self.logins,
            Kind::Read | Kind::Write => &mut self.others,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    second: u64,
    good: u32,
    failed: u32,
}

impl Signals {
    fn good(&mut self, now: Duration) {
        self.in_a_row = 0;
        self.bucket(now).good += 1;
    }

    fn failed(&mut self, now: Duration) {
        self.in_a_row += 1;
        self.bucket(now).failed += 1;
    }

    fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// The share of good answers in the window; `None` below so many samples.
    fn success_rate(&self, now: Duration, samples: u32) -> Option<f64> {
        let (good, failed) = self.lately(now);
        let all: u32 = good + failed;
        (all >= samples.max(1)).then(|| f64::from(good) / f64::from(all))
    }

    /// Whether any answer in the window was good.
    fn any_good(&self, now: Duration) -> bool {
        self.lately(now).0 > 0
    }

    /// Good and failed answers in the window.
    fn lately(&self, now: Duration) -> (u32, u32) {
        let oldest = now.as_secs().saturating_sub(BUCKETS as u64 - 1);
        let fresh = self.window.iter().filter(|b| b.second >= oldest);
        fresh.fold((0, 0), |(good, failed), bucket| {
            (good + bucket.good, failed + bucket.failed)
        })
    }

    fn bucket(&mut self, now: Duration) -> &mut Bucket {
        let second = now.as_secs();
        let index = usize::try_from(second % BUCKETS as u64).unwrap_or(0);
        let bucket = &mut self.window[index];
        if bucket.second != second {
            *bucket = Bucket {
                second,
                ..Bucket::default()
            };
        }
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_answer_ends_a_row_of_failures() {
        let mut signals = Signals::default();
        for _ in 0..3 {
            signals.failed(Duration::from_secs(1));
        }
        assert_eq!(signals.in_a_row(), 3);
        signals.good(Duration::from_secs(1));
        assert_eq!(signals.in_a_row(), 0);
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_needs_samples() {
        let mut signals = Signals::default();
        for second in 0..10 {
            signals.good(Duration::from_secs(second));
            signals.failed(Duration::from_secs(second));
        }
        let at = Duration::from_secs(9);
        assert_eq!(signals.success_rate(at, 20), Some(0.5));
        assert_eq!(signals.success_rate(at, 21), None);
        assert_eq!(signals.success_rate(Duration::from_secs(19), 1), None);
    }

    #[test]
    fn what_fails_by_itself_is_not_made_good_by_the_rest() {
        let rules = Balancing::default();
        let now = Duration::from_secs(1);
        let failing = |failed: Kind, good: &[Kind]| {
            let mut answers = Answers::default();
            for _ in 0..rules.consecutive_failures {
                assert_eq!(answers.failing(now, &rules), None);
                for kind in good {
                    answers.good(now, *kind);
                }
                answers.failed(now, failed);
            }
            answers.failing(now, &rules)
        };
        let (login, page) = (Kind::Login, Kind::Read);
        assert_eq!(failing(login, &[page]), Some(Failing::Logins));
        assert_eq!(failing(page, &[login]), Some(Failing::Any));
        assert_eq!(
            failing(login, &[]),
            Some(Failing::Any),
            "nothing else is known to work"
        );
        assert_eq!(failing(login, &[login, page]), None, "it needs samples");
    }
}
