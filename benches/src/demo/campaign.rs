//! The same crowd twice: straight at the platform, and through the gateway.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::block_in_place;

use super::gateway::Gateway;
use super::grounds::{Grounds, Site};
use super::machine::Machine;
use super::progress::{self, Part};
use super::stop::Stop;
use super::{COMPARE_CONFIG, DemoError, calibration};
use crate::compare::Comparison;
use crate::platform::{BUCKET_MILLIS, HashCost, Snapshot};
use crate::rush::{self, Plan, Report, Shape};
use crate::table::seconds;

/// Logins that come, as a multiple of what the platform can do, and for how long.
const OVERLOAD: f64 = 4.0;
const ARRIVE_OVER: Duration = Duration::from_secs(30);
/// Half of what php-fpm lets stand in its backlog (511) and half of how long nginx waits for it (60 s), so that a
/// morning lasts minutes.
const QUEUE: usize = 256;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Whoever is not in by then has missed the lesson.
const LESSON: Duration = Duration::from_mins(3);
/// Nobody runs out of reloads before the lesson is over.
const RELOADS: u32 = 1000;

/// Both mornings, and what they happened on.
pub struct Campaign {
    machine: Machine,
    hash: Duration,
    pupils: u32,
    in_flight: usize,
    straight: Report,
    through: Report,
}

/// Runs both mornings. `None` if somebody stopped it.
pub async fn compare() -> Result<Option<Campaign>, DemoError> {
    let mut stop = Stop::listen()?;
    tokio::select! {
        campaign = run() => campaign.map(Some),
        // The gateway, if it runs, is killed as it is dropped.
        () = stop.heard() => Ok(None),
    }
}

async fn run() -> Result<Campaign, DemoError> {
    let machine = Machine::this();
    let (cost, hash) = block_in_place(calibration::cost)?;

    let grounds = grounds(cost).await?;
    let site = site(&grounds)?;
    let in_flight = site.cap;
    let pupils = pupils(calibration::undisturbed(site.workers, hash));
    println!(
        "{machine}; {pupils} pupils within {}",
        seconds(ARRIVE_OVER.as_secs_f64())
    );
    println!("Straight at the platform:");
    let straight = morning(site, "without Einlass", site.platform.backends(), pupils).await?;
    drop(grounds);

    let grounds = self::grounds(cost).await?;
    let site = self::site(&grounds)?;
    let mut gateway = Gateway::start(&grounds.text, grounds.desk, None).await?;
    println!("Through the gateway:");
    let edge = [grounds.edge];
    let through = tokio::select! {
        through = morning(site, "with Einlass", &edge, pupils) => through?,
        gone = gateway.ended() => return Err(gone),
    };
    gateway.stop().await?;
    Ok(Campaign {
        machine,
        hash,
        pupils,
        in_flight,
        straight,
        through,
    })
}

/// A platform that nothing has happened to yet.
async fn grounds(cost: HashCost) -> Result<Grounds, DemoError> {
    Grounds::start(COMPARE_CONFIG, cost, Some(QUEUE)).await
}

fn site(grounds: &Grounds) -> Result<&Site, DemoError> {
    Ok(grounds.sites.first().ok_or(rush::RushError::NoSchool)?)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and `as` saturates"
)]
fn pupils(capacity: f64) -> u32 {
    (capacity * OVERLOAD * ARRIVE_OVER.as_secs_f64()) as u32
}

async fn morning(
    site: &Site,
    name: &str,
    targets: &[SocketAddr],
    pupils: u32,
) -> Result<Report, DemoError> {
    let plan = Plan {
        name: name.to_owned(),
        targets: targets.to_vec(),
        schools: site.schools.clone(),
        pupils,
        arrive_over: ARRIVE_OVER,
        shape: Shape::Burst,
        think: (Duration::from_millis(500), Duration::from_secs(3)),
        mistype: 0.03,
        reloads: RELOADS,
        request_timeout: REQUEST_TIMEOUT,
        deadline: LESSON,
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

impl Campaign {
    /// The table for a terminal.
    pub fn text(&self) -> String {
        self.comparison().text()
    }

    /// What was promised of the morning with the gateway and did not happen.
    pub fn broken_promises(&self) -> Vec<String> {
        let through = &self.through;
        let mut broken = Vec::new();
        if through.got_in != through.started {
            let missing = through.started.saturating_sub(through.got_in);
            broken.push(format!("{missing} of {} did not get in", through.started));
        }
        for (kind, count) in &through.errors {
            broken.push(format!("error {kind}, {count} times"));
        }
        match through.max_in_flight() {
            Some(most) if most > self.in_flight => {
                let cap = self.in_flight;
                broken.push(format!(
                    "{most} logins in flight, more than the {cap} allowed"
                ));
            }
            _ => {}
        }
        broken
    }

    /// The whole report as a document; `command` is what makes it again.
    pub fn markdown(&self, command: &str) -> String {
        let mut text = String::from("# The same morning, without Einlass and with it\n\n");
        let offered = f64::from(self.pupils) / ARRIVE_OVER.as_secs_f64();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "Made by `{command}` on {}.\n\n\
             One region of the demo platform: two workers, each login one argon2id hash of {} ms on an idle core, at \
             most {QUEUE} logins in its queue, further ones get `503`. {} pupils come within {} ({offered:.1} a \
             second). A browser gives up a request after {}; its pupil sees an error, reloads after 2 to 5 s and types \
             again, until in or until the lesson is lost after {}. 3 % mistype once. Both mornings have the same \
             pupils, the same platform and the same seed; with Einlass, `in_flight.max` is {}.\n\n{}\n\
             The platform computed {} hashes per second without Einlass and {} with it, while it was busy: the same \
             machine, as long as these two are about the same.\n\n",
            self.machine,
            self.hash.as_millis(),
            self.pupils,
            seconds(ARRIVE_OVER.as_secs_f64()),
            seconds(REQUEST_TIMEOUT.as_secs_f64()),
            seconds(LESSON.as_secs_f64()),
            self.in_flight,
            self.comparison().markdown(),
            hashes_per_second(&self.straight),
            hashes_per_second(&self.through),
        );
        text += READING;
        text
    }

    fn comparison(&self) -> Comparison {
        Comparison::between(&self.straight, &self.through)
    }
}

/// While anything was in flight, right or wrong, wanted or not: what the machine gave the platform.
fn hashes_per_second(report: &Report) -> String {
    let (mut hashes, mut busy) = (0, 0.0);
    for Snapshot {
        totals,
        in_flight_series,
        ..
    } in &report.platforms
    {
        hashes += totals.logged_in + totals.wrong_password;
        let buckets = in_flight_series.iter().filter(|most| **most > 0).count();
        busy += buckets as f64 * BUCKET_MILLIS as f64 / 1000.0;
    }
    if busy > 0.0 {
        format!("{:.1}", hashes as f64 / busy)
    } else {
        "no".to_owned()
    }
}

const READING: &str = "\
Waits are those of pupils who got in, from the first submit to being inside. *Hashed for nobody* counts logins whose \
browser had gone when the hash was done: the queue is longer than the browsers' patience, so the platform works at \
full speed on what nobody waits for any more. That is half the size of the usual defaults (a backlog of 511 in \
php-fpm, 60 s in nginx); with a queue much shorter than the patience the platform would refuse more and waste less.

Crowd, gateway and platform share this one machine, so the figures compare the two mornings with each other; they \
say nothing about how much a platform on its own machines can do.
";
