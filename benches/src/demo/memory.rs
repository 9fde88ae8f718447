//! Fifty thousand wait at once, and ask when they are told to: what does each of them cost the gateway?

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::gateway::Gateway;
use super::grounds::Grounds;
use super::machine::Machine;
use super::stop::Stop;
use super::{DemoError, MEMORY_CONFIG};
use crate::platform::HashCost;
use crate::rush::{self, Waiters};
use crate::table::{Table, seconds};

/// How many wait: first few, for long enough to see what the process gains by itself, and then many.
const LEVELS: [usize; 7] = [FEW, FEW, FEW, MANY, MANY, MANY, MANY];
const FEW: usize = 5_000;
const MANY: usize = 50_000;
/// Connections that all of them share.
const CONNECTIONS: usize = 64;
/// Polls go on for so long before memory is read; in a closed room each pupil asks every ten seconds or so.
const AT_EACH_LEVEL: Duration = Duration::from_secs(15);
/// A pupil more may cost so many bytes. A list of the waiting, of whatever kind, would need more for each.
const ALLOWED: f64 = 24.0;

/// What was read at each level.
pub struct Memory {
    machine: Machine,
    levels: Vec<Level>,
    latest_poll: Duration,
    failure: Option<String>,
}

struct Level {
    /// Since the first pupil came.
    after: Duration,
    /// As the gateway counts them.
    waiting: f64,
    /// As the gateway counts them.
    connections: f64,
    polls_per_second: f64,
    /// The largest resident memory while polls went on, in bytes.
    resident: u64,
}

/// Fills the room level by level. `None` if somebody stopped it.
pub async fn memory() -> Result<Option<Memory>, DemoError> {
    let mut stop = Stop::listen()?;
    tokio::select! {
        campaign = run() => campaign.map(Some),
        // The gateway, if it runs, is killed as it is dropped.
        () = stop.heard() => Ok(None),
    }
}

async fn run() -> Result<Memory, DemoError> {
    let machine = Machine::this();
    let grounds = Grounds::start(MEMORY_CONFIG, HashCost::QUICK, None).await?;
    let site = grounds.sites.first().ok_or(rush::RushError::NoSchool)?;
    let mut gateway = Gateway::start(&grounds.text, grounds.desk, None).await?;
    let waiters = Waiters::new(grounds.edge, &site.schools, CONNECTIONS)?;
    let begun = Instant::now();
    let mut levels = Vec::new();
    for pupils in LEVELS {
        tokio::select! {
            () = waiters.grow_to(pupils) => {}
            gone = gateway.ended() => return Err(gone),
        }
        let level = Level::read(&gateway, &waiters, begun).await?;
        println!(
            "{:6} wait, {:.0} polls/s, {} KiB resident",
            level.waiting,
            level.polls_per_second,
            level.resident / 1024
        );
        levels.push(level);
        if waiters.failures() > 0 {
            break;
        }
    }
    let campaign = Memory {
        machine,
        levels,
        latest_poll: waiters.latest_poll(),
        failure: waiters.failure(),
    };
    drop(waiters);
    gateway.stop().await?;
    Ok(campaign)
}

impl Level {
    async fn read(gateway: &Gateway, waiters: &Waiters, start: Instant) -> Result<Self, DemoError> {
        let (begun, before) = (Instant::now(), waiters.polls());
        let mut resident = 0;
        while begun.elapsed() < AT_EACH_LEVEL {
            sleep(Duration::from_millis(500)).await;
            resident = resident.max(gateway.resident()?);
        }
        let polls = waiters.polls() - before;
        Ok(Self {
            after: start.elapsed(),
            waiting: gateway.metric("einlass_waiting_pupils").await?,
            connections: gateway.metric("einlass_edge_open_connections").await?,
            polls_per_second: polls as f64 / begun.elapsed().as_secs_f64(),
            resident,
        })
    }
}

impl Memory {
    /// The table for a terminal.
    pub fn text(&self) -> String {
        self.table().text()
    }

    /// What was promised and did not happen.
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if let Some(failure) = &self.failure {
            broken.push(format!("a request failed: {failure}"));
        }
        let most = self.levels.last().map_or(0.0, |level| level.waiting);
        let wanted = MANY as f64;
        if most < wanted {
            broken.push(format!("only {most} of {wanted} waited"));
        }
        match self.bytes_per_pupil() {
            Some(bytes) if bytes > ALLOWED => {
                broken.push(format!(
                    "{bytes:.1} bytes for each pupil more, and not at most {ALLOWED}"
                ));
            }
            _ => {}
        }
        broken
    }

    /// The whole report as a document; `command` is what makes it again.
    pub fn markdown(&self, command: &str) -> String {
        let mut text = String::from("# What a waiting pupil costs in memory\n\n");
        let verdict = match self.broken_promises() {
            broken if broken.is_empty() => "It held.".to_owned(),
            broken => format!("**It did not hold:** {}.", broken.join("; ")),
        };
        let cost = self
            .bytes_per_pupil()
            .map_or_else(|| "–".to_owned(), |bytes| format!("{bytes:.1}"));
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "Made by `{command}` on {}, with the gateway as `cargo build` makes it.\n\n\
             Claim: beyond its open connections the gateway's memory does not grow with the number of pupils who wait. \
             When {MANY} waited instead of {FEW} it had grown by {cost} bytes for each pupil more; at most {ALLOWED} \
             are allowed. {verdict}\n\n\
             A real gateway process holds a closed room of three schools. Every pupil posts a login, is sent to the \
             waiting page with a ticket and a sealed login in cookies, and from then on asks with these cookies for \
             the turn, as often as the gateway says: about every ten seconds. All of them share {CONNECTIONS} \
             keep-alive connections, so that what is seen is the pupils' cost and not that of sockets. Each row is {} s of \
             polls: the largest resident memory (`VmRSS` in `/proc/PID/status`, read twice a second), and what the \
             gateway's own metrics say of the waiting and of the edge's connections. The latest poll was sent {} ms \
             after it was due.\n\n{}\n",
            self.machine,
            AT_EACH_LEVEL.as_secs(),
            self.latest_poll.as_millis(),
            self.table().markdown(),
        );
        text += READING;
        text
    }

    /// What each pupil more had cost when the room had just become full.
    fn bytes_per_pupil(&self) -> Option<f64> {
        let mut pairs = self.levels.windows(2);
        pairs.find_map(|pair| match pair {
            [few, many] => many.cost_beyond(few),
            _ => None,
        })
    }

    fn table(&self) -> Table {
        let mut table = Table::new([
            "after",
            "waiting",
            "open connections",
            "polls per second",
            "resident",
            "grown by",
            "for each pupil more",
        ]);
        let mut before: Option<&Level> = None;
        for level in &self.levels {
            let grown = before.map(|before| kib(level.resident) - kib(before.resident));
            let cost = before.and_then(|before| level.cost_beyond(before));
            let dash = || "–".to_owned();
            table.row([
                seconds(level.after.as_secs_f64()),
                level.waiting.to_string(),
                level.connections.to_string(),
                format!("{:.0}", level.polls_per_second),
                format!("{:.0} KiB", kib(level.resident)),
                grown.map_or_else(dash, |kib| format!("{kib:.0} KiB")),
                cost.map_or_else(dash, |bytes| format!("{bytes:.1} bytes")),
            ]);
            before = Some(level);
        }
        table
    }
}

fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

impl Level {
    /// Bytes for each pupil who waits here and did not wait `before`.
    fn cost_beyond(&self, before: &Self) -> Option<f64> {
        let more = self.waiting - before.waiting;
        (more > 0.0).then(|| (self.resident as f64 - before.resident as f64) / more)
    }
}

const READING: &str = "\
The rows with the same number waiting show what a busy process gains with time, however many wait; a run this short \
does not show where that ends. What the pupils cost is what the step from few to many adds to that. A room's own \
state is one number per school. With browsers instead of this crowd, whoever polls keeps a connection open for \
`edge.keepalive_timeout` at most; what that costs is the connection's, not the waiting pupil's.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(bytes_per_pupil: u64) -> Memory {
        let level = |waiting: u64| Level {
            after: Duration::ZERO,
            waiting: waiting as f64,
            connections: 64.0,
            polls_per_second: waiting as f64 / 10.0,
            resident: 20_000_000 + waiting * bytes_per_pupil,
        };
        Memory {
            machine: Machine::this(),
            levels: vec![level(5_000), level(50_000)],
            latest_poll: Duration::ZERO,
            failure: None,
        }
    }

    #[test]
    fn a_list_of_the_waiting_would_be_noticed() {
        assert!(campaign(8).broken_promises().is_empty());
        assert_eq!(campaign(64).broken_promises().len(), 1);
        assert!(
            campaign(64)
                .markdown("make memory")
                .contains("did not hold")
        );
    }

    #[test]
    fn a_failed_request_breaks_the_promise() {
        let failed = Memory {
            failure: Some("http_500".to_owned()),
            ..campaign(0)
        };
        assert_eq!(failed.broken_promises().len(), 1);
    }
}
