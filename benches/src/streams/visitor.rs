//! Somebody who downloads, uploads, listens and talks, and who checks what comes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_RANGE, HOST, RANGE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Request, Response, StatusCode, request};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::pattern::{self, Pattern};
use super::websocket;

/// Longer than anything but silence takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser without cookies at one school. Every request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The gateway, or a platform itself.
    pub address: SocketAddr,
    /// The school's.
    pub host: String,
}

/// What came of a talk over a WebSocket.
#[derive(Debug, Clone, Copy, Default)]
pub struct Echoes {
    /// Messages that came back as they were sent.
    pub messages: u64,
    /// The longest time that one was under way, there and back.
    pub slowest: Duration,
}

/// What came of a stream of events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Events {
    /// Events that came, in order.
    pub count: u64,
    /// The longest time without one.
    pub longest_gap: Duration,
}

impl Visitor {
    /// Downloads so many bytes, checks them all, and returns their number. After the first part it reads nothing
    /// until `pause` is over.
    pub async fn download(&self, bytes: u64, pause: impl Future<Output = ()>) -> io::Result<u64> {
        let request = self.request(Method::GET, &format!("/stream/download/{bytes}"));
        let answer = self.send(request.body(Empty::<Bytes>::new())).await?;
        expect(&answer, StatusCode::OK)?;
        let mut body = answer.into_body();
        let mut seen = 0;
        let mut pause = std::pin::pin!(Some(pause));
        while let Some(part) = timeout(PATIENCE, body.frame()).await? {
            let part = part.map_err(io::Error::other)?;
            if let Some(part) = part.data_ref() {
                check(seen, part)?;
                seen += part.len() as u64;
            }
            if let Some(paused) = pause.as_mut().as_pin_mut() {
                paused.await;
                pause.set(None);
            }
        }
        Ok(seen)
    }

    /// The part of a download from `first` to `last`, checked; with what the answer says of it.
    pub async fn range(&self, of: u64, first: u64, last: u64) -> io::Result<(Bytes, String)> {
        let request = self.request(Method::GET, &format!("/stream/download/{of}"));
        let request = request.header(RANGE, format!("bytes={first}-{last}"));
        let answer = self.send(request.body(Empty::<Bytes>::new())).await?;
        expect(&answer, StatusCode::PARTIAL_CONTENT)?;
        let said = header(&answer, &CONTENT_RANGE);
        let body = timeout(PATIENCE, answer.into_body().collect()).await?;
        let body = body.map_err(io::Error::other)?.to_bytes();
        check(first, &body)?;
        Ok((body, said))
    }

    /// Uploads so many bytes; returns how many the platform has read, all of them as they were sent.
    pub async fn upload(&self, bytes: u64) -> io::Result<u64> {
        let request = self.request(Method::POST, "/stream/upload");
        let body = Pattern::new(0, bytes, Arc::new(AtomicU64::new(0)));
        let answer = self.send(request.body(body)).await?;
        expect(&answer, StatusCode::OK)?;
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(io::Error::other)?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        text.parse().map_err(io::Error::other)
    }

    /// Listens to so many events, one after each time `every`.
    pub async fn events(&self, every: Duration, count: u64) -> io::Result<Events> {
        let millis = every.as_millis();
        let request = self.request(
            Method::GET,
            &format!("/stream/events?every={millis}&count={count}"),
        );
        let answer = self.send(request.body(Empty::<Bytes>::new())).await?;
        expect(&answer, StatusCode::OK)?;
        let mut body = answer.into_body();
        let mut events = Events::default();
        let mut text = String::new();
        let mut last = Instant::now();
        while let Some(part) = timeout(PATIENCE, body.frame()).await? {
            let part = part.map_err(io::Error::other)?;
            let Some(part) = part.data_ref() else {
                continue;
            };
            text.push_str(&String::from_utf8_lossy(part));
            while let Some((event, rest)) = text.split_once("\n\n") {
                if event != format!("data: {}", events.count) {
                    return Err(io::Error::other(format!(
                        "{event:?} as number {}",
                        events.count
                    )));
                }
                events.count += 1;
                text = rest.to_owned();
            }
            events.longest_gap = events.longest_gap.max(last.elapsed());
            last = Instant::now();
        }
        Ok(events)
    }

    /// Talks over a WebSocket for so long: sends a message, waits for it to come back, pauses.
    pub async fn echo(&self, length: Duration, pause: Duration) -> io::Result<Echoes> {
        let key = BASE64_STANDARD.encode(fastrand::u128(..).to_be_bytes());
        let request = self
            .request(Method::GET, "/stream/echo")
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "Upgrade")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key);
        let answer = self.send(request.body(Empty::<Bytes>::new())).await?;
        expect(&answer, StatusCode::SWITCHING_PROTOCOLS)?;
        if header(&answer, &SEC_WEBSOCKET_ACCEPT) != websocket::accept_of(&key) {
            return Err(io::Error::other("an answer to another key"));
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(io::Error::other)?;
        let mut socket = TokioIo::new(upgraded);
        let mut echoes = Echoes::default();
        let begun = Instant::now();
        while begun.elapsed() < length {
            // Short and long ones by turns.
            let size = [20, 2_000, 100_000][usize::try_from(echoes.messages % 3).unwrap_or(0)];
            let message: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
                .take(size)
                .collect();
            let sent = Instant::now();
            let back = async {
                let mask = fastrand::u32(..).to_be_bytes();
                websocket::write(&mut socket, websocket::BINARY, &message, Some(mask)).await?;
                websocket::read(&mut socket).await
            };
            if timeout(PATIENCE, back).await?? != (websocket::BINARY, message) {
                return Err(io::Error::other("another message came back"));
            }
            echoes.messages += 1;
            echoes.slowest = echoes.slowest.max(sent.elapsed());
            sleep(pause).await;
        }
        websocket::write(&mut socket, websocket::CLOSE, &[], Some([0; 4])).await?;
        match timeout(PATIENCE, websocket::read(&mut socket)).await?? {
            (websocket::CLOSE, _) => Ok(echoes),
            (kind, _) => Err(io::Error::other(format!("frame {kind} instead of the end"))),
        }
    }

    /// Asks for leave to upload so many bytes (RFC 9110, section 10.1.1) and sends them if it gets it. Returns the
    /// status lines that came, in order.
    pub async fn expect(&self, bytes: u64) -> io::Result<Vec<String>> {
        let mut stream = self.connect().await?;
        let head = format!(
            "POST /stream/upload HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\nContent-Length: {bytes}\r\n\
             Connection: close\r\n\r\n",
            self.host
        );
        stream.write_all(head.as_bytes()).await?;
        let mut lines = vec![timeout(PATIENCE, status_line(&mut stream)).await??];
        if lines[0].contains(" 100 ") {
            let mut body = Pattern::new(0, bytes, Arc::new(AtomicU64::new(0)));
            while let Some(Ok(part)) = body.frame().await {
                stream
                    .write_all(part.data_ref().map_or(&[][..], |part| part))
                    .await?;
            }
            lines.push(timeout(PATIENCE, status_line(&mut stream)).await??);
        }
        Ok(lines)
    }

    /// As browsers do, without Nagle's algorithm.
    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn request(&self, method: Method, path: &str) -> request::Builder {
        let request = Request::builder().method(method).uri(path);
        request.header(HOST, &self.host)
    }

    async fn send<B>(&self, request: http::Result<Request<B>>) -> io::Result<Response<Incoming>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + 'static,
    {
        let request = request.map_err(io::Error::other)?;
        let stream = self.connect().await?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(io::Error::other)?;
        // Whoever waits for the answer is told.
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.map_err(io::Error::other)
    }
}

/// A head, byte by byte, so that nothing of what follows is taken; its first line.
async fn status_line(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    Ok(head.lines().next().unwrap_or_default().to_owned())
}

fn header(answer: &Response<Incoming>, name: &http::HeaderName) -> String {
    let value = answer
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn expect(answer: &Response<Incoming>, status: StatusCode) -> io::Result<()> {
    if answer.status() == status {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{} instead of {status}",
        answer.status()
    )))
}

fn check(at: u64, part: &[u8]) -> io::Result<()> {
    if pattern::fits(at, part) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "other bytes than were sent, after {at}"
    )))
}
