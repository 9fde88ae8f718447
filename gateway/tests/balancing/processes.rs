//! Backends that are processes of their own: killed, stopped, started again.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::common::{eventually, free_address};
use super::fickle::{self, Fickle, Mood};
use super::return_slowly::{MOST, starts_slowly};
use super::stream::Stream;
use super::{NIMBLE, gateway, number, state};

/// Tells this very program to be a backend, and where.
const BE_A_BACKEND: &str = "EINLASS_TEST_BACKEND";
/// How long a flapping backend stays as it is.
const FLAP: Duration = Duration::from_secs(3);
/// What a backend takes for a request.
const WORK: Duration = Duration::from_millis(100);

/// A backend in a process of its own, which writes down what it begins and ends.
struct Process {
    address: SocketAddr,
    child: Child,
    notes: ChildStdout,
}

impl Process {
    async fn start(address: SocketAddr) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "processes::is_a_backend_if_told_to",
                "--ignored",
                "--nocapture",
            ])
            .env(BE_A_BACKEND, address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let notes = child.stdout.take().unwrap();
        let listens = async || TcpStream::connect(address).await.is_ok();
        assert!(eventually(listens).await);
        Self {
            address,
            child,
            notes,
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Kills it. How many requests it had begun, and how many of them it had answered.
    fn kill(mut self) -> (usize, usize) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut notes = String::new();
        self.notes.read_to_string(&mut notes).unwrap();
        let count = |what: &str| notes.lines().filter(|line| *line == what).count();
        (count("begun"), count("answered"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two more backends, as quick as the process.
async fn others() -> [Fickle; 2] {
    let mood = Mood::Fine(WORK);
    [Fickle::start(mood).await, Fickle::start(mood).await]
}

fn note(what: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{what}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

#[tokio::test]
#[ignore = "not a test: what the others start as a backend"]
async fn is_a_backend_if_told_to() {
    let Ok(address) = std::env::var(BE_A_BACKEND) else {
        return;
    };
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address.parse().unwrap()).unwrap();
    let listener: TcpListener = socket.listen(1_024).unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let name = address.clone();
        tokio::spawn(async move {
            if fickle::read(&mut stream).await.is_some() {
                note("begun");
                tokio::time::sleep(WORK).await;
                let answer = fickle::page(200, &name);
                if stream.write_all(answer.as_bytes()).await.is_ok() {
                    note("answered");
                }
                let _ = stream.shutdown().await;
            }
        });
    }
}

#[tokio::test]
async fn a_backend_that_is_killed_and_started_every_three_seconds_costs_what_it_had_begun() {
    let others = others().await;
    let address = free_address();
    let mut flapping = Process::start(address).await;
    let backends = [address, others[0].address, others[1].address];
    let gateway = gateway(&backends, NIMBLE).await;
    let stream = Stream::start(gateway.edge, 60);
    let mut lost = 0;
    for round in 0..2 {
        // It is given work, also after it was away, and is killed at it.
        let at_work = async || {
            state(&gateway, address).await == "up"
                && number(&gateway, "in_flight_requests", address).await > 0.0
        };
        if round > 0 {
            // It was away for three seconds, so it begins with little.
            let back = async || state(&gateway, address).await == "up";
            assert!(eventually(back).await);
            let limit = number(&gateway, "limit_requests", address).await;
            assert!(limit < MOST, "{limit} at once");
        }
        let since = Instant::now();
        assert!(eventually(at_work).await, "round {round}");
        tokio::time::sleep(FLAP.saturating_sub(since.elapsed())).await;
        assert!(eventually(at_work).await, "round {round}");
        let (begun, answered) = flapping.kill();
        let killed = Instant::now();
        assert!(answered > 0, "round {round}: {begun} begun");
        lost += begun - answered;
        let out = async || state(&gateway, address).await == "down";
        assert!(eventually(out).await);
        assert!(
            killed.elapsed() < FLAP,
            "out only after {:?}",
            killed.elapsed()
        );
        tokio::time::sleep(FLAP.saturating_sub(killed.elapsed())).await;
        flapping = Process::start(address).await;
    }
    let back = async || state(&gateway, address).await == "up";
    assert!(eventually(back).await);
    starts_slowly(&gateway, address, None).await;
    let logins = stream.end().await;
    let failed = logins
        .iter()
        .filter(|(_, status, _)| *status != Some(StatusCode::OK))
        .count();
    println!(
        "{failed} of {} logins failed, {lost} were at the backend when it was killed",
        logins.len()
    );
    // One more each time may have been on its way there.
    assert!(failed <= lost + 4, "{failed} failed, {lost} were there");
    drop(flapping);
}

#[tokio::test]
async fn a_backend_process_that_is_stopped_is_left_out_and_comes_back_slowly() {
    let others = others().await;
    let frozen = Process::start(free_address()).await;
    let address = frozen.address;
    let backends = [address, others[0].address, others[1].address];
    let more = format!("{NIMBLE}[region.north.upstream]\nlogin_timeout = \"30s\"\n");
    let gateway = gateway(&backends, &more).await;
    let stream = Stream::start(gateway.edge, 60);
    let at_work = async || number(&gateway, "in_flight_requests", address).await > 1.0;
    assert!(eventually(at_work).await);
    // The kernel still takes connections for it, so that only its silence tells.
    frozen.signal("STOP");
    let stopped = Instant::now();
    let out = async || state(&gateway, address).await != "up";
    assert!(eventually(out).await);
    assert!(
        stopped.elapsed() < Duration::from_secs(3),
        "{:?}",
        stopped.elapsed()
    );
    // Its trial fails too, so that it was away for long enough to start slowly.
    let twice = async || number(&gateway, "ejections_total", address).await >= 2.0;
    assert!(eventually(twice).await);
    frozen.signal("CONT");
    let back = async || state(&gateway, address).await == "up";
    assert!(eventually(back).await);
    starts_slowly(&gateway, address, None).await;
    // Whoever had to wait for it has waited, and got the answer.
    let logins = stream.end().await;
    assert!(
        logins
            .iter()
            .all(|(_, status, _)| *status == Some(StatusCode::OK))
    );
}
