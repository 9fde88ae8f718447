//! One bell for schools of very different sizes: does anybody wait longer for being in a small one, or a large one?

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::block_in_place;

use super::gateway::Gateway;
use super::grounds::{Grounds, Site};
use super::machine::Machine;
use super::progress::{self, Part};
use super::stop::Stop;
use super::{DemoError, FAIRNESS_CONFIG};
use crate::platform::{HashCost, PlatformError};
use crate::rush::{self, Plan, Report, SchoolReport, Shape};
use crate::table::{Table, seconds};

/// Every seed is a morning of its own, with the gateway started anew.
const SEEDS: [u64; 3] = [8, 21, 34];
/// A login: short, so that many pupils fit into the minute that the last of them waits.
const HASH: Duration = Duration::from_millis(30);
/// Within which time the crowd comes; most of it in the first fifth.
const ARRIVE_OVER: Duration = Duration::from_secs(15);
/// How far a school's median wait may be from the region's, as a fraction of it.
const ALLOWED: f64 = 0.1;
/// A median of fewer pupils says little.
const ENOUGH: u64 = 40;

/// All mornings, and what they happened on.
pub struct Fairness {
    machine: Machine,
    hash: Duration,
    cap: usize,
    mornings: Vec<Report>,
}

/// Runs all mornings. `None` if somebody stopped it.
pub async fn fairness() -> Result<Option<Fairness>, DemoError> {
    let mut stop = Stop::listen()?;
    tokio::select! {
        campaign = run() => campaign.map(Some),
        // The gateway, if it runs, is killed as it is dropped.
        () = stop.heard() => Ok(None),
    }
}

async fn run() -> Result<Fairness, DemoError> {
    let machine = Machine::this();
    let (cost, hash) = block_in_place(cost)?;
    let mut campaign = Fairness {
        machine,
        hash,
        cap: 0,
        mornings: Vec::new(),
    };
    for seed in SEEDS {
        let grounds = Grounds::start(FAIRNESS_CONFIG, cost, None).await?;
        let site = grounds.sites.first().ok_or(rush::RushError::NoSchool)?;
        campaign.cap = site.cap;
        let mut gateway = Gateway::start(&grounds.text, grounds.desk, None).await?;
        println!("Seed {seed}: {} pupils come", site.pupils());
        let report = tokio::select! {
            report = morning(site, &grounds, seed) => report?,
            gone = gateway.ended() => return Err(gone),
        };
        gateway.stop().await?;
        campaign.mornings.push(report);
    }
    Ok(campaign)
}

fn cost() -> Result<(HashCost, Duration), PlatformError> {
    let cost = HashCost::about(HASH)?;
    Ok((cost, cost.measure()?))
}

async fn morning(site: &Site, grounds: &Grounds, seed: u64) -> Result<Report, DemoError> {
    let pupils = site.pupils();
    let plan = Plan {
        name: format!("seed {seed}"),
        targets: vec![grounds.edge],
        schools: site.schools.clone(),
        pupils,
        arrive_over: ARRIVE_OVER,
        shape: Shape::Eight,
        think: (Duration::from_millis(300), Duration::from_secs(2)),
        mistype: 0.03,
        seed,
        platforms: site.platform.control().into_iter().collect(),
        ..Plan::default()
    };
    let parts = [Part {
        site,
        pupils,
        live: Arc::clone(&plan.live),
    }];
    Ok(tokio::select! {
        report = rush::run(plan) => report?,
        () = progress::show(&parts) => Report::default(),
    })
}

impl Fairness {
    /// Both tables for a terminal.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.schools().text(), self.overview().text())
    }

    /// What was promised and did not happen.
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for report in &self.mornings {
            let name = &report.name;
            let mut must = |holds: bool, what: String| {
                if !holds {
                    broken.push(format!("{name}: {what}"));
                }
            };
            let (started, got_in) = (report.started, report.got_in);
            must(got_in == started, format!("{got_in} of {started} got in"));
            let inversions = report.order_inversions;
            must(
                inversions == 0,
                format!("somebody later was let in earlier, {inversions} times"),
            );
            let (deviation, host) = farthest(report);
            must(
                deviation.abs() <= ALLOWED,
                format!("the median wait of {host} is {} off", signed(deviation)),
            );
            let (most, cap) = (report.max_in_flight().unwrap_or(0), self.cap);
            must(
                most <= cap,
                format!("{most} logins in flight, more than the {cap} allowed"),
            );
        }
        broken
    }

    /// The whole report as a document; `command` is what makes it again.
    pub fn markdown(&self, command: &str) -> String {
        let mut text = String::from("# Small schools and large ones\n\n");
        let verdict = match self.broken_promises() {
            broken if broken.is_empty() => "It held in every morning.".to_owned(),
            broken => format!("**It did not hold:** {}.", broken.join("; ")),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "Made by `{command}` on {}.\n\n\
             Claim: inside a school nobody who came later goes earlier, and pupils of a small and of a large school \
             wait equally long: every school's median wait is within {:.0} % of the region's. {verdict}\n\n\
             One region of the demo platform behind a real gateway process: one worker, each login one argon2id hash \
             of {} ms on an idle core, `in_flight.max` {}. All the pupils of all the schools come within {}, 70 % of \
             them in the first fifth of it; 3 % mistype once. Each seed is a morning of its own with a gateway that \
             knows nothing of the one before.\n\n\
             Median waits, from the first submit to being inside, and how far they are from the region's:\n\n{}\n\
             The mornings:\n\n{}\n",
            self.machine,
            ALLOWED * 100.0,
            self.hash.as_millis(),
            self.cap,
            seconds(ARRIVE_OVER.as_secs_f64()),
            self.schools().markdown(),
            self.overview().markdown(),
        );
        text += READING;
        text
    }

    fn schools(&self) -> Table {
        let heads = SEEDS.map(|seed| format!("seed {seed}"));
        let [a, b, c] = &heads;
        let ninth = format!("90 %, {c}");
        let mut table = Table::new(["school", "pupils", a, b, c, &ninth]);
        let schools = self.mornings.first().map_or(&[][..], |r| &r.schools);
        for (index, school) in schools.iter().enumerate() {
            let of = |report: &Report, show: fn(&Report, &SchoolReport) -> String| {
                let school = report.schools.get(index);
                school.map_or_else(String::new, |school| show(report, school))
            };
            let medians = [0, 1, 2].map(|morning| {
                let report = self.mornings.get(morning);
                report.map_or_else(String::new, |report| of(report, median))
            });
            let longest = self.mornings.last().map_or_else(String::new, |report| {
                of(report, |_, school| seconds(school.wait.p90))
            });
            let [a, b, c] = medians;
            table.row([
                school.host.clone(),
                school.pupils.to_string(),
                a,
                b,
                c,
                longest,
            ]);
        }
        table
    }

    fn overview(&self) -> Table {
        let mut table = Table::new([
            "",
            "came",
            "got in",
            "wait, median",
            "wait, longest",
            "farthest school",
            "inversions",
            "Jain",
            "in flight at most",
            "allowed",
            "errors",
        ]);
        for report in &self.mornings {
            table.row([
                report.name.clone(),
                report.started.to_string(),
                report.got_in.to_string(),
                seconds(report.wait.p50),
                seconds(report.wait.max),
                signed(farthest(report).0),
                report.order_inversions.to_string(),
                report
                    .fairness
                    .jain
                    .map_or_else(|| "–".to_owned(), |jain| format!("{jain:.4}")),
                report.max_in_flight().unwrap_or(0).to_string(),
                self.cap.to_string(),
                report.errors_total().to_string(),
            ]);
        }
        table
    }
}

fn median(report: &Report, school: &SchoolReport) -> String {
    let wait = seconds(school.wait.p50);
    format!("{wait} ({})", signed(deviation(report, school)))
}

/// How far a school's median wait is from the region's, as a fraction of the region's.
fn deviation(report: &Report, school: &SchoolReport) -> f64 {
    school.wait.p50 / report.wait.p50.max(f64::MIN_POSITIVE) - 1.0
}

/// The largest deviation, and whose it is, among schools with enough pupils.
fn farthest(report: &Report) -> (f64, &str) {
    let judged = report.schools.iter().filter(|s| s.got_in >= ENOUGH);
    let deviations = judged.map(|school| (deviation(report, school), school.host.as_str()));
    deviations
        .max_by(|(a, _), (b, _)| a.abs().total_cmp(&b.abs()))
        .unwrap_or((0.0, ""))
}

fn signed(fraction: f64) -> String {
    format!("{:+.1} %", fraction * 100.0)
}

const READING: &str = "\
*Inversions* are counted where no reordering on the way can excuse them: a pupil had the place before another one of \
the same school asked for theirs, the other was told to go in, and only then the first asked again and was told to \
wait. *Jain* is Jain's index of pupils let in per pupil of the school, while all schools had somebody waiting: 1 is \
exactly proportional. A school's first pupils hardly wait and its last ones wait longest, whatever its size; the \
moment at which a school's pupils press the button is random, which matters for the median of forty more than for \
that of twelve hundred.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rush::Waits;

    fn school(host: &str, got_in: u64, p50: f64) -> SchoolReport {
        SchoolReport {
            host: host.to_owned(),
            got_in,
            wait: Waits {
                p50,
                ..Waits::default()
            },
            ..SchoolReport::default()
        }
    }

    fn campaign(median_of_small: f64, inversions: u64) -> Fairness {
        let report = Report {
            started: 1240,
            got_in: 1240,
            order_inversions: inversions,
            wait: Waits {
                p50: 30.0,
                ..Waits::default()
            },
            schools: vec![
                school("small", 40, median_of_small),
                school("large", 1200, 30.0),
                school("too small to judge", 5, 90.0),
            ],
            ..Report::default()
        };
        Fairness {
            machine: Machine::this(),
            hash: HASH,
            cap: 2,
            mornings: vec![report],
        }
    }

    #[test]
    fn a_school_that_waits_longer_breaks_the_promise() {
        assert!(campaign(32.9, 0).broken_promises().is_empty());
        assert_eq!(campaign(33.1, 0).broken_promises().len(), 1);
        assert_eq!(campaign(26.9, 0).broken_promises().len(), 1);
    }

    #[test]
    fn an_inversion_breaks_the_promise_and_the_document_says_so() {
        let campaign = campaign(30.0, 1);
        assert_eq!(campaign.broken_promises().len(), 1);
        assert!(campaign.markdown("make fairness").contains("did not hold"));
    }
}
