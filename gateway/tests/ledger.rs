//! What a room costs in Redis, and what a slow Redis costs a pupil: nothing that grows, and nothing.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;
#[path = "../../admission/tests/server/mod.rs"]
mod redis_server;

use std::time::{Duration, Instant};

use common::backend::{Backend, FINE};
use common::{Browser, Gateway, Setup, eventually, get, platform, post, send, try_send};
use einlass_benches::platform::HashCost;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use redis_server::RedisServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until};

const GYM: &str = "gym.example";
/// Many: whoever joins waits for the next call to Redis, and all who come meanwhile go in one.
const CONNECTIONS: usize = 128;

fn store(port: u16) -> String {
    format!("[store]\nredis = \"redis://127.0.0.1:{port}\"\n")
}

type Ask = hyper::Request<Full<Bytes>>;

/// Sends so many requests over some connections, one after the other on each. Each request is told
/// its number.
async fn send_many(
    gateway: &Gateway,
    count: usize,
    request: impl Fn(usize) -> Ask + Send + Clone + 'static,
) {
    let mut tasks = Vec::new();
    for connection in 0..CONNECTIONS {
        let address = gateway.edge;
        let request = request.clone();
        tasks.push(tokio::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(driver);
            for number in (connection..count).step_by(CONNECTIONS) {
                let answer = sender.send_request(request(number)).await.unwrap();
                drop(answer.into_body().collect().await);
                sender.ready().await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// Commands of all kinds that Redis carried out so far, those inside Functions too, but not the ones
/// by which this test looks.
fn commands(redis: &RedisServer) -> u64 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let ours = ["info", "keys", "memory|usage"];
    let calls = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls: u64 = rest.split(',').next()?.parse().ok()?;
        (!ours.contains(&name)).then_some(calls)
    };
    stats.lines().filter_map(calls).sum()
}

/// Bytes of all keys.
fn memory(redis: &RedisServer) -> u64 {
    let keys = redis.cli(&["KEYS", "*"]);
    keys.lines()
        .filter_map(|key| {
            redis
                .cli(&["MEMORY", "USAGE", key, "SAMPLES", "0"])
                .trim()
                .parse::<u64>()
                .ok()
        })
        .sum()
}

/// A room that nobody leaves: one of so many schools, by its number.
fn school(number: usize) -> String {
    format!("school{number}.example")
}

fn login(number: usize, schools: usize) -> Ask {
    let form = "username=pupil001&password=demo-password&csrf=x";
    post("/login", &school(number % schools), form)
}

async fn until_waiting(gateway: &Gateway, pupils: f64) {
    let reached = async || {
        let waiting = gateway.metric("einlass_waiting_pupils{pool=\"north\"}");
        waiting.await >= pupils
    };
    assert!(eventually(reached).await, "never {pupils} waiting");
}

async fn commands_per_second(
    redis: &RedisServer,
    window: Duration,
    meanwhile: impl Future<Output = ()>,
) -> f64 {
    let (before, begun) = (commands(redis), Instant::now());
    meanwhile.await;
    sleep(window.saturating_sub(begun.elapsed())).await;
    (commands(redis) - before) as f64 / begun.elapsed().as_secs_f64()
}

/// Fills a room of so many schools, open or closed, and compares what Redis has to do with it when
/// 100 and when 100,000 wait.
async fn what_a_room_costs(schools: usize, more: &str) {
    const POLLS: usize = 20_000;
    const WINDOW: Duration = Duration::from_secs(5);
    // A login that never ends: the slot is taken, and everybody else waits.
    let backend = Backend::holding(FINE).await;
    let redis = RedisServer::start(&[]);
    let names: Vec<String> = (0..schools).map(school).collect();
    let all: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1_000)).collect();
    let gateway = Setup::default()
        .region("north", &[backend.address], 1, &all, more)
        .text("[region.north.upstream]\nlogin_timeout = \"10m\"\n")
        .text(&store(redis.port))
        .start()
        .await;
    gateway.until_mode("shared").await;
    let first = login(0, schools);
    let edge = gateway.edge;
    if more.contains("closed") {
        send(edge, first).await;
    } else {
        // Ends with the gateway, and nobody minds.
        tokio::spawn(async move { drop(try_send(edge, first).await) });
        assert!(eventually(async || backend.count() == 1).await);
    }
    send_many(&gateway, 112, move |n| login(n, schools)).await;
    until_waiting(&gateway, 100.0).await;
    let bytes_before = memory(&redis);
    // A machine that is busy with something else makes a gateway ask less often, never more.
    let mut few = 0.0_f64;
    for _ in 0..3 {
        few = few.max(commands_per_second(&redis, WINDOW, async {}).await);
    }
    send_many(&gateway, 100_000, move |n| login(n, schools)).await;
    until_waiting(&gateway, 100_000.0).await;
    let bytes = memory(&redis);
    // Somebody with a place asks for it, again and again.
    let mut browser = Browser::new(gateway.edge, &school(0));
    let sent = browser.send(login(0, schools)).await;
    assert_eq!(sent.location(), "/_einlass/wait");
    let ticket = browser.cookies["einlass_ticket"].clone();
    let poll = move |_| {
        let mut request = get("/_einlass/turn", &school(0));
        let cookie = format!("einlass_ticket={ticket}").parse().unwrap();
        request.headers_mut().insert("cookie", cookie);
        request
    };
    let known = send(gateway.edge, poll(0)).await.json();
    assert!(known["ahead"].as_u64().unwrap() > 1_000, "{known}");
    let polls = "einlass_polls_total{pool=\"north\"}";
    let before = gateway.metric(polls).await;
    let mut many = 0.0_f64;
    for _ in 0..2 {
        let polled = send_many(&gateway, POLLS, poll.clone());
        many = many.max(commands_per_second(&redis, WINDOW, polled).await);
    }
    let answered = gateway.metric(polls).await - before;
    let grown = bytes.saturating_sub(bytes_before);
    println!(
        "{schools} schools: {few:.1} commands/s with 100 waiting, {many:.1} with 100,000 and {answered} polls; {grown} bytes more"
    );
    assert_eq!(gateway.modes().await, ["shared"]);
    assert!(answered >= 2.0 * POLLS as f64, "{answered} polls");
    assert!(many < 1.1 * few, "{few} and {many} commands/s");
    assert!(many > 0.9 * few, "{few} and {many} commands/s");
    assert!(grown < 1_000 * schools as u64, "{grown} bytes more");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_does_not_notice_how_many_wait_at_a_closed_room() {
    what_a_room_costs(1, "mode = \"closed\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_does_not_notice_how_many_wait_at_an_open_room_of_many_schools() {
    what_a_room_costs(50, "hold = \"0s\"").await;
}

/// A way to Redis on which everything takes a while longer.
async fn delayed(redis: u16, delay: watch::Receiver<Duration>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((from, _)) = listener.accept().await {
            let to = TcpStream::connect(("127.0.0.1", redis)).await.unwrap();
            let ((from_read, from_write), (to_read, to_write)) =
                (from.into_split(), to.into_split());
            for (mut read, mut write) in [(from_read, to_write), (to_read, from_write)] {
                let (sender, mut parts) =
                    mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
                let delay = delay.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 65_536];
                    while let Ok(length @ 1..) = read.read(&mut buffer).await {
                        let due = tokio::time::Instant::now() + *delay.borrow() / 2;
                        if sender.send((due, buffer[..length].to_vec())).is_err() {
                            return;
                        }
                    }
                });
                tokio::spawn(async move {
                    while let Some((due, part)) = parts.recv().await {
                        sleep_until(due).await;
                        if write.write_all(&part).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    port
}

/// How often it is changed between near and far, and logins in between.
const ROUNDS: usize = 9;
const LOGINS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_goes_straight_through_does_not_wait_for_redis() {
    let platform = platform(1, 4, HashCost::QUICK).await;
    let redis = RedisServer::start(&[]);
    let (delay, watched) = watch::channel(Duration::ZERO);
    let port = delayed(redis.port, watched).await;
    let gateway = Setup::default()
        .region("north", platform.backends(), 8, &[(GYM, 900)], "")
        .text(&store(port))
        // A call takes 200 ms at least, and this machine may be busy.
        .text("timeout = \"1s\"\n")
        .start()
        .await;
    gateway.until_mode("shared").await;
    // One after the other with Redis near and far, so that a machine that is slower for a while is so
    // for both. How often the room was not shared is counted.
    let mut times = [Vec::new(), Vec::new()];
    let mut elsewhere = 0;
    for round in 0..ROUNDS {
        for (away, times) in [0, 200].into_iter().zip(&mut times) {
            delay.send_replace(Duration::from_millis(away));
            // Until no answer is on its way by the old delay, and some have come by the new one.
            sleep(Duration::from_millis(700)).await;
            gateway.until_mode("shared").await;
            for _ in 0..LOGINS {
                let mut browser = Browser::new(gateway.edge, GYM);
                let form = browser.form().await;
                let begun = Instant::now();
                let answer = browser.post("/login", &form).await;
                // The first round warms up.
                if round > 0 {
                    times.push(begun.elapsed());
                }
                assert_eq!(answer.location(), "/");
                elsewhere += usize::from(gateway.modes().await != ["shared"]);
            }
        }
    }
    let [quick, slow] = times.map(|mut times| {
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() * 9 / 10])
    });
    let ratio = slow.0.as_secs_f64() / quick.0.as_secs_f64();
    println!(
        "median and nine of ten: {quick:?}, with Redis 200 ms away {slow:?}: {ratio:.3}; {elsewhere} times not shared"
    );
    // What is left is this machine's noise; to wait for Redis once is four hundred times as long.
    assert!(ratio < 1.25, "{quick:?} and {slow:?}");
    for (_, nine_of_ten) in [quick, slow] {
        assert!(
            nine_of_ten < Duration::from_millis(100),
            "{quick:?} and {slow:?}"
        );
    }
    assert!(elsewhere < 50, "{elsewhere} times not shared");
}
