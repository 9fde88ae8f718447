//! What the end-to-end tests share: a real gateway process, a small HTTP client, a browser's cookies.
#![allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub,
    reason = "a test may fail; each test file uses a part"
)]

pub mod backend;
pub mod fleet;
pub mod judge;
pub mod steady;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use einlass_benches::platform::{HashCost, Platform, PlatformOptions};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// The longest any condition may take. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A configuration in the making.
#[derive(Clone, Default)]
pub struct Setup {
    regions: String,
    edge: String,
    log: Option<String>,
    clock: Option<String>,
    open_files: Option<&'static str>,
}

impl Setup {
    /// A region whose pool may have `in_flight` logins in flight. `more` goes into its admission table.
    #[must_use]
    pub fn region(
        mut self,
        name: &str,
        backends: &[SocketAddr],
        in_flight: usize,
        schools: &[(&str, u32)],
        more: &str,
    ) -> Self {
        let backends: Vec<String> = backends.iter().map(|b| format!("\"{b}\"")).collect();
        // Most tests count on a cap that they know.
        let fixed = if more.contains("mode =") {
            ""
        } else {
            "mode = \"fixed\"\n"
        };
        write!(
            self.regions,
            "[region.{name}]\nbackends = [{}]\n[region.{name}.admission]\n\
             in_flight = {{ min = 1, max = {in_flight} }}\n{fixed}{more}\n",
            backends.join(", "),
        )
        .unwrap();
        for (host, pupils) in schools {
            write!(
                self.regions,
                "[[region.{name}.school]]\nhost = \"{host}\"\npupils = {pupils}\n"
            )
            .unwrap();
        }
        self
    }

    /// More for the edge's table.
    #[must_use]
    pub fn edge(mut self, text: &str) -> Self {
        self.edge.push_str(text);
        self
    }

    /// What is logged, as in `EINLASS_LOG`.
    #[must_use]
    pub fn log(mut self, levels: &str) -> Self {
        self.log = Some(levels.to_owned());
        self
    }

    /// A wrong clock: how far it is ahead, as `faketime` understands it.
    #[must_use]
    pub fn clock(mut self, ahead: Option<&str>) -> Self {
        self.clock = ahead.map(str::to_owned);
        self
    }

    /// How many files it may have open, and how many more it may ask for: `"SOFT:HARD"`.
    #[must_use]
    pub fn open_files(mut self, limits: &'static str) -> Self {
        self.open_files = Some(limits);
        self
    }

    /// More tables.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.regions.push_str(text);
        self
    }

    /// What kind of platform the regions run.
    #[must_use]
    pub fn platform(mut self, name: &str) -> Self {
        let with = format!("platform = \"{name}\"\nbackends = ");
        self.regions = self.regions.replace("backends = ", &with);
        self
    }

    /// A gateway of a fleet: the rooms in this Redis, the keys those of the first gateway.
    pub async fn start_beside(self, first: &Gateway) -> Gateway {
        self.start_with(Some(first)).await
    }

    pub async fn start(self) -> Gateway {
        self.start_with(None).await
    }

    /// Starts a gateway that refuses to; what it says.
    pub fn refused(self) -> String {
        let dir = TempDir::new().unwrap();
        let config = dir.path().join("einlass.toml");
        let (edge, desk) = (free_address(), free_address());
        let text = format!(
            "[edge]\nlisten = [\"{edge}\"]\n[desk]\nlisten = \"{desk}\"\n\
             [state]\ndirectory = \"state\"\n{}",
            self.regions
        );
        std::fs::write(&config, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_einlass"))
            .args(["run", "--config"])
            .arg(&config)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    async fn start_with(self, beside: Option<&Gateway>) -> Gateway {
        let dir = TempDir::new().unwrap();
        if let Some(first) = beside {
            std::fs::create_dir(dir.path().join("state")).unwrap();
            let keys = |dir: &TempDir| dir.path().join("state/keys");
            std::fs::copy(keys(&first.dir), keys(&dir)).unwrap();
        }
        let (edge, desk) = (free_address(), free_address());
        let config = dir.path().join("einlass.toml");
        let text = format!(
            "[edge]\nlisten = [\"{edge}\"]\n{}\n[desk]\nlisten = \"{desk}\"\n\
             [state]\ndirectory = \"state\"\n{}",
            self.edge, self.regions
        );
        std::fs::write(&config, text).unwrap();
        let mut gateway = Gateway {
            dir,
            config,
            edge,
            desk,
            log: self.log,
            clock: self.clock,
            open_files: self.open_files,
            child: None,
        };
        gateway.run().await;
        gateway
    }
}

/// A gateway process. Killed when dropped.
pub struct Gateway {
    pub dir: TempDir,
    config: PathBuf,
    pub edge: SocketAddr,
    pub desk: SocketAddr,
    log: Option<String>,
    clock: Option<String>,
    open_files: Option<&'static str>,
    child: Option<Child>,
}

impl Gateway {
    /// Starts the process, again after a stop, and waits until it is ready.
    pub async fn run(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        let mut command = match self.open_files {
            Some(limits) => {
                let mut command = Command::new("prlimit");
                command
                    .arg(format!("--nofile={limits}"))
                    .arg(env!("CARGO_BIN_EXE_einlass"));
                command
            }
            None => Command::new(env!("CARGO_BIN_EXE_einlass")),
        };
        if let Some(ahead) = &self.clock {
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
            .envs(self.log.iter().map(|levels| ("EINLASS_LOG", levels)))
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

/// One number of a desk's `/metrics`; 0 if it is not there yet.
pub async fn metric(desk: SocketAddr, line: &str) -> f64 {
    let answer = send(desk, get("/metrics", "desk")).await;
    answer
        .text()
        .lines()
        .find_map(|l| l.strip_prefix(line)?.trim().parse().ok())
        .unwrap_or(0.0)
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

/// A platform with quick but real hashes and as many workers as given.
pub async fn platform(backends: usize, workers: usize, cost: HashCost) -> Platform {
    start_platform(backends, workers, cost, (Duration::ZERO, 0.0)).await
}

/// One whose worker is busy for so long with each login, a quick hash and then the wait for a database:
/// how many it completes does not depend on what else this machine does.
pub async fn timed_platform(backends: usize, workers: usize, least: Duration) -> Platform {
    start_platform(backends, workers, HashCost::QUICK, (least, 0.0)).await
}

/// The same with logins that differ by up to a quarter of that, so that those which begin together do not
/// end together.
pub async fn uneven_platform(backends: usize, workers: usize, mean: Duration) -> Platform {
    start_platform(backends, workers, HashCost::QUICK, (mean, 0.25)).await
}

async fn start_platform(
    backends: usize,
    workers: usize,
    cost: HashCost,
    (least, spread): (Duration, f64),
) -> Platform {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Platform::start(PlatformOptions {
        listen: vec![any; backends],
        control: Some(any),
        workers,
        cost,
        least,
        spread,
        ..PlatformOptions::default()
    })
    .await
    .unwrap()
}

/// An address nobody listens on at the moment.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Whether a condition comes true in time.
pub async fn eventually(condition: impl AsyncFn() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if condition().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// An answer, read whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn read(response: Response<hyper::body::Incoming>) -> hyper::Result<Self> {
        let (head, body) = response.into_parts();
        Ok(Self {
            status: head.status,
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn location(&self) -> &str {
        self.headers
            .get("location")
            .map_or("", |value| value.to_str().unwrap())
    }
}

pub fn get(path: &str, host: &str) -> Request<Full<Bytes>> {
    Request::get(path)
        .header("host", host)
        .body(Full::default())
        .unwrap()
}

pub fn post(path: &str, host: &str, form: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("host", host)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(form.into()))
        .unwrap()
}

/// One request on a connection of its own.
pub async fn try_send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(Answer::read(sender.send_request(request).await?).await?)
}

pub async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    try_send(address, request).await.unwrap()
}

/// Orders at the desk that a backend be emptied, or used again.
pub async fn drain(gateway: &Gateway, pool: &str, backend: SocketAddr, drain: bool) -> Answer {
    let order = serde_json::json!({ "pool": pool, "backend": backend, "drain": drain });
    self::order(gateway, &order.to_string()).await
}

/// Sends an order to the desk as it is.
pub async fn order(gateway: &Gateway, body: &str) -> Answer {
    let request = Request::post("/api/v1/drain")
        .header("host", "desk")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    send(gateway.desk, request).await
}

/// A browser at one school: keeps its cookies.
#[derive(Clone)]
pub struct Browser {
    pub address: SocketAddr,
    pub host: String,
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn new(address: SocketAddr, host: &str) -> Self {
        Self {
            address,
            host: host.to_owned(),
            cookies: BTreeMap::new(),
        }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        let request = get(path, &self.host);
        self.send(request).await
    }

    pub async fn post(&mut self, path: &str, form: &str) -> Answer {
        let request = post(path, &self.host, form.to_owned());
        self.send(request).await
    }

    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Answer {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        if !cookies.is_empty() {
            let value = cookies.join("; ").parse().unwrap();
            request.headers_mut().insert("cookie", value);
        }
        let answer = send(self.address, request).await;
        for set in answer.headers.get_all("set-cookie") {
            let set = set.to_str().unwrap();
            let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Opens the demo platform's login page and returns a form that logs in.
    pub async fn form(&mut self) -> String {
        let page = self.get("/login").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        Self::fill(&page, "demo-password")
    }

    /// Fills in the form of a page.
    pub fn fill(page: &Answer, password: &str) -> String {
        let text = page.text();
        let after = text.split("name=\"csrf\"").nth(1).expect("a CSRF field");
        let csrf = after.split('"').nth(1).unwrap();
        format!("username=pupil001&password={password}&csrf={csrf}")
    }

    pub async fn turn(&mut self) -> serde_json::Value {
        self.get("/_einlass/turn").await.json()
    }

    /// Polls until the state is the one wanted.
    pub async fn until(&mut self, state: &str) -> serde_json::Value {
        let started = Instant::now();
        loop {
            let turn = self.turn().await;
            if turn["state"] == state {
                return turn;
            }
            assert!(started.elapsed() < PATIENCE, "{turn}, not {state}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Goes in, through the redirect that repeats the form where the login was.
    pub async fn enter(&mut self) -> Answer {
        let answer = self.post("/_einlass/enter", "einlass=enter").await;
        if answer.status != StatusCode::TEMPORARY_REDIRECT {
            return answer;
        }
        let path = answer.location().to_owned();
        self.post(&path, "einlass=enter").await
    }

    pub fn logged_in(&self) -> bool {
        self.cookies
            .contains_key(einlass_benches::platform::SESSION_COOKIE)
    }
}
