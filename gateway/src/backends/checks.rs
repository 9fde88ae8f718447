//! What active checks say of one backend: thresholds both ways, and when the next one is due.

use std::time::Duration;

use einlass_config::Health;

/// After a failed connect a backend is tried again so soon, whatever the interval.
const SOON: Duration = Duration::from_millis(200);
/// While it does not answer, at least this often.
const WHILE_DOWN: Duration = Duration::from_secs(1);

/// What a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Passed,
    /// An answer, not the one expected, but none that says that the backend cannot work.
    Otherwise,
    Failed,
    /// It could not be made, for want of something of our own.
    Unmade,
}

/// The state of one backend's checks.
#[derive(Clone, Debug, Default)]
pub(super) struct Checks {
    /// Results of the same kind in a row.
    passed: u32,
    failed: u32,
    /// So many failed that the backend is out.
    down: bool,
    running: bool,
    found: Option<Finding>,
    /// They fail everywhere, so they are not heeded here.
    ignored: bool,
    next: Duration,
}

impl Checks {
    pub(super) fn is_down(&self) -> bool {
        self.down && !self.ignored
    }

    /// So many failed, heeded or not.
    pub(super) fn fail(&self) -> bool {
        self.down
    }

    pub(super) fn ignore(&mut self, ignored: bool) {
        self.ignored = ignored;
    }

    pub(super) fn is_ignored(&self) -> bool {
        self.ignored
    }

    /// So many failed, and the last one for what was answered: there is an answer.
    pub(super) fn fail_otherwise(&self) -> bool {
        self.down && self.found == Some(Finding::Otherwise)
    }

    /// Whether a check is to be made now; if so it counts as begun.
    pub(super) fn begin(&mut self, now: Duration) -> bool {
        let due = !self.running && now >= self.next;
        self.running |= due;
        due
    }

    /// The next one is not far: something has just gone wrong.
    pub(super) fn hurry(&mut self, now: Duration) {
        self.next = self.next.min(now + SOON);
    }

    /// A check has ended. `out` says whether the backend was left out until now, `spread` is random
    /// between 0 and 1.
    pub(super) fn ended(
        &mut self,
        now: Duration,
        finding: Finding,
        out: bool,
        rules: &Health,
        spread: f64,
    ) {
        self.running = false;
        if finding == Finding::Unmade {
            self.next = now + SOON;
            return;
        }
        self.found = Some(finding);
        let passed = finding == Finding::Passed;
        if passed {
            (self.passed, self.failed) = (self.passed.saturating_add(1), 0);
            self.down &= self.passed < rules.rise;
        } else {
            (self.passed, self.failed) = (0, self.failed.saturating_add(1));
            self.down |= self.failed >= rules.fall;
        }
        let pause = if out || self.down || !passed {
            rules.interval.min(WHILE_DOWN)
        } else {
            rules.interval
        };
        self.next = now + pause.mul_f64(1.0 + rules.jitter * (spread - 0.5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_several_checks_to_change_a_mind() {
        let rules = Health {
            rise: 2,
            fall: 3,
            ..Health::default()
        };
        let mut checks = Checks::default();
        let mut told = |passed: bool| {
            let finding = if passed {
                Finding::Passed
            } else {
                Finding::Failed
            };
            checks.ended(Duration::ZERO, finding, false, &rules, 0.5);
            checks.is_down()
        };
        let results = [
            false, false, true, false, false, false, true, false, true, true,
        ];
        let down = results.map(&mut told);
        let expected = [
            false, false, false, false, false, true, true, true, true, false,
        ];
        assert_eq!(down, expected);
    }

    #[test]
    fn checks_are_spread_and_never_overlap() {
        let rules = Health::default();
        let mut checks = Checks::default();
        assert!(checks.begin(Duration::ZERO));
        assert!(!checks.begin(Duration::from_mins(1)), "one is under way");
        checks.ended(Duration::ZERO, Finding::Passed, false, &rules, 1.0);
        let late = rules.interval.mul_f64(1.0 + rules.jitter / 2.0);
        assert!(!checks.begin(late.mul_f64(0.99)));
        assert!(checks.begin(late));
        checks.ended(Duration::ZERO, Finding::Passed, false, &rules, 0.0);
        checks.hurry(Duration::ZERO);
        assert!(checks.begin(SOON));
    }
}
