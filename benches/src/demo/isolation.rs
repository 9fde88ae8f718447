//! One region in trouble: what do the pupils of another one notice, who come on a quiet day?

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::gateway::Gateway;
use super::grounds::{Grounds, Site};
use super::machine::Machine;
use super::stop::Stop;
use super::{DemoError, ISOLATION_CONFIG};
use crate::platform::HashCost;
use crate::rush::{self, Plan, Report, RushError, Waiters};
use crate::table::Table;

/// A login keeps a worker for so long, most of it asleep, which costs this machine nothing: what is
/// compared is the gateway, and not who gets a core.
const LOGIN: Duration = Duration::from_millis(100);
/// Logins that come to the quiet region in each second, and for how long they are looked at.
const QUIET: u32 = 30;
const LOOK: Duration = Duration::from_secs(12);
/// Who waits in the other one while nothing comes back from there.
const WAITING: usize = 20_000;
const CONNECTIONS: usize = 64;
/// And who comes when half of its capacity is gone.
const CROWD: u32 = 3_500;
/// Each trouble is looked at so often, each time with a gateway of its own, and without trouble as well;
/// `ROUNDS` in the environment says otherwise.
const ROUNDS: u64 = 3;
/// What the quiet region may notice of it: so much of its own figure.
const ALLOWED: f64 = 0.05;
/// A change of the gateway's state has to show within this time.
const PATIENCE: Duration = Duration::from_mins(1);

/// What happens to the region in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// Its backends take logins and answer none.
    Silent,
    /// Half of its capacity is gone, and the quiet region helps out.
    Halved,
}

/// All rounds, and what they happened on.
pub struct Isolation {
    machine: Machine,
    rounds: Vec<Round>,
}

/// The quiet region without and with the other one's trouble.
struct Round {
    trouble: Trouble,
    calm: Report,
    troubled: Report,
    /// Of the region in trouble.
    crowd: Report,
    waiting: f64,
    polls_per_second: f64,
    /// Logins of the region in trouble at the quiet one's backends.
    helped: f64,
    /// The most in flight at each of them, and how many were allowed.
    most: [(usize, usize); 2],
}

/// Runs all rounds. `None` if somebody stopped it.
pub async fn isolation() -> Result<Option<Isolation>, DemoError> {
    let mut stop = Stop::listen()?;
    tokio::select! {
        campaign = run() => campaign.map(Some),
        // The gateway, if it runs, is killed as it is dropped.
        () = stop.heard() => Ok(None),
    }
}

async fn run() -> Result<Isolation, DemoError> {
    let mut campaign = Isolation {
        machine: Machine::this(),
        rounds: Vec::new(),
    };
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok());
    for seed in 1..=rounds.unwrap_or(ROUNDS) {
        for trouble in [Trouble::Silent, Trouble::Halved] {
            let round = play(trouble, seed).await?;
            println!(
                "{:7} p99 {:.1} ms, without trouble {:.1} ms",
                trouble.name(),
                round.troubled.wait.p99 * 1e3,
                round.calm.wait.p99 * 1e3
            );
            campaign.rounds.push(round);
        }
    }
    Ok(campaign)
}

async fn play(trouble: Trouble, seed: u64) -> Result<Round, DemoError> {
    let grounds = Grounds::start_busy(ISOLATION_CONFIG, HashCost::QUICK, None, LOGIN).await?;
    let [nord, sued] = &grounds.sites[..] else {
        return Err(RushError::NoSchool.into());
    };
    let mut gateway = Gateway::start(&grounds.text, grounds.desk, None).await?;
    let plan = |site: &Site, pupils, over| Plan {
        targets: vec![grounds.edge],
        schools: site.schools.clone(),
        pupils,
        arrive_over: over,
        seed,
        pages: 0,
        reloads: 40,
        platforms: site.platform.control().into_iter().collect(),
        ..Plan::default()
    };
    let quiet = plan(
        sued,
        QUIET * u32::try_from(LOOK.as_secs()).unwrap_or(1),
        LOOK,
    );
    let working = async {
        // Both learn how long a login takes.
        rush::run(plan(nord, 200, Duration::from_secs(2))).await?;
        rush::run(plan(sued, 100, Duration::from_secs(2))).await?;
        let calm = rush::run(quiet.clone()).await?;
        let crowd = match trouble {
            Trouble::Silent => {
                nord.platform.set_workers(0);
                let crowd = begin(plan(nord, 60, Duration::from_secs(1)));
                until(&gateway, "einlass_pool_down", |down| down > 0.0).await?;
                crowd
            }
            Trouble::Halved => {
                nord.platform.set_workers(nord.workers / 2);
                let crowd = begin(plan(nord, CROWD, Duration::from_secs(4)));
                let some = |there| there >= 5.0;
                until(&gateway, "einlass_overflow_in_flight_logins", some).await?;
                crowd
            }
        };
        let waiters = Waiters::new(grounds.edge, &nord.schools, CONNECTIONS)?;
        if trouble == Trouble::Silent {
            waiters.grow_to(WAITING).await;
        }
        let (begun, before) = (Instant::now(), waiters.polls());
        let troubled = rush::run(quiet.clone()).await?;
        let polls_per_second = (waiters.polls() - before) as f64 / begun.elapsed().as_secs_f64();
        let waiting = gateway.metric("einlass_waiting_pupils").await?;
        drop(waiters);
        nord.platform.set_workers(nord.workers);
        let most = [nord, sued].map(|site| {
            let seen = site.platform.snapshot(false).max_in_flight;
            (seen, site.cap)
        });
        // Whoever came before the waiting crowd is first.
        let crowd = crowd.await.map_err(std::io::Error::other)??;
        Ok::<_, DemoError>(Round {
            trouble,
            calm,
            troubled,
            crowd,
            waiting,
            polls_per_second,
            helped: gateway.metric("einlass_overflow_logins_total").await?,
            most,
        })
    };
    let round = working.await?;
    if let Some(gone) = gateway.has_ended() {
        return Err(gone);
    }
    gateway.stop().await?;
    Ok(round)
}

fn begin(plan: Plan) -> JoinHandle<Result<Report, RushError>> {
    tokio::spawn(rush::run(Plan {
        live: Arc::default(),
        ..plan
    }))
}

async fn until(
    gateway: &Gateway,
    metric: &str,
    reached: impl Fn(f64) -> bool,
) -> Result<(), DemoError> {
    let looking = async {
        while !reached(gateway.metric(metric).await?) {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    timeout(PATIENCE, looking)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::other(format!("{metric} stays as it is")).into()))
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Halved => "halved",
        }
    }
}

impl Round {
    /// By which part the 99th percentile grew.
    fn p99_grew(&self) -> f64 {
        self.troubled.wait.p99 / self.calm.wait.p99.max(f64::MIN_POSITIVE) - 1.0
    }

    fn p50_grew(&self) -> f64 {
        self.troubled.wait.p50 / self.calm.wait.p50.max(f64::MIN_POSITIVE) - 1.0
    }

    /// By which part fewer got in per second.
    fn pace_fell(&self) -> f64 {
        1.0 - pace(&self.troubled) / pace(&self.calm).max(f64::MIN_POSITIVE)
    }
}

/// Logins per second.
fn pace(report: &Report) -> f64 {
    report.got_in as f64 / report.seconds.max(f64::MIN_POSITIVE)
}

impl Isolation {
    /// The table for a terminal.
    pub fn text(&self) -> String {
        self.table().text()
    }

    /// What was promised and did not happen. The percentages are judged by the median of the rounds:
    /// in one round of some hundred logins the 99th percentile is one of the last few.
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for round in &self.rounds {
            let name = round.trouble.name();
            let mut must = |holds: bool, what: String| {
                if !holds {
                    broken.push(format!("{name}: {what}"));
                }
            };
            for report in [&round.calm, &round.troubled] {
                let noticed = report.started - report.straight;
                must(
                    noticed == 0 && report.errors.is_empty(),
                    format!("{noticed} of the quiet region noticed: {:?}", report.errors),
                );
            }
            let (came, in_) = (round.crowd.started, round.crowd.got_in);
            must(
                came == in_,
                format!("{in_} of the {came} in trouble got in"),
            );
            let lost = round.crowd.lost_place + round.crowd.order_inversions;
            must(lost == 0, format!("{lost} places lost or overtaken"));
            for (most, cap) in round.most {
                must(most <= cap, format!("{most} in flight where {cap} may be"));
            }
            must(
                (round.trouble == Trouble::Halved) == (round.helped > 0.0),
                format!("{} logins were sent to the other region", round.helped),
            );
        }
        for trouble in [Trouble::Silent, Trouble::Halved] {
            let of = |figure: fn(&Round) -> f64| {
                let rounds = self.rounds.iter().filter(|r| r.trouble == trouble);
                median(rounds.map(figure).collect())
            };
            for (what, grew) in [
                ("the 99th percentile grew", of(Round::p99_grew)),
                ("the median grew", of(Round::p50_grew)),
                ("logins per second fell", of(Round::pace_fell)),
            ] {
                if grew > ALLOWED {
                    broken.push(format!("{}: {what} by {}", trouble.name(), percent(grew)));
                }
            }
        }
        broken
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
             the trouble (medians of the rounds). {verdict}\n\n\
             One gateway process in front of two regions. To the quiet one come {QUIET} logins a second for {} s; each \
             keeps a worker for {} ms, most of it asleep, which costs no processor, so that it is the gateway that is \
             compared. *silent*: the other region's backends take logins and answer none, and {WAITING} pupils wait there \
             and ask again and again. *halved*: half of its capacity is gone, {CROWD} pupils come, and the quiet \
             region helps out with what it can spare, at most 10 logins in flight. Each round has a gateway of its \
             own, which is looked at first without trouble and then with it.\n\n{}\n",
            self.machine,
            ALLOWED * 100.0,
            LOOK.as_secs(),
            LOGIN.as_millis(),
            self.table().markdown(),
        );
        text += READING;
        text
    }

    fn table(&self) -> Table {
        let mut table = Table::new([
            "trouble",
            "p99 without",
            "p99 with",
            "change",
            "median with",
            "change",
            "logins/s",
            "change",
            "waiting",
            "polls/s",
            "helped",
            "in flight, most",
        ]);
        for round in &self.rounds {
            let millis = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
            let [nord, sued] = round.most.map(|(most, cap)| format!("{most} of {cap}"));
            table.row([
                round.trouble.name().to_owned(),
                millis(round.calm.wait.p99),
                millis(round.troubled.wait.p99),
                percent(round.p99_grew()),
                millis(round.troubled.wait.p50),
                percent(round.p50_grew()),
                format!("{:.1}", pace(&round.troubled)),
                percent(-round.pace_fell()),
                format!("{:.0}", round.waiting),
                format!("{:.0}", round.polls_per_second),
                format!("{:.0}", round.helped),
                format!("{nord}, {sued}"),
            ]);
        }
        table
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn percent(part: f64) -> String {
    format!("{:+.1} %", part * 100.0)
}

const READING: &str = "\
*p99* and *median* are of the quiet region's logins, from the moment the button was meant to be pressed to being \
inside. *waiting* and *polls/s* are of the region in trouble at the end of the look; without trouble nobody waits. \
*helped* are its logins at the quiet region's backends. *in flight, most* is what the platforms themselves have \
seen, in the region in trouble and in the quiet one. The gateway, both platforms and the crowd share this machine: \
what the polls of those who wait cost the processor is part of the comparison.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rush::Waits;

    fn report(p99: f64) -> Report {
        Report {
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
        }
    }

    fn campaign(p99: f64, most: usize) -> Isolation {
        let round = |p99| Round {
            trouble: Trouble::Silent,
            calm: report(0.1),
            troubled: report(p99),
            crowd: report(1.0),
            waiting: 20_000.0,
            polls_per_second: 2_000.0,
            helped: 0.0,
            most: [(most, 17), (5, 33)],
        };
        Isolation {
            machine: Machine::this(),
            rounds: vec![round(p99), round(0.101), round(p99)],
        }
    }

    #[test]
    fn longer_logins_break_the_promise_and_the_document_says_so() {
        assert!(campaign(0.104, 17).broken_promises().is_empty());
        let longer = campaign(0.106, 17);
        assert_eq!(longer.broken_promises().len(), 1);
        assert!(longer.markdown("make isolation").contains("did not hold"));
    }

    #[test]
    fn more_in_flight_than_may_be_breaks_it_in_every_round() {
        assert_eq!(campaign(0.1, 18).broken_promises().len(), 3);
    }
}
