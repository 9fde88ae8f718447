//! One of four servers works at half the speed of the others: who gets which logins, and what does that cost?

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use super::gateway::Gateway;
use super::grounds::{read, settle};
use super::machine::Machine;
use super::stop::Stop;
use super::{BALANCE_CONFIG, DemoError};
use crate::platform::{HashCost, Platform, PlatformOptions};
use crate::rush::{self, Plan, School};
use crate::table::{Table, seconds};

/// As the configuration calls them; the first is the default, about which something is promised.
const POLICIES: [&str; 3] = ["peak_ewma", "least_in_flight", "round_robin"];
/// Workers of each server, and how long each of them is busy with a login.
const WORKERS: usize = 2;
const LOGIN: [Duration; 4] = [FAST, FAST, FAST, SLOW];
const FAST: Duration = Duration::from_millis(100);
const SLOW: Duration = Duration::from_millis(200);
/// A third more than all of them can do, so that somebody waits at all times.
const PUPILS: u32 = 2_800;
const ARRIVE_OVER: Duration = Duration::from_secs(30);
/// What is looked at: by then all have work, and until then somebody waits under every policy.
const FROM: Duration = Duration::from_secs(6);
const UNTIL: Duration = Duration::from_secs(30);
/// How far a server's part may be from what its speed says.
const ALLOWED: f64 = 0.10;
/// A latency is better if it is at most so much of the other: less is a matter of chance.
const BETTER: f64 = 0.95;

/// The same morning under each policy.
pub struct Balance {
    machine: Machine,
    mornings: Vec<Morning>,
}

struct Morning {
    policy: &'static str,
    /// Logins of each server while it was looked at.
    logins: Vec<usize>,
    /// From the arrival at a server to the end of the hash, in seconds, in order.
    latencies: Vec<f64>,
    /// From the first submit until the last pupil was in.
    lasted: f64,
    wait_p99: f64,
    failures: Vec<String>,
}

/// Plays the mornings. `None` if somebody stopped it.
pub async fn balance() -> Result<Option<Balance>, DemoError> {
    let mut stop = Stop::listen()?;
    tokio::select! {
        campaign = run() => campaign.map(Some),
        // The gateway, if it runs, is killed as it is dropped.
        () = stop.heard() => Ok(None),
    }
}

async fn run() -> Result<Balance, DemoError> {
    let mut mornings = Vec::new();
    for policy in POLICIES {
        let morning = Morning::play(policy).await?;
        println!(
            "{policy}: {:?} logins, done after {}",
            morning.logins,
            seconds(morning.lasted)
        );
        mornings.push(morning);
    }
    Ok(Balance {
        machine: Machine::this(),
        mornings,
    })
}

impl Morning {
    async fn play(policy: &'static str) -> Result<Self, DemoError> {
        let text = BALANCE_CONFIG.replace(POLICIES[0], policy);
        let (text, _) = settle(&text)?;
        let config = read(&text)?;
        let edge = *config.edge.listen.first().ok_or(DemoError::NoEdge)?;
        let pools = config.pools();
        let pool = pools.first().ok_or(rush::RushError::NoSchool)?;
        let mut servers = Vec::new();
        for (address, least) in pool.addresses().zip(LOGIN) {
            servers.push(server(address, least).await?);
        }
        let school = pool.schools.first().ok_or(rush::RushError::NoSchool)?;
        let plan = Plan {
            name: policy.to_owned(),
            targets: vec![edge],
            schools: vec![School::new(school.host.to_string(), school.pupils)],
            pupils: PUPILS,
            arrive_over: ARRIVE_OVER,
            platforms: servers.iter().filter_map(Platform::control).collect(),
            ..Plan::default()
        };
        let mut gateway = Gateway::start(&text, config.desk.listen, None).await?;
        let starts: Vec<u64> = servers
            .iter()
            .map(|s| s.snapshot(false).now_micros)
            .collect();
        let begun = Instant::now();
        let report = tokio::select! {
            report = rush::run(plan) => report?,
            gone = gateway.ended() => return Err(gone),
        };
        let lasted = begun.elapsed().as_secs_f64();
        gateway.stop().await?;
        let mut failures: Vec<String> = report
            .errors
            .iter()
            .map(|(kind, count)| format!("{kind}, {count} times"))
            .collect();
        if report.got_in != report.started {
            failures.push(format!("{} of {} got in", report.got_in, report.started));
        }
        let mut logins = Vec::new();
        let mut latencies = Vec::new();
        for (server, start) in servers.iter().zip(starts) {
            let record = server.snapshot(true).logins;
            let seen = record.iter().filter(|login| {
                let at = Duration::from_micros(login.arrived.saturating_sub(start));
                (FROM..UNTIL).contains(&at)
            });
            let before = latencies.len();
            // In microseconds.
            latencies.extend(seen.filter_map(|l| Some((l.ended? - l.arrived) as f64 / 1e6)));
            logins.push(latencies.len() - before);
        }
        latencies.sort_by(f64::total_cmp);
        Ok(Self {
            policy,
            logins,
            latencies,
            lasted,
            wait_p99: report.wait.p99,
            failures,
        })
    }

    /// Each server's logins as a multiple of what is its due by its speed.
    fn parts(&self) -> Vec<f64> {
        let speed = |login: &Duration| 1.0 / login.as_secs_f64();
        let all_speed: f64 = LOGIN.iter().map(speed).sum();
        let all = self.logins.iter().sum::<usize>() as f64;
        let due = |login| all * speed(login) / all_speed;
        let parts = self.logins.iter().zip(&LOGIN);
        parts.map(|(got, login)| *got as f64 / due(login)).collect()
    }

    fn farthest_off(&self) -> f64 {
        self.parts()
            .iter()
            .map(|part| (part - 1.0).abs())
            .fold(0.0, f64::max)
    }

    fn percentile(&self, fraction: f64) -> f64 {
        rush::percentile(&self.latencies, fraction)
    }
}

/// One server of its own: workers, sessions, record.
async fn server(address: SocketAddr, least: Duration) -> Result<Platform, DemoError> {
    let options = PlatformOptions {
        name: address.to_string(),
        listen: vec![address],
        control: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        workers: WORKERS,
        cost: HashCost::QUICK,
        least,
        ..PlatformOptions::default()
    };
    Ok(Platform::start(options).await?)
}

impl Balance {
    /// The table for a terminal.
    pub fn text(&self) -> String {
        self.table().text()
    }

    /// What was promised and did not happen.
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for morning in &self.mornings {
            let failures = morning.failures.iter();
            broken.extend(failures.map(|what| format!("{}: {what}", morning.policy)));
        }
        let Some((ours, others)) = self.mornings.split_first() else {
            return broken;
        };
        if ours.farthest_off() > ALLOWED {
            let off = 100.0 * ours.farthest_off();
            broken.push(format!(
                "{}: a server's part is {off:.1} % off",
                ours.policy
            ));
        }
        for other in others {
            if ours.percentile(0.99) > other.percentile(0.99) * BETTER {
                broken.push(format!(
                    "{}: no better p99 than {}",
                    ours.policy, other.policy
                ));
            }
        }
        broken
    }

    /// The whole report as a document; `command` is what makes it again.
    pub fn markdown(&self, command: &str) -> String {
        let mut text = String::from("# One server of four at half the speed\n\n");
        let verdict = match self.broken_promises() {
            broken if broken.is_empty() => "It held.".to_owned(),
            broken => format!("**It did not hold:** {}.", broken.join("; ")),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "Made by `{command}` on {}.\n\n\
             Claim: nobody tells the gateway how fast the servers are, and with `policy = \"peak_ewma\"`, the default, \
             each gets the part of the logins that its speed deserves, within {:.0} %, and 99 of 100 logins are done \
             sooner than under the other policies, by 5 % at least. {verdict}\n\n\
             Four servers of the demo platform are one pool. Each has {WORKERS} workers; a login keeps one of them busy \
             for {} ms, on the last server for {} ms. They sleep for most of that time instead of hashing, so that four \
             servers find room on this machine and its noise does not decide. {PUPILS} pupils come within {}, a third \
             more than the servers can do; 20 logins may be in flight, five for two workers, \
             so that there are lines before the servers. The same crowd comes under each policy. Logins \
             are those that the servers' own records show from {} to {} after the beginning, while pupils waited all \
             the time. A part of 1.00 is what the server's speed deserves. *Done* is from a login's arrival at its \
             server to the end of its hash.\n\n{}\n",
            self.machine,
            ALLOWED * 100.0,
            FAST.as_millis(),
            SLOW.as_millis(),
            seconds(ARRIVE_OVER.as_secs_f64()),
            seconds(FROM.as_secs_f64()),
            seconds(UNTIL.as_secs_f64()),
            self.table().markdown(),
        );
        text += READING;
        text
    }

    fn table(&self) -> Table {
        let mut table = Table::new([
            "policy",
            "logins per second",
            "part of each server",
            "farthest off",
            "done, p50",
            "done, p99",
            "pupil's wait, p99",
            "all in after",
        ]);
        let window = UNTIL.saturating_sub(FROM).as_secs_f64();
        for morning in &self.mornings {
            let parts: Vec<String> = morning.parts().iter().map(|p| format!("{p:.2}")).collect();
            table.row([
                morning.policy.to_owned(),
                format!("{:.1}", morning.latencies.len() as f64 / window),
                parts.join(", "),
                format!("{:.1} %", 100.0 * morning.farthest_off()),
                format!("{:.0} ms", 1_000.0 * morning.percentile(0.5)),
                format!("{:.0} ms", 1_000.0 * morning.percentile(0.99)),
                seconds(morning.wait_p99),
                seconds(morning.lasted),
            ]);
        }
        table
    }
}

const READING: &str = "\
Round robin gives the slow server as many logins as the others; they pile up there, and because the room lets only so \
many in, the fast servers stand idle meanwhile. Counting requests in flight keeps all of them busy, with as long a line \
before the slow server as before the others, although it moves at half the speed. Peak EWMA makes that line shorter.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn morning(logins: [usize; 4], latency: f64) -> Morning {
        Morning {
            policy: POLICIES[0],
            logins: logins.to_vec(),
            latencies: vec![latency; 10],
            lasted: 40.0,
            wait_p99: 10.0,
            failures: Vec::new(),
        }
    }

    fn campaign(ours: Morning, others: Morning) -> Balance {
        Balance {
            machine: Machine::this(),
            mornings: vec![ours, others],
        }
    }

    #[test]
    fn a_part_is_measured_by_speed() {
        let even = morning([200, 200, 200, 100], 0.2);
        assert!(even.parts().iter().all(|part| (part - 1.0).abs() < 1e-9));
        let off = morning([175, 175, 175, 175], 0.2);
        assert!((off.farthest_off() - 0.75).abs() < 1e-9);
        assert_eq!(
            campaign(off, morning([1; 4], 0.4)).broken_promises().len(),
            1
        );
    }

    #[test]
    fn another_policy_that_is_as_quick_breaks_the_promise() {
        let parts = [200, 200, 200, 100];
        let better = campaign(morning(parts, 0.2), morning(parts, 0.4));
        assert!(better.broken_promises().is_empty());
        for nearly in [0.4, 0.398] {
            let same = campaign(morning(parts, nearly), morning(parts, 0.4));
            assert!(same.markdown("make balance").contains("did not hold"));
        }
    }
}
