//! Half of a region's capacity is gone for a while, and another one helps out that nobody has told its own:
//! what both regions' pupils notice, second by second.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use einlass_benches::platform::{BUCKET_MILLIS, LoginRecord, Platform, Snapshot};
use einlass_benches::rush::{Plan, School, run};
use hyper::StatusCode;
use tokio::task::{JoinHandle, JoinSet};

use super::common::{Browser, Gateway, Setup, eventually, get, send, timed_platform};
use super::{LIMIT, NORTH, SENT, SOUTH, THERE};

/// A login keeps a worker for so long, nearly all of it asleep: how long it takes does not depend on what
/// else this machine does.
const LOGIN: Duration = Duration::from_millis(400);
/// What either region can work on at once, and what may be in flight at most, which says nothing about that.
const WORKERS: usize = 20;
const MOST: usize = 64;
/// Logins a second that come to the north: more than half of it can do, and less than all of it.
const COME: u32 = 40;
/// From one login to the next in the south, which has half of its capacity to spare.
const OWN: Duration = Duration::from_millis(40);
/// How often the regions are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// A cap that has just fallen is one of before for those who are in flight already.
const BEGUN_BEFORE: Duration = Duration::from_secs(2);
/// The part of the south's cap that guests leave free.
const FREE: f64 = 0.3;
/// What the south's pupils may notice.
const NOTICED: f64 = 1.05;
/// The part of the logins per second of before that there must be later, in every second and, as a machine that
/// pauses for one makes up for it in the next, in any three.
const EVERY_SECOND: f64 = 0.5;
const ANY_THREE: f64 = 0.85;

/// The numbers of both regions at one moment.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    north: Room,
    south: Room,
    guests: f64,
    allowed: f64,
}

#[derive(Clone, Copy, Debug)]
struct Room {
    in_flight: f64,
    cap: f64,
}

impl Look {
    async fn at(desk: SocketAddr) -> Self {
        let text = send(desk, get("/metrics", "desk")).await.text();
        let number = |line: &str| -> f64 {
            let of = |l: &str| l.strip_prefix(line)?.trim().parse().ok();
            text.lines().find_map(of).unwrap_or(0.0)
        };
        let room = |pool: &str| Room {
            in_flight: number(&format!("einlass_in_flight_logins{{pool=\"{pool}\"}}")),
            cap: number(&format!("einlass_in_flight_cap_logins{{pool=\"{pool}\"}}")),
        };
        Self {
            at: Instant::now(),
            north: room("north"),
            south: room("south"),
            guests: number(THERE),
            allowed: number(LIMIT),
        }
    }
}

/// Looks until it is dropped.
struct Watch {
    seen: Arc<Mutex<Vec<Look>>>,
    task: JoinHandle<()>,
}

impl Watch {
    fn start(desk: SocketAddr) -> Self {
        let seen: Arc<Mutex<Vec<Look>>> = Arc::default();
        let looks = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let look = Look::at(desk).await;
                looks.lock().unwrap().push(look);
                tokio::time::sleep(LOOK).await;
            }
        });
        Self { seen, task }
    }

    fn seen(&self) -> Vec<Look> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Each look with the highest cap that what is in flight then may have begun under.
fn with_cap(looks: &[Look], of: fn(&Look) -> Room) -> Vec<(&Look, f64)> {
    let cap = |look: &Look| {
        let recent = looks
            .iter()
            .filter(|l| l.at <= look.at && look.at - l.at < BEGUN_BEFORE);
        recent.map(|l| of(l).cap).fold(0.0, f64::max)
    };
    looks.iter().map(|look| (look, cap(look))).collect()
}

/// Somebody of the south, every so often: when the button was pressed, and after how long one was in.
struct Own {
    logins: Arc<Mutex<Vec<(Instant, Duration)>>>,
    failed: Arc<Mutex<Vec<String>>>,
    coming: JoinHandle<()>,
}

impl Own {
    fn start(edge: SocketAddr) -> Self {
        let logins: Arc<Mutex<Vec<(Instant, Duration)>>> = Arc::default();
        let failed: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, told) = (Arc::clone(&logins), Arc::clone(&failed));
        let coming = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(OWN);
            let mut logins = JoinSet::new();
            loop {
                ticks.tick().await;
                let (noted, told) = (Arc::clone(&noted), Arc::clone(&told));
                logins.spawn(async move {
                    let mut pupil = Browser::new(edge, SOUTH);
                    let form = pupil.form().await;
                    let begun = Instant::now();
                    let answer = pupil.post("/login", &form).await;
                    let straight =
                        (answer.status, answer.location()) == (StatusCode::SEE_OTHER, "/");
                    if straight && pupil.logged_in() {
                        noted.lock().unwrap().push((begun, begun.elapsed()));
                    } else {
                        let what = format!("{} {}", answer.status, answer.location());
                        told.lock().unwrap().push(what);
                    }
                });
            }
        });
        Self {
            logins,
            failed,
            coming,
        }
    }

    /// Returns when so many who came after a moment are in.
    async fn come(&self, since: Instant, logins: usize) {
        let come = async || self.between(since, Instant::now()).len() >= logins;
        assert!(eventually(come).await, "{:?}", self.failed.lock().unwrap());
    }

    /// How long those took who came then, in seconds, sorted.
    fn between(&self, from: Instant, to: Instant) -> Vec<f64> {
        let logins = self.logins.lock().unwrap();
        let then = logins.iter().filter(|(at, _)| (from..to).contains(at));
        sorted(then.map(|(_, took)| took.as_secs_f64()).collect())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.coming.abort();
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// What the south's own logins that reached the platform then found there, in seconds, sorted: how long they
/// waited for a worker, and how long they took with that.
fn at_the_platform(record: &Snapshot, from: u64, to: u64) -> [Vec<f64>; 2] {
    let own = |login: &&LoginRecord| login.host == SOUTH && (from..to).contains(&login.arrived);
    let own: Vec<&LoginRecord> = record.logins.iter().filter(own).collect();
    let until = |moment: fn(&LoginRecord) -> Option<u64>| {
        let took = |login: &&LoginRecord| Some((moment(login)? - login.arrived) as f64 / 1e6);
        sorted(own.iter().filter_map(took).collect())
    };
    [until(|login| login.began), until(|login| login.ended)]
}

/// The entry of a platform's series at a moment of its clock, in microseconds.
fn bucket(record: &Snapshot, at: u64) -> usize {
    ((at - record.series_from_micros) / 1_000 / BUCKET_MILLIS) as usize
}

/// Logins per whole second at a platform between two moments of its clock.
fn per_second(record: &Snapshot, from: u64, to: u64) -> Vec<u32> {
    let of_time = &record.logged_in_series[bucket(record, from)..bucket(record, to)];
    let whole = of_time.chunks_exact((1_000 / BUCKET_MILLIS) as usize);
    whole.map(|second| second.iter().sum()).collect()
}

/// Both regions learn what they can do, from a crowd.
async fn learn(gateway: &Gateway, north: &Platform) {
    let report = run(Plan {
        targets: vec![gateway.edge],
        schools: vec![School::new(NORTH, 900), School::new(SOUTH, 900)],
        pupils: 700,
        pages: 0,
        platforms: vec![north.control().unwrap()],
        ..Plan::default()
    });
    let report = report.await.unwrap();
    assert_eq!((report.got_in, report.errors.len()), (700, 0));
    let over = async || gateway.metric(THERE).await < 1.0 && gateway.metric(LIMIT).await < 1.0;
    assert!(eventually(over).await);
    let look = Look::at(gateway.desk).await;
    println!("learnt: {look:?}");
    // Nobody has told them. What they found is what they can do, and a little more.
    for room in [look.north, look.south] {
        let found = (WORKERS as f64 * 0.9)..(WORKERS as f64 * 1.6);
        assert!(found.contains(&room.cap), "{look:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_half_of_a_region_is_gone_another_one_lends_what_it_has_measured_and_its_pupils_do_not_notice()
 {
    let north = timed_platform(1, WORKERS, LOGIN).await;
    let south = timed_platform(1, WORKERS, LOGIN).await;
    let adaptive = "mode = \"adaptive\"";
    let gateway = Setup::default()
        .region("north", north.backends(), MOST, &[(NORTH, 900)], adaptive)
        .region("south", south.backends(), MOST, &[(SOUTH, 900)], adaptive)
        .text("[region.north.overflow]\nto = [\"south\"]\n")
        .start()
        .await;
    learn(&gateway, &north).await;
    let moment = || [&north, &south].map(|platform| platform.snapshot(false).now_micros);
    let quiet = south.snapshot(false);
    let sent_before = gateway.metric(SENT).await;

    let own = Own::start(gateway.edge);
    let crowd = tokio::spawn(run(Plan {
        targets: vec![gateway.edge],
        schools: vec![School::new(NORTH, 900)],
        pupils: COME * 32,
        arrive_over: Duration::from_secs(32),
        pages: 0,
        platforms: vec![north.control().unwrap()],
        ..Plan::default()
    }));
    // Until those are in who were the first to come.
    own.come(Instant::now(), 25).await;
    let watch = Watch::start(gateway.desk);
    let (whole, whole_at) = (Instant::now(), moment());
    own.come(whole, 200).await;

    north.set_workers(WORKERS / 2);
    let (halved, halved_at) = (Instant::now(), moment());
    own.come(halved, 275).await;
    let lent = gateway.metric(SENT).await - sent_before;

    north.set_workers(WORKERS);
    let (back, back_at) = (Instant::now(), moment());
    let report = crowd.await.unwrap().unwrap();
    let end_at = moment();
    let over = async || gateway.metric(LIMIT).await < 1.0 && gateway.metric(THERE).await < 1.0;
    assert!(eventually(over).await);
    let looks = watch.seen();
    drop(watch);

    let [in_north, in_south] = [&north, &south].map(|platform| platform.snapshot(true));
    let waits = [(whole, halved), (halved, back)].map(|(from, to)| own.between(from, to));
    let worked = [(whole_at, halved_at), (halved_at, back_at)]
        .map(|(from, to)| at_the_platform(&in_south, from[1], to[1]));
    let [[queued_before, took_before], [queued, took]] = worked;
    let (queued, took) = ([queued_before, queued], [took_before, took]);
    for (name, of) in [
        ("until they were in", &waits),
        ("for a worker", &queued),
        ("at the platform", &took),
    ] {
        let at = |part| of.each_ref().map(|sorted| quantile(sorted, part) * 1e3);
        println!(
            "{name}, in ms, before and while it helps: {} and {} logins, median {:.1?}, mean {:.1?}, nine in ten {:.1?}",
            of[0].len(),
            of[1].len(),
            at(0.5),
            of.each_ref().map(|sorted| mean(sorted) * 1e3),
            at(0.9)
        );
    }
    let curves = [
        (whole_at, halved_at),
        (halved_at, back_at),
        (back_at, end_at),
    ]
    .map(|(from, to)| {
        let of = [
            per_second(&in_north, from[0], to[0]),
            per_second(&in_south, from[1], to[1]),
        ];
        println!(
            "logins per second in the north {:?}, in the south {:?}",
            of[0], of[1]
        );
        of
    });
    for (look, since) in looks.iter().map(|look| (look, look.at - whole)).step_by(5) {
        println!(
            "{:5.1} s: north {} of {}, south {} of {}, guests {} of {}",
            since.as_secs_f64(),
            look.north.in_flight,
            look.north.cap,
            look.south.in_flight,
            look.south.cap,
            look.guests,
            look.allowed
        );
    }

    // Everybody of the north is in, in order.
    assert_eq!(report.got_in, report.started);
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    assert_eq!((report.order_inversions, report.shown_place_grew), (0, 0));
    // The south lent what it had measured, and no more.
    assert!(lent >= 50.0, "{lent} were helped out");
    for (look, cap) in with_cap(&looks, |look| look.south) {
        let reserve = (cap * FREE).ceil();
        assert!(look.guests <= cap - reserve, "of {cap}: {look:?}");
        assert!(look.south.in_flight <= cap, "of {cap}: {look:?}");
    }
    let cap = looks.iter().map(|look| look.south.cap).fold(0.0, f64::max);
    let most = in_south.clone().after(&quiet).max_in_flight;
    assert!(most as f64 <= cap, "{most} in flight of {cap}");
    let at_work =
        in_south.mean_in_flight(bucket(&in_south, halved_at[1])..bucket(&in_south, back_at[1]));
    println!(
        "{lent} were helped out; {at_work:.1} in flight in the south, at most {most} of {cap}"
    );
    assert!(at_work <= WORKERS as f64, "{at_work} in flight");
    // Its own pupils noticed nothing: none had to wait for a turn, and none for longer.
    assert!(own.failed.lock().unwrap().is_empty(), "{:?}", own.failed);
    for of in [waits, took] {
        let medians = of.each_ref().map(|sorted| quantile(sorted, 0.5));
        assert!(medians[1] <= medians[0] * NOTICED, "{medians:?}");
    }
    let nine_in_ten = queued.each_ref().map(|sorted| quantile(sorted, 0.9));
    let more = nine_in_ten[1] - nine_in_ten[0];
    let noticed = LOGIN.as_secs_f64() * (NOTICED - 1.0);
    assert!(more <= noticed, "{more} s more for a worker");
    // The north had no more in flight than it may, also in the moment when its capacity was back.
    for (look, cap) in with_cap(&looks, |look| look.north) {
        assert!(look.north.in_flight <= cap, "of {cap}: {look:?}");
    }
    // And no second was worse than those of before.
    let sums = curves.map(|[north, south]| -> Vec<u32> {
        north.iter().zip(&south).map(|(n, s)| n + s).collect()
    });
    let usual = quantile(
        &sorted(sums[0].iter().copied().map(f64::from).collect()),
        0.5,
    );
    let least = |seconds: usize| {
        let windows = sums[2].windows(seconds).map(|of| of.iter().sum::<u32>());
        windows.min().map_or(0.0, f64::from) / seconds as f64
    };
    let (one, three) = (least(1), least(3));
    println!(
        "{usual} logins per second before, since it is back at least {one}, in any three {three:.1}"
    );
    assert!(one >= usual * EVERY_SECOND, "{:?}", sums[2]);
    assert!(three >= usual * ANY_THREE, "{:?}", sums[2]);
}
