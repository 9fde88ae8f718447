//! The demo from its first to its last word.

use std::io::{BufRead, IsTerminal, stdin, stdout};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::sleep;

use super::fleet::Fleet;
use super::grounds::{Grounds, Site};
use super::machine::Machine;
use super::outcome::{self, Outcome};
use super::progress::{self, Part};
use super::stop::Stop;
use super::{DEMO_CONFIG, DemoError, calibration};
use crate::platform::PASSWORD;
use crate::rush::{self, Plan, Report, Shape};

/// How long the first region works for its crowd: about as long as the last pupils wait there.
const FIRST_REGION: Duration = Duration::from_secs(55);
/// Within which time the crowd comes; most of it in the first fifth.
const ARRIVE_OVER: Duration = Duration::from_secs(25);
/// Somebody who watches gets this time to find the addresses.
const BEFORE_THE_BELL: Duration = Duration::from_secs(5);

/// How the demo ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything promised happened.
    Well,
    /// Something promised did not happen, as has been said.
    Badly,
    /// Somebody stopped it before the crowd was in.
    Early,
}

/// Shows the demo. `once`: it ends when the crowd is in, even on a terminal.
///
/// Every process it starts has ended when it returns.
pub async fn show(once: bool) -> Result<Ended, DemoError> {
    let mut stop = Stop::listen()?;
    let stay = !once && stdin().is_terminal() && stdout().is_terminal();
    let machine = Machine::this();
    println!("This machine: {machine}");
    println!("Measuring how fast it hashes passwords ...");
    let (cost, hash) = block_in_place(calibration::cost)?;
    println!(
        "One login: one argon2id hash, {} ms on an idle core",
        hash.as_millis()
    );
    let grounds = Grounds::start(DEMO_CONFIG, cost, None).await?;
    let sites = &grounds.sites;
    let capacities = block_in_place(|| calibration::capacities(sites, cost))?;
    let sizes = sizes(sites, &capacities);
    let mut fleet = Fleet::start(&grounds).await?;
    introduce(&grounds, &fleet);
    let edges = fleet.edges.clone();

    let mut ended = Ended::Early;
    let story = async {
        if stay {
            sleep(BEFORE_THE_BELL).await;
        }
        loop {
            ended = send(&grounds, &edges, &sizes).await?;
            if !stay {
                return Ok(());
            }
            println!("\nThe gateway stays open. Enter sends another crowd, Ctrl-C ends the demo.");
            enter_pressed().await;
        }
    };
    let result = tokio::select! {
        result = story => result,
        gone = fleet.ended() => Err(gone),
        () = stop.heard() => Ok(()),
    };
    fleet.stop().await?;
    result.map(|()| ended)
}

/// How many come to each site: the same part of every school, as much as keeps the first region busy for its time.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and `as` saturates"
)]
fn sizes(sites: &[Site], capacities: &[f64]) -> Vec<u32> {
    let (Some(first), Some(capacity)) = (sites.first(), capacities.first()) else {
        return Vec::new();
    };
    let crowd = capacity * FIRST_REGION.as_secs_f64();
    let part = crowd / f64::from(first.pupils().max(1));
    let size = |site: &Site| (f64::from(site.pupils()) * part).max(1.0) as u32;
    sites.iter().map(size).collect()
}

fn introduce(grounds: &Grounds, fleet: &Fleet) {
    for (wanted, instead) in &grounds.moved {
        println!("{wanted} is taken; {instead} is used instead");
    }
    println!("\nThe rooms, each in front of a platform of its own:");
    for site in &grounds.sites {
        let backends: Vec<String> = site
            .platform
            .backends()
            .iter()
            .map(SocketAddr::to_string)
            .collect();
        println!(
            "  {:<24} hashes {} at once, {} logins in flight allowed, backends {}",
            site.name,
            site.workers,
            site.cap,
            backends.join(" ")
        );
    }
    let port = grounds.edge.port();
    println!("\nOpen in a browser, and log in while the crowd waits:\n");
    for site in &grounds.sites {
        if let Some(school) = site.schools.first() {
            println!("  {:<24} http://{}:{port}/login", site.name, school.host);
        }
    }
    println!("\n  user pupil001, password {PASSWORD}: the waiting page follows");
    println!("\n  {:<24} http://{}/", "the desk", grounds.desk);
    for (edge, desk) in fleet.edges.iter().zip(&fleet.desks).skip(1) {
        println!(
            "  {:<24} port {}, its desk http://{desk}/",
            "one more gateway",
            edge.port()
        );
    }
    println!();
}

/// Sends a crowd to all the sites at once, and says how it went.
async fn send(grounds: &Grounds, edges: &[SocketAddr], sizes: &[u32]) -> Result<Ended, DemoError> {
    println!("It is eight: {} pupils come.", sizes.iter().sum::<u32>());
    let mut crowds = JoinSet::new();
    let mut parts = Vec::new();
    for (index, (site, pupils)) in grounds.sites.iter().zip(sizes).enumerate() {
        let plan = plan(site, edges, *pupils);
        parts.push(Part {
            site,
            pupils: *pupils,
            live: Arc::clone(&plan.live),
        });
        crowds.spawn(async move { (index, rush::run(plan).await) });
    }
    let mut ended = tokio::select! {
        ended = crowds.join_all() => ended,
        () = progress::show(&parts) => Vec::new(),
    };
    ended.sort_by_key(|(index, _)| *index);
    let reports: Result<Vec<Report>, _> = ended.into_iter().map(|(_, report)| report).collect();
    let outcomes: Vec<Outcome> = grounds
        .sites
        .iter()
        .zip(reports?)
        .map(|(site, report)| Outcome::of(site, report))
        .collect();
    println!("\n{}", outcome::table(&outcomes));
    let broken: Vec<String> = outcomes.iter().flat_map(Outcome::broken_promises).collect();
    if broken.is_empty() {
        println!("Everybody is in, and no platform ever had more logins in flight than allowed.");
        return Ok(Ended::Well);
    }
    println!("This should not have happened:\n  {}", broken.join("\n  "));
    Ok(Ended::Badly)
}

fn plan(site: &Site, edges: &[SocketAddr], pupils: u32) -> Plan {
    Plan {
        name: site.name.clone(),
        targets: edges.to_vec(),
        // As a load balancer in front of several would have it.
        move_between: edges.len() > 1,
        schools: site.schools.clone(),
        pupils,
        arrive_over: ARRIVE_OVER,
        shape: Shape::Eight,
        think: (Duration::from_millis(300), Duration::from_secs(2)),
        mistype: 0.03,
        platforms: site.platform.control().into_iter().collect(),
        ..Plan::default()
    }
}

/// A thread of its own reads, because one that waits for a key cannot be stopped; the process ends without it.
async fn enter_pressed() {
    let (pressed, heard) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        // No more input is no key pressed.
        if stdin()
            .lock()
            .read_line(&mut line)
            .is_ok_and(|bytes| bytes > 0)
        {
            let _ = pressed.send(());
        }
    });
    if heard.await.is_err() {
        std::future::pending::<()>().await;
    }
}
