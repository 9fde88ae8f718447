//! What is long passes through as it comes, and is not gathered in the gateway. `make streams` does the
//! same with more of everything.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{Gateway, Setup, eventually, platform};
use einlass_benches::platform::{HashCost, Platform};
use einlass_benches::rush::{Plan, Report, School, run};
use einlass_benches::streams::Visitor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

const GYM: &str = "gym.example";
const MIB: u64 = 1 << 20;
/// A body of the size that must not be kept.
const LONG: u64 = 256 * MIB;
/// What the process may grow by meanwhile: buffers, connections and an allocator's habits.
const GROWTH: u64 = 48 * MIB;
/// How long something is waited for that should be there.
const PATIENCE: Duration = Duration::from_secs(20);

struct Scene {
    platform: Platform,
    gateway: Gateway,
    visitor: Visitor,
}

impl Scene {
    async fn set(more: &str) -> Self {
        let cost = HashCost::about(Duration::from_millis(10)).unwrap();
        let platform = platform(1, 1, cost).await;
        let gateway = Setup::default()
            .region("north", platform.backends(), 2, &[(GYM, 900)], "")
            .text(more)
            .not_new(&["north"])
            .start()
            .await;
        let visitor = Visitor {
            address: gateway.edge,
            host: GYM.to_owned(),
        };
        Self {
            platform,
            gateway,
            visitor,
        }
    }

    /// A crowd that logs in for as long as most of a test takes.
    fn rush(&self) -> JoinHandle<Report> {
        let plan = Plan {
            targets: vec![self.gateway.edge],
            schools: vec![School::new(GYM, 900)],
            pupils: 200,
            arrive_over: Duration::from_secs(3),
            platforms: self.platform.control().into_iter().collect(),
            ..Plan::default()
        };
        tokio::spawn(async move { run(plan).await.unwrap() })
    }

    /// One number of the only backend.
    async fn number(&self, what: &str) -> f64 {
        let backend = self.platform.backends()[0];
        let name = format!("einlass_backend_{what}{{pool=\"north\",backend=\"{backend}\"}}");
        self.gateway.metric(&name).await
    }
}

/// The most memory that the gateway has used since this was made.
struct Memory {
    before: u64,
    most: Arc<AtomicU64>,
    watching: JoinHandle<()>,
}

impl Memory {
    fn watch(gateway: &Gateway) -> Self {
        let (pid, before) = (gateway.pid(), gateway.resident());
        let most = Arc::new(AtomicU64::new(before));
        let seen = Arc::clone(&most);
        let watching = tokio::spawn(async move {
            while let Some(now) = common::resident(pid) {
                seen.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self {
            before,
            most,
            watching,
        }
    }

    fn growth(&self) -> u64 {
        self.most.load(Ordering::Relaxed) - self.before
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_download_and_a_long_upload_are_passed_on_and_not_kept() {
    let scene = Scene::set("").await;
    let memory = Memory::watch(&scene.gateway);
    let rush = scene.rush();
    let nothing = std::future::ready(());
    let (down, up) = tokio::join!(
        scene.visitor.download(LONG, nothing),
        scene.visitor.upload(LONG)
    );
    assert_eq!((down.unwrap(), up.unwrap()), (LONG, LONG));
    let report = rush.await.unwrap();
    assert_eq!((report.got_in, &report.errors), (200, &BTreeMap::default()));
    let growth = memory.growth();
    println!("grown by {} KiB", growth / 1024);
    assert!(growth < GROWTH, "grown by {growth} bytes");
}

/// A browser on a slow line: the backend waits, and the gateway does not read ahead for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_pauses_stops_the_backend() {
    let scene = Scene::set("").await;
    let memory = Memory::watch(&scene.gateway);
    let paused_at = AtomicU64::new(0);
    let pause = async {
        // Until nothing moves any more: all buffers on the way are full.
        let mut before = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let sent = scene.platform.streamed().0;
            if sent == before {
                break;
            }
            before = sent;
        }
        paused_at.store(before, Ordering::Relaxed);
    };
    let seen = scene.visitor.download(LONG, pause).await.unwrap();
    assert_eq!(seen, LONG);
    let paused_at = paused_at.into_inner();
    println!(
        "paused after {paused_at}, grown by {} KiB",
        memory.growth() / 1024
    );
    // What the kernel's buffers of two connections hold.
    assert!(
        paused_at > 0 && paused_at < LONG / 4,
        "{paused_at} bytes were read ahead"
    );
    assert!(memory.growth() < GROWTH, "grown by {}", memory.growth());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_listeners_hear_every_event_and_count_as_unfinished_only() {
    const LISTENERS: usize = 200;
    let scene = Scene::set("").await;
    let memory = Memory::watch(&scene.gateway);
    let mut listeners = JoinSet::new();
    for _ in 0..LISTENERS {
        let visitor = scene.visitor.clone();
        listeners.spawn(async move { visitor.events(Duration::from_millis(250), 16).await });
    }
    let all = async || scene.number("unfinished_requests").await >= LISTENERS as f64;
    assert!(eventually(all).await);
    // Once the first bytes have come, each is unfinished and keeps nobody from a slot.
    let few = async || scene.number("in_flight_requests").await < LISTENERS as f64 / 2.0;
    assert!(eventually(few).await);
    let report = scene.rush().await.unwrap();
    assert_eq!((report.got_in, &report.errors), (200, &BTreeMap::default()));
    for listener in listeners.join_all().await {
        assert_eq!(listener.unwrap().count, 16);
    }
    let over = async || scene.number("unfinished_requests").await == 0.0;
    assert!(eventually(over).await);
    assert!(memory.growth() < GROWTH, "grown by {}", memory.growth());
}

/// A backend that says the next event when it is told to.
async fn says_when_told() -> (SocketAddr, mpsc::Sender<u32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (say, mut said) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap() > 0 {}
            if !head.starts_with(b"GET /events") {
                // A check.
                continue;
            }
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            while let Some(number) = said.recv().await {
                let event = format!("data: {number}\n\n");
                let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                stream.write_all(chunk.as_bytes()).await.unwrap();
            }
            stream.write_all(b"0\r\n\r\n").await.unwrap();
        }
    });
    (address, say)
}

/// However small it is, it waits for nothing that comes after it.
#[tokio::test]
async fn an_event_is_there_before_the_next_one_is_sent() {
    let (backend, say) = says_when_told().await;
    let gateway = Setup::default()
        .region("north", &[backend], 2, &[(GYM, 900)], "")
        .start()
        .await;
    let mut listener = TcpStream::connect(gateway.edge).await.unwrap();
    let request = format!("GET /events HTTP/1.1\r\nHost: {GYM}\r\n\r\n");
    listener.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    for number in 0..20 {
        say.send(number).await.unwrap();
        let event = format!("data: {number}\n\n").into_bytes();
        while !heard.windows(event.len()).any(|part| part == event) {
            let read = timeout(PATIENCE, listener.read_buf(&mut heard)).await;
            assert!(read.expect("it is kept back").unwrap() > 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_echoes_while_a_crowd_logs_in() {
    let scene = Scene::set("").await;
    let rush = scene.rush();
    let (length, pause) = (Duration::from_secs(3), Duration::from_millis(20));
    let echoes = scene.visitor.echo(length, pause).await.unwrap();
    println!("{echoes:?}");
    assert!(echoes.messages > 20, "{echoes:?}");
    let report = rush.await.unwrap();
    assert_eq!((report.got_in, &report.errors), (200, &BTreeMap::default()));
}

/// Events and `WebSocket`s may last for as long as something is said now and then.
#[tokio::test]
async fn silence_ends_a_stream_after_read_timeout_and_not_before() {
    let scene = Scene::set("[region.north.upstream]\nread_timeout = \"2s\"\n").await;
    let often = scene.visitor.events(Duration::from_secs(1), 4);
    let seldom = scene.visitor.events(Duration::from_secs(20), 2);
    let (length, pause) = (Duration::from_secs(3), Duration::from_secs(1));
    let talk = scene.visitor.echo(length, pause);
    let silent = scene
        .visitor
        .echo(Duration::from_secs(5), Duration::from_secs(6));
    let (often, seldom, talk, silent) = tokio::join!(often, seldom, talk, silent);
    assert_eq!(often.unwrap().count, 4);
    assert!(talk.unwrap().messages >= 3);
    assert!(seldom.is_err() && silent.is_err(), "{seldom:?} {silent:?}");
}

#[tokio::test]
async fn a_part_is_the_part_that_was_asked_for() {
    let scene = Scene::set("").await;
    for (first, last) in [(0, 0), (5, 5), (1_000, 70_000), (LONG - 3, LONG - 1)] {
        let (part, said) = scene.visitor.range(LONG, first, last).await.unwrap();
        assert_eq!(part.len() as u64, last - first + 1);
        assert_eq!(said, format!("bytes {first}-{last}/{LONG}"));
    }
    let beyond = scene.visitor.range(10, 20, 30).await.unwrap_err();
    assert!(beyond.to_string().contains("416"), "{beyond}");
}

/// The backend says whether it wants the body, and only then it is sent (RFC 9110, section 10.1.1).
#[tokio::test]
async fn leave_to_send_is_the_backends_to_give() {
    let scene = Scene::set("").await;
    let lines = scene.visitor.expect(3 * MIB).await.unwrap();
    assert_eq!(lines, ["HTTP/1.1 100 Continue", "HTTP/1.1 200 OK"]);
    assert_eq!(scene.platform.streamed().1, 3 * MIB);
    let lines = scene.visitor.expect(5 << 30).await.unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("HTTP/1.1 413 "), "{lines:?}");
    assert_eq!(
        scene.platform.streamed().1,
        3 * MIB,
        "nothing more was sent"
    );
}
