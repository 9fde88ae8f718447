//! What the looks came to.

use std::fmt::Write as _;

use super::{CROWD, FEW, Isolation, LOGIN, LOOK, Look, NEWCOMERS, Pair, QUIET, Report, Trouble};
use crate::rush::percentile;
use crate::table::Table;

/// What the quiet region may notice: so much of its own figure.
const ALLOWED: f64 = 0.05;
/// Seconds within which everybody sees the waiting page.
const PAGE: f64 = 1.0;

/// The middle one of values in order; of an even number of them the mean of both.
fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        all if all % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// By which part a figure grew with the trouble.
fn grew(calm: f64, troubled: f64) -> f64 {
    troubled / calm.max(f64::MIN_POSITIVE) - 1.0
}

/// Logins per second.
fn pace(look: &Look) -> f64 {
    look.quiet.got_in as f64 / look.quiet.seconds.max(f64::MIN_POSITIVE)
}

impl Pair {
    fn looks(&self) -> [&Look; 2] {
        [&self.calm, &self.troubled]
    }

    fn p99_grew(&self) -> f64 {
        let [calm, troubled] = self.looks().map(|look| look.quiet.wait.p99);
        grew(calm, troubled)
    }

    fn p50_grew(&self) -> f64 {
        let [calm, troubled] = self.looks().map(|look| look.quiet.wait.p50);
        grew(calm, troubled)
    }

    fn pace_fell(&self) -> f64 {
        let [calm, troubled] = self.looks().map(pace);
        -grew(calm, troubled)
    }
}

impl Isolation {
    /// The table for a terminal.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.table().text(), self.crowd_words())
    }

    /// What was promised and did not happen. The percentages are judged by the median of the rounds:
    /// in one look of some hundred logins the 99th percentile is one of the last few.
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut must = |holds: bool, what: String| {
            if !holds {
                broken.push(what);
            }
        };
        for pair in &self.pairs {
            for look in pair.looks() {
                let quiet = &look.quiet;
                let noticed = quiet.started - quiet.straight.min(quiet.started);
                must(
                    noticed == 0 && quiet.errors.is_empty(),
                    format!("{noticed} of the quiet region noticed: {:?}", quiet.errors),
                );
            }
        }
        for trouble in [Trouble::Silent, Trouble::Helped] {
            for (what, figure) in [
                (
                    "the 99th percentile grew",
                    Pair::p99_grew as fn(&Pair) -> f64,
                ),
                ("the median grew", Pair::p50_grew),
                ("logins per second fell", Pair::pace_fell),
            ] {
                let part = self.median(trouble, figure);
                must(
                    part <= ALLOWED,
                    format!("{}: {what} by {}", trouble.name(), percent(part)),
                );
            }
        }
        for crowd in &self.crowds {
            let (came, inside) = (crowd.started, crowd.got_in);
            must(came == inside, format!("{inside} of {came} got in"));
            for (what, times) in [
                ("places lost", crowd.lost_place),
                ("overtaken", crowd.order_inversions),
                ("places that grew", crowd.shown_place_grew),
            ] {
                must(times == 0, format!("{times} {what}"));
            }
        }
        let longest = self.pages.last().copied().unwrap_or_default();
        must(
            self.no_page == 0 && longest <= PAGE,
            format!(
                "the waiting page took {longest:.2} s, {} saw something else",
                self.no_page
            ),
        );
        for (name, most, cap) in &self.most {
            must(
                most <= cap,
                format!("{name}: {most} in flight where {cap} may be"),
            );
        }
        must(self.helped > 0.0, "nobody was helped out".to_owned());
        for failure in &self.failures {
            must(false, format!("asking failed: {failure}"));
        }
        broken
    }

    fn median(&self, trouble: Trouble, figure: fn(&Pair) -> f64) -> f64 {
        let pairs = self.pairs.iter().filter(|pair| pair.trouble == trouble);
        let mut values: Vec<f64> = pairs.map(figure).collect();
        values.sort_by(f64::total_cmp);
        middle(&values)
    }

    /// The whole report as a document; `command` is what makes it again.
    pub fn markdown(&self, command: &str) -> String {
        let mut text = String::from("# What a region notices of another one's trouble\n\n");
        let verdict = match self.broken_promises() {
            broken if broken.is_empty() => "It held.".to_owned(),
            broken => format!("**It did not hold:** {}.", broken.join("; ")),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "Made by `{command}` on {}, with the gateway as `cargo build` makes it.\n\n\
             Claim: while one region is in trouble, in another one nobody fails and nobody waits, and its logins take \
             no longer: 99th percentile, median and logins per second stay within {:.0} % of what they are without \
             the trouble (medians of the rounds). Whoever comes to the region in trouble sees the waiting page within \
             {PAGE:.0} s, keeps the place, and gets in afterwards; no platform ever sees more logins in flight than \
             are allowed. {verdict}\n\n\
             One gateway process in front of three regions. To the quiet one come {QUIET} logins a second for {} s; \
             each keeps a worker for {} ms, most of it asleep, which costs no processor, so that it is the gateway \
             that is compared. Looks without the trouble and with it take turns, in one run.\n\n\
             *silent*: {} pupils wait in a region that lets in about ten a second, and ask again and again{}. \
             Then the network to its backends swallows everything. They wait in both looks, so both bear their \
             polls; every {} ms somebody else comes there. *helped*: {CROWD} pupils come to a region that has \
             {FEW} workers left, and the quiet region helps out with what it can spare, at most 10 logins in flight; \
             without the trouble the same crowd comes to a like region that nobody helps out.\n\n{}\n{}\n",
            self.machine,
            ALLOWED * 100.0,
            LOOK.as_secs(),
            LOGIN.as_millis(),
            self.waiting,
            self.only_wait_words(),
            NEWCOMERS.as_millis(),
            self.table().markdown(),
            self.crowd_words(),
        );
        text += READING;
        text
    }

    fn only_wait_words(&self) -> String {
        if self.only_wait == 0 {
            return String::new();
        }
        let (first, others) = (self.waiting - self.only_wait, self.only_wait);
        format!(" (the first {first} go in afterwards; the other {others} only wait and ask)")
    }

    /// What became of those in trouble.
    fn crowd_words(&self) -> String {
        let sum = |of: fn(&Report) -> u64| self.crowds.iter().map(of).sum::<u64>();
        let most = self
            .most
            .iter()
            .map(|(name, most, cap)| format!("{name} {most} of {cap}"));
        format!(
            "Of {} pupils in trouble {} got in. Places lost: {}; overtaken: {}; places that grew: {}. Of {} newcomers \
             to the silent region {} saw the waiting page, half of them within {:.0} ms, 99 of 100 within {:.0} ms, \
             all within {:.0} ms. {:.0} logins of the helped region were let in by the quiet one. Most logins in \
             flight that the platforms have seen: {}.\n",
            sum(|crowd| crowd.started),
            sum(|crowd| crowd.got_in),
            sum(|crowd| crowd.lost_place),
            sum(|crowd| crowd.order_inversions),
            sum(|crowd| crowd.shown_place_grew),
            self.pages.len() + self.no_page,
            self.pages.len(),
            percentile(&self.pages, 0.5) * 1e3,
            percentile(&self.pages, 0.99) * 1e3,
            percentile(&self.pages, 1.0) * 1e3,
            self.helped,
            most.collect::<Vec<_>>().join(", "),
        )
    }

    fn table(&self) -> Table {
        let mut table = Table::new([
            "trouble",
            "p99 without",
            "p99 with",
            "change",
            "median without",
            "with",
            "change",
            "logins/s without",
            "with",
            "change",
            "waiting",
            "polls/s without",
            "with",
        ]);
        for pair in &self.pairs {
            let [calm, troubled] = pair.looks();
            let millis = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
            table.row([
                pair.trouble.name().to_owned(),
                millis(calm.quiet.wait.p99),
                millis(troubled.quiet.wait.p99),
                percent(pair.p99_grew()),
                millis(calm.quiet.wait.p50),
                millis(troubled.quiet.wait.p50),
                percent(pair.p50_grew()),
                format!("{:.1}", pace(calm)),
                format!("{:.1}", pace(troubled)),
                percent(-pair.pace_fell()),
                format!("{:.0}", troubled.waiting),
                format!("{:.0}", calm.polls_per_second),
                format!("{:.0}", troubled.polls_per_second),
            ]);
        }
        for trouble in [Trouble::Silent, Trouble::Helped] {
            let median = |figure: fn(&Pair) -> f64| percent(self.median(trouble, figure));
            let mut row: [String; 13] = std::array::from_fn(|_| String::new());
            row[0] = format!("{}, median", trouble.name());
            row[3] = median(Pair::p99_grew);
            row[6] = median(Pair::p50_grew);
            row[9] = median(|pair| -pair.pace_fell());
            table.row(row);
        }
        table
    }
}

fn percent(part: f64) -> String {
    format!("{:+.1} %", part * 100.0)
}

const READING: &str = "\
*p99* and *median* are of the quiet region's logins, from the moment the button was meant to be pressed to being \
inside. *waiting* and *polls/s* are of the crowd in the other region. The gateway, the platforms and the crowd share \
this machine, so what those polls cost it is part of the comparison: how often who waits asks depends on what the room \
can tell them.
";

#[cfg(test)]
mod tests {
    use super::super::Machine;
    use super::*;
    use crate::rush::Waits;

    fn look(p99: f64) -> Look {
        Look {
            quiet: Report {
                started: 600,
                straight: 600,
                got_in: 600,
                seconds: 20.0,
                wait: Waits {
                    p50: 0.1,
                    p99,
                    ..Waits::default()
                },
                ..Report::default()
            },
            waiting: 20_000.0,
            polls_per_second: 700.0,
        }
    }

    fn campaign(p99: f64) -> Isolation {
        let pair = |trouble, p99| Pair {
            trouble,
            calm: look(0.1),
            troubled: look(p99),
        };
        Isolation {
            machine: Machine::this(),
            waiting: 20_000,
            only_wait: 0,
            failures: Vec::new(),
            pairs: vec![
                pair(Trouble::Silent, p99),
                pair(Trouble::Silent, 0.101),
                pair(Trouble::Silent, p99),
                pair(Trouble::Helped, 0.1),
            ],
            crowds: vec![Report {
                started: 20_000,
                got_in: 20_000,
                ..Report::default()
            }],
            pages: vec![0.01, 0.4],
            no_page: 0,
            helped: 100.0,
            most: vec![("ost".to_owned(), 33, 33)],
        }
    }

    #[test]
    fn longer_logins_break_the_promise_and_the_document_says_so() {
        assert!(campaign(0.104).broken_promises().is_empty());
        assert!(
            campaign(0.104)
                .markdown("make isolation")
                .contains("It held")
        );
        let longer = campaign(0.106);
        assert_eq!(longer.broken_promises().len(), 1);
        assert!(longer.markdown("make isolation").contains("did not hold"));
    }

    #[test]
    fn what_happens_to_those_in_trouble_breaks_it_too() {
        let breaks: [fn(&mut Isolation); 8] = [
            |campaign| campaign.most[0].1 = 34,
            |campaign| campaign.crowds[0].got_in -= 1,
            |campaign| campaign.crowds[0].lost_place = 1,
            |campaign| campaign.crowds[0].order_inversions = 1,
            |campaign| campaign.pages.push(1.1),
            |campaign| campaign.no_page = 1,
            |campaign| campaign.helped = 0.0,
            |campaign| campaign.failures.push("connect".to_owned()),
        ];
        for one in breaks {
            let mut campaign = campaign(0.1);
            one(&mut campaign);
            assert_eq!(campaign.broken_promises().len(), 1);
        }
    }

    #[test]
    fn the_middle_of_two_is_neither() {
        let close = |values: &[f64], to: f64| (middle(values) - to).abs() < 1e-9;
        assert!(close(&[], 0.0) && close(&[3.0], 3.0));
        assert!(close(&[0.02, 0.07], 0.045) && close(&[1.0, 2.0, 9.0], 2.0));
    }
}
