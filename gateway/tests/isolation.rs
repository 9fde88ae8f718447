//! One room's trouble is never another's: a region whose backends answer nothing keeps its pupils'
//! places, tells them the truth, and comes back slowly; and nobody else notices.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;
#[path = "../../admission/tests/server/mod.rs"]
mod redis_server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::backend::{Backend, FINE};
use common::steady::Steady;
use common::{Browser, Gateway, Setup, eventually, get, platform, post, send};
use einlass_benches::platform::{HashCost, Hole};
use einlass_benches::rush::{Live, Plan, School, run};
use hyper::StatusCode;
use redis_server::RedisServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

const NORTH: &str = "north.example";
const SOUTH: &str = "south.example";
/// Logins that may be in flight in the north.
const CAP: usize = 32;
/// And while nothing comes back from there.
const TRIALS: usize = 4;
const DOWN: &str = "einlass_pool_down{pool=\"north\"}";

/// Somebody who waits and looks at the page again and again.
struct Looking {
    over: watch::Sender<bool>,
    task: JoinHandle<Vec<JoinHandle<Duration>>>,
}

impl Looking {
    fn start(pupil: &Browser) -> Self {
        let over = watch::Sender::new(false);
        let (ended, pupil) = (over.subscribe(), pupil.clone());
        let task = tokio::spawn(async move {
            let mut looks = Vec::new();
            let mut ticks = tokio::time::interval(Duration::from_millis(25));
            while !*ended.borrow() {
                ticks.tick().await;
                let mut pupil = pupil.clone();
                looks.push(tokio::spawn(async move {
                    let asked = Instant::now();
                    let page = pupil.get("/_einlass/wait").await;
                    let took = asked.elapsed();
                    assert_eq!(page.status, StatusCode::OK);
                    assert!(page.text().contains("<h1 id=\"title\">"));
                    took
                }));
            }
            looks
        });
        Self { over, task }
    }

    /// The page came within a second, each time but for what a machine that pauses does to one in a hundred.
    async fn judge(self, gateway: &Gateway) {
        assert!(gateway.metric(DOWN).await > 0.0, "it was down all the time");
        self.over.send_replace(true);
        let mut took = Vec::new();
        for look in self.task.await.unwrap() {
            took.push(look.await.unwrap());
        }
        took.sort();
        let (looks, longest) = (took.len(), took[took.len() - 1]);
        let nearly_all = took[looks * 99 / 100];
        println!(
            "{looks} looks at the page, 99 of 100 within {nearly_all:?}, all within {longest:?}"
        );
        assert!(looks >= 100, "{looks}");
        assert!(nearly_all < Duration::from_secs(1), "{nearly_all:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_answers_no_login_is_noticed_by_its_own_pupils_only() {
    let north = platform(2, 2, HashCost::QUICK).await;
    let south = platform(1, 2, HashCost::QUICK).await;
    let gateway = Setup::default()
        .region(
            "north",
            north.backends(),
            CAP,
            &[(NORTH, 2_000)],
            "mode = \"adaptive\"",
        )
        .region("south", south.backends(), 64, &[(SOUTH, 900)], "")
        .text("[region.north.upstream]\nlogin_timeout = \"3s\"\n")
        .start()
        .await;
    let plan = Plan {
        targets: vec![gateway.edge],
        schools: vec![School::new(NORTH, 2_000)],
        platforms: vec![north.control().unwrap()],
        // Whatever happens to the backends, an answer comes.
        request_timeout: Duration::from_secs(20),
        reloads: 20,
        ..Plan::default()
    };
    // The room learns how long a login takes.
    let quiet = Plan {
        pupils: 100,
        ..plan.clone()
    };
    let report = run(quiet).await.unwrap();
    assert_eq!((report.got_in, report.errors.len()), (100, 0));

    north.set_workers(0);
    let quiet_day = Steady::start(gateway.edge, SOUTH, Duration::from_millis(40));
    let live = Arc::new(Live::default());
    let crowd = tokio::spawn(run(Plan {
        pupils: 2_000,
        arrive_over: Duration::from_secs(3),
        live: Arc::clone(&live),
        ..plan
    }));
    let gateway = &gateway;
    assert!(eventually(async || gateway.metric(DOWN).await > 0.0).await);
    let mut pupil = Browser::new(gateway.edge, NORTH);
    let form = pupil.form().await;
    let sent = pupil.post("/login", &form).await;
    assert_eq!(sent.location(), "/_einlass/wait");
    let page = pupil.get("/_einlass/wait").await.text();
    assert!(
        page.contains("<h1 id=\"title\">Der Server deiner Schule antwortet nicht"),
        "{page}"
    );
    assert!(page.contains("Du behältst deinen Platz") && page.contains("noch nicht bekannt"));
    let turn = pupil.until("held").await;
    assert!(turn["eta_seconds"].is_null(), "{turn}");
    let looking = Looking::start(&pupil);
    // Everybody has a place: called before it was clear, or waiting.
    assert!(eventually(async || live.answered() >= 1_900).await);
    // What hung when it began has been given up; from then on a few try.
    assert!(eventually(async || north.in_flight() <= TRIALS).await);
    let tried = north.snapshot(false).totals.received;
    let looked = Instant::now();
    while looked.elapsed() < Duration::from_secs(3) {
        assert!(north.in_flight() <= TRIALS, "{}", north.in_flight());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let more = north.snapshot(false).totals.received - tried;
    assert!(more <= 4, "{more} tried in three seconds");

    looking.judge(gateway).await;
    north.set_workers(2);
    let report = crowd.await.unwrap().unwrap();
    assert_eq!(report.got_in, report.started, "{:?}", report.errors);
    assert!(
        report.errors.keys().all(|kind| kind == "http_504"),
        "{:?}",
        report.errors
    );
    for (what, times) in [
        ("lost their places", report.lost_place),
        ("places grew", report.shown_place_grew),
        ("inversions", report.order_inversions),
    ] {
        assert_eq!(times, 0, "{what}");
    }
    let most = report.max_in_flight().unwrap();
    assert!(most <= CAP, "{most} in flight");
    pupil.until("ready").await;
    assert_eq!(pupil.enter().await.location(), "/");

    let (fine, failed) = quiet_day.end().await;
    assert!(failed.is_empty(), "{fine} of the south in, and {failed:?}");
    assert!(fine > 100, "{fine}");
    let turns = gateway
        .metric("einlass_turns_total{pool=\"south\",outcome=\"Queued\"}")
        .await;
    assert!(turns < 1.0, "{turns} had to wait in the south");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_swallows_everything_is_no_reason_to_hang() {
    let north = platform(1, 2, HashCost::QUICK).await;
    let hole = Hole::at("127.0.0.1:0".parse().unwrap(), north.backends()[0])
        .await
        .unwrap();
    let gateway = Setup::default()
        .region(
            "north",
            &[hole.address],
            8,
            &[(NORTH, 900)],
            "mode = \"adaptive\"",
        )
        .text("[region.north.upstream]\nlogin_timeout = \"3s\"\n")
        .start()
        .await;
    let mut pupils = Vec::new();
    for _ in 0..30 {
        let mut pupil = Browser::new(gateway.edge, NORTH);
        let form = pupil.form().await;
        pupils.push((pupil, form));
    }
    for (pupil, form) in &mut pupils[..10] {
        assert_eq!(pupil.post("/login", form).await.location(), "/");
    }
    hole.swallow();
    // A few hang at the backend until it is clear that nothing comes back; whoever is sent to wait
    // comes when called, as browsers do.
    let mut hanging = tokio::task::JoinSet::new();
    for (mut pupil, form) in pupils.drain(10..18) {
        hanging.spawn(async move {
            let answer = pupil.post("/login", &form).await;
            if answer.location() == "/_einlass/wait" {
                tokio::spawn(async move { get_in(&mut pupil, &form).await });
            }
            answer.status
        });
    }
    let gateway = &gateway;
    assert!(eventually(async || gateway.metric(DOWN).await > 0.0).await);
    let (first, form) = &mut pupils[10];
    // Nobody waits yet, so the first may be one of those who try, and is told that no answer came.
    let mut tried = 0;
    while first.post("/login", form).await.location() != "/_einlass/wait" {
        tried += 1;
        assert!(tried < TRIALS, "nobody is given a place");
    }
    first.until("held").await;
    for (pupil, form) in &mut pupils[11..] {
        let answer = pupil.post("/login", form).await;
        assert_eq!(answer.location(), "/_einlass/wait");
        let turn = pupil.turn().await;
        assert!(
            turn["state"] == "held" || turn["state"] == "ready",
            "{turn}"
        );
        assert!(turn["eta_seconds"].is_null(), "{turn}");
    }
    let mut reader = Browser::new(gateway.edge, NORTH);
    let page = reader.get("/").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text().contains("antwortet nicht"));
    while let Some(answer) = hanging.join_next().await {
        let answer = answer.unwrap();
        let told = [StatusCode::GATEWAY_TIMEOUT, StatusCode::SEE_OTHER];
        assert!(told.contains(&answer), "{answer}");
    }
    hole.open();
    let mut entering = tokio::task::JoinSet::new();
    for (mut pupil, form) in pupils.drain(10..) {
        entering.spawn(async move { get_in(&mut pupil, &form).await });
    }
    while let Some(inside) = entering.join_next().await {
        assert!(inside.unwrap());
    }
    assert!(eventually(async || gateway.metric(DOWN).await < 1.0).await);
    assert!(north.snapshot(false).max_in_flight <= 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_timeout_at_a_pool_that_is_known_to_be_silent() {
    let north = platform(1, 2, HashCost::QUICK).await;
    let hole = Hole::at("127.0.0.1:0".parse().unwrap(), north.backends()[0])
        .await
        .unwrap();
    // Every deadline as it is by default: a minute for pages, half of one for logins.
    let gateway = Setup::default()
        .region(
            "north",
            &[hole.address],
            8,
            &[(NORTH, 900)],
            "mode = \"adaptive\"",
        )
        .start()
        .await;
    let mut pupils = Vec::new();
    for _ in 0..18 {
        let mut pupil = Browser::new(gateway.edge, NORTH);
        let form = pupil.form().await;
        pupils.push((pupil, form));
    }
    for (pupil, form) in &mut pupils[..10] {
        assert_eq!(pupil.post("/login", form).await.location(), "/");
    }
    hole.swallow();
    let mut hanging = tokio::task::JoinSet::new();
    for (mut pupil, form) in pupils.drain(10..) {
        hanging.spawn(async move {
            let sent = Instant::now();
            let answer = pupil.post("/login", &form).await;
            (answer.status, sent.elapsed())
        });
    }
    let known = || gateway.log().contains("No backend answers anything");
    assert!(eventually(async || known()).await, "nobody knocks");
    for path in ["/", "/login"] {
        for _ in 0..5 {
            let mut reader = Browser::new(gateway.edge, NORTH);
            let sent = Instant::now();
            let page = reader.get(path).await;
            assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(page.text().contains("antwortet nicht"));
            // One of them may be the one that tries.
            assert!(sent.elapsed() < Duration::from_secs(15), "{path}");
        }
    }
    while let Some(answer) = hanging.join_next().await {
        let (status, waited) = answer.unwrap();
        let told = [StatusCode::GATEWAY_TIMEOUT, StatusCode::SEE_OTHER];
        assert!(told.contains(&status), "{status}");
        assert!(waited < Duration::from_secs(25), "{waited:?}");
    }
    hole.open();
    let mut reader = Browser::new(gateway.edge, NORTH);
    let mut fine = async || reader.get("/login").await.status == StatusCode::OK;
    let opened = Instant::now();
    while !fine().await {
        assert!(opened.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A region of one backend, with every deadline as it is by default: a minute for pages.
async fn in_front_of(backend: SocketAddr) -> Gateway {
    Setup::default()
        .region("north", &[backend], 8, &[(NORTH, 900)], "")
        .start()
        .await
}

/// Pages of nobody in particular, asked for at once.
fn ask(gateway: &Gateway, pages: usize) -> JoinSet<()> {
    let edge = gateway.edge;
    let mut asking = JoinSet::new();
    for _ in 0..pages {
        asking.spawn(async move {
            let asked = Instant::now();
            let page = send(edge, get("/", NORTH)).await;
            let waited = asked.elapsed();
            println!("{} after {waited:?}", page.status);
            assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(page.text().contains("antwortet nicht"), "{}", page.text());
            assert!(waited < Duration::from_secs(25), "{waited:?}");
        });
    }
    asking
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_were_asked_for_before_anybody_knew_are_told_soon_and_a_login_is_sent_once() {
    let north = platform(1, 2, HashCost::QUICK).await;
    let hole = Hole::at("127.0.0.1:0".parse().unwrap(), north.backends()[0])
        .await
        .unwrap();
    let gateway = in_front_of(hole.address).await;
    let mut pupil = Browser::new(gateway.edge, NORTH);
    let form = pupil.form().await;
    hole.swallow();
    // One of them on the connection that the form came by, the others on new ones.
    let asking = ask(&gateway, 6);
    let login = tokio::spawn(async move { pupil.post("/login", &form).await.status });
    let edge = gateway.edge;
    let posted: JoinHandle<StatusCode> =
        tokio::spawn(async move { send(edge, post("/save", NORTH, "text=y")).await.status });
    asking.join_all().await;
    // What may have changed something is not given up.
    assert!(!posted.is_finished());
    assert_eq!(login.await.unwrap(), StatusCode::GATEWAY_TIMEOUT);
    hole.open();
    assert_ne!(posted.await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    let received = || north.snapshot(false).totals.received;
    assert!(eventually(async || received() >= 1).await);
    let fine = async || send(edge, get("/login", NORTH)).await.status == StatusCode::OK;
    assert!(eventually(fine).await);
    assert_eq!(received(), 1, "it was sent once");
}

/// A minute is for answers like this one.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_at_a_backend_that_answers_others_is_left_alone() {
    let takes = |request: &str| {
        let long = request.starts_with("GET /poll");
        Duration::from_secs(if long { 12 } else { 0 })
    };
    let backend = Backend::taking(takes, FINE).await;
    let gateway = in_front_of(backend.address).await;
    let asked = Instant::now();
    let answer = send(gateway.edge, get("/poll", NORTH)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(asked.elapsed() > Duration::from_secs(11));
    assert!(
        backend.count() > 1,
        "it was asked whether it answers at all"
    );
}

/// Whoever comes first may be told too much. After that it is known how slow this backend is.
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_only_very_slow_goes_on_being_used() {
    let backend = Backend::taking(|_| Duration::from_secs(7), FINE).await;
    let gateway = in_front_of(backend.address).await;
    let answered = async || send(gateway.edge, get("/", NORTH)).await.status == StatusCode::OK;
    assert!(eventually(answered).await);
    assert!(answered().await);
}

/// A backend that begins its answer to `/long` and ends it when it speaks again; to everything else it says
/// what it says while it speaks, and nothing else.
async fn falls_silent() -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let speaks = watch::Sender::new(true);
    let watched = speaks.subscribe();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut speaks = watched.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                if head.starts_with(b"GET /long") {
                    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf";
                    stream.write_all(half).await.unwrap();
                    // Until it has been silent, and speaks again.
                    speaks.wait_for(|speaks| !speaks).await.unwrap();
                    speaks.wait_for(|speaks| *speaks).await.unwrap();
                    stream.write_all(b"half").await.unwrap();
                } else if *speaks.borrow() {
                    stream.write_all(FINE).await.unwrap();
                } else {
                    let mut nothing = [0; 64];
                    while stream.read(&mut nothing).await.unwrap_or(0) > 0 {}
                }
            });
        }
    });
    (address, speaks)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_has_begun_is_not_given_up() {
    let (address, speaks) = falls_silent().await;
    let gateway = in_front_of(address).await;
    let edge = gateway.edge;
    let long = tokio::spawn(async move { send(edge, get("/long", NORTH)).await.text() });
    let of = format!("requests{{pool=\"north\",backend=\"{address}\"}}");
    let begun = async || {
        let number = async |what: &str| {
            let name = format!("einlass_backend_{what}_{of}");
            gateway.metric(&name).await
        };
        number("unfinished").await > 0.0 && number("in_flight").await < 1.0
    };
    assert!(eventually(begun).await);
    speaks.send_replace(false);
    ask(&gateway, 3).join_all().await;
    assert!(!long.is_finished());
    speaks.send_replace(true);
    assert_eq!(long.await.unwrap(), "halfhalf");
    let fine = async || send(edge, get("/", NORTH)).await.status == StatusCode::OK;
    assert!(eventually(fine).await);
}

/// Waits, goes in, and is told to type again at most as often as somebody had to try.
async fn get_in(pupil: &mut Browser, form: &str) -> bool {
    for _ in 0..10 {
        pupil.until("ready").await;
        pupil.enter().await;
        if pupil.logged_in() {
            return true;
        }
        // Sent to try while nothing came back: the place is kept, the form is sent once more.
        pupil.post("/login", form).await;
        if pupil.logged_in() {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn all_gateways_know_that_nothing_comes_back_and_few_try_over_all_of_them() {
    let north = platform(1, 2, HashCost::QUICK).await;
    let redis = RedisServer::start(&[]);
    let setup = || {
        let more = format!(
            "[region.north.upstream]\nlogin_timeout = \"3s\"\n\
             [store]\nredis = \"redis://127.0.0.1:{}\"\n",
            redis.port
        );
        let adaptive = "mode = \"adaptive\"";
        Setup::default()
            .region("north", north.backends(), CAP, &[(NORTH, 900)], adaptive)
            .text(&more)
    };
    let first = setup().start().await;
    let second = setup().start_beside(&first).await;
    for gateway in [&first, &second] {
        gateway.until_mode("shared").await;
    }
    let plan = Plan {
        targets: vec![first.edge, second.edge],
        schools: vec![School::new(NORTH, 900)],
        platforms: vec![north.control().unwrap()],
        request_timeout: Duration::from_secs(20),
        reloads: 20,
        move_between: true,
        joins_apart: Duration::from_secs(1),
        ..Plan::default()
    };
    let quiet = run(plan.clone()).await.unwrap();
    assert_eq!((quiet.got_in, quiet.errors.len()), (100, 0));
    north.set_workers(0);
    let crowd = tokio::spawn(run(Plan {
        pupils: 300,
        live: Arc::default(),
        ..plan
    }));
    for gateway in [&first, &second] {
        assert!(eventually(async || gateway.metric(DOWN).await > 0.0).await);
    }
    assert!(eventually(async || north.in_flight() <= TRIALS).await);
    let looked = Instant::now();
    while looked.elapsed() < Duration::from_secs(2) {
        assert!(north.in_flight() <= TRIALS, "{}", north.in_flight());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    north.set_workers(2);
    let report = crowd.await.unwrap().unwrap();
    assert_eq!(report.got_in, report.started, "{:?}", report.errors);
    assert_eq!((report.lost_place, report.order_inversions), (0, 0));
    assert!(report.max_in_flight().unwrap() <= CAP);
    for gateway in [&first, &second] {
        assert!(eventually(async || gateway.metric(DOWN).await < 1.0).await);
    }
}
