//! A real `redis-server`, started for one test and killed with it.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub,
    reason = "a test may fail; each test file uses a part"
)]

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What servers ask of everybody who connects: TLS by a certificate of their own, and a password.
pub struct Secured {
    dir: TempDir,
    pub password: String,
}

impl Secured {
    pub fn new(password: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::write(dir.path().join("cert.pem"), made.cert.pem()).unwrap();
        let key = made.signing_key.serialize_pem();
        std::fs::write(dir.path().join("key.pem"), key).unwrap();
        std::fs::write(dir.path().join("password"), password).unwrap();
        Self {
            dir,
            password: password.to_owned(),
        }
    }

    /// The same certificate, and another password.
    #[must_use]
    pub fn with_password(&self, password: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in ["cert.pem", "key.pem"] {
            std::fs::copy(self.dir.path().join(file), dir.path().join(file)).unwrap();
        }
        std::fs::write(dir.path().join("password"), password).unwrap();
        Self {
            dir,
            password: password.to_owned(),
        }
    }

    /// The certificate, which is its own authority.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    pub fn password_file(&self) -> PathBuf {
        self.dir.path().join("password")
    }

    fn way_in(&self) -> Vec<String> {
        let certificate = self.certificate().display().to_string();
        let words = ["--tls", "--cacert", &certificate, "--no-auth-warning", "-a"];
        let words = words.into_iter().chain([self.password.as_str()]);
        words.map(str::to_owned).collect()
    }

    /// A server's arguments, but for its port.
    fn arguments(&self) -> Vec<String> {
        let file = |name: &str| self.dir.path().join(name).display().to_string();
        let pairs = [
            ("--tls-cert-file", file("cert.pem")),
            ("--tls-key-file", file("key.pem")),
            ("--tls-ca-cert-file", file("cert.pem")),
            ("--tls-auth-clients", "no".to_owned()),
            ("--tls-replication", "yes".to_owned()),
            ("--requirepass", self.password.clone()),
        ];
        let pairs = pairs.into_iter();
        pairs
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect()
    }
}

pub struct RedisServer {
    child: Child,
    pub port: u16,
    dir: TempDir,
    arguments: Vec<String>,
    /// Files that it was given.
    kept: Option<TempDir>,
    /// How `redis-cli` gets in.
    way_in: Vec<String>,
}

impl RedisServer {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_at(free_port(), arguments)
    }

    /// One that speaks TLS alone and asks for a password.
    pub fn secured(secured: &Secured, arguments: &[&str]) -> Self {
        let port = free_port();
        let mut all = secured.arguments();
        all.extend(["--masterauth".to_owned(), secured.password.clone()]);
        all.extend(arguments.iter().map(|&a| a.to_owned()));
        all.extend(["--tls-port".to_owned(), port.to_string()]);
        Self::run(port, all, secured.way_in())
    }

    /// Watches a master as a sentinel does.
    pub fn sentinel(master: u16) -> Self {
        let file = sentinel_file(master, "");
        let path = file.path().join("sentinel.conf");
        let mut server = Self::start(&[path.to_str().unwrap(), "--sentinel"]);
        server.kept = Some(file);
        server
    }

    /// The same over TLS: it asks for a password of its own, and knows the master's.
    pub fn secured_sentinel(secured: &Secured, master: &Self, password: &str) -> Self {
        let port = free_port();
        let file = sentinel_file(
            master.port,
            &format!("sentinel auth-pass school {password}\n"),
        );
        let path = file.path().join("sentinel.conf").display().to_string();
        let mut all = vec![path, "--sentinel".to_owned()];
        all.extend(secured.arguments());
        all.extend(["--tls-port".to_owned(), port.to_string()]);
        let mut server = Self::run(port, all, secured.way_in());
        server.kept = Some(file);
        server
    }

    pub fn start_at(port: u16, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&a| a.to_owned()).collect();
        Self::run(port, arguments, Vec::new())
    }

    fn run(port: u16, arguments: Vec<String>, way_in: Vec<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = spawn(&dir, port, &arguments);
        let server = Self {
            child,
            port,
            dir,
            arguments,
            kept: None,
            way_in,
        };
        server.until_up();
        server
    }

    fn until_up(&self) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "redis-server does not start"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it without a word, and starts another on the same port and data.
    pub fn restart(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.child = spawn(&self.dir, self.port, &self.arguments);
        self.until_up();
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal: `STOP`, `CONT`, ….
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Copies the picture of its data that `SAVE` wrote, or puts it back.
    pub fn snapshot(&self, keep: bool) {
        let (file, copy) = (
            self.dir.path().join("dump.rdb"),
            self.dir.path().join("kept"),
        );
        let (from, to) = if keep { (file, copy) } else { (copy, file) };
        std::fs::copy(from, to).unwrap();
    }

    /// Forgets what it wrote.
    pub fn remove_data(&self) {
        let _ = std::fs::remove_file(self.dir.path().join("dump.rdb"));
    }

    /// One command by `redis-cli`.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(&self.way_in)
            .args(arguments)
            .output()
            .expect("redis-cli");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn free_port() -> u16 {
    // A cluster's bus has a port of its own, 10,000 above.
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if port < 50_000 {
            return port;
        }
    }
}

/// What a sentinel is told, in a folder of its own that it writes to.
fn sentinel_file(master: u16, more: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "sentinel monitor school 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds school 1000\n\
         sentinel failover-timeout school 5000\n{more}"
    );
    std::fs::write(dir.path().join("sentinel.conf"), text).unwrap();
    dir
}

fn spawn(dir: &TempDir, port: u16, arguments: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    // By TLS alone there is no other port.
    let plain = if arguments.iter().any(|a| a == "--tls-port") {
        0
    } else {
        port
    };
    // A configuration file comes first.
    let (file, rest) = match arguments.split_first() {
        Some((file, rest)) if !file.starts_with('-') => (Some(file), rest),
        _ => (None, arguments),
    };
    command.args(file);
    command
        .args(["--port", &plain.to_string(), "--bind", "127.0.0.1", "--dir"])
        .arg(dir.path());
    if file.is_none() {
        command.args(["--save", "", "--appendonly", "no"]);
    }
    command
        .args(rest)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server; install it from Debian's packages")
}

/// Answers as an older server does: `HELLO` if it knows that, `INFO` with this version.
pub async fn older(version: &'static str, knows_hello: bool) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4_096];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    let asked = String::from_utf8_lossy(&buffer[..length]).to_uppercase();
                    let info = format!("# Server\r\nredis_version:{version}\r\n");
                    // Several commands may come at once, each an array.
                    for command in asked.split('*').skip(1) {
                        let answer = match command.split("\r\n").nth(2).unwrap_or_default() {
                            "HELLO" if knows_hello => {
                                "%2\r\n+server\r\n+redis\r\n+proto\r\n:3\r\n".to_owned()
                            }
                            "HELLO" => "-ERR unknown command `HELLO`\r\n".to_owned(),
                            "INFO" => format!("${}\r\n{info}\r\n", info.len()),
                            "FUNCTION" | "FCALL" => "-ERR unknown command\r\n".to_owned(),
                            _ => "+OK\r\n".to_owned(),
                        };
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    port
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
