//! A backend of bare sockets, for what no honest platform does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub const FINE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// Answers every request with the same bytes and notes what it was sent.
pub struct Backend {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    open: watch::Sender<bool>,
}

impl Backend {
    pub async fn start(answer: &'static [u8]) -> Self {
        let backend = Self::holding(answer).await;
        backend.open();
        backend
    }

    /// Answers nothing until it is opened.
    pub async fn holding(answer: &'static [u8]) -> Self {
        Self::holding_below("", answer).await
    }

    /// Takes as long for a request as `takes` says.
    pub async fn taking(takes: fn(&str) -> Duration, answer: &'static [u8]) -> Self {
        let backend = Self::bound("", takes, answer).await;
        backend.open();
        backend
    }

    /// The same for paths that begin so; everything else is answered at once.
    pub async fn holding_below(path: &'static str, answer: &'static [u8]) -> Self {
        Self::bound(path, |_| Duration::ZERO, answer).await
    }

    async fn bound(path: &'static str, takes: fn(&str) -> Duration, answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            open: watch::Sender::new(false),
        };
        let (seen, open) = (Arc::clone(&backend.seen), backend.open.subscribe());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serve = serve(stream, path, takes, answer, Arc::clone(&seen), open.clone());
                tokio::spawn(serve);
            }
        });
        backend
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// From now on it answers nothing again.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    pub fn last(&self) -> String {
        let seen = self.seen.lock().unwrap();
        seen.last().cloned().unwrap_or_default()
    }

    /// The requests it was sent, in lower case.
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn serve(
    mut stream: TcpStream,
    held: &'static str,
    takes: fn(&str) -> Duration,
    answer: &'static [u8],
    seen: Arc<Mutex<Vec<String>>>,
    mut open: watch::Receiver<bool>,
) {
    let mut request = Vec::new();
    let mut part = [0; 4_096];
    loop {
        let read = stream.read(&mut part).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        request.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().ok())?
        });
        if body.len() < length.unwrap_or(0) {
            continue;
        }
        seen.lock().unwrap().push(text.to_lowercase());
        let target = head.split(' ').nth(1).unwrap_or_default();
        if target.starts_with(held) && open.wait_for(|open| *open).await.is_err() {
            return;
        }
        tokio::time::sleep(takes(&text)).await;
        if answer.is_empty() {
            // Silent until the other side gives up.
            while stream.read(&mut part).await.unwrap_or(0) > 0 {}
        }
        let _ = stream.write_all(answer).await;
        return;
    }
}
