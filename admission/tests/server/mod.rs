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
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub struct RedisServer {
    child: Child,
    pub port: u16,
    dir: TempDir,
    arguments: Vec<String>,
    /// Files that it was given.
    kept: Option<TempDir>,
}

impl RedisServer {
    pub fn start(arguments: &[&str]) -> Self {
        // A cluster's bus has a port of its own, 10,000 above.
        let port = loop {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            if port < 50_000 {
                break port;
            }
        };
        Self::start_at(port, arguments)
    }

    /// Watches a master as a sentinel does.
    pub fn sentinel(master: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sentinel.conf");
        let text = format!(
            "sentinel monitor school 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds school 1000\n\
             sentinel failover-timeout school 5000\n"
        );
        std::fs::write(&file, text).unwrap();
        let mut server = Self::start(&[file.to_str().unwrap(), "--sentinel"]);
        server.kept = Some(dir);
        server
    }

    pub fn start_at(port: u16, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
        let child = spawn(&dir, port, &arguments);
        let server = Self {
            child,
            port,
            dir,
            arguments,
            kept: None,
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
            .args(arguments)
            .output()
            .expect("redis-cli");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn spawn(dir: &TempDir, port: u16, arguments: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    // A configuration file comes first.
    let (file, rest) = match arguments.split_first() {
        Some((file, rest)) if !file.starts_with('-') => (Some(file), rest),
        _ => (None, arguments),
    };
    command.args(file);
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
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

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
