//! What breaks a backend, for logins and for pages: the others take over, it is out within three seconds, and
//! when it works again it is back, slowly.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::task::{LocalSet, spawn_local};

use super::common::{eventually, get, post, send};
use super::fickle::{self, Fickle, Mood};
use super::return_slowly::starts_slowly;
use super::stream::{Asked, Stream};
use super::{GYM, NIMBLE, QUICK, gateway, state};

/// So long a backend takes that has always some requests in flight.
const USUAL: Mood = Mood::Fine(Duration::from_millis(100));
/// How many may try a backend that is out meanwhile: with an ejection of one second and then two.
const TRIALS: usize = 4;
/// How long a backend that is out stays broken in a test.
const AWAY: Duration = Duration::from_millis(2_500);
/// What a broken backend says, and then closes.
const SAYS: [(&str, &[u8]); 6] = [
    ("503", b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
    ("502", b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"),
    ("garbage", b"this is not HTTP\r\n\r\n"),
    ("half a header", b"HTTP/1.1 200 O"),
    (
        "a wrong length",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nwhat",
    ),
    (
        "half of what it announced",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf",
    ),
];

/// Three backends under a stream of requests; what breaks one of them, and what mends it. It must be
/// out within three seconds, none fails but those sent to it, and it comes back slowly.
pub(super) async fn breaks_and_mends<B, M>(
    asked: Asked,
    usual: Mood,
    breaks: impl FnOnce(Arc<Fickle>) -> B,
    mends: impl FnOnce(Arc<Fickle>) -> M,
) where
    B: Future<Output = ()>,
    M: Future<Output = ()>,
{
    let backends = [
        Fickle::on(fickle::short_queue(), usual, 10_000),
        Fickle::start(usual).await,
        Fickle::start(usual).await,
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
    println!("{asked:?}: out after {took:?}");
    let curve = starts_slowly(&gateway, bad.address, Some(&bad)).await;
    let busiest = curve.iter().map(|look| look.at_work).max();
    if usual == USUAL {
        // There is always work for more than one; it is given that when it may be.
        assert!(busiest >= Some(2), "{curve:?}");
    }
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

/// Breaks a backend by what it does from now on, and mends it.
pub(super) async fn turns(asked: Asked, usual: Mood, bad: Mood) {
    let breaks = async |backend: Arc<Fickle>| backend.set(bad);
    let mends = async |backend: Arc<Fickle>| backend.set(usual);
    breaks_and_mends(asked, usual, breaks, mends).await;
}

/// Each in front of a gateway of its own, all at the same time.
async fn says(asked: Asked) {
    let cases = async {
        let case = |(what, text)| (what, spawn_local(turns(asked, USUAL, Mood::Says(text))));
        for (what, case) in SAYS.map(case) {
            assert!(case.await.is_ok(), "{asked:?} and {what}");
        }
    };
    LocalSet::new().run_until(cases).await;
}

#[tokio::test]
async fn a_backend_that_answers_logins_with_anything_but_an_answer_is_left_out_and_comes_back() {
    says(Asked::Login).await;
}

#[tokio::test]
async fn a_backend_that_answers_pages_with_anything_but_an_answer_is_left_out_and_comes_back() {
    says(Asked::Page).await;
}

async fn refuses(asked: Asked) {
    let breaks = async |bad: Arc<Fickle>| bad.stop();
    let mends = async |bad: Arc<Fickle>| bad.start_again().await;
    breaks_and_mends(asked, USUAL, breaks, mends).await;
}

#[tokio::test]
async fn a_backend_whose_port_refuses_is_left_out_and_comes_back() {
    tokio::join!(refuses(Asked::Login), refuses(Asked::Page));
}

#[tokio::test]
async fn a_backend_that_never_answers_is_left_out_and_comes_back() {
    tokio::join!(
        turns(Asked::Login, QUICK, Mood::Silent),
        turns(Asked::Page, QUICK, Mood::Silent)
    );
}

/// As a firewall does it that is switched on in the middle of the morning.
#[tokio::test]
async fn a_backend_that_begins_to_swallow_connections_is_left_out_and_comes_back() {
    tokio::join!(swallows(Asked::Login), swallows(Asked::Page));
}

async fn swallows(asked: Asked) {
    let kept = Mutex::new(None);
    let breaks = async |bad: Arc<Fickle>| {
        *kept.lock().unwrap() = Some(bad.swallow().await);
    };
    let mends = async |bad: Arc<Fickle>| {
        let swallows = kept.lock().unwrap().take().unwrap();
        bad.accept_again(swallows);
    };
    breaks_and_mends(asked, QUICK, breaks, mends).await;
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
    starts_slowly(&gateway, address, Some(&back)).await;
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
