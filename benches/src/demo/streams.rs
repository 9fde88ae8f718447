//! A gibibyte each way, a thousand listeners, a WebSocket: what do they cost the gateway while a crowd logs in?

use std::fmt::Write as _;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::gateway::Gateway;
use super::grounds::{Grounds, Site};
use super::machine::Machine;
use super::stop::Stop;
use super::{DemoError, STREAMS_CONFIG};
use crate::platform::HashCost;
use crate::rush::{self, Plan, Report};
use crate::streams::{Events, Visitor};
use crate::table::{Table, seconds};

const MIB: u64 = 1 << 20;
/// The length of the long download and of the long upload.
const LONG: u64 = 1 << 30;
const LISTENERS: usize = 1_000;
/// How long they listen, an event a second, and how long the WebSocket talks.
const LENGTH: Duration = Duration::from_mins(1);
/// What a login costs, so that the crowd of [`PUPILS`] takes about as long.
const HASH: Duration = Duration::from_millis(20);
const PUPILS: u32 = 1_200;
/// The process may grow by so much while a gibibyte passes each way.
const ALLOWED: u64 = 32 * MIB;
/// And by so much for each open stream of events, with both of its connections.
const ALLOWED_EACH: u64 = 128 * 1024;

/// What was seen at each stage.
pub struct Streams {
    machine: Machine,
    stages: Vec<Stage>,
    failures: Vec<String>,
}

struct Stage {
    what: &'static str,
    came: String,
    took: Duration,
    /// The largest resident memory while it lasted, in bytes.
    resident: u64,
    logins: u64,
}

/// Runs all stages. `None` if somebody stopped it.
pub async fn streams() -> Result<Option<Streams>, DemoError> {
    let mut stop = Stop::listen()?;
    tokio::select! {
        campaign = run() => campaign.map(Some),
        // The gateway, if it runs, is killed as it is dropped.
        () = stop.heard() => Ok(None),
    }
}

async fn run() -> Result<Streams, DemoError> {
    // A listener is a socket here and two at the gateway, which inherits the limit.
    rush::raise_limit();
    let cost = HashCost::about(HASH).map_err(crate::platform::PlatformError::from)?;
    let grounds = Grounds::start(STREAMS_CONFIG, cost, None).await?;
    let site = grounds.sites.first().ok_or(rush::RushError::NoSchool)?;
    let school = site.schools.first().ok_or(rush::RushError::NoSchool)?;
    let mut gateway = Gateway::start(&grounds.text, grounds.desk, None).await?;
    let scene = Scene {
        grounds: &grounds,
        site,
        gateway: &mut gateway,
        visitor: Visitor {
            address: grounds.edge,
            host: school.host.clone(),
        },
        stages: Vec::new(),
        failures: Vec::new(),
    };
    let campaign = scene.play().await?;
    gateway.stop().await?;
    Ok(campaign)
}

struct Scene<'a> {
    grounds: &'a Grounds,
    site: &'a Site,
    gateway: &'a mut Gateway,
    visitor: Visitor,
    stages: Vec<Stage>,
    failures: Vec<String>,
}

impl Scene<'_> {
    async fn play(mut self) -> Result<Streams, DemoError> {
        let crowd = async { "the crowd".to_owned() };
        self.stage("only the crowd", crowd).await?;

        // What the machine can do without us, beside the same crowd.
        if let Some(backend) = self.site.platform.backends().first() {
            let past = Visitor {
                address: *backend,
                ..self.visitor.clone()
            };
            self.stage("a download past us", download(past.clone()))
                .await?;
            self.stage("an upload past us", upload(past)).await?;
        }
        let visitor = self.visitor.clone();
        self.stage("a download", download(visitor)).await?;
        let visitor = self.visitor.clone();
        self.stage("an upload", upload(visitor)).await?;

        let visitor = self.visitor.clone();
        let talk = async move {
            let talk = visitor.echo(LENGTH, Duration::from_millis(100)).await;
            said(talk, |e| {
                let slowest = e.slowest.as_millis();
                format!(
                    "{} messages, the slowest back after {slowest} ms",
                    e.messages
                )
            })
        };
        self.stage("a WebSocket", talk).await?;

        let visitor = self.visitor.clone();
        self.stage("parts, and leave to send", small(visitor))
            .await?;

        // Last: an allocator does not give back at once what the most of them took.
        let visitor = self.visitor.clone();
        self.stage("listeners", listen(visitor)).await?;
        Ok(Streams {
            machine: Machine::this(),
            stages: self.stages,
            failures: self.failures,
        })
    }

    /// Lets something happen while a crowd logs in. What it returns says what came; `FAILED …` if it did not.
    async fn stage(
        &mut self,
        what: &'static str,
        happens: impl Future<Output = String> + Send + 'static,
    ) -> Result<(), DemoError> {
        let plan = Plan {
            name: what.to_owned(),
            targets: vec![self.grounds.edge],
            schools: self.site.schools.clone(),
            pupils: PUPILS,
            arrive_over: LENGTH / 3,
            platforms: self.site.platform.control().into_iter().collect(),
            ..Plan::default()
        };
        let mut resident = 0;
        let begun = Instant::now();
        // A task of its own: beside the crowd, and not in turns with it.
        let happens = tokio::spawn(async move { (happens.await, begun.elapsed()) });
        let both = async {
            let (happened, report) = tokio::join!(happens, rush::run(plan));
            let gone = |error| (format!("{FAILED}: {error}"), begun.elapsed());
            (happened.unwrap_or_else(gone), report)
        };
        tokio::pin!(both);
        let ((came, took), report) = loop {
            tokio::select! {
                done = &mut both => break done,
                () = sleep(Duration::from_millis(100)) => {
                    resident = resident.max(self.gateway.resident()?);
                }
            }
        };
        if let Some(gone) = self.gateway.has_ended() {
            return Err(gone);
        }
        let report: Report = report?;
        if came.starts_with(FAILED) {
            self.failures.push(format!("{what}: {came}"));
        }
        let errors = report.errors.iter();
        self.failures
            .extend(errors.map(|(kind, count)| format!("{what}: {kind}, {count} times")));
        if report.got_in != report.started {
            self.failures.push(format!(
                "{what}: {} of {} got in",
                report.got_in, report.started
            ));
        }
        println!(
            "{what}: {came}; {} KiB resident, {} logins",
            resident / 1024,
            report.got_in
        );
        self.stages.push(Stage {
            what,
            came,
            took,
            resident,
            logins: report.got_in,
        });
        Ok(())
    }
}

const FAILED: &str = "FAILED";

fn said<T>(result: std::io::Result<T>, say: impl FnOnce(&T) -> String) -> String {
    match result {
        Ok(value) => say(&value),
        Err(error) => format!("{FAILED}: {error}"),
    }
}

fn in_mib(bytes: u64) -> String {
    format!("{} MiB", bytes / MIB)
}

async fn download(visitor: Visitor) -> String {
    let begun = Instant::now();
    let nothing = std::future::ready(());
    said(visitor.download(LONG, nothing).await, |bytes| {
        with_speed(*bytes, begun.elapsed())
    })
}

async fn upload(visitor: Visitor) -> String {
    let begun = Instant::now();
    said(visitor.upload(LONG).await, |bytes| {
        with_speed(*bytes, begun.elapsed())
    })
}

fn with_speed(bytes: u64, took: Duration) -> String {
    let mib = bytes as f64 / MIB as f64;
    format!(
        "{mib:.0} MiB, {:.0} MiB/s",
        mib / took.as_secs_f64().max(0.001)
    )
}

async fn listen(visitor: Visitor) -> String {
    let every = Duration::from_secs(1);
    let count = LENGTH.as_secs();
    let mut listeners = JoinSet::new();
    for _ in 0..LISTENERS {
        let visitor = visitor.clone();
        listeners.spawn(async move { visitor.events(every, count).await });
    }
    let heard: std::io::Result<Vec<Events>> = listeners.join_all().await.into_iter().collect();
    said(heard, |heard| {
        let events: u64 = heard.iter().map(|events| events.count).sum();
        let gap = heard
            .iter()
            .map(|e| e.longest_gap)
            .max()
            .unwrap_or_default();
        format!(
            "{} listeners, {events} events, the longest gap {} ms",
            heard.len(),
            gap.as_millis()
        )
    })
}

async fn small(visitor: Visitor) -> String {
    let mut asked = 0;
    for n in 0..100 {
        let (first, last) = (
            n * 10_000_019 % LONG,
            LONG.min(n * 10_000_019 + 100_000) - 1,
        );
        match visitor.range(LONG, first, last).await {
            Ok((part, _)) if part.len() as u64 == last - first + 1 => asked += 1,
            Ok((part, _)) => return format!("{FAILED}: {} bytes of a part", part.len()),
            Err(error) => return format!("{FAILED}: {error}"),
        }
    }
    let given = visitor.expect(MIB).await;
    let refused = visitor.expect(8 * LONG).await;
    match (given, refused) {
        (Ok(given), Ok(refused))
            if given.len() == 2 && refused.len() == 1 && refused[0].contains(" 413 ") =>
        {
            format!("{asked} parts, each as asked for; leave given once, refused once")
        }
        other => format!("{FAILED}: {other:?}"),
    }
}

impl Streams {
    /// The table for a terminal.
    pub fn text(&self) -> String {
        self.table().text()
    }

    /// What was promised and did not happen.
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken = self.failures.clone();
        for stage in &self.stages {
            let allowed = if stage.what == "listeners" {
                LISTENERS as u64 * ALLOWED_EACH
            } else {
                ALLOWED
            };
            let grown = self.grown(stage);
            if grown > allowed {
                broken.push(format!("{}: grown by {}", stage.what, in_mib(grown)));
            }
        }
        broken
    }

    /// Beyond the most that the crowd alone took.
    fn grown(&self, stage: &Stage) -> u64 {
        let crowd = self.stages.first().map_or(0, |first| first.resident);
        stage.resident.saturating_sub(crowd)
    }

    /// The whole report as a document; `command` is what makes it again.
    pub fn markdown(&self, command: &str) -> String {
        let mut text = String::from("# What is long passes through\n\n");
        let verdict = match self.broken_promises() {
            broken if broken.is_empty() => "It held.".to_owned(),
            broken => format!("**It did not hold:** {}.", broken.join("; ")),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "Made by `{command}` on {}, with the gateway as `cargo build` makes it.\n\n\
             Claim: the gateway passes on what is long as it comes and keeps none of it: a gibibyte in either direction \
             makes it grow by less than {}, and an open stream of events by less than {} KiB; every byte and every \
             event arrives, and no login fails meanwhile. {verdict}\n\n\
             A real gateway process stands in front of the demo platform. At each stage {PUPILS} pupils log in, and \
             beside them happens what the row says: a download and an upload of {} whose bytes are all checked, straight \
             from the platform and through the gateway; a \
             WebSocket over which messages of 20, 2,000 and 100,000 bytes go back and forth for {}; {LISTENERS} \
             listeners to server-sent events, one a second for {}; a hundred range requests for parts of a gibibyte; \
             `Expect: 100-continue` twice. The memory is the largest resident one (`VmRSS` in `/proc/PID/status`, read \
             ten times a second).\n\n{}\n",
            self.machine,
            in_mib(ALLOWED),
            ALLOWED_EACH / 1024,
            in_mib(LONG),
            seconds(LENGTH.as_secs_f64()),
            seconds(LENGTH.as_secs_f64()),
            self.table().markdown(),
        );
        text
    }

    fn table(&self) -> Table {
        let mut table = Table::new([
            "beside the crowd",
            "what came",
            "took",
            "resident",
            "grown by",
            "logins",
        ]);
        for stage in &self.stages {
            table.row([
                stage.what.to_owned(),
                stage.came.clone(),
                seconds(stage.took.as_secs_f64()),
                format!("{} KiB", stage.resident / 1024),
                format!("{} KiB", self.grown(stage) / 1024),
                stage.logins.to_string(),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(resident: u64, failures: Vec<String>) -> Streams {
        let stage = |what, resident| Stage {
            what,
            came: "1024 MiB".to_owned(),
            took: Duration::from_secs(2),
            resident,
            logins: 100,
        };
        Streams {
            machine: Machine::this(),
            stages: vec![
                stage("only the crowd", 20 * MIB),
                stage("a download", resident),
            ],
            failures,
        }
    }

    #[test]
    fn a_gateway_that_keeps_what_passes_would_be_noticed() {
        assert!(campaign(30 * MIB, Vec::new()).broken_promises().is_empty());
        let kept = campaign(500 * MIB, Vec::new());
        assert_eq!(kept.broken_promises(), ["a download: grown by 480 MiB"]);
        assert!(kept.markdown("make streams").contains("did not hold"));
    }

    #[test]
    fn a_failure_breaks_the_promise() {
        assert_eq!(
            campaign(0, vec!["a download: lost".to_owned()])
                .broken_promises()
                .len(),
            1
        );
    }
}
