//! What a room costs in Redis, and what a slow Redis costs a pupil: nothing that grows, and nothing.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;
#[path = "../../admission/tests/server/mod.rs"]
mod redis_server;

use std::time::{Duration, Instant};

use common::{Browser, Gateway, Setup, eventually, get, platform, post};
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
const CONNECTIONS: usize = 16;

fn store(port: u16) -> String {
    format!("[store]\nredis = \"redis://127.0.0.1:{port}\"\n")
}

/// Sends so many requests over a few connections, one after the other on each.
async fn send_many(gateway: &Gateway, count: usize, request: fn() -> hyper::Request<Full<Bytes>>) {
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let address = gateway.edge;
        tasks.push(tokio::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .unwrap();
            tokio::spawn(connection);
            for _ in 0..count.div_ceil(CONNECTIONS) {
                let answer = sender.send_request(request()).await.unwrap();
                drop(answer.into_body().collect().await);
                sender.ready().await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// Commands that Redis carried out so far, but for those of this test.
fn commands(redis: &RedisServer) -> u64 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let calls = stats.lines().filter(|l| l.starts_with("cmdstat_fcall:"));
    calls
        .filter_map(|line| {
            line.split("calls=")
                .nth(1)?
                .split(',')
                .next()?
                .parse::<u64>()
                .ok()
        })
        .sum()
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

#[tokio::test(flavor = "multi_thread")]
async fn redis_does_not_notice_how_many_wait() {
    const WINDOW: Duration = Duration::from_secs(8);
    let platform = platform(1, 1, HashCost::QUICK).await;
    let redis = RedisServer::start(&[]);
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(GYM, 1_000)],
            "mode = \"closed\"",
        )
        .text(&store(redis.port))
        .start()
        .await;
    gateway.until_mode("shared").await;
    let login = || {
        post(
            "/login",
            GYM,
            "username=pupil001&password=demo-password&csrf=x",
        )
    };
    let waiting = async |pupils: f64| {
        let reached = async || {
            gateway
                .metric("einlass_waiting_pupils{pool=\"north\"}")
                .await
                >= pupils
        };
        assert!(eventually(reached).await, "never {pupils} waiting");
    };
    send_many(&gateway, 112, login).await;
    waiting(100.0).await;
    let bytes_before = memory(&redis);
    let before = commands(&redis);
    sleep(WINDOW).await;
    let few = commands(&redis) - before;
    send_many(&gateway, 100_000, login).await;
    waiting(100_000.0).await;
    let bytes = memory(&redis);
    let before = commands(&redis);
    let begun = Instant::now();
    // Polls do not reach Redis.
    send_many(&gateway, 5_000, || get("/_einlass/turn", GYM)).await;
    sleep(WINDOW.saturating_sub(begun.elapsed())).await;
    let many = commands(&redis) - before;
    let grown = bytes.saturating_sub(bytes_before);
    println!("{few} commands with 100 waiting, {many} with 100,000; {grown} bytes more");
    let per_second = |commands: u64, time: Duration| commands as f64 / time.as_secs_f64();
    let ratio = per_second(many, begun.elapsed()) / per_second(few, WINDOW);
    assert!((0.8..1.25).contains(&ratio), "{few} and {many}: {ratio}");
    assert!(grown < 1_000, "{grown} bytes more");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_goes_straight_through_does_not_wait_for_redis() {
    let platform = platform(1, 4, HashCost::QUICK).await;
    let redis = RedisServer::start(&[]);
    let (delay, watched) = watch::channel(Duration::ZERO);
    let port = delayed(redis.port, watched).await;
    let gateway = Setup::default()
        .region("north", platform.backends(), 8, &[(GYM, 900)], "")
        .text(&store(port))
        .start()
        .await;
    gateway.until_mode("shared").await;
    let median = async || {
        let mut times = Vec::new();
        for _ in 0..60 {
            let mut browser = Browser::new(gateway.edge, GYM);
            let form = browser.form().await;
            let begun = Instant::now();
            let answer = browser.post("/login", &form).await;
            times.push(begun.elapsed());
            assert_eq!(answer.location(), "/");
        }
        times.sort_unstable();
        times[times.len() / 2]
    };
    median().await;
    let quick = median().await;
    delay.send_replace(Duration::from_millis(200));
    sleep(Duration::from_secs(1)).await;
    let slow = median().await;
    let ratio = slow.as_secs_f64() / quick.as_secs_f64();
    println!("a login took {quick:?}, with Redis 200 ms away {slow:?}: {ratio:.2}");
    // Waiting for Redis even once would be a hundred times as long.
    assert!(ratio < 20.0, "{quick:?} and {slow:?}");
}
