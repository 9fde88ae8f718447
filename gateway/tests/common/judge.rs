//! How a rush through several gateways is judged: nobody was hurt, and the slots were used.

use std::time::Duration;

use einlass_benches::platform::BUCKET_MILLIS;
use einlass_benches::rush::Report;

/// So many in the waiting room, and some of them are still to be called: the last ones there have
/// been called already and have not asked since.
const WAITING: u64 = 150;

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

/// How many logins were in flight at the backend on average between two moments of the rush,
/// counting only whole seconds in which people waited; `None` if there was none.
pub fn mean_in_flight(report: &Report, from: Duration, to: Duration) -> Option<f64> {
    let platform = &report.platforms[0];
    let bucket = |time: Duration| time.as_millis() as usize / BUCKET_MILLIS as usize;
    let buckets: Vec<f64> = (bucket(from)..bucket(to))
        .filter(|bucket| people_wait(report, bucket / 10))
        .map(|bucket| platform.mean_in_flight(bucket..bucket + 1))
        .collect();
    (!buckets.is_empty()).then(|| buckets.iter().sum::<f64>() / buckets.len() as f64)
}

/// From the beginning of that second of the rush to its end.
fn people_wait(report: &Report, second: usize) -> bool {
    let waiting = |second: usize| {
        let second = report.timeline.get(second);
        second.is_some_and(|second| second.waiting >= WAITING)
    };
    second > 0 && waiting(second - 1) && waiting(second)
}
