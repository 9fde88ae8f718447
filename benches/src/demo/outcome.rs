//! How the demo's crowd fared, room by room, and whether that is what was promised.

use super::grounds::Site;
use crate::rush::Report;
use crate::table::{Table, seconds};

/// What happened at one pool.
pub(super) struct Outcome {
    room: String,
    cap: usize,
    most: usize,
    report: Report,
}

impl Outcome {
    /// The report of `site`'s part, beside what the platform recorded since its start.
    pub(super) fn of(site: &Site, report: Report) -> Self {
        Self {
            room: site.name.clone(),
            cap: site.cap,
            most: site.platform.snapshot(false).max_in_flight,
            report,
        }
    }

    /// What was promised and did not happen.
    pub(super) fn broken_promises(&self) -> Vec<String> {
        let (room, report) = (&self.room, &self.report);
        let mut broken = Vec::new();
        if report.got_in != report.started {
            let missing = report.started.saturating_sub(report.got_in);
            broken.push(format!(
                "{room}: {missing} of {} did not get in",
                report.started
            ));
        }
        if self.most > self.cap {
            let (most, cap) = (self.most, self.cap);
            broken.push(format!(
                "{room}: {most} logins in flight, more than the {cap} allowed"
            ));
        }
        if report.order_inversions > 0 {
            let times = report.order_inversions;
            broken.push(format!(
                "{room}: somebody later was let in earlier, {times} times"
            ));
        }
        broken
    }
}

/// All rooms under each other.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut table = Table::new([
        "room",
        "came",
        "got in",
        "waited",
        "wait, median",
        "longest",
        "errors",
        "in flight at most",
        "allowed",
    ]);
    for Outcome {
        room,
        cap,
        most,
        report,
    } in outcomes
    {
        table.row([
            room.clone(),
            report.started.to_string(),
            report.got_in.to_string(),
            report.waited.to_string(),
            seconds(report.wait.p50),
            seconds(report.wait.max),
            report.errors_total().to_string(),
            most.to_string(),
            cap.to_string(),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(got_in: u64, most: usize) -> Outcome {
        Outcome {
            room: "nord".to_owned(),
            cap: 3,
            most,
            report: Report {
                started: 10,
                got_in,
                ..Report::default()
            },
        }
    }

    #[test]
    fn everybody_in_and_never_too_many_at_once_is_what_was_promised() {
        assert!(outcome(10, 3).broken_promises().is_empty());
        assert_eq!(outcome(9, 3).broken_promises().len(), 1);
        assert_eq!(outcome(9, 4).broken_promises().len(), 2);
    }
}
