//! The gateway as a process of its own, and a folder that goes with it.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::DemoError;

/// From the start of the process to its answer that it is ready. It needs milliseconds; a machine may be busy.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// From the word to stop to the end, before it is killed. Nobody is in flight then, or nobody waits for the answer.
const STOPPED_WITHIN: Duration = Duration::from_secs(5);
/// Of its log, if it ends by itself.
const LAST_LINES: usize = 12;

/// A running `einlass`. Killed when dropped; better stopped.
pub(super) struct Gateway {
    child: Child,
    /// Configuration, keys, rooms and log.
    folder: TempDir,
    desk: SocketAddr,
}

impl Gateway {
    /// Starts the gateway that was built beside this program, and returns when its desk says that it is ready.
    /// `first` is the gateway whose keys it shares, if it is one of several.
    pub(super) async fn start(
        config: &str,
        desk: SocketAddr,
        first: Option<&Self>,
    ) -> Result<Self, DemoError> {
        let program = std::env::current_exe()?.with_file_name("einlass");
        if !program.exists() {
            return Err(DemoError::NoGateway(program));
        }
        let folder = tempfile::Builder::new().prefix("einlass-demo-").tempdir()?;
        let file = folder.path().join("einlass.toml");
        std::fs::write(&file, config)?;
        if let Some(first) = first {
            let state = folder.path().join("state");
            std::fs::create_dir(&state)?;
            std::fs::copy(first.folder.path().join("state/keys"), state.join("keys"))?;
        }
        let child = Command::new(program)
            .args(["run", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log_of(&folder))?)
            // Ctrl-C is for this program, which then stops the gateway.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let mut gateway = Self {
            child,
            folder,
            desk,
        };
        let ready = async {
            while !is_ready(desk).await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            ended = gateway.ended() => return Err(ended),
            ready = timeout(READY_WITHIN, ready) => {
                if ready.is_err() {
                    return Err(gateway.complaint("not ready in time".to_owned()));
                }
            }
        }
        Ok(gateway)
    }

    /// What is wrong if the process has ended by itself.
    pub(super) fn has_ended(&mut self) -> Option<DemoError> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(self.complaint(format!("ended by itself ({status})"))),
            Err(error) => Some(error.into()),
        }
    }

    /// Returns only if the process ends by itself, which it should not.
    pub(super) async fn ended(&mut self) -> DemoError {
        match self.child.wait().await {
            Ok(status) => self.complaint(format!("ended by itself ({status})")),
            Err(error) => error.into(),
        }
    }

    /// Ends the process, by force if it does not listen.
    pub(super) async fn stop(mut self) -> io::Result<()> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.and_then(Pid::from_raw) {
            // It may have ended a moment ago.
            let _ = kill_process(id, Signal::TERM);
        }
        if timeout(STOPPED_WITHIN, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }

    /// Resident memory of the process (`VmRSS`), in bytes.
    pub(super) fn resident(&self) -> io::Result<u64> {
        let gone = || io::Error::other("the gateway's process has no memory any more");
        let status = format!("/proc/{}/status", self.child.id().ok_or_else(gone)?);
        let status = std::fs::read_to_string(status)?;
        let field = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = field.and_then(|field| field.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(gone)
    }

    /// The sum over all lines of a metric of the desk; 0 if there is none yet.
    pub(super) async fn metric(&self, name: &str) -> io::Result<f64> {
        let answer = ask(self.desk, "/metrics").await?;
        let values = answer.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let exactly = rest.starts_with(['{', ' ']);
            let value = exactly.then(|| rest.rsplit(' ').next()).flatten()?;
            value.parse::<f64>().ok()
        });
        Ok(values.sum())
    }

    fn complaint(&self, what: String) -> DemoError {
        let log = std::fs::read_to_string(log_of(&self.folder)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        DemoError::Gateway { what, log: last }
    }
}

fn log_of(folder: &TempDir) -> PathBuf {
    folder.path().join("einlass.log")
}

async fn is_ready(desk: SocketAddr) -> bool {
    let answer = ask(desk, "/readyz").await;
    answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// A page of the desk, head and all.
async fn ask(desk: SocketAddr, path: &str) -> io::Result<String> {
    let answer = async {
        let mut stream = TcpStream::connect(desk).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    timeout(Duration::from_secs(2), answer).await?
}
