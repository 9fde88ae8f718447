//! How a rush through several gateways is judged: nobody was hurt, and the slots were used.

use std::fmt;
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

    /// A moment, since the crowd is watched.
    pub fn at(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.begun)
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

    /// What the backend did then; `None` if nobody waited.
    fn done(&self, report: &Report, time: Range<Duration>) -> Option<Done> {
        let entries = self.entries(report, time.start, time.end)?;
        let platform = &report.platforms[0];
        let seconds = entries.len() as f64 * BUCKET_MILLIS as f64 / 1000.0;
        let logins: u32 = platform.logged_in_series.get(entries.clone())?.iter().sum();
        Some(Done {
            slots: platform.mean_in_flight(entries.clone()),
            at_work: platform.mean_at_work(entries),
            logins: f64::from(logins) / seconds,
        })
    }

    /// The entries of the platform's series between two moments at which people waited.
    fn entries(&self, report: &Report, from: Duration, to: Duration) -> Option<Range<usize>> {
        let time = self.time(report);
        let bucket = |at: Duration| (at.as_millis() / u128::from(BUCKET_MILLIS)) as usize;
        let entries = bucket(from.max(time.start))..bucket(to.min(time.end));
        (!entries.is_empty()).then_some(entries)
    }
}

/// What the backend did in a stretch of time in which people waited.
#[derive(Clone, Copy)]
pub struct Done {
    /// Logins in flight on average, those too that stand in the backend's queue.
    pub slots: f64,
    /// Workers that were busy on average: logins per second times what one takes (Little's law), without
    /// the chance of how many end just before or after the stretch.
    pub at_work: f64,
    /// Logins completed per second.
    pub logins: f64,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{:.2} in flight, {:.2} at work, {:.2} logins/s",
            self.slots, self.at_work, self.logins
        )
    }
}

/// So long before the trouble is what it is compared with.
pub const BEFORE: Duration = Duration::from_secs(8);
/// How much of what it did before the backend must do during the trouble.
const DONE_ON: Range<f64> = 0.95..1.05;
/// The room is shared again within this, with the same on top.
const SHARED_AGAIN: Duration = Duration::from_secs(3);

/// Something that broke in the middle of a rush.
pub struct Trouble<'a> {
    pub name: &'a str,
    /// When the first of all troubles began, since the crowd is watched: the time before is compared.
    pub begun: Duration,
    /// When this one began and was over.
    pub time: Range<Duration>,
    /// How much of its beginning is not judged.
    pub settle: Duration,
    /// How long the room was not shared after that.
    pub back: Duration,
}

impl Trouble<'_> {
    /// Compares what the backend did before and during it, and says both.
    pub fn judge(&self, crowd: &Crowd, report: &Report) {
        let Self {
            name,
            begun,
            ref time,
            settle,
            back,
        } = *self;
        let stretches = [
            begun.saturating_sub(BEFORE)..begun,
            time.clone(),
            time.start + settle..time.end,
        ];
        let done = stretches.map(|stretch| crowd.done(report, stretch));
        let [Some(before), Some(whole), Some(during)] = done else {
            panic!(
                "{name}: the crowd was through too early: {:?}",
                report.timeline
            );
        };
        let part = |done: Done| {
            let parts = [
                done.slots / before.slots,
                done.at_work / before.at_work,
                done.logins / before.logins,
            ];
            let [slots, at_work, logins] = parts.map(|part| 100.0 * part);
            format!("{slots:.1}, {at_work:.1} and {logins:.1} %")
        };
        println!(
            "{name}: {before}; during {whole}: {}; after {settle:?} of it {during}: {}; most {}, shared again after {back:?}, inversions {}, sent back {}, received {:?}, errors {:?}",
            part(whole),
            part(during),
            report.max_in_flight().unwrap(),
            report.order_inversions,
            report.sent_back,
            report.platforms[0].totals,
            report.errors,
        );
        let look = (time.end + SHARED_AGAIN).saturating_sub(begun).as_millis() / 200;
        let curve: Vec<String> = (0..look as u32)
            .map(|n| begun + n * Duration::from_millis(200))
            .filter_map(|at| crowd.done(report, at..at + Duration::from_millis(200)))
            .map(|done| format!("{:.0}", done.at_work))
            .collect();
        println!("{name}: at work every 0.2 s: {}", curve.join(" "));
        assert!(
            DONE_ON.contains(&(during.at_work / before.at_work)),
            "{name}: {during} after {before}"
        );
        assert!(back < SHARED_AGAIN, "{name}: {back:?}");
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
