//! Does the pacer find what nobody told it? The platform's best fixed setting is sought by trying several, then the
//! gateway is left to find it; and it is watched while the platform's workers are halved and restored.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::gateway::Gateway;
use super::grounds::{Grounds, Site};
use super::machine::Machine;
use super::progress::{self, Part};
use super::stop::Stop;
use super::{COMPARE_CONFIG, DemoError, calibration};
use crate::platform::{BUCKET_MILLIS, HashCost, Snapshot};
use crate::rush::{self, Plan, Report, Shape};
use crate::table::{Table, percent};

/// What one login costs on an idle core.
const HASH: Duration = Duration::from_millis(100);
/// Settings that are tried; the platform has two workers.
const CAPS: [usize; 5] = [2, 3, 5, 8, 16];
/// Every setting is tried so often, and the pacer that is told nothing as often, by turns, another one first each time:
/// what else the machine does then meets all of them. Two mornings with the same setting differ by up to a seventh.
const ROUNDS: usize = 5;
/// So much work comes, in [`ARRIVE_OVER`].
const WORK: Duration = Duration::from_secs(40);
const ARRIVE_OVER: Duration = Duration::from_secs(3);
/// The pacer may take anything up to this.
const UNTOLD: usize = 500;
/// While it is watched: when the workers are halved, when they are back, and how much work comes.
const HALVED: Duration = Duration::from_secs(15);
const RESTORED: Duration = Duration::from_secs(35);
const WATCHED_WORK: Duration = Duration::from_secs(45);
/// A change has this time to be followed before it is judged.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);
/// A gateway without a state first listens whether somebody waits for it with a ticket. Nobody starts it at eight.
const STARTED_BEFORE: Duration = Duration::from_secs(7);
/// The least part of the best fixed setting.
const ASKED: f64 = 0.9;
const CONFIGURED: &str = "in_flight = { min = 1, max = 3 }\nmode = \"fixed\"";

/// What was found.
pub struct Capacity {
    machine: Machine,
    hash: Duration,
    /// Logins per second with each fixed setting, round by round.
    fixed: Vec<(usize, Vec<f64>)>,
    /// With the pacer that is told nothing.
    found: Vec<f64>,
    watched: Vec<Second>,
    missing: u64,
}

/// One second of the morning that was watched.
struct Second {
    workers: usize,
    cap: f64,
    in_flight: f64,
    logins: u32,
    waiting: f64,
}

/// Seeks and finds. `None` if somebody stopped it.
///
/// # Errors
/// Whatever keeps the platform, the gateway or the crowd from working.
pub async fn capacity() -> Result<Option<Capacity>, DemoError> {
    let mut stop = Stop::listen()?;
    tokio::select! {
        campaign = run() => campaign.map(Some),
        // The gateway, if it runs, is killed as it is dropped.
        () = stop.heard() => Ok(None),
    }
}

async fn run() -> Result<Capacity, DemoError> {
    let machine = Machine::this();
    let cost =
        block_in_place(|| HashCost::about(HASH)).map_err(crate::platform::PlatformError::from)?;
    let hash = block_in_place(|| cost.measure()).map_err(crate::platform::PlatformError::from)?;
    let mut campaign = Capacity {
        machine,
        hash,
        fixed: CAPS.map(|cap| (cap, Vec::new())).into(),
        found: Vec::new(),
        watched: Vec::new(),
        missing: 0,
    };
    for round in 0..ROUNDS {
        // The last one is the pacer.
        for turn in 0..=CAPS.len() {
            let number = (turn + round) % (CAPS.len() + 1);
            let (setting, what) = CAPS.get(number).map_or_else(
                || (untold(), "nothing told".to_owned()),
                |cap| {
                    let setting =
                        format!("in_flight = {{ min = 1, max = {cap} }}\nmode = \"fixed\"");
                    (setting, format!("a fixed cap of {cap}"))
                },
            );
            println!("Round {} of {ROUNDS}, {what}:", round + 1);
            let report = Morning::prepare(&setting, cost)
                .await?
                .play(hash, WORK)
                .await?;
            campaign.missing += report.started - report.got_in;
            let rates = campaign
                .fixed
                .get_mut(number)
                .map_or(&mut campaign.found, |(_, rates)| rates);
            rates.push(goodput(&report));
        }
    }
    println!("Workers halved and restored:");
    let morning = Morning::prepare(&untold(), cost).await?;
    let (report, watched) = morning.watch(hash).await?;
    campaign.missing += report.started - report.got_in;
    campaign.watched = watched;
    Ok(campaign)
}

fn untold() -> String {
    format!("in_flight = {{ min = 1, max = {UNTOLD} }}")
}

/// A platform and a gateway that nothing has happened to yet.
struct Morning {
    grounds: Grounds,
    gateway: Gateway,
}

impl Morning {
    async fn prepare(setting: &str, cost: HashCost) -> Result<Self, DemoError> {
        // A login queues at the platform rather than being refused, however high the cap.
        let mut grounds = Grounds::start(COMPARE_CONFIG, cost, Some(UNTOLD)).await?;
        grounds.text = grounds.text.replace(CONFIGURED, setting);
        let gateway = Gateway::start(&grounds.text, grounds.desk, None).await?;
        sleep(STARTED_BEFORE).await;
        Ok(Self { grounds, gateway })
    }

    fn site(&self) -> Result<&Site, DemoError> {
        Ok(self
            .grounds
            .sites
            .first()
            .ok_or(rush::RushError::NoSchool)?)
    }

    fn plan(&self, hash: Duration, work: Duration) -> Result<Plan, DemoError> {
        let site = self.site()?;
        let pupils = calibration::undisturbed(site.workers, hash) * work.as_secs_f64();
        Ok(Plan {
            targets: vec![self.grounds.edge],
            schools: site.schools.clone(),
            pupils: whole(pupils),
            arrive_over: ARRIVE_OVER,
            shape: Shape::Burst,
            pages: 0,
            platforms: site.platform.control().into_iter().collect(),
            ..Plan::default()
        })
    }

    async fn play(mut self, hash: Duration, work: Duration) -> Result<Report, DemoError> {
        let plan = self.plan(hash, work)?;
        let site = self
            .grounds
            .sites
            .first()
            .ok_or(rush::RushError::NoSchool)?;
        let parts = [Part {
            site,
            pupils: plan.pupils,
            live: Arc::clone(&plan.live),
        }];
        let report = tokio::select! {
            report = rush::run(plan) => report?,
            () = progress::show(&parts) => Report::default(),
            gone = self.gateway.ended() => return Err(gone),
        };
        self.gateway.stop().await?;
        Ok(report)
    }

    /// Plays a longer morning, in the middle of which half of the workers are missing.
    async fn watch(self, hash: Duration) -> Result<(Report, Vec<Second>), DemoError> {
        let plan = self.plan(hash, WATCHED_WORK)?;
        let site = self.site()?;
        let all = site.workers;
        let begun = Instant::now();
        let mut rush = Box::pin(rush::run(plan));
        let mut seconds = Vec::new();
        let report = loop {
            let at = begun + Duration::from_secs(seconds.len() as u64 + 1);
            tokio::select! {
                report = &mut rush => break report?,
                () = tokio::time::sleep_until(at) => {}
            }
            let elapsed = begun.elapsed();
            let workers = if (HALVED..RESTORED).contains(&elapsed) {
                (all / 2).max(1)
            } else {
                all
            };
            site.platform.set_workers(workers);
            let metric = async |name: &str| self.gateway.metric(name).await;
            seconds.push(Second {
                workers,
                cap: metric("einlass_in_flight_cap_logins").await?,
                in_flight: 0.0,
                logins: 0,
                waiting: metric("einlass_waiting_pupils").await?,
            });
        };
        if let Some(platform) = report.platforms.first() {
            fill(&mut seconds, platform);
        }
        // The last answers are on their way.
        sleep(Duration::from_millis(100)).await;
        self.gateway.stop().await?;
        Ok((report, seconds))
    }
}

/// What the platform recorded, second by second.
fn fill(seconds: &mut [Second], platform: &Snapshot) {
    let buckets = usize::try_from(1000 / BUCKET_MILLIS).unwrap_or(1);
    for (number, second) in seconds.iter_mut().enumerate() {
        let entries = number * buckets..(number + 1) * buckets;
        second.in_flight = platform.mean_in_flight(entries.clone());
        second.logins = platform
            .logged_in_series
            .get(entries)
            .map_or(0, |logins| logins.iter().sum());
    }
}

/// Logins per second from the first that was in flight to the last that was completed.
fn goodput(report: &Report) -> f64 {
    let platform = report.platforms.first();
    let busy = platform.map_or(0, |platform| {
        let first = platform.in_flight_series.iter().position(|most| *most > 0);
        let last = platform
            .logged_in_series
            .iter()
            .rposition(|logins| *logins > 0);
        first.zip(last).map_or(0, |(first, last)| last + 1 - first)
    });
    let logins = platform.map_or(0, |platform| platform.totals.logged_in);
    logins as f64 / (busy.max(1) as f64 * BUCKET_MILLIS as f64 / 1000.0)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and `as` saturates"
)]
fn whole(pupils: f64) -> u32 {
    pupils as u32
}

impl Capacity {
    /// The best fixed setting, and the logins per second with it.
    fn best(&self) -> (usize, f64) {
        let means = self.fixed.iter().map(|(cap, rounds)| (*cap, mean(rounds)));
        means.fold(
            (0, 0.0),
            |best, next| if next.1 > best.1 { next } else { best },
        )
    }

    /// What the pacer reaches of it.
    fn reached(&self) -> f64 {
        mean(&self.found) / self.best().1.max(f64::MIN_POSITIVE)
    }

    /// Logins per second of the morning that was watched: before the change, while workers are missing, and after, each
    /// without the time in which the change is followed.
    fn phases(&self) -> [f64; 3] {
        let (halved, restored) = (HALVED.as_secs(), RESTORED.as_secs());
        let follow = FOLLOWED_WITHIN.as_secs();
        [
            (follow, halved),
            (halved + follow, restored),
            (restored + follow, u64::MAX),
        ]
        .map(|(from, to)| {
            let within = (0_u64..).zip(&self.watched);
            let within =
                within.filter(|(at, second)| (from..to).contains(at) && second.waiting > 0.0);
            mean(
                &within
                    .map(|(_, second)| f64::from(second.logins))
                    .collect::<Vec<_>>(),
            )
        })
    }

    /// The tables for a terminal.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.settings().text(), self.seconds().text())
    }

    /// What was promised and did not happen.
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.missing > 0 {
            broken.push(format!("{} did not get in", self.missing));
        }
        if self.reached() < ASKED {
            let reached = percent(Some(self.reached()));
            broken.push(format!("{reached} of the best fixed setting"));
        }
        let [before, halved, after] = self.phases();
        let followed = |rate: f64, part: f64| rate >= ASKED * part * before;
        if !followed(halved, 0.5) || !followed(after, 1.0) {
            broken.push(format!(
                "{before:.1} logins/s before, {halved:.1} with half the workers, {after:.1} after"
            ));
        }
        broken
    }

    fn settings(&self) -> Table {
        let mut table = Table::new(["in flight at most", "logins/s", "of the best"]);
        let (_, best) = self.best();
        let found = (format!("not told (up to {UNTOLD})"), &self.found);
        let fixed = self
            .fixed
            .iter()
            .map(|(cap, rounds)| (format!("fixed: {cap}"), rounds));
        for (name, rounds) in fixed.chain([found]) {
            let rates: Vec<_> = rounds.iter().map(|rate| format!("{rate:.2}")).collect();
            let part = mean(rounds) / best.max(f64::MIN_POSITIVE);
            table.row([name, rates.join(", "), percent(Some(part))]);
        }
        table
    }

    fn seconds(&self) -> Table {
        let mut table = Table::new([
            "second",
            "workers",
            "cap",
            "in flight, mean",
            "logins",
            "waiting",
        ]);
        for (number, second) in (1..).zip(&self.watched) {
            table.row([
                format!("{number}"),
                second.workers.to_string(),
                format!("{:.0}", second.cap),
                format!("{:.1}", second.in_flight),
                second.logins.to_string(),
                format!("{:.0}", second.waiting),
            ]);
        }
        table
    }

    /// The whole report as a document; `command` is what makes it again.
    pub fn markdown(&self, command: &str) -> String {
        let (cap, best) = self.best();
        let [before, halved, after] = self.phases();
        let mut text = String::from("# The pacer against the best fixed setting\n\n");
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "Made by `{command}` on {}.\n\n\
             One region of the demo platform: two workers, each login one argon2id hash of {} ms on an idle core. Every \
             line of the table is a morning of its own with a gateway that knows nothing of the one before: {} s of work \
             come within {} s, {} s after the gateway was started. Logins per second are counted by the platform, from the first that was in flight to the \
             last, so with the time that the pacer needs to find out. Crowd, gateway and platform share this machine.\n\n\
             {}\nThe best fixed setting is {cap}, with {best:.2} logins a second. The gateway that is told nothing \
             reaches {} of that; asked for is {}.\n\n\
             ## Half of the workers go, and come back\n\n\
             One morning, told nothing: after {} s one of the two workers is stopped, after {} s it goes on. Without the \
             {} s after each change the platform did {before:.1} logins a second before, {halved:.1} with half of the \
             workers and {after:.1} after. With one worker fewer a core is free for the crowd and the gateway, so half of \
             the workers do somewhat more than half.\n\n{}",
            self.machine,
            self.hash.as_millis(),
            WORK.as_secs(),
            ARRIVE_OVER.as_secs(),
            STARTED_BEFORE.as_secs(),
            self.settings().markdown(),
            percent(Some(self.reached())),
            percent(Some(ASKED)),
            HALVED.as_secs(),
            RESTORED.as_secs(),
            FOLLOWED_WITHIN.as_secs(),
            self.seconds().markdown(),
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_is_replaced_is_in_the_configuration() {
        assert!(COMPARE_CONFIG.contains(CONFIGURED));
        let text = COMPARE_CONFIG.replace(CONFIGURED, &untold());
        let config = einlass_config::load_str("capacity.toml", &text).unwrap();
        let admission = &config.pools()[0].admission;
        assert_eq!(admission.in_flight.max as usize, UNTOLD);
        assert_eq!(admission.mode, einlass_config::Mode::Adaptive);
    }

    #[test]
    fn the_best_setting_has_the_best_mean() {
        let campaign = Capacity {
            machine: Machine::this(),
            hash: HASH,
            fixed: vec![
                (1, vec![5.0, 6.0]),
                (2, vec![10.0, 9.0]),
                (3, vec![8.0, 10.0]),
            ],
            found: vec![9.0, 9.0],
            watched: Vec::new(),
            missing: 0,
        };
        assert_eq!(campaign.best().0, 2);
        assert!((campaign.reached() - 9.0 / 9.5).abs() < 1e-9);
    }
}
