//! One region in trouble: what do the pupils of another one notice, who come on a quiet day?
//!
//! The crowd, the gateway and the platforms share one machine, and twenty thousand who wait and ask cost it something
//! wherever they wait. So the region in trouble is compared with the same region at the same time of the same run,
//! with the same people waiting, without the trouble.

mod report;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, timeout};

use super::gateway::Gateway;
use super::grounds::{Grounds, Site};
use super::machine::Machine;
use super::stop::Stop;
use super::{DemoError, ISOLATION_CONFIG};
use crate::platform::HashCost;
use crate::rush::{self, Live, Plan, Report, RushError, Waiters};

/// A login keeps a worker for so long, most of it asleep, which costs this machine nothing: what is
/// compared is the gateway, and not who gets a core.
const LOGIN: Duration = Duration::from_millis(100);
/// Logins that come to the quiet region in each second, and for how long they are looked at.
const QUIET: u32 = 50;
const LOOK: Duration = Duration::from_secs(12);
/// Who waits in the region that falls silent, and how fast they come; `WAITING` in the environment says otherwise.
const WAITING: u32 = 20_000;
const GATHER: u32 = 20_000 / 30;
/// Of more than that so many are the first, with connections of their own, and go in when it is over. The others
/// only wait and ask, over few connections: to let all of them in would take this machine many minutes.
const FIRST: u32 = 2_000;
const CONNECTIONS: usize = 64;
/// Threads that hash there meanwhile: hardly anybody is let in, so that the same people wait from look to look.
const WEAK: usize = 1;
/// Who comes where three quarters of the capacity are gone, within which time, and the threads that are left.
const CROWD: u32 = 3_500;
const RUSH: Duration = Duration::from_secs(4);
const FEW: usize = 8;
/// A newcomer to the region in trouble, every so often.
const NEWCOMERS: Duration = Duration::from_millis(250);
/// So many looks with each trouble, and as many without, by turns; `ROUNDS` in the environment says otherwise.
const ROUNDS: usize = 3;
/// After a change nobody looks for so long.
const SETTLE: Duration = Duration::from_secs(2);
/// A change of the gateway's state has to show within this time, and a crowd to come.
const PATIENCE: Duration = Duration::from_mins(3);

/// What happens to a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The network to its backends swallows everything.
    Silent,
    /// It is weak, and the quiet region helps it out.
    Helped,
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Helped => "helped",
        }
    }
}

/// All looks, and what they happened on.
pub struct Isolation {
    machine: Machine,
    /// Who waits in the region that falls silent.
    waiting: u32,
    /// Of whom so many only wait, and what of their asking went wrong.
    only_wait: u32,
    failures: Vec<String>,
    pairs: Vec<Pair>,
    /// Those who waited in the region that fell silent, and those who came where there was too little capacity.
    crowds: Vec<Report>,
    /// How long newcomers took to see the waiting page while the region was silent, in seconds, sorted.
    pages: Vec<f64>,
    /// And how many saw something else.
    no_page: usize,
    /// Logins of the helped region at the quiet one's backends.
    helped: f64,
    /// Each region, the most logins in flight that its platform has seen, and how many were allowed.
    most: Vec<(String, usize, usize)>,
}

/// The quiet region without another one's trouble, and with it.
struct Pair {
    trouble: Trouble,
    calm: Look,
    troubled: Look,
}

/// The quiet region, looked at once.
#[derive(Default)]
struct Look {
    quiet: Report,
    /// In the other one, at the end.
    waiting: f64,
    polls_per_second: f64,
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
    let rounds = environment("ROUNDS").unwrap_or(ROUNDS);
    let waiting = environment("WAITING").unwrap_or(WAITING);
    let config = ISOLATION_CONFIG;
    let grounds = Grounds::start_busy(config, HashCost::QUICK, None, LOGIN, true).await?;
    let mut gateway = Gateway::start(&grounds.text, grounds.desk, None).await?;
    let mut campaign = Isolation {
        machine: Machine::this(),
        waiting,
        only_wait: if waiting > WAITING {
            waiting - FIRST
        } else {
            0
        },
        failures: Vec::new(),
        pairs: Vec::new(),
        crowds: Vec::new(),
        pages: Vec::new(),
        no_page: 0,
        helped: 0.0,
        most: Vec::new(),
    };
    let stage = Stage {
        grounds: &grounds,
        gateway: &gateway,
    };
    // All learn how long a login takes.
    for site in &grounds.sites {
        rush::run(stage.plan(site, 100, Duration::from_secs(2))).await?;
    }
    stage.silent(rounds, &mut campaign).await?;
    stage.helped(rounds, &mut campaign).await?;
    campaign.pages.sort_by(f64::total_cmp);
    for site in &grounds.sites {
        let most = site.platform.snapshot(false).max_in_flight;
        campaign.most.push((site.name.clone(), most, site.cap));
    }
    if let Some(gone) = gateway.has_ended() {
        return Err(gone);
    }
    gateway.stop().await?;
    Ok(campaign)
}

/// A number that whoever runs this has chosen.
fn environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// What everything happens on.
struct Stage<'a> {
    grounds: &'a Grounds,
    gateway: &'a Gateway,
}

impl Stage<'_> {
    fn site(&self, name: &str) -> Result<&Site, DemoError> {
        let site = self.grounds.sites.iter().find(|site| site.name == name);
        Ok(site.ok_or(RushError::NoSchool)?)
    }

    fn plan(&self, site: &Site, pupils: u32, over: Duration) -> Plan {
        Plan {
            targets: vec![self.grounds.edge],
            schools: site.schools.clone(),
            pupils,
            arrive_over: over,
            pages: 0,
            reloads: 1_000,
            deadline: Duration::from_hours(1),
            ..Plan::default()
        }
    }

    /// Thousands wait in one region, now with its backends and now without.
    async fn silent(&self, rounds: usize, campaign: &mut Isolation) -> Result<(), DemoError> {
        let ost = self.site("ost")?;
        ost.platform.set_workers(WEAK);
        let first = campaign.waiting - campaign.only_wait;
        let gather = Duration::from_secs(1) * (first / GATHER).max(1);
        let (live, crowd) = begin(self.plan(ost, first, gather));
        let come = live.until(|live| live.answered() >= u64::from(first));
        in_time("the crowd does not come", come).await?;
        let waiters = Waiters::new(self.grounds.edge, &ost.schools, CONNECTIONS)?;
        let come = waiters.grow_to(campaign.only_wait as usize);
        in_time("those who only wait do not come", come).await?;
        let others = Others {
            live: &live,
            waiters: Some(&waiters),
        };
        for round in 0..rounds {
            let mut pair = Pair::of(Trouble::Silent);
            for troubled in order(round) {
                for hole in &ost.network {
                    if troubled {
                        hole.swallow();
                    } else {
                        hole.open();
                    }
                }
                self.until("einlass_pool_down", |down| (down > 0.0) == troubled)
                    .await?;
                sleep(SETTLE).await;
                let newcomers = self.newcomers(ost, round);
                let (look, pages) = tokio::join!(self.look(round, &others), newcomers);
                *pair.of_kind(troubled) = look?;
                if troubled {
                    let pages = pages?;
                    campaign.no_page += pages.iter().filter(|page| page.is_none()).count();
                    let shown = pages.into_iter().flatten();
                    campaign.pages.extend(shown.map(|page| page.as_secs_f64()));
                }
            }
            campaign.add(pair);
        }
        campaign.failures.extend(waiters.failure());
        drop(waiters);
        // What was swallowed comes out again, and everybody goes in.
        for hole in &ost.network {
            hole.open();
        }
        ost.platform.set_workers(ost.workers);
        campaign
            .crowds
            .push(crowd.await.map_err(std::io::Error::other)??);
        Ok(())
    }

    /// More come to a region than it can work on: to one that is helped out by the quiet one, and to one that is not.
    async fn helped(&self, rounds: usize, campaign: &mut Isolation) -> Result<(), DemoError> {
        const HELPED: &str = "einlass_overflow_logins_total";
        let before = self.gateway.metric(HELPED).await?;
        for round in 0..rounds {
            let mut pair = Pair::of(Trouble::Helped);
            for helped in order(round) {
                let site = self.site(if helped { "nord" } else { "ost" })?;
                site.platform.set_workers(FEW);
                let (live, crowd) = begin(self.plan(site, CROWD, RUSH));
                let come = live.until(|live| live.answered() >= u64::from(CROWD));
                in_time("the crowd does not come", come).await?;
                if helped {
                    let some = |there| there >= 5.0;
                    self.until("einlass_overflow_in_flight_logins", some)
                        .await?;
                }
                let others = Others {
                    live: &live,
                    waiters: None,
                };
                *pair.of_kind(helped) = self.look(round, &others).await?;
                site.platform.set_workers(site.workers);
                campaign
                    .crowds
                    .push(crowd.await.map_err(std::io::Error::other)??);
            }
            campaign.add(pair);
        }
        campaign.helped = self.gateway.metric(HELPED).await? - before;
        Ok(())
    }

    /// Looks at the quiet region, while the others wait elsewhere.
    async fn look(&self, round: usize, others: &Others<'_>) -> Result<Look, DemoError> {
        let pupils = QUIET * u32::try_from(LOOK.as_secs()).unwrap_or(1);
        let (begun, before) = (Instant::now(), others.polls());
        let quiet = rush::run(Plan {
            // The same pupils with and without the trouble.
            seed: round as u64 + 1,
            ..self.plan(self.site("sued")?, pupils, LOOK)
        });
        let quiet = quiet.await?;
        let polls = others.polls() - before;
        Ok(Look {
            quiet,
            waiting: others.waiting() as f64,
            polls_per_second: polls as f64 / begun.elapsed().as_secs_f64(),
        })
    }

    /// Somebody new every so often, as long as a look takes, and when each saw the waiting page.
    async fn newcomers(
        &self,
        site: &Site,
        round: usize,
    ) -> Result<Vec<Option<Duration>>, DemoError> {
        let school = site.schools.first().ok_or(RushError::NoSchool)?;
        let mut ticks = interval(NEWCOMERS);
        let mut coming = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < LOOK {
            ticks.tick().await;
            let number = u32::try_from(100_000 + 1_000 * round + coming.len()).unwrap_or(0);
            let (edge, school) = (self.grounds.edge, school.clone());
            coming.push(tokio::spawn(async move {
                rush::shown_the_page(edge, &school, number).await
            }));
        }
        let mut pages = Vec::new();
        for newcomer in coming {
            pages.push(newcomer.await.map_err(std::io::Error::other)??);
        }
        Ok(pages)
    }

    async fn until(&self, metric: &str, reached: impl Fn(f64) -> bool) -> Result<(), DemoError> {
        let looking = async {
            while !reached(self.gateway.metric(metric).await?) {
                sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        };
        in_time(&format!("{metric} stays as it is"), looking).await?
    }
}

/// Without the trouble first, or with it: each as often, and no more changes than needed.
fn order(round: usize) -> [bool; 2] {
    let troubled_first = !round.is_multiple_of(2);
    [troubled_first, !troubled_first]
}

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> Result<T, DemoError> {
    let done = timeout(PATIENCE, work).await;
    Ok(done.map_err(|_| std::io::Error::other(what.to_owned()))?)
}

/// Who waits in another region.
struct Others<'a> {
    live: &'a Live,
    waiters: Option<&'a Waiters>,
}

impl Others<'_> {
    fn polls(&self) -> u64 {
        self.live.polls() + self.waiters.map_or(0, Waiters::polls)
    }

    fn waiting(&self) -> u64 {
        self.live.waiting() + self.waiters.map_or(0, Waiters::waiting)
    }
}

type Crowd = JoinHandle<Result<Report, RushError>>;

fn begin(plan: Plan) -> (Arc<Live>, Crowd) {
    let live = Arc::<Live>::default();
    let plan = Plan {
        live: Arc::clone(&live),
        ..plan
    };
    (live, tokio::spawn(rush::run(plan)))
}

impl Pair {
    fn of(trouble: Trouble) -> Self {
        Self {
            trouble,
            calm: Look::default(),
            troubled: Look::default(),
        }
    }

    fn of_kind(&mut self, troubled: bool) -> &mut Look {
        if troubled {
            &mut self.troubled
        } else {
            &mut self.calm
        }
    }
}

impl Isolation {
    fn add(&mut self, pair: Pair) {
        println!(
            "{:7} p99 {:.1} ms, without {:.1} ms",
            pair.trouble.name(),
            pair.troubled.quiet.wait.p99 * 1e3,
            pair.calm.quiet.wait.p99 * 1e3
        );
        self.pairs.push(pair);
    }
}
