//! Several gateways that share a room, a crowd that moves between them, and what breaks meanwhile.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use einlass_admission::ledger::LEASE;
use einlass_benches::platform::Platform;
use einlass_benches::rush::{Plan, Report, School, run};

use super::judge::{BEFORE, Crowd, Trouble};
use super::{Gateway, Setup, eventually, uneven_platform};

pub const SMALL: &str = "small.example";
pub const LARGE: &str = "large.example";
/// Many, so that one slot more or less hardly shows.
pub const CAP: usize = 40;
/// What a login takes on average. The platform has a worker for every slot: a slot that stands empty is a
/// login that is not done.
const COST: Duration = Duration::from_millis(800);
/// How long the crowd is there beside the trouble: it comes for two seconds, is looked at for eight before and for
/// three after; the rest is for what takes longer than it should.
const AROUND: Duration = Duration::from_secs(19);

/// 85, 10 and 5 of a hundred requests come to the first, second and third gateway.
const SKEWED: [usize; 3] = [17, 2, 1];
/// As many come to each.
pub const EVEN: [usize; 3] = [1; 3];

/// One exchange between the gateways.
pub const EXCHANGE: Duration = Duration::from_millis(100);

/// Gateways, and the platform behind them.
pub struct Fleet {
    pub platform: Platform,
    pub gateways: Vec<Gateway>,
    /// How the requests are divided between them.
    pub weights: [usize; 3],
    /// When a gateway fell silent, in microseconds since the platform's start.
    silences: Vec<u64>,
}

impl Fleet {
    /// One gateway for each of these stores. `clocks` are so much ahead.
    pub async fn start(stores: &[String], clocks: &[&str]) -> Self {
        let mut fleet = Self {
            platform: uneven_platform(2, CAP, COST).await,
            gateways: Vec::new(),
            weights: SKEWED,
            silences: Vec::new(),
        };
        for (number, store) in stores.iter().enumerate() {
            fleet.join(store, clocks.get(number).copied()).await;
        }
        fleet.until_shared().await;
        fleet
    }

    /// One more gateway.
    pub async fn join(&mut self, store: &str, clock: Option<&str>) {
        let schools = [(SMALL, 100), (LARGE, 1_000)];
        let setup = Setup::default()
            .region("north", self.platform.backends(), CAP, &schools, "")
            .text(&format!("[store]\n{store}\n"))
            .clock(clock);
        let gateway = match self.gateways.first() {
            Some(first) => setup.start_beside(first).await,
            None => setup.start().await,
        };
        self.gateways.push(gateway);
    }

    pub async fn until_shared(&self) {
        for gateway in &self.gateways {
            gateway.until_mode("shared").await;
        }
    }

    fn targets(&self) -> Vec<SocketAddr> {
        let mut targets = Vec::new();
        for (gateway, weight) in self.gateways.iter().zip(self.weights) {
            targets.extend(std::iter::repeat_n(gateway.edge, weight));
        }
        targets
    }

    /// The requests of the crowd came in the parts they should.
    pub async fn was_skewed(&self) {
        let mut polls = Vec::new();
        for gateway in &self.gateways {
            polls.push(gateway.metric("einlass_polls_total{pool=\"north\"}").await);
        }
        let all: f64 = polls.iter().sum();
        let weights = &self.weights[..polls.len()];
        let total: usize = weights.iter().sum();
        for (polls, weight) in polls.iter().zip(weights) {
            let (part, right) = (polls / all, *weight as f64 / total as f64);
            assert!(
                (part - right).abs() < 0.05,
                "{part} of the polls, not {right}"
            );
        }
    }

    /// Returns when the others have the slots of the first gateway: how long after `since`.
    pub async fn taken_over(&self, since: Instant) -> Duration {
        let slots = async || {
            let mut slots = 0.0;
            for gateway in &self.gateways[1..] {
                slots += slots_of(gateway).await;
            }
            slots >= CAP as f64
        };
        assert!(eventually(slots).await, "slots that nobody has");
        let took = since.elapsed();
        println!("its slots are the others' after {took:?}");
        took
    }

    /// To be called just before a gateway is killed or stopped.
    pub fn falls_silent(&mut self) {
        self.silences.push(self.platform.snapshot(false).now_micros);
    }

    /// How many logins were in flight at most, but for those that began before a gateway fell silent and
    /// outlived its lease, and how many these were: a backend goes on with what a silent gateway has sent,
    /// and the others have the slots then.
    pub fn most_in_flight_of_the_living(&self) -> (usize, usize) {
        // The lease runs since the last exchange, which another one may have kept waiting.
        let lease = LEASE.saturating_sub(2 * EXCHANGE).as_micros() as u64;
        let mut changes = Vec::new();
        let mut outlived = 0;
        for login in self.platform.snapshot(true).logins {
            let mut end = login.ended.unwrap_or(u64::MAX);
            for silent in &self.silences {
                if login.arrived < *silent && end > silent + lease {
                    end = silent + lease;
                    outlived += 1;
                }
            }
            changes.extend([(login.arrived, 1), (end, -1)]);
        }
        // Whoever goes at a moment goes before the next one comes.
        changes.sort_unstable();
        let mut in_flight = 0_i32;
        let counts = changes.iter().map(|(_, change)| {
            in_flight += change;
            in_flight
        });
        let most = counts.max().unwrap_or(0);
        println!("{most} in flight at most without {outlived} that outlived a lease");
        (most.try_into().unwrap(), outlived)
    }

    /// A crowd that comes to the gateways in their parts, for whom nobody comes later who may go first,
    /// by more than `later`.
    pub fn plan(&self, pupils: u32, later: Duration) -> Plan {
        Plan {
            targets: self.targets(),
            move_between: true,
            joins_apart: later,
            schools: vec![School::new(SMALL, 100), School::new(LARGE, 1_000)],
            pupils,
            arrive_over: Duration::from_secs(2),
            platforms: vec![self.platform.control().unwrap()],
            ..Plan::default()
        }
    }
}

/// Logins that a gateway may have in flight.
pub async fn slots_of(gateway: &Gateway) -> f64 {
    gateway
        .metric("einlass_in_flight_cap_logins{pool=\"north\"}")
        .await
}

/// What is asked of a rush.
#[derive(Clone, Copy)]
pub struct Asked {
    /// How much of the trouble's beginning is not judged.
    pub settle: Duration,
    /// By how much somebody may come later who is let in before.
    pub later: Duration,
    /// How long the trouble takes, about.
    lasts: Duration,
}

impl Asked {
    /// The same of a trouble that takes so long.
    #[must_use]
    pub fn lasting(self, lasts: Duration) -> Self {
        Self { lasts, ..self }
    }

    /// As many as work until it is over.
    fn crowd(self) -> u32 {
        let from_one_to_the_next = COST / CAP as u32;
        ((AROUND + self.lasts).as_millis() / from_one_to_the_next.as_millis()) as u32
    }
}

/// How long most troubles take.
const LONG: Duration = Duration::from_secs(10);

/// All gateways are in touch with one another.
pub const SHARED: Asked = Asked {
    settle: Duration::ZERO,
    later: EXCHANGE,
    lasts: LONG,
};
/// A gateway falls silent; two seconds later the others have its slots.
pub const SILENT: Asked = Asked {
    settle: Duration::from_secs(2),
    later: EXCHANGE,
    lasts: LONG,
};
/// Gateways cannot hear of one another: each calls the room for itself, and who polls at one that is
/// a little behind waits a little longer.
pub const APART: Asked = Asked {
    settle: Duration::ZERO,
    later: Duration::from_secs(1),
    lasts: LONG,
};

/// Something that broke, and was repaired or came back.
pub struct Event {
    pub what: &'static str,
    pub time: Range<Instant>,
    /// How long the room was not shared after that.
    pub back: Duration,
}

impl Event {
    /// Breaks something, repairs it, and waits for the room to be shared.
    pub async fn of(
        what: &'static str,
        fleet: &mut Fleet,
        breaks: impl AsyncFnOnce(&mut Fleet),
    ) -> Self {
        let begun = Instant::now();
        breaks(fleet).await;
        let healthy = Instant::now();
        fleet.until_shared().await;
        Self {
            what,
            time: begun..healthy,
            back: healthy.elapsed(),
        }
    }
}

/// Runs a crowd through a fleet while `trouble` goes on from its tenth second, and compares what the
/// backend did before and during it.
pub async fn rush_through(
    asked: Asked,
    fleet: &mut Fleet,
    trouble: impl AsyncFnOnce(&mut Fleet) -> Vec<Event>,
) -> Report {
    let plan = fleet.plan(asked.crowd(), asked.later);
    let desk = fleet.gateways.last().unwrap().desk;
    let crowd = Crowd::watch(desk, Instant::now());
    let rush = tokio::spawn(run(plan));
    assert!(crowd.reaches(800.0).await, "no crowd");
    tokio::time::sleep(BEFORE).await;
    let begun = crowd.elapsed();
    let events = trouble(fleet).await;
    let report = rush.await.unwrap().unwrap();
    for event in events {
        let trouble = Trouble {
            name: event.what,
            begun,
            time: crowd.at(event.time.start)..crowd.at(event.time.end),
            settle: asked.settle,
            back: event.back,
        };
        trouble.judge(&crowd, &report);
    }
    report
}
