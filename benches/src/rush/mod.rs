//! The crowd: pupils who behave like browsers, all at once.
//!
//! Arrivals are an open loop along a curve, and every time is measured from when a request was *meant* to be sent, so
//! that a slow server cannot hide its slowness by slowing the crowd down. All of it stays on this machine.

mod balancer;
mod browser;
mod curve;
mod evaluate;
mod form;
mod jar;
mod live;
mod newcomer;
mod order;
mod plan;
mod print;
mod pupil;
mod report;
mod schools;
mod socket;
mod story;
mod timeline;
mod trouble;
mod turn;
mod waiters;
mod waiting;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep_until;

pub use curve::Shape;
pub use live::Live;
pub use newcomer::shown_the_page;
pub use plan::{Connections, Patience, Plan, RushError};
pub use report::{EtaQuality, Fairness, Report, SchoolReport, Waits};
pub use schools::{School, from_csv, generated};
pub use timeline::Second;
pub use waiters::Waiters;

pub(crate) use evaluate::percentile;
pub(crate) use socket::raise_limit;

use crate::platform::Snapshot;
use browser::Browser;
use pupil::Pupil;
use world::World;

/// Runs the whole rush; returns when the last pupil's morning is over.
///
/// [`Plan::live`] tells meanwhile how it goes.
pub async fn run(plan: Plan) -> Result<Report, RushError> {
    plan.check()?;
    raise_limit();
    let before = records(&plan.platforms).await?;
    let mut rng = fastrand::Rng::with_seed(plan.seed);
    let schools = schools::assign(&plan.schools, plan.pupils, &mut rng);
    let arrivals: Vec<Duration> = plan
        .shape
        .arrivals(plan.pupils, plan.arrive_over, &mut rng)
        .collect();
    let mut sizes = vec![0_u32; plan.schools.len()];
    for school in &schools {
        sizes[usize::from(*school)] += 1;
    }

    let world = Arc::new(World::new(plan));
    let mut seconds = Vec::new();
    let crowd = async {
        let mut pupils = JoinSet::new();
        for ((number, school), arrival) in (0..).zip(schools).zip(arrivals) {
            let arrives = world.epoch + arrival;
            sleep_until(arrives).await;
            let pupil = Pupil::new(
                Arc::clone(&world),
                number,
                school,
                sizes[usize::from(school)],
                arrives,
            );
            pupils.spawn(pupil.live());
        }
        pupils.join_all().await;
    };
    let host = world.plan.schools.first().map(|school| school.host.clone());
    let balancing = async {
        match host.filter(|_| world.plan.move_between) {
            Some(host) => Arc::clone(&world.balancer).watch(host).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = balancing => {}
        () = crowd => {}
        () = timeline::watch(&world.plan.live, &mut seconds) => {}
    }
    let after = records(&world.plan.platforms).await?;
    let platforms = after
        .into_iter()
        .zip(&before)
        .map(|(after, before)| after.after(before))
        .collect();
    Ok(evaluate::report(&world, seconds, platforms))
}

/// The platforms' own records so far.
async fn records(controls: &[SocketAddr]) -> Result<Vec<Snapshot>, RushError> {
    let mut records = Vec::with_capacity(controls.len());
    for address in controls {
        let failed = |reason: String| RushError::Record {
            address: *address,
            reason,
        };
        let host = address.to_string();
        let mut browser = Browser::new(
            &host,
            0,
            Ipv4Addr::LOCALHOST,
            Connections::PerRequest,
            Duration::from_secs(10),
        );
        let answer = browser
            .get(*address, "/_platform/record", browser::JSON)
            .await;
        let answer = answer.map_err(|trouble| failed(trouble.to_string()))?;
        records
            .push(serde_json::from_slice(&answer.body).map_err(|error| failed(error.to_string()))?);
    }
    Ok(records)
}
