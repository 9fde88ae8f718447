//! Two mornings side by side: straight at the platform, and through the gateway.

use serde::{Deserialize, Serialize};

use crate::rush::Report;
use crate::table::{Table, percent, seconds};

/// A figure of both mornings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What it is.
    pub what: String,
    /// As it is without the gateway.
    pub straight: String,
    /// As it is with it.
    pub through: String,
}

/// The comparison of two reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name of the run without the gateway.
    pub straight: String,
    /// Name of the run through it.
    pub through: String,
    /// What stands side by side.
    pub lines: Vec<Line>,
}

type Figure = fn(&Report) -> String;

/// What is compared: first what pupils feel, then what the platform feels.
const FIGURES: &[(&str, Figure)] = &[
    ("pupils who came", |report| report.started.to_string()),
    ("got in", |report| {
        format!("{} ({})", report.got_in, percent(report.in_fraction()))
    }),
    ("failed", |report| report.failed.to_string()),
    ("gave up or did not show up", |report| {
        (report.gave_up + report.no_show).to_string()
    }),
    ("errors seen", |report| report.errors_total().to_string()),
    ("errors by kind", errors),
    ("reloads after errors", |report| report.reloads.to_string()),
    ("wait, median", |report| seconds(report.wait.p50)),
    ("wait, 90 %", |report| seconds(report.wait.p90)),
    ("wait, 99 %", |report| seconds(report.wait.p99)),
    ("wait, longest", |report| seconds(report.wait.max)),
    ("everybody done after", |report| seconds(report.seconds)),
    ("ETA within its interval", |report| {
        percent(report.eta_all.covered)
    }),
    ("order inversions", |report| {
        report.order_inversions.to_string()
    }),
    ("fairness between schools (Jain)", |report| {
        or_dash(report.fairness.jain.map(|jain| format!("{jain:.4}")))
    }),
    ("platform: in flight at most", |report| {
        or_dash(report.max_in_flight().map(|most| most.to_string()))
    }),
    ("platform: logins/s, mean while busy", |report| {
        or_dash(goodput(report).map(|rate| format!("{rate:.1}")))
    }),
    ("platform: hashed for nobody", |report| {
        sum(report, |totals| totals.abandoned)
    }),
    ("platform: turned away", |report| {
        sum(report, |totals| totals.overloaded)
    }),
];

impl Comparison {
    /// Puts the figures side by side.
    pub fn between(straight: &Report, through: &Report) -> Self {
        let line = |(what, figure): &(&str, Figure)| Line {
            what: (*what).to_owned(),
            straight: figure(straight),
            through: figure(through),
        };
        let lines = FIGURES.iter().map(line).collect();
        Self {
            straight: straight.name.clone(),
            through: through.name.clone(),
            lines,
        }
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        self.table().text()
    }

    /// For a document.
    pub fn markdown(&self) -> String {
        self.table().markdown()
    }

    fn table(&self) -> Table {
        let mut table = Table::new(["", &self.straight, &self.through]);
        for line in &self.lines {
            table.row([
                line.what.clone(),
                line.straight.clone(),
                line.through.clone(),
            ]);
        }
        table
    }
}

fn errors(report: &Report) -> String {
    let kinds: Vec<String> = report
        .errors
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    or_dash((!kinds.is_empty()).then(|| kinds.join(", ")))
}

/// Right passwords per second over the platforms, while any was being worked on: capacity used for nobody is not in it.
fn goodput(report: &Report) -> Option<f64> {
    let rates = report.platforms.iter().filter_map(|platform| {
        let busy = platform
            .in_flight_series
            .iter()
            .filter(|in_flight| **in_flight > 0)
            .count();
        let used = platform
            .totals
            .logged_in
            .saturating_sub(platform.totals.abandoned);
        (busy > 0).then(|| used as f64 * 10.0 / busy as f64)
    });
    rates.reduce(|sum, rate| sum + rate)
}

fn sum(report: &Report, of: fn(&crate::platform::Totals) -> u64) -> String {
    let platforms = &report.platforms;
    or_dash((!platforms.is_empty()).then(|| {
        platforms
            .iter()
            .map(|platform| of(&platform.totals))
            .sum::<u64>()
            .to_string()
    }))
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_mornings_stand_side_by_side() {
        let straight = Report {
            name: "straight".into(),
            started: 10,
            got_in: 4,
            failed: 6,
            ..Report::default()
        };
        let through = Report {
            name: "through".into(),
            started: 10,
            got_in: 10,
            ..Report::default()
        };
        let comparison = Comparison::between(&straight, &through);
        let inside = comparison
            .lines
            .iter()
            .find(|line| line.what == "got in")
            .unwrap();
        assert_eq!(
            (inside.straight.as_str(), inside.through.as_str()),
            ("4 (40.0 %)", "10 (100.0 %)")
        );
        let markdown = comparison.markdown();
        assert!(
            markdown.lines().next().unwrap().contains("straight | "),
            "{markdown}"
        );
        assert_eq!(markdown.lines().count(), FIGURES.len() + 2);
    }
}
