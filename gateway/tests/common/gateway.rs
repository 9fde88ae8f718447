//! A real gateway process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tempfile::TempDir;

use super::desk::metric;
use super::eventually;
use super::http::{get, send, try_send};

/// Its folder, the configuration in it, and where it listens.
pub(super) struct Home {
    pub dir: TempDir,
    pub config: PathBuf,
    pub edge: SocketAddr,
    pub desk: SocketAddr,
}

/// What the system tells it: levels of the log, a wrong clock, how many files may be open.
#[derive(Clone, Default)]
pub(super) struct Surroundings {
    pub log: Option<String>,
    pub clock: Option<String>,
    pub open_files: Option<&'static str>,
}

/// A gateway process. Killed when dropped.
pub struct Gateway {
    pub dir: TempDir,
    config: PathBuf,
    pub edge: SocketAddr,
    pub desk: SocketAddr,
    around: Surroundings,
    child: Option<Child>,
}

impl Gateway {
    pub(super) async fn start(home: Home, around: Surroundings) -> Self {
        let mut gateway = Self {
            dir: home.dir,
            config: home.config,
            edge: home.edge,
            desk: home.desk,
            around,
            child: None,
        };
        gateway.run().await;
        gateway
    }

    /// Starts the process, again after a stop, and waits until it is ready.
    pub async fn run(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        let mut command = match self.around.open_files {
            Some(limits) => {
                let mut command = Command::new("prlimit");
                command
                    .arg(format!("--nofile={limits}"))
                    .arg(env!("CARGO_BIN_EXE_einlass"));
                command
            }
            None => Command::new(env!("CARGO_BIN_EXE_einlass")),
        };
        if let Some(ahead) = &self.around.clock {
            self.set_clock(ahead);
            command
                .env("LD_PRELOAD", faketime())
                .env("FAKETIME_TIMESTAMP_FILE", self.clock_file())
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let child = command
            .args(["run", "--config"])
            .arg(&self.config)
            .envs(self.around.log.iter().map(|levels| ("EINLASS_LOG", levels)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let desk = self.desk;
        let ready = || async move {
            let request = get("/readyz", "desk");
            matches!(try_send(desk, request).await, Ok(a) if a.status == StatusCode::OK)
        };
        assert!(
            eventually(ready).await,
            "the gateway does not get ready: {}",
            self.log()
        );
    }

    /// Sends a signal: `STOP`, `CONT`, ….
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Sets how many files the running process may have open, as it is set for one that starts.
    pub fn set_open_files(&self, limits: &str) {
        let status = Command::new("prlimit")
            .arg(format!("--pid={}", self.pid()))
            .arg(format!("--nofile={limits}"))
            .status();
        assert!(status.unwrap().success());
    }

    /// How the ledgers of its rooms are, by name of the mode.
    pub async fn modes(&self) -> Vec<String> {
        let answer = send(self.desk, get("/readyz", "desk")).await;
        let text = answer.text();
        let rooms = text.lines().filter(|line| line.starts_with("room "));
        rooms
            .filter_map(|line| line.split(' ').nth(2).map(str::to_owned))
            .collect()
    }

    /// Waits until all its rooms are in that mode.
    pub async fn until_mode(&self, mode: &str) {
        let reached = async || {
            let modes = self.modes().await;
            !modes.is_empty() && modes.iter().all(|m| m == mode)
        };
        assert!(eventually(reached).await, "never {mode}");
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM. Returns how long the process took to exit, and whether with success.
    pub async fn stop(&mut self) -> (Duration, bool) {
        self.signal("TERM");
        self.exited().await
    }

    /// Waits until the process has exited: how long that took, and whether with success.
    pub async fn exited(&mut self) -> (Duration, bool) {
        let mut child = self.child.take().unwrap();
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return (started.elapsed(), status.success());
            }
            assert!(started.elapsed() < Duration::from_mins(1), "still running");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sets the clock of a gateway that was started with one.
    pub fn set_clock(&self, ahead: &str) {
        std::fs::write(self.clock_file(), ahead).unwrap();
    }

    fn clock_file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("einlass.log")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// One number of `/metrics`; 0 if it is not there yet.
    pub async fn metric(&self, line: &str) -> f64 {
        metric(self.desk, line).await
    }

    /// Resident memory of the process, in bytes.
    pub fn resident(&self) -> u64 {
        resident(self.pid()).unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the gateway's log\n{}", self.log());
        }
    }
}

/// Resident memory of a process, in bytes; `None` if it is gone.
pub fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// The library that shows a process a wrong time.
fn faketime() -> PathBuf {
    let arch = std::env::consts::ARCH;
    let path = PathBuf::from(format!(
        "/usr/lib/{arch}-linux-gnu/faketime/libfaketimeMT.so.1"
    ));
    assert!(
        path.exists(),
        "{} is missing: install faketime",
        path.display()
    );
    path
}
