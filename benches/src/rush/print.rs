//! The report as a table for people.

use std::fmt;

use super::report::{EtaQuality, Report, SchoolReport, Waits};
use crate::table::{Table, percent, seconds};

/// Schools listed one by one: the biggest. The JSON has all.
const SCHOOLS_SHOWN: usize = 12;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} pupils within {}, done after {}",
            self.name,
            self.started,
            seconds(self.arrive_over),
            seconds(self.seconds)
        )?;
        writeln!(
            f,
            "  in {} ({})   gave up {}   no-show {}   failed {}",
            self.got_in,
            percent(self.in_fraction()),
            self.gave_up,
            self.no_show,
            self.failed
        )?;
        writeln!(
            f,
            "  straight {}   held {}   waited {}   mistyped {}",
            self.straight, self.held, self.waited, self.mistyped
        )?;
        writeln!(
            f,
            "  polls {} (at most {}/s)   order inversions {}   shown place grew {}",
            self.polls, self.polls_per_second_max, self.order_inversions, self.shown_place_grew
        )?;
        writeln!(
            f,
            "  asked again {}   sent back {}   lost place {}   reloads {}   pages {}",
            self.asked_again, self.sent_back, self.lost_place, self.reloads, self.pages
        )?;
        let errors: Vec<String> = self
            .errors
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        writeln!(
            f,
            "  errors: {}",
            if errors.is_empty() {
                "none".to_owned()
            } else {
                errors.join(", ")
            }
        )?;
        for (which, eta) in [("first", &self.eta_first), ("all", &self.eta_all)] {
            eta_line(f, which, eta)?;
        }
        if let (Some((from, to)), Some(jain)) = (self.fairness.window, self.fairness.jain) {
            writeln!(
                f,
                "  fairness: Jain {jain:.4} over the schools, from {} to {}",
                seconds(from),
                seconds(to)
            )?;
        }
        writeln!(f, "\n{}", self.schools_table().text())?;
        for platform in &self.platforms {
            let logins = platform.logins_per_second();
            writeln!(
                f,
                "{}: in flight at most {}, {} logins ({}/s at best), {} wrong, {} turned away, {} hashed for nobody",
                platform.name,
                platform.max_in_flight,
                platform.totals.logged_in,
                logins.iter().max().unwrap_or(&0),
                platform.totals.wrong_password,
                platform.totals.overloaded,
                platform.totals.abandoned
            )?;
        }
        Ok(())
    }
}

impl Report {
    fn schools_table(&self) -> Table {
        let mut table = Table::new([
            "school",
            "weight",
            "came",
            "in",
            "p50",
            "p90",
            "p99",
            "max",
            "served/weight",
        ]);
        let mut row = |name: &str, school: &SchoolReport, per_weight: String| {
            let Waits { p50, p90, p99, max } = school.wait;
            let counts = [u64::from(school.pupils), school.started, school.got_in]
                .map(|count| count.to_string());
            let [weight, came, inside] = counts;
            let [p50, p90, p99, max] = [p50, p90, p99, max].map(seconds);
            table.row([
                name.to_owned(),
                weight,
                came,
                inside,
                p50,
                p90,
                p99,
                max,
                per_weight,
            ]);
        };
        let all = SchoolReport {
            pupils: self.schools.iter().map(|school| school.pupils).sum(),
            started: self.started,
            got_in: self.got_in,
            wait: self.wait,
            ..SchoolReport::default()
        };
        row("all", &all, String::new());
        let mut biggest: Vec<&SchoolReport> = self.schools.iter().collect();
        biggest.sort_by_key(|school| std::cmp::Reverse(school.started));
        for school in biggest.into_iter().take(SCHOOLS_SHOWN) {
            let per_weight = if self.fairness.window.is_some() {
                format!("{:.3}", school.served_per_weight)
            } else {
                String::new()
            };
            row(&school.host, school, per_weight);
        }
        table
    }
}

fn eta_line(f: &mut fmt::Formatter<'_>, which: &str, eta: &EtaQuality) -> fmt::Result {
    if eta.count == 0 {
        return Ok(());
    }
    writeln!(
        f,
        "  ETA ({which}): {} of {} within the interval; truth minus likely p10 {:+.1} s, p50 {:+.1} s, p90 {:+.1} s",
        percent(eta.covered),
        eta.count,
        eta.error_p10,
        eta.error_p50,
        eta.error_p90
    )
}
