//! How a rush through several gateways is judged: nobody was hurt, and the slots were used.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use einlass_benches::platform::BUCKET_MILLIS;
use einlass_benches::rush::Report;
use tokio::task::JoinHandle;

use super::{eventually, metric};

/// So many in the room, and the slots do not stand empty for want of people.
const WAITING: f64 = 50.0;
/// So few are not in yet, and the morning is nearly over.
const LAST: u64 = 100;
/// How often the room is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// When people waited in a room, as one of its gateways sees it.
pub struct Crowd {
    begun: Instant,
    seen: Arc<Mutex<Vec<(Duration, f64)>>>,
    task: JoinHandle<()>,
}

impl Crowd {
    /// Looks from now on, by the desk at this address.
    pub fn watch(desk: SocketAddr, begun: Instant) -> Self {
        let seen: Arc<Mutex<Vec<_>>> = Arc::default();
        let looks = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let before = begun.elapsed();
                let waiting = metric(desk, "einlass_waiting_pupils{pool=\"north\"}").await;
                // Between these two moments it was so.
                let look = [(before, waiting), (begun.elapsed(), waiting)];
                looks.lock().unwrap().extend(look);
                tokio::time::sleep(LOOK).await;
            }
        });
        Self { begun, seen, task }
    }

    /// Returns when so many wait. False if that takes too long.
    pub async fn reaches(&self, pupils: f64) -> bool {
        let reached = async || {
            let seen = self.seen.lock().unwrap();
            seen.last().is_some_and(|(_, waiting)| *waiting >= pupils)
        };
        eventually(reached).await
    }

    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// When there was a crowd: from the first look at which it waited until nearly all were in. Who
    /// has been called and waits for a slot is one of it, and so is who asks a gateway that is silent.
    fn time(&self, report: &Report) -> Range<Duration> {
        let seen = self.seen.lock().unwrap();
        let first = seen.iter().find(|(_, waiting)| *waiting >= WAITING);
        let first = first.map_or(Duration::MAX, |(at, _)| *at);
        let mut got_in = 0;
        let whole = report.timeline.iter().take_while(|second| {
            got_in += second.got_in;
            got_in + LAST <= report.started
        });
        first..Duration::from_secs(whole.count() as u64)
    }

    /// How many logins were in flight at the backend on average between two moments of the rush,
    /// counting only time in which people waited; `None` if there was none.
    pub fn mean_in_flight(&self, report: &Report, from: Duration, to: Duration) -> Option<f64> {
        let entries = self.entries(report, from, to)?;
        Some(report.platforms[0].mean_in_flight(entries))
    }

    /// How many logins per second the backend completed then.
    pub fn logins_per_second(&self, report: &Report, from: Duration, to: Duration) -> Option<f64> {
        let entries = self.entries(report, from, to)?;
        let seconds = entries.len() as f64 * BUCKET_MILLIS as f64 / 1000.0;
        let logins: u32 = report.platforms[0]
            .logged_in_series
            .get(entries)?
            .iter()
            .sum();
        Some(f64::from(logins) / seconds)
    }

    /// The entries of the platform's series between two moments at which people waited.
    fn entries(&self, report: &Report, from: Duration, to: Duration) -> Option<Range<usize>> {
        let time = self.time(report);
        let bucket = |at: Duration| (at.as_millis() / u128::from(BUCKET_MILLIS)) as usize;
        let entries = bucket(from.max(time.start))..bucket(to.min(time.end));
        (!entries.is_empty()).then_some(entries)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What went wrong, with so many in flight at most.
pub fn complaints(report: &Report, cap: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    must(
        report.got_in == report.started,
        format!("{} of {} got in", report.got_in, report.started),
    );
    must(report.errors.is_empty(), format!("{:?}", report.errors));
    for (what, times) in [
        ("typed again", report.asked_again),
        ("lost places", report.lost_place),
        ("grew", report.shown_place_grew),
        ("inversions", report.order_inversions),
    ] {
        must(times == 0, format!("{times} {what}"));
    }
    let totals = report.platforms[0].totals;
    must(
        totals.received == report.started,
        format!(
            "{} logins by {} pupils reached the backend",
            totals.received, report.started
        ),
    );
    must(
        totals.abandoned == 0,
        format!("{} hashed for nobody", totals.abandoned),
    );
    let peak = report.max_in_flight().unwrap();
    must(peak <= cap, format!("{peak} in flight"));
    wrong
}
