//! Whatever breaks among the backends of a pool, the others take over: real sockets on both sides.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

#[path = "balancing/fickle.rs"]
#[allow(unreachable_pub, dead_code, reason = "a module of a test")]
mod fickle;

#[path = "balancing/own_server.rs"]
mod own_server;

#[path = "balancing/processes.rs"]
mod processes;

#[path = "balancing/dns.rs"]
#[allow(unreachable_pub, dead_code, reason = "a module of a test")]
mod dns;

#[path = "balancing/secure.rs"]
#[allow(unreachable_pub, dead_code, reason = "a module of a test")]
mod secure;

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Browser, Gateway, Setup, drain, eventually, free_address, get, post, send, try_send};
use dns::{Dns, Says};
use einlass_benches::platform::HashCost;
use fickle::{Fickle, Mood};
use hyper::StatusCode;
use secure::{Authority, Secure};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const GYM: &str = "gym.example";
const QUICK: Mood = Mood::Fine(Duration::from_millis(20));
/// Short times, so that a test sees a backend go and come back.
const NIMBLE: &str = "[region.north.balancing]\nejection = \"1s\"\nslow_start = \"4s\"\n\
    [region.north.health]\ninterval = \"300ms\"\ntimeout = \"300ms\"\n";

/// A backend may have so much in flight.
const MOST: f64 = 1_024.0;
/// How many may try a backend that is out meanwhile: with an ejection of one second and then two.
const TRIALS: usize = 4;
/// How long a backend that is out stays broken in a test.
const AWAY: Duration = Duration::from_millis(2_500);

async fn gateway(backends: &[SocketAddr], more: &str) -> Gateway {
    Setup::default()
        .region("north", backends, 400, &[(GYM, 900)], "")
        .text(more)
        .start()
        .await
}

async fn state(gateway: &Gateway, backend: SocketAddr) -> String {
    let metrics = send(gateway.desk, get("/metrics", "desk")).await.text();
    let of = format!("einlass_backend_state{{pool=\"north\",backend=\"{backend}\",state=\"");
    let is = metrics.lines().find_map(|line| {
        let (state, value) = line.strip_prefix(&of)?.split_once("\"} ")?;
        (value == "1").then(|| state.to_owned())
    });
    is.unwrap_or_default()
}

async fn number(gateway: &Gateway, what: &str, backend: SocketAddr) -> f64 {
    let name = format!("einlass_backend_{what}{{pool=\"north\",backend=\"{backend}\"}}");
    gateway.metric(&name).await
}

/// When a login began, how it was answered, and after how long.
type Login = (Instant, Option<StatusCode>, Duration);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Login,
    /// A page, over connections that the backends keep.
    Page,
}

/// Requests at a steady rate, as they come at a school's door: none waits for another.
struct Stream {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<JoinHandle<Login>>>,
}

impl Stream {
    fn start(edge: SocketAddr, per_second: u32) -> Self {
        Self::of(Asked::Login, edge, per_second)
    }

    fn of(asked: Asked, edge: SocketAddr, per_second: u32) -> Self {
        Self::at(asked, edge, GYM, per_second)
    }

    fn at(asked: Asked, edge: SocketAddr, host: &'static str, per_second: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut logins = Vec::new();
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
            while !stopped.load(Ordering::SeqCst) {
                ticks.tick().await;
                logins.push(tokio::spawn(async move {
                    let began = Instant::now();
                    let request = match asked {
                        Asked::Login => post("/login", host, "user=x"),
                        Asked::Page => get("/", host),
                    };
                    let answer = try_send(edge, request).await;
                    let status = answer.ok().map(|answer| answer.status);
                    (began, status, began.elapsed())
                }));
            }
            logins
        });
        Self { stop, task }
    }

    async fn end(self) -> Vec<Login> {
        self.stop.store(true, Ordering::SeqCst);
        let mut logins = Vec::new();
        for login in self.task.await.unwrap() {
            logins.push(login.await.unwrap());
        }
        logins
    }
}

/// Three backends under a stream of requests; what breaks one of them, and what mends it. It must be
/// out within three seconds, none fails but those sent to it, and it comes back slowly.
async fn breaks_and_mends<B, M>(
    asked: Asked,
    before: Mood,
    breaks: impl FnOnce(Arc<Fickle>) -> B,
    mends: impl FnOnce(Arc<Fickle>) -> M,
) where
    B: Future<Output = ()>,
    M: Future<Output = ()>,
{
    let backends = [
        Fickle::on(fickle::short_queue(), before, 10_000),
        Fickle::start(before).await,
        Fickle::start(before).await,
    ];
    for backend in &backends {
        backend.keep(matches!(asked, Asked::Page));
    }
    let addresses = backends.each_ref().map(|backend| backend.address);
    let [bad, _one, _other] = backends.map(Arc::new);
    let more =
        format!("{NIMBLE}[region.north.upstream]\nlogin_timeout = \"5s\"\nread_timeout = \"5s\"\n");
    let gateway = gateway(&addresses, &more).await;
    let stream = Stream::of(asked, gateway.edge, 60);
    assert!(eventually(async || bad.requests() > 20).await);
    let before = bad.requests();
    breaks(Arc::clone(&bad)).await;
    let broken = Instant::now();
    let out = async || state(&gateway, bad.address).await != "up";
    assert!(eventually(out).await);
    let took = broken.elapsed();
    assert!(took < Duration::from_secs(3), "out only after {took:?}");
    let (gone, known) = (Instant::now(), bad.requests());
    // Whoever is away for less than two seconds takes its work up again at once.
    tokio::time::sleep(AWAY).await;
    mends(Arc::clone(&bad)).await;
    let mended = bad.requests();
    // A login every second or two, to see whether it is back, and what was on its way just now.
    let tried = mended - known;
    assert!(tried <= TRIALS, "{tried} were sent to one that is out");
    let back = async || state(&gateway, bad.address).await == "up";
    assert!(
        eventually(back).await,
        "{}",
        state(&gateway, bad.address).await
    );
    let curve = starts_slowly(&gateway, bad.address).await;
    println!("out after {took:?}; back (ms, in flight, bound): {curve:?}");
    // One that was slow is asked when the memory of that has faded.
    let asked_again = async || bad.requests() > mended;
    assert!(eventually(asked_again).await, "it works again");
    let logins = stream.end().await;
    let failed = logins
        .iter()
        .filter(|(_, status, _)| *status != Some(StatusCode::OK));
    let sent = mended.saturating_sub(before) + 2;
    let late = failed.clone().filter(|(began, ..)| *began > gone).count();
    let failed = failed.count();
    println!(
        "{failed} of {} failed, {late} of them came when it was out",
        logins.len()
    );
    assert!(
        failed <= sent,
        "{failed} logins failed, {sent} were sent to the bad one"
    );
    assert!(
        late <= tried,
        "{late} failed that came later, {tried} tried"
    );
}

/// The bound of a backend that is back: it begins low, grows by steps, and ends at all there may be. What
/// was seen, as (ms, in flight, bound).
async fn starts_slowly(gateway: &Gateway, backend: SocketAddr) -> Vec<(u128, f64, f64)> {
    let mut curve: Vec<(u128, f64, f64)> = Vec::new();
    let started = Instant::now();
    loop {
        // In this order: the bound grows from one look to the next.
        let in_flight = number(gateway, "in_flight_requests", backend).await;
        let limit = number(gateway, "limit_requests", backend).await;
        let last = curve.last().map_or(0.0, |(.., last)| *last);
        curve.push((started.elapsed().as_millis(), in_flight, limit));
        assert!(in_flight <= limit && last <= limit, "{curve:?}");
        if limit >= MOST {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{curve:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let first = curve[0].2;
    assert!(first <= 5.0, "it begins with a tenth of eight: {curve:?}");
    let mut bounds: Vec<u64> = curve.iter().map(|(.., bound)| bound.to_bits()).collect();
    bounds.dedup();
    assert!(bounds.len() >= 6, "it leaps: {curve:?}");
    curve
}

/// Breaks a backend by what it does from now on, and mends it.
async fn turns(asked: Asked, bad: Mood) {
    let breaks = async |backend: Arc<Fickle>| backend.set(bad);
    let mends = async |backend: Arc<Fickle>| backend.set(QUICK);
    breaks_and_mends(asked, QUICK, breaks, mends).await;
}

async fn says(text: &'static [u8]) {
    turns(Asked::Login, Mood::Says(text)).await;
}

async fn says_to_pages(text: &'static [u8]) {
    turns(Asked::Page, Mood::Says(text)).await;
}

async fn refuses(asked: Asked) {
    let breaks = async |bad: Arc<Fickle>| bad.stop();
    let mends = async |bad: Arc<Fickle>| bad.start_again().await;
    breaks_and_mends(asked, QUICK, breaks, mends).await;
}

#[tokio::test]
async fn a_backend_whose_port_refuses_is_left_out_and_comes_back() {
    refuses(Asked::Login).await;
}

#[tokio::test]
async fn pages_leave_out_a_backend_whose_port_refuses() {
    refuses(Asked::Page).await;
}

#[tokio::test]
async fn a_backend_that_never_answers_is_left_out_and_comes_back() {
    turns(Asked::Login, Mood::Silent).await;
}

#[tokio::test]
async fn pages_leave_out_a_backend_that_never_answers() {
    turns(Asked::Page, Mood::Silent).await;
}

#[tokio::test]
async fn pages_leave_out_a_backend_that_answers_503() {
    says_to_pages(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").await;
}

#[tokio::test]
async fn pages_leave_out_a_backend_that_answers_garbage() {
    says_to_pages(b"this is not HTTP\r\n\r\n").await;
}

#[tokio::test]
async fn pages_leave_out_a_backend_that_answers_half_a_header() {
    says_to_pages(b"HTTP/1.1 200 O").await;
}

#[tokio::test]
async fn pages_leave_out_a_backend_that_closes_in_the_middle() {
    says_to_pages(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf").await;
}

/// What is too much is no part of the answer, and the connection is not used again: nobody is told what
/// was not for him.
#[tokio::test]
async fn a_backend_that_says_more_than_it_announced_harms_nobody() {
    let more = Mood::Says(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfineHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let backend = Fickle::start(more).await;
    backend.keep(true);
    let gateway = gateway(&[backend.address], NIMBLE).await;
    for _ in 0..10 {
        for request in [get("/", GYM), post("/login", GYM, "user=x")] {
            let answer = send(gateway.edge, request).await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (StatusCode::OK, "fine")
            );
        }
    }
    assert_eq!(state(&gateway, backend.address).await, "up");
}

#[tokio::test]
async fn a_backend_thirty_times_slower_is_left_out_and_comes_back() {
    let usual = Mood::Fine(Duration::from_millis(100));
    let breaks = async |bad: Arc<Fickle>| bad.set(Mood::Fine(Duration::from_secs(3)));
    let mends = async move |bad: Arc<Fickle>| bad.set(usual);
    breaks_and_mends(Asked::Login, usual, breaks, mends).await;
}

#[tokio::test]
async fn a_backend_that_answers_503_is_left_out_and_comes_back() {
    says(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").await;
}

#[tokio::test]
async fn a_backend_that_answers_502_is_left_out_and_comes_back() {
    says(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n").await;
}

#[tokio::test]
async fn a_backend_that_answers_garbage_is_left_out_and_comes_back() {
    says(b"this is not HTTP\r\n\r\n").await;
}

#[tokio::test]
async fn a_backend_that_answers_half_a_header_is_left_out_and_comes_back() {
    says(b"HTTP/1.1 200 O").await;
}

#[tokio::test]
async fn a_backend_with_a_wrong_length_is_left_out_and_comes_back() {
    says(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nwhat").await;
}

#[tokio::test]
async fn a_backend_that_closes_in_the_middle_is_left_out_and_comes_back() {
    says(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf").await;
}

/// As a firewall does it that is switched on in the middle of the morning.
#[tokio::test]
async fn a_backend_that_begins_to_swallow_connections_is_left_out_and_comes_back() {
    let kept = std::sync::Mutex::new(None);
    let breaks = async |bad: Arc<Fickle>| {
        *kept.lock().unwrap() = Some(bad.swallow().await);
    };
    let mends = async |bad: Arc<Fickle>| {
        let swallows = kept.lock().unwrap().take().unwrap();
        bad.accept_again(swallows);
    };
    breaks_and_mends(Asked::Login, QUICK, breaks, mends).await;
}

#[tokio::test]
async fn a_backend_that_swallows_connections_costs_no_login() {
    swallows_connections(Asked::Login).await;
}

#[tokio::test]
async fn a_backend_that_swallows_connections_costs_no_page() {
    swallows_connections(Asked::Page).await;
}

async fn swallows_connections(asked: Asked) {
    // Nobody accepts, and the queue of the port is full: further connects hang.
    let hole = fickle::short_queue();
    let address = hole.local_addr().unwrap();
    let queue = fickle::fill(address).await;
    let fine = Fickle::start(QUICK).await;
    let gateway = gateway(&[address, fine.address], NIMBLE).await;
    let stream = Stream::of(asked, gateway.edge, 40);
    let out = async || state(&gateway, address).await == "down";
    let began = Instant::now();
    assert!(eventually(out).await);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    let logins = stream.end().await;
    assert!(
        logins
            .iter()
            .all(|(_, status, _)| *status == Some(StatusCode::OK))
    );
    // Somebody accepts again.
    tokio::time::sleep(AWAY).await;
    drop(queue);
    let back = Fickle::on(hole, QUICK, 10_000);
    assert!(eventually(async || state(&gateway, address).await == "up").await);
    let curve = starts_slowly(&gateway, address).await;
    println!("back (ms, in flight, bound): {curve:?}");
    let before = back.requests();
    let stream = Stream::of(asked, gateway.edge, 40);
    assert!(eventually(async || back.requests() > before).await);
    let logins = stream.end().await;
    assert!(
        logins
            .iter()
            .all(|(_, status, _)| *status == Some(StatusCode::OK))
    );
}

#[tokio::test]
async fn a_backend_that_becomes_thirty_times_slower_gets_little() {
    let slow = Fickle::start(QUICK).await;
    let others = [Fickle::start(QUICK).await, Fickle::start(QUICK).await];
    let addresses = [slow.address, others[0].address, others[1].address];
    let gateway = gateway(&addresses, NIMBLE).await;
    let stream = Stream::start(gateway.edge, 100);
    assert!(eventually(async || slow.requests() > 50).await);
    slow.set(Mood::Fine(Duration::from_millis(600)));
    // Answers that were under way are not the slow ones yet.
    let (before, all) = (slow.requests(), others[0].requests() + others[1].requests());
    let many = async || others[0].requests() + others[1].requests() > all + 300;
    assert!(eventually(many).await);
    let (slow, all) = (
        slow.requests() - before,
        others[0].requests() + others[1].requests() - all,
    );
    println!("{slow} of {}", slow + all);
    assert!(slow * 10 < all, "{slow} of {}", slow + all);
    let logins = stream.end().await;
    assert!(
        logins
            .iter()
            .all(|(_, status, _)| *status == Some(StatusCode::OK))
    );
}

#[tokio::test]
async fn the_last_backend_is_never_left_out() {
    let no = Mood::Says(b"HTTP/1.1 503 No\r\nContent-Length: 7\r\n\r\nits own");
    let backends = [Fickle::start(no).await, Fickle::start(no).await];
    let gateway = gateway(&[backends[0].address, backends[1].address], NIMBLE).await;
    for _ in 0..60 {
        let answer = send(gateway.edge, get("/", GYM)).await;
        assert_eq!(answer.text(), "its own", "it is the platform that says so");
    }
    let out = async || {
        let states = [
            state(&gateway, backends[0].address).await,
            state(&gateway, backends[1].address).await,
        ];
        let up = states.iter().filter(|state| *state == "up").count();
        assert!(up >= 1, "{states:?}");
        up == 1
    };
    assert!(eventually(out).await);
}

/// What came of a crowd at four backends, the last of which works at half the speed of the others.
struct Balanced {
    /// The part of the logins that the slow one got, of what is its due.
    slow: f64,
    /// How long 99 of 100 logins took at most, in seconds.
    p99: f64,
}

/// Twenty pupils, one login after the other each: all workers are busy, and there are lines.
async fn crowd_under(policy: &'static str) -> Balanced {
    const WORKERS: usize = 2;
    const LENGTH: Duration = Duration::from_secs(6);
    let mut backends = Vec::new();
    for ms in [60, 60, 60, 120] {
        let mood = Mood::Fine(Duration::from_millis(ms));
        backends.push(Fickle::with_workers(mood, WORKERS).await);
    }
    let addresses: Vec<SocketAddr> = backends.iter().map(|b| b.address).collect();
    let more = format!("[region.north.balancing]\npolicy = \"{policy}\"\n");
    let gateway = gateway(&addresses, &more).await;
    let (edge, begun) = (gateway.edge, Instant::now());
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..20 {
        crowd.spawn(async move {
            let mut took = Vec::new();
            while begun.elapsed() < LENGTH {
                let asked = Instant::now();
                let answer = send(edge, post("/login", GYM, "user=x")).await;
                assert_eq!(answer.status, StatusCode::OK);
                took.push(asked.elapsed().as_secs_f64());
            }
            took
        });
    }
    let mut took: Vec<f64> = crowd.join_all().await.into_iter().flatten().collect();
    took.sort_by(f64::total_cmp);
    let got: Vec<usize> = backends.iter().map(Fickle::posts).collect();
    let all: usize = got.iter().sum();
    assert_eq!(all, took.len(), "none was sent twice");
    let balanced = Balanced {
        slow: got[3] as f64 / all as f64 * 7.0,
        p99: took[(all - 1) * 99 / 100],
    };
    println!(
        "{policy}: {got:?}, the slow one has {:.3} of its due; 99 of 100 within {:.0} ms",
        balanced.slow,
        balanced.p99 * 1e3
    );
    balanced
}

/// Side by side, so that a machine that pauses does so for all.
#[tokio::test]
async fn logins_follow_the_speed_of_the_backends_and_are_sooner_done_than_under_other_policies() {
    let (ours, round_robin, least) = tokio::join!(
        crowd_under("peak_ewma"),
        crowd_under("round_robin"),
        crowd_under("least_in_flight")
    );
    assert!((0.9..=1.1).contains(&ours.slow), "{}", ours.slow);
    assert!(round_robin.slow > 1.3, "{}", round_robin.slow);
    for other in [round_robin, least] {
        assert!(ours.p99 < other.p99, "{} and {}", ours.p99, other.p99);
    }
}

#[tokio::test]
async fn weights_and_draining_are_followed() {
    let backends = [
        Fickle::start(QUICK).await,
        Fickle::start(QUICK).await,
        Fickle::start(QUICK).await,
    ];
    let [one, three, drained] = backends.each_ref().map(|backend| backend.address);
    let text = format!(
        "[region.north]\nbackends = [\"{one}\", {{ address = \"{three}\", weight = 3 }}, \
         {{ address = \"{drained}\", drain = true }}]\nadmission.in_flight = {{ max = 400 }}\n\
         [[region.north.school]]\nhost = \"{GYM}\"\n"
    );
    let gateway = Setup::default().text(&text).start().await;
    assert_eq!(state(&gateway, drained).await, "draining");
    let edge = gateway.edge;
    let crowd: Vec<_> = (0..16)
        .map(|_| {
            tokio::spawn(async move {
                for _ in 0..20 {
                    send(edge, post("/login", GYM, "user=x")).await;
                }
            })
        })
        .collect();
    for pupil in crowd {
        pupil.await.unwrap();
    }
    let got: Vec<usize> = backends.iter().map(Fickle::posts).collect();
    assert_eq!(got[2], 0);
    let times = got[1] as f64 / got[0] as f64;
    assert!((2.0..=4.5).contains(&times), "{got:?}");
}

#[tokio::test]
async fn a_backend_that_fails_its_check_is_left_out_although_it_answers() {
    let backends = [Fickle::start(QUICK).await, Fickle::start(QUICK).await];
    let [ill, well] = backends.each_ref().map(|backend| backend.address);
    let more = "[region.north.health]\nkind = \"http\"\npath = \"/health\"\n\
        interval = \"200ms\"\n";
    let gateway = gateway(&[ill, well], more).await;
    assert!(eventually(async || state(&gateway, ill).await == "up").await);
    backends[0].set(Mood::Ill);
    assert!(eventually(async || state(&gateway, ill).await == "down").await);
    let before = backends[0].requests();
    for _ in 0..20 {
        assert_eq!(
            send(gateway.edge, get("/", GYM)).await.text(),
            well.to_string()
        );
    }
    assert_eq!(backends[0].requests(), before);
    backends[0].set(QUICK);
    assert!(eventually(async || state(&gateway, ill).await == "up").await);
}

/// The page is there, and the password is asked for: nothing less is a platform that works.
#[tokio::test]
async fn a_backend_without_a_login_page_is_left_out() {
    let platform = common::platform(1, 2, HashCost::QUICK).await;
    let without = Fickle::start(QUICK).await;
    let backends = [platform.backends()[0], without.address];
    let more = "[region.north.health]\nkind = \"login\"\ninterval = \"200ms\"\n";
    let gateway = gateway(&backends, more).await;
    let out = async || state(&gateway, without.address).await == "down";
    assert!(eventually(out).await);
    assert_eq!(state(&gateway, platform.backends()[0]).await, "up");
    for _ in 0..10 {
        Browser::new(gateway.edge, GYM).form().await;
    }
}

#[tokio::test]
async fn a_wrong_expectation_of_a_check_closes_no_region() {
    let backends = [Fickle::start(QUICK).await, Fickle::start(QUICK).await];
    let addresses = backends.each_ref().map(|backend| backend.address);
    let more = "[region.north.health]\nkind = \"http\"\npath = \"/health\"\nstatus = 204\n\
        interval = \"200ms\"\n";
    let gateway = gateway(&addresses, more).await;
    let told = async || gateway.log().contains("No backend gives the answer");
    assert!(eventually(told).await);
    for _ in 0..10 {
        let page = send(gateway.edge, get("/", GYM)).await;
        assert_eq!(page.status, StatusCode::OK);
        let login = send(gateway.edge, post("/login", GYM, "user=x")).await;
        assert_eq!(login.status, StatusCode::OK);
    }
    // An answer that says that nothing works is another matter.
    for backend in &backends {
        backend.set(Mood::Ill);
    }
    let down = async || gateway.metric("einlass_pool_down{pool=\"north\"}").await > 0.0;
    assert!(eventually(down).await);
}

#[tokio::test]
async fn while_no_backend_passes_the_room_keeps_the_places_and_opens_by_itself() {
    let backend = Fickle::start(QUICK).await;
    let more = "[region.north.health]\nkind = \"http\"\npath = \"/health\"\n\
        interval = \"200ms\"\n";
    let gateway = gateway(&[backend.address], more).await;
    backend.set(Mood::Ill);
    let down = async || gateway.metric("einlass_pool_down{pool=\"north\"}").await > 0.0;
    assert!(eventually(down).await);
    let mut browser = Browser::new(gateway.edge, GYM);
    let answer = browser.post("/login", "user=x").await;
    assert_eq!(answer.location(), "/_einlass/wait");
    let held = browser.until("held").await;
    assert!(
        held["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    let began = Instant::now();
    let page = send(gateway.edge, get("/", GYM)).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(backend.posts(), 0);
    backend.set(QUICK);
    browser.until("ready").await;
    assert_eq!(browser.enter().await.status, StatusCode::OK);
    assert_eq!(backend.posts(), 1);
}

/// Answers the first request on each connection and hangs up on the second.
async fn once_and_no_more() -> (SocketAddr, Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                if fickle::read(&mut stream).await.is_some() {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    stream.write_all(answer).await.unwrap();
                    if fickle::read(&mut stream).await.is_some() {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    (address, seen)
}

#[tokio::test]
async fn only_what_changes_nothing_is_asked_for_again_on_a_fresh_connection() {
    let (address, seen) = once_and_no_more().await;
    let gateway = gateway(&[address], "").await;
    assert_eq!(send(gateway.edge, get("/", GYM)).await.text(), "ok");
    // The connection is kept, and closed under the next request.
    assert_eq!(send(gateway.edge, get("/", GYM)).await.text(), "ok");
    assert_eq!(seen.load(Ordering::SeqCst), 3);
    assert!(
        gateway
            .metric("einlass_retries_total{pool=\"north\"}")
            .await
            > 0.0
    );
    let answer = send(gateway.edge, post("/save", GYM, "text=x")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(seen.load(Ordering::SeqCst), 4, "it was sent once");
    assert_eq!(state(&gateway, address).await, "up", "it is nobody's fault");
}

#[tokio::test]
async fn without_a_budget_there_is_no_second_try() {
    let fine = Fickle::start(QUICK).await;
    let dead: Vec<SocketAddr> = (0..2).map(|_| free_address()).collect();
    let all: Vec<SocketAddr> = dead.iter().copied().chain([fine.address]).collect();
    let never = "[region.north.health]\ninterval = \"10m\"\n";
    let frugal = format!("{never}[region.north.balancing]\nretry_budget = 0.0\n");
    let gateway_without = gateway(&all, &frugal).await;
    let metric = "einlass_retries_total{pool=\"north\"}";
    for _ in 0..10 {
        let answer = send(gateway_without.edge, get("/", GYM)).await;
        assert!(
            answer.status == 200 || answer.status == 503,
            "{}",
            answer.status
        );
    }
    assert!(gateway_without.metric(metric).await == 0.0);
    let gateway_with = gateway(&all, never).await;
    for _ in 0..10 {
        assert_eq!(
            send(gateway_with.edge, get("/", GYM)).await.status,
            StatusCode::OK
        );
    }
}

/// Backends on one port of several loopback addresses, as one name leads to them.
async fn on_one_port<const N: usize>() -> ([Fickle; N], u16) {
    'port: loop {
        let mut listeners = vec![TcpListener::bind("127.0.0.1:0").await.unwrap()];
        let port = listeners[0].local_addr().unwrap().port();
        for n in 2..=N {
            match TcpListener::bind(format!("127.0.0.{n}:{port}")).await {
                Ok(listener) => listeners.push(listener),
                Err(_) => continue 'port,
            }
        }
        let listeners: [TcpListener; N] = listeners.try_into().unwrap();
        return (
            listeners.map(|listener| Fickle::on(listener, QUICK, 1_000)),
            port,
        );
    }
}

fn ips<const N: usize>(backends: [&Fickle; N]) -> Says {
    Says::Addresses(backends.map(|backend| backend.address.ip()).to_vec(), 1)
}

async fn named(dns: &Dns, port: u16) -> Gateway {
    let text = format!(
        "[region.north]\nbackends = [\"App.School.example:{port}\"]\n\
         upstream.resolver = \"{}\"\n[[region.north.school]]\nhost = \"{GYM}\"\n",
        dns.address
    );
    Setup::default().text(&text).start().await
}

const NAME: &str = "app.school.example";

#[tokio::test]
async fn a_name_that_nobody_answers_for_holds_up_neither_start_nor_requests() {
    let ([backend], port) = on_one_port().await;
    for says in [Says::Nothing, Says::Unknown, Says::Addresses(Vec::new(), 1)] {
        let dns = Dns::start().await;
        dns.set(NAME, says.clone());
        println!("{says:?}");
        nobody_yet(&dns, &backend, port).await;
    }
}

/// The name leads nowhere at the start, and then to a backend.
async fn nobody_yet(dns: &Dns, backend: &Fickle, port: u16) {
    let gateway = named(dns, port).await;
    assert!(eventually(async || dns.asked() > 0).await);
    let began = Instant::now();
    let page = send(gateway.edge, get("/", GYM)).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    let mut browser = Browser::new(gateway.edge, GYM);
    assert_eq!(
        browser.post("/login", "user=x").await.location(),
        "/_einlass/wait"
    );
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    browser.until("held").await;
    let failures = "einlass_name_lookup_failures_total{pool=\"north\"}";
    assert!(eventually(async || gateway.metric(failures).await > 0.0).await);
    // The name has two addresses, of which one family cannot be reached at all.
    let ip = backend.address.ip();
    dns.set(
        NAME,
        Says::Addresses(vec![ip, "100::1".parse().unwrap()], 1),
    );
    browser.until("ready").await;
    assert_eq!(browser.enter().await.status, StatusCode::OK);
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

#[tokio::test]
async fn traffic_follows_a_name_and_what_is_under_way_finishes() {
    let ([one, two, three], port) = on_one_port().await;
    let dns = Dns::start().await;
    dns.set(NAME, ips([&one]));
    let gateway = named(&dns, port).await;
    assert!(eventually(async || state(&gateway, one.address).await == "up").await);
    assert_eq!(
        send(gateway.edge, get("/", GYM)).await.text(),
        one.address.to_string()
    );
    // Several addresses are several backends.
    dns.set(NAME, ips([&one, &two]));
    assert!(eventually(async || state(&gateway, two.address).await == "up").await);
    for _ in 0..40 {
        send(gateway.edge, get("/", GYM)).await;
    }
    assert!(one.requests() > 1 && two.requests() > 0);
    // A slow request is under way at both when the name moves on.
    for backend in [&one, &two] {
        backend.set(Mood::Fine(Duration::from_secs(4)));
    }
    let before = one.requests() + two.requests();
    let edge = gateway.edge;
    let slow: Vec<_> = (0..4)
        .map(|_| tokio::spawn(async move { send(edge, get("/", GYM)).await }))
        .collect();
    assert!(eventually(async || one.requests() + two.requests() == before + 4).await);
    dns.set(NAME, ips([&three]));
    assert!(eventually(async || state(&gateway, three.address).await == "up").await);
    let leaving = [
        state(&gateway, one.address).await,
        state(&gateway, two.address).await,
    ];
    assert!(
        leaving.iter().any(|state| state == "leaving"),
        "{leaving:?}"
    );
    for _ in 0..10 {
        assert_eq!(
            send(edge, get("/", GYM)).await.text(),
            three.address.to_string()
        );
    }
    for request in slow {
        assert_eq!(request.await.unwrap().status, StatusCode::OK);
    }
    let gone = async || {
        state(&gateway, one.address).await.is_empty()
            && state(&gateway, two.address).await.is_empty()
    };
    assert!(eventually(gone).await);
    let failures = "einlass_name_lookup_failures_total{pool=\"north\"}";
    // No such name, one without an address, and then no answer at all: what was known stays, and nobody
    // waits for more.
    for says in [Says::Unknown, Says::Addresses(Vec::new(), 1), Says::Nothing] {
        let failed = gateway.metric(failures).await;
        dns.set(NAME, says);
        assert!(eventually(async || gateway.metric(failures).await > failed).await);
        let began = Instant::now();
        for _ in 0..10 {
            let page = send(edge, get("/", GYM)).await;
            assert_eq!(page.text(), three.address.to_string());
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    one.set(QUICK);
    dns.set(NAME, ips([&one]));
    let back = async || send(edge, get("/", GYM)).await.text() == one.address.to_string();
    assert!(eventually(back).await);
}

/// A region whose backends are reached with these upstream settings.
async fn upstream(backend: SocketAddr, settings: &str) -> Gateway {
    let more =
        format!("[region.north.health]\ninterval = \"300ms\"\n[region.north.upstream]\n{settings}");
    gateway(&[backend], &more).await
}

/// A page and a login come through, by this version.
async fn comes_through(gateway: &Gateway, backend: &Secure, version: &str) {
    let up = async || state(gateway, backend.address).await == "up";
    assert!(eventually(up).await);
    let page = send(gateway.edge, get("/page?q=1", GYM)).await;
    assert_eq!(
        (page.status, page.text().as_str()),
        (StatusCode::OK, version)
    );
    let login = send(gateway.edge, post("/login", GYM, "user=x")).await;
    assert_eq!(
        (login.status, login.text().as_str()),
        (StatusCode::OK, version)
    );
    let saved = send(gateway.edge, post("/save", GYM, "text=y")).await;
    assert_eq!(
        (saved.status, saved.text().as_str()),
        (StatusCode::OK, version)
    );
    let seen = backend.seen();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen.iter().all(|request| request.host == GYM), "{seen:?}");
    assert_eq!(
        (seen[1].method.as_str(), &seen[1].body[..]),
        ("POST", &b"user=x"[..])
    );
    assert_eq!(&seen[2].body[..], b"text=y");
}

/// What the requests that a backend saw said of their scheme.
fn schemes(backend: &Secure) -> Vec<String> {
    let seen = backend.seen().into_iter();
    let mut schemes: Vec<String> = seen.map(|request| request.scheme).collect();
    schemes.dedup();
    schemes
}

/// Nobody is let through: pages say that the server does not answer, logins keep their place.
async fn is_refused(gateway: &Gateway, backend: &Secure) {
    let page = send(gateway.edge, get("/", GYM)).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text().contains("antwortet"), "{}", page.text());
    let mut browser = Browser::new(gateway.edge, GYM);
    let sent = browser.post("/login", "user=x").await;
    assert_eq!(sent.location(), "/_einlass/wait");
    browser.until("held").await;
    assert_eq!(backend.seen().len(), 0, "nothing was sent");
}

#[tokio::test]
async fn over_tls_the_right_authority_and_name_are_believed() {
    let folder = tempfile::TempDir::new().unwrap();
    let authority = Authority::new(folder.path(), "ours");
    let backend = Secure::start(Some(&authority.sign("app.example")), None).await;
    for (http, version) in [("1.1", "HTTP/1.1"), ("2", "HTTP/2.0")] {
        let settings = format!(
            "tls = true\nserver_name = \"app.example\"\nca_file = \"{}\"\nhttp = \"{http}\"\n",
            authority.file.display()
        );
        let backend = if http == "2" {
            &Secure::start(Some(&authority.sign("app.example")), None).await
        } else {
            &backend
        };
        let gateway = upstream(backend.address, &settings).await;
        comes_through(&gateway, backend, version).await;
        if http == "2" {
            assert_eq!(schemes(backend), ["https"]);
        }
    }
}

#[tokio::test]
async fn over_tls_another_authority_or_name_is_not_believed() {
    let folder = tempfile::TempDir::new().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let theirs = Authority::new(folder.path(), "theirs");
    for (signed_by, name) in [(&theirs, "app.example"), (&ours, "other.example")] {
        let backend = Secure::start(Some(&signed_by.sign(name)), None).await;
        let settings = format!(
            "tls = true\nserver_name = \"app.example\"\nca_file = \"{}\"\n",
            ours.file.display()
        );
        let gateway = upstream(backend.address, &settings).await;
        is_refused(&gateway, &backend).await;
    }
}

#[tokio::test]
async fn a_backend_that_asks_for_a_certificate_gets_ours() {
    let folder = tempfile::TempDir::new().unwrap();
    let authority = Authority::new(folder.path(), "ours");
    let backend = Secure::start(Some(&authority.sign("app.example")), Some(&authority)).await;
    let settings = format!(
        "tls = true\nserver_name = \"app.example\"\nca_file = \"{}\"\n",
        authority.file.display()
    );
    let own = authority.sign("gateway.example");
    let with = format!(
        "{settings}client_certificate = \"{}\"\nclient_key = \"{}\"\n",
        own.chain.display(),
        own.key.display()
    );
    let gateway = upstream(backend.address, &with).await;
    comes_through(&gateway, &backend, "HTTP/1.1").await;
    let other = authority.sign("other.example");
    let mixed = format!(
        "{settings}client_certificate = \"{}\"\nclient_key = \"{}\"\n",
        own.chain.display(),
        other.key.display()
    );
    let said = Setup::default()
        .region("north", &[backend.address], 4, &[(GYM, 900)], "")
        .text(&format!("[region.north.upstream]\n{mixed}"))
        .refused();
    assert!(said.contains("gateway.example.chain"), "{said}");
}

#[tokio::test]
async fn backends_may_speak_http_2_without_tls() {
    let backend = Secure::start(None, None).await;
    let gateway = upstream(backend.address, "http = \"2\"\n").await;
    comes_through(&gateway, &backend, "HTTP/2.0").await;
    assert_eq!(schemes(&backend), ["http"]);
}

/// Of a hundred requests on one connection one is not read on: the others go on all the same.
#[tokio::test]
async fn a_download_that_pauses_holds_up_nobody_over_http_2() {
    let backend = Secure::start(None, None).await;
    let gateway = upstream(backend.address, "http = \"2\"\n").await;
    let up = async || state(&gateway, backend.address).await == "up";
    assert!(eventually(up).await);
    let mut paused = TcpStream::connect(gateway.edge).await.unwrap();
    let request = format!("GET /large HTTP/1.1\r\nHost: {GYM}\r\n\r\n");
    paused.write_all(request.as_bytes()).await.unwrap();
    assert!(eventually(async || backend.seen().len() == 1).await);
    // Until all that fits on the way has come.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..20 {
        let small = send(gateway.edge, get("/small", GYM));
        let small = tokio::time::timeout(Duration::from_secs(20), small).await;
        let small = small.expect("nobody waits for the one that pauses");
        assert_eq!(small.body.len(), 64 << 10);
    }
    drop(paused);
}

/// A WebSocket needs HTTP/1.1, which is spoken for it wherever the others are HTTP/2.
#[tokio::test]
async fn a_websocket_passes_where_backends_speak_http_2() {
    let backend = Secure::start(None, None).await;
    let gateway = upstream(backend.address, "http = \"2\"\n").await;
    let up = async || state(&gateway, backend.address).await == "up";
    assert!(eventually(up).await);
    let mut stream = TcpStream::connect(gateway.edge).await.unwrap();
    let request = format!(
        "GET /socket HTTP/1.1\r\nHost: {GYM}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(eventually(async || backend.seen().len() == 1).await);
    let seen = backend.seen();
    assert_eq!(seen[0].version, hyper::Version::HTTP_11);
    assert!(seen[0].upgrade, "{seen:?}");
}

/// Answers a login with a session cookie, and everything with its own name.
async fn with_sessions() -> (SocketAddr, Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let noted = Arc::clone(&noted);
            tokio::spawn(async move {
                let Some(head) = fickle::read(&mut stream).await else {
                    return;
                };
                let session = if head.starts_with("POST /login") {
                    "Set-Cookie: sessionid=abc; Path=/\r\n"
                } else {
                    ""
                };
                noted.lock().unwrap().push(head);
                let text = address.to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\n{session}Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
                    text.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    (address, seen)
}

#[tokio::test]
async fn a_session_stays_where_its_login_was_answered() {
    let mut backends = Vec::new();
    for _ in 0..3 {
        backends.push(with_sessions().await);
    }
    let addresses: Vec<SocketAddr> = backends.iter().map(|(address, _)| *address).collect();
    let more = "[region.north.affinity]\ncookie = \"sessionid\"\n";
    let gateway = gateway(&addresses, more).await;
    let mut homes = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let mut browser = Browser::new(gateway.edge, GYM);
        browser.get("/").await;
        assert!(
            !browser.cookies.contains_key("einlass_home"),
            "there is no session yet"
        );
        let home = browser.post("/login", "user=x").await.text();
        assert!(browser.cookies.contains_key("einlass_home"));
        for _ in 0..6 {
            assert_eq!(browser.get("/").await.text(), home);
        }
        assert_eq!(browser.post("/save", "text=y").await.text(), home);
        homes.insert(home);
    }
    assert!(homes.len() > 1, "sessions are spread");
    for (_, seen) in &backends {
        let seen = seen.lock().unwrap();
        assert!(seen.iter().all(|head| !head.contains("einlass")));
        assert!(seen.iter().any(|head| head.contains("sessionid=abc")));
    }
}

#[tokio::test]
async fn a_session_whose_backend_is_gone_goes_on_elsewhere() {
    let backends = [Fickle::start(QUICK).await, Fickle::start(QUICK).await];
    let addresses = backends.each_ref().map(|backend| backend.address);
    let more = format!("[region.north.affinity]\ncookie = \"sessionid\"\n{NIMBLE}");
    let gateway = gateway(&addresses, &more).await;
    let cookie =
        Mood::Says(b"HTTP/1.1 200 OK\r\nSet-Cookie: sessionid=1\r\nContent-Length: 0\r\n\r\n");
    for backend in &backends {
        backend.set(cookie);
    }
    let mut browser = Browser::new(gateway.edge, GYM);
    browser.post("/login", "user=x").await;
    let home = usize::from(backends[1].posts() == 1);
    for backend in &backends {
        backend.set(QUICK);
    }
    let there = addresses[home].to_string();
    assert_eq!(browser.get("/").await.text(), there);
    backends[home].stop();
    let refuses = async || TcpStream::connect(addresses[home]).await.is_err();
    assert!(eventually(refuses).await);
    let other = addresses[1 - home].to_string();
    assert_eq!(
        browser.get("/").await.text(),
        other,
        "at once, with no error in between"
    );
    backends[home].start_again().await;
    let back = async || state(&gateway, addresses[home]).await == "up";
    assert!(eventually(back).await);
    assert_eq!(browser.get("/").await.text(), there);
}

#[tokio::test]
async fn a_school_keeps_its_backend() {
    let mut backends = Vec::new();
    for _ in 0..4 {
        backends.push(Fickle::start(QUICK).await);
    }
    let addresses: Vec<SocketAddr> = backends.iter().map(|b| b.address).collect();
    let hosts: Vec<String> = (0..12).map(|n| format!("s{n}.example")).collect();
    let schools: Vec<(&str, u32)> = hosts.iter().map(|host| (host.as_str(), 500)).collect();
    let gateway = Setup::default()
        .region("north", &addresses, 400, &schools, "")
        .text("[region.north.affinity]\nby = \"school\"\n")
        .start()
        .await;
    let mut used = std::collections::BTreeSet::new();
    for host in &hosts {
        let home = send(gateway.edge, get("/", host)).await.text();
        for _ in 0..3 {
            assert_eq!(send(gateway.edge, get("/", host)).await.text(), home);
            let login = send(gateway.edge, post("/login", host, "user=x")).await;
            assert_eq!(login.text(), home);
        }
        used.insert(home);
    }
    assert!(
        used.len() >= 3,
        "twelve schools over four backends: {used:?}"
    );
}

#[tokio::test]
async fn a_session_stays_where_it_began_although_its_school_has_moved() {
    let mut backends = Vec::new();
    for _ in 0..3 {
        backends.push(with_sessions().await.0);
    }
    let more = "[region.north.affinity]\nby = \"school\"\n";
    let gateway = gateway(&backends, more).await;
    let mut old = Browser::new(gateway.edge, GYM);
    let home = old.post("/login", "user=x").await.text();
    drain(&gateway, "north", home.parse().unwrap(), true).await;
    let mut new = Browser::new(gateway.edge, GYM);
    let other = new.post("/login", "user=x").await.text();
    assert_ne!(home, other);
    for ends in [true, false] {
        for _ in 0..6 {
            assert_eq!(old.get("/").await.text(), home);
            assert_eq!(new.get("/").await.text(), other);
        }
        if ends {
            drain(&gateway, "north", home.parse().unwrap(), false).await;
        }
    }
}
