//! Half of a region's capacity is gone for a while, and another one helps out that nobody has told its own:
//! what both regions' pupils notice, second by second.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use einlass_benches::platform::{BUCKET_MILLIS, LoginRecord, Platform, Snapshot};
use einlass_benches::rush::{Plan, Report, School, run};
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
/// The end of the shortage, in seconds, and the part of what is possible that is done then at least.
const AT_THE_END: usize = 5;
const AT_LEAST: f64 = 0.9;

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
    assert!(eventually(async || is_over(gateway).await).await);
    // Nobody has told them. What they found is what they can do, and a little more. If the crowd ends while
    // fewer are tried for a moment, it takes some seconds until the cap is what it was.
    let found = async || {
        let look = Look::at(gateway.desk).await;
        let found = (WORKERS as f64 * 0.9)..(WORKERS as f64 * 1.6);
        let both = [look.north, look.south];
        both.iter().all(|room| found.contains(&room.cap))
    };
    assert!(
        eventually(found).await,
        "{:?}",
        Look::at(gateway.desk).await
    );
    println!("learnt: {:?}", Look::at(gateway.desk).await);
}

/// A moment of the morning, by our clock and by those of the platforms in the north and in the south.
#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    there: [u64; 2],
}

impl Moment {
    fn now(platforms: [&Platform; 2]) -> Self {
        Self {
            at: Instant::now(),
            there: platforms.map(|platform| platform.snapshot(false).now_micros),
        }
    }
}

/// What was seen of a morning: when all was well, since half of the north was gone, since it was back, and
/// until all were in.
struct Seen {
    moments: [Moment; 4],
    north: Report,
    own: Own,
    looks: Vec<Look>,
    /// Logins of the north that were performed in the south.
    lent: f64,
    platforms: [Snapshot; 2],
    most_in_south: usize,
}

impl Seen {
    /// The time before half of the north was gone, the time without it, and the time after that.
    fn times(&self) -> [(Moment, Moment); 3] {
        let [whole, halved, back, end] = self.moments;
        [(whole, halved), (halved, back), (back, end)]
    }

    /// Everybody of the north is in, in order, and there were never more at its platform than may be: also in
    /// the moment when its capacity was back.
    fn judge_north(&self) {
        let report = &self.north;
        assert_eq!(report.got_in, report.started);
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        assert_eq!((report.order_inversions, report.shown_place_grew), (0, 0));
        for (look, cap) in with_cap(&self.looks, |look| look.north) {
            assert!(look.north.in_flight <= cap, "of {cap}: {look:?}");
        }
    }

    /// The south lent what it had measured, and no more.
    fn judge_what_was_lent(&self) {
        let lent = self.lent;
        assert!(lent >= 50.0, "{lent} were helped out");
        for (look, cap) in with_cap(&self.looks, |look| look.south) {
            let free = (cap * FREE).ceil();
            assert!(look.guests <= cap - free, "of {cap}: {look:?}");
            assert!(look.south.in_flight <= cap, "of {cap}: {look:?}");
        }
        let caps = self.looks.iter().map(|look| look.south.cap);
        let (most, cap) = (self.most_in_south, caps.fold(0.0, f64::max));
        let (halved, back) = self.times()[1];
        let south = &self.platforms[1];
        let time = bucket(south, halved.there[1])..bucket(south, back.there[1]);
        let at_work = south.mean_in_flight(time);
        println!("{lent} lent; in flight in the south {at_work:.1}, at most {most} of {cap}");
        assert!(most as f64 <= cap, "{most} in flight of {cap}");
        assert!(at_work <= WORKERS as f64, "{at_work} in flight");
    }

    /// The south's own pupils noticed nothing: none had to wait for a turn, and none for longer.
    fn judge_waits(&self) {
        let failed = self.own.failed.lock().unwrap();
        assert!(failed.is_empty(), "{failed:?}");
        let times = self.times();
        let until_in = times.map(|(from, to)| self.own.between(from.at, to.at));
        let there =
            times.map(|(from, to)| at_the_platform(&self.platforms[1], from.there[1], to.there[1]));
        let queued = there.each_ref().map(|[queued, _]| queued.clone());
        let took = there.map(|[_, took]| took);
        for (what, of) in [
            ("until they were in", &until_in),
            ("for a worker", &queued),
            ("at the platform", &took),
        ] {
            let at = |part| of.each_ref().map(|sorted| quantile(sorted, part) * 1e3);
            let (median, nine) = (at(0.5), at(0.9));
            println!(
                "{what}, ms, before, then and after: median {median:.1?}, nine in ten {nine:.1?}"
            );
        }
        for of in [until_in, took] {
            let medians = of.each_ref().map(|sorted| quantile(sorted, 0.5));
            let [before, then @ ..] = medians;
            assert!(
                then.iter().all(|then| *then <= before * NOTICED),
                "{medians:?}"
            );
        }
        let nine_in_ten = queued.each_ref().map(|sorted| quantile(sorted, 0.9));
        let [before, then @ ..] = nine_in_ten;
        let noticed = LOGIN.as_secs_f64() * (NOTICED - 1.0);
        let waits = then.iter().all(|then| then - before <= noticed);
        assert!(waits, "for a worker, s: {nine_in_ten:?}");
    }

    /// When the north was whole again its logins came home without a dent in those of both.
    fn judge_seconds(&self) {
        let sums = self.times().map(|(from, to)| {
            let [north, south] =
                [0, 1].map(|of| per_second(&self.platforms[of], from.there[of], to.there[of]));
            println!("logins per second in the north {north:?}, in the south {south:?}");
            let both = north.iter().zip(&south).map(|(n, s)| f64::from(n + s));
            both.collect::<Vec<f64>>()
        });
        let usual = quantile(&sorted(sums[0].clone()), 0.5);
        let least = |seconds: usize| {
            let windows = sums[2].windows(seconds);
            let means = windows.map(|window| window.iter().sum::<f64>() / seconds as f64);
            means.fold(f64::INFINITY, f64::min)
        };
        let (one, three) = (least(1), least(3));
        println!("{usual} before, since it is back at least {one}, in any three {three:.1}");
        assert!(one >= usual * EVERY_SECOND, "{:?}", sums[2]);
        assert!(three >= usual * ANY_THREE, "{:?}", sums[2]);
    }

    /// At the end of the shortage both together keep up with those who come, as far as what they can allows and
    /// what guests leave free in the south.
    fn judge_shortage(&self) {
        let (halved, back) = self.times()[1];
        let did = [0, 1].map(|of| {
            let seconds = per_second(&self.platforms[of], halved.there[of], back.there[of]);
            let last = &seconds[seconds.len().saturating_sub(AT_THE_END)..];
            f64::from(last.iter().sum::<u32>()) / last.len() as f64
        });
        let then = |look: &&Look| look.at < back.at && back.at - look.at < BEGUN_BEFORE;
        let caps = self.looks.iter().filter(then).map(|look| look.south.cap);
        let cap = caps.fold(f64::INFINITY, f64::min);
        let in_use = (cap - (cap * FREE).ceil()).min(WORKERS as f64);
        let can = (WORKERS as f64 / 2.0 + in_use) / LOGIN.as_secs_f64();
        let come = f64::from(COME) + 1.0 / OWN.as_secs_f64();
        println!("at the end of the shortage {did:?} logins per second of {can:.1}, {come} come");
        let did: f64 = did.iter().sum();
        assert!(
            did >= can.min(come) * AT_LEAST,
            "{did} logins per second of {can} and {come}"
        );
    }

    /// The curve of both regions, every half second.
    fn show(&self) {
        for look in self.looks.iter().step_by(5) {
            println!(
                "{:5.1} s: north {} of {}, south {} of {}, guests {} of {}",
                (look.at - self.moments[0].at).as_secs_f64(),
                look.north.in_flight,
                look.north.cap,
                look.south.in_flight,
                look.south.cap,
                look.guests,
                look.allowed
            );
        }
    }
}

/// Plays the morning.
async fn play(gateway: &Gateway, north: &Platform, south: &Platform) -> Seen {
    let now = || Moment::now([north, south]);
    let (quiet, sent) = (south.snapshot(false), gateway.metric(SENT).await);
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
    let whole = now();
    own.come(whole.at, 200).await;
    north.set_workers(WORKERS / 2);
    let halved = now();
    own.come(halved.at, 275).await;
    let lent = gateway.metric(SENT).await - sent;
    north.set_workers(WORKERS);
    let back = now();
    let report = crowd.await.unwrap().unwrap();
    let moments = [whole, halved, back, now()];
    // Nobody is sent any more, and nobody may be.
    assert!(eventually(async || is_over(gateway).await).await);
    Seen {
        moments,
        north: report,
        own,
        looks: watch.seen(),
        lent,
        platforms: [north, south].map(|platform| platform.snapshot(true)),
        most_in_south: south.snapshot(false).after(&quiet).max_in_flight,
    }
}

async fn is_over(gateway: &Gateway) -> bool {
    gateway.metric(LIMIT).await < 1.0 && gateway.metric(THERE).await < 1.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_found_out_what_it_can_do_lends_that_and_its_own_pupils_do_not_notice() {
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
    let seen = play(&gateway, &north, &south).await;
    seen.show();
    seen.judge_north();
    seen.judge_what_was_lent();
    seen.judge_waits();
    seen.judge_shortage();
    seen.judge_seconds();
}
