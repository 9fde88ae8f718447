//! How a rush through several gateways is judged: nobody was hurt, and the slots were used.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use einlass_benches::platform::BUCKET_MILLIS;
use einlass_benches::rush::Report;
use tokio::task::JoinHandle;

use super::{eventually, metric};

/// So many in the room, and the slots do not stand empty for want of people.
const WAITING: f64 = 50.0;
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

    /// From one moment to the other, by the last look before and the first look after.
    fn waited(&self, from: Duration, to: Duration) -> bool {
        let seen = self.seen.lock().unwrap();
        let first = seen.iter().rposition(|(at, _)| *at <= from);
        let last = seen.iter().position(|(at, _)| *at >= to);
        let (Some(first), Some(last)) = (first, last) else {
            return false;
        };
        seen[first..=last]
            .iter()
            .all(|(_, waiting)| *waiting >= WAITING)
    }

    /// How many logins were in flight at the backend on average between two moments of the rush,
    /// counting only time in which people waited; `None` if there was none.
    pub fn mean_in_flight(&self, report: &Report, from: Duration, to: Duration) -> Option<f64> {
        let platform = &report.platforms[0];
        let width = Duration::from_millis(BUCKET_MILLIS);
        let bucket = |time: Duration| (time.as_millis() / width.as_millis()) as u32;
        let buckets: Vec<f64> = (bucket(from)..bucket(to))
            .filter(|bucket| self.waited(width * *bucket, width * (*bucket + 1)))
            .map(|bucket| platform.mean_in_flight(bucket as usize..bucket as usize + 1))
            .collect();
        (!buckets.is_empty()).then(|| buckets.iter().sum::<f64>() / buckets.len() as f64)
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
