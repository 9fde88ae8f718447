//! A login on its way to a backend: performed by a task of its own, so that the slot is held until
//! the backend is done, even when the browser has gone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use einlass_admission::Verdict;
use http::{HeaderMap, Method, StatusCode};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::sync::{mpsc, oneshot};

use crate::backends::{Busy, Home, Kind, Rank, Stay};
use crate::fault::Fault;
use crate::open_files::is_our_want;
use crate::room::Slot;
use crate::site::Pool;
use crate::verdict::Class;

/// Up to this size an answer is read whole before it is passed on, so that a slow browser does not
/// keep a slot; a longer one frees the slot here and is streamed.
const READ_AHEAD: usize = 256 << 10;

/// A login as the backend will get it.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The backend's answer.
pub(crate) struct Answer {
    pub(crate) header: ResponseHeader,
    pub(crate) body: Bytes,
    /// What follows `body`, if it was not whole. An `Err` in it: the backend broke off.
    pub(crate) rest: Option<mpsc::Receiver<Result<Bytes, Lost>>>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No backend could be reached; nothing was sent.
    Unreachable,
    /// The login was sent and nothing came back in time, or nothing that is HTTP.
    Lost(Lost),
}

/// How an answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Not within the pool's `login_timeout`.
    Timeout,
    /// The connection broke, or the answer was not HTTP.
    Broken,
}

/// Performs a login in its slot. The returned receiver may be dropped at any time.
pub(crate) fn perform(
    connector: &Arc<Connector>,
    pool: &Arc<Pool>,
    slot: Slot,
    login: Login,
    stay: Stay,
) -> oneshot::Receiver<Result<Answer, Failure>> {
    let (done, answer) = oneshot::channel();
    let (connector, pool) = (Arc::clone(connector), Arc::clone(pool));
    tokio::spawn(async move {
        run(&connector, &pool, slot, login, stay, done).await;
    });
    answer
}

async fn run(
    connector: &Connector,
    pool: &Pool,
    mut slot: Slot,
    login: Login,
    stay: Stay,
    done: oneshot::Sender<Result<Answer, Failure>>,
) {
    let Some((mut session, mut backend)) = connect(connector, pool, stay.home).await else {
        drop(slot);
        let _ = done.send(Err(Failure::Unreachable));
        return;
    };
    slot.sent();
    let started = Instant::now();
    let method = login.method.clone();
    let head = exchange(&mut session, login, pool, backend.address);
    let timeout = pool.limits.login_timeout;
    let mut header = match tokio::time::timeout(timeout, watched(&mut slot, head)).await {
        Ok(Some(header)) => header,
        lost => {
            backend.failed();
            // The slot is freed although the backend may still be hashing: after the longest time
            // the operator allows a login, that is the smaller evil.
            slot.ended(Verdict::Lost);
            drop((slot, backend));
            let why = if lost.is_err() {
                Lost::Timeout
            } else {
                Lost::Broken
            };
            let _ = done.send(Err(Failure::Lost(why)));
            return;
        }
    };
    backend.answered(header.status);
    stay.mark(&mut header, backend.address);
    let class = Class::of(pool.platform, &pool.gate, &method, &header);
    slot.ended(class.verdict(started.elapsed()));
    let left = timeout.saturating_sub(started.elapsed());
    let (body, whole) = read_ahead(&mut session, left).await;
    match whole {
        Ok(_) => backend.proven(),
        Err(_) => backend.failed(),
    }
    drop(slot);
    backend.free();
    match whole {
        Ok(true) => {
            backend.whole();
            let answer = Answer {
                header,
                body,
                rest: None,
            };
            let _ = done.send(Ok(answer));
            session.shutdown().await;
        }
        Ok(false) => {
            let (parts, rest) = mpsc::channel(4);
            let answer = Answer {
                header,
                body,
                rest: Some(rest),
            };
            if done.send(Ok(answer)).is_ok() {
                match stream(&mut session, &parts, timeout).await {
                    Some(Ok(())) => backend.whole(),
                    Some(Err(_)) => backend.failed(),
                    // The browser has gone.
                    None => {}
                }
            }
            session.shutdown().await;
        }
        Err(why) => {
            let _ = done.send(Err(Failure::Lost(why)));
            session.shutdown().await;
        }
    }
}

/// Waits for the answer, and tells the room when it is overdue: a login may hang for as long as the
/// operator allows, and the pacer must not take that for calm.
async fn watched<T>(slot: &mut Slot, answer: impl Future<Output = T>) -> T {
    let mut answer = std::pin::pin!(answer);
    if let Some(most) = slot.overdue_after() {
        match tokio::time::timeout(most, &mut answer).await {
            Ok(answered) => return answered,
            Err(_) => slot.overdue(),
        }
    }
    answer.await
}

/// A fresh connection to the backend where the login costs least, or to the next if it does not
/// answer. Connections are not reused for logins: on a reused one a backend may hang up while
/// the request is under way, and then nobody could say whether the login was sent.
async fn connect(connector: &Connector, pool: &Pool, home: Home) -> Option<(HttpSession, Busy)> {
    let mut tried: Vec<SocketAddr> = Vec::new();
    let rank = || Rank::Login;
    while let Ok(mut backend) = pool.backends.place(Kind::Login, rank, home, &tried).await {
        let peer = pool.backends.peer_alone(backend.address);
        match connector.get_http_session(&peer).await {
            Ok((session, _)) => {
                backend.connected();
                return Some((session, backend));
            }
            Err(error) => {
                tracing::warn!(pool = pool.name, backend = %backend.address, %error, "Backend not reached for a login");
                tried.push(backend.address);
                if !is_our_want(&error) {
                    backend.not_connected();
                }
                if !pool.backends.may_retry() {
                    return None;
                }
            }
        }
    }
    None
}

/// Sends the login and reads the header of the answer; `None` if the connection breaks.
async fn exchange(
    session: &mut HttpSession,
    login: Login,
    pool: &Pool,
    backend: SocketAddr,
) -> Option<ResponseHeader> {
    let broken = |error: &pingora_core::Error| {
        tracing::warn!(%backend, error = %Fault(error), "Backend broke off a login");
    };
    let mut header = request(&login).inspect_err(|e| broken(e)).ok()?;
    if session.as_http2().is_some() {
        // There the connection is nobody's to close (RFC 9113, 8.2.2).
        header.remove_header(&http::header::CONNECTION);
        let whole = pool.backends.complete(&mut header);
        whole.inspect_err(|e| broken(e)).ok()?;
    }
    let sent = async {
        session.write_request_header(Box::new(header)).await?;
        session.write_request_body(login.body, true).await?;
        session.finish_request_body().await?;
        session.read_response_header().await?;
        while session.response_header().is_some_and(|h| {
            h.status.is_informational() && h.status != StatusCode::SWITCHING_PROTOCOLS
        }) {
            session.read_response_header().await?;
        }
        Ok::<_, Box<pingora_core::Error>>(())
    };
    sent.await.inspect_err(|e| broken(e)).ok()?;
    // A login asks for no other protocol, so an answer that changes to one is none.
    let changes = |header: &&ResponseHeader| header.status == StatusCode::SWITCHING_PROTOCOLS;
    session.response_header().filter(|h| !changes(h)).cloned()
}

fn request(login: &Login) -> pingora_core::Result<RequestHeader> {
    let mut header = RequestHeader::build(
        login.method.clone(),
        login.target.as_bytes(),
        Some(login.headers.len()),
    )?;
    for (name, value) in &login.headers {
        header.append_header(name.clone(), value.clone())?;
    }
    header.insert_header(http::header::CONTENT_LENGTH, login.body.len())?;
    header.insert_header(http::header::CONNECTION, "close")?;
    Ok(header)
}

/// Reads the body up to [`READ_AHEAD`]; the flag says whether that was all of it.
async fn read_ahead(session: &mut HttpSession, within: Duration) -> (Bytes, Result<bool, Lost>) {
    let mut body = BytesMut::new();
    let reading = async {
        while body.len() < READ_AHEAD {
            match session.read_response_body().await {
                Ok(Some(part)) => body.extend_from_slice(&part),
                Ok(None) => return Ok(true),
                Err(error) => {
                    tracing::warn!(error = %Fault(&error), "Backend broke off the answer to a login");
                    return Err(Lost::Broken);
                }
            }
        }
        Ok(false)
    };
    let whole = tokio::time::timeout(within, reading)
        .await
        .unwrap_or(Err(Lost::Timeout));
    (body.freeze(), whole)
}

/// Passes on what is left of an answer. How it ended; `None` if nobody takes it any more.
async fn stream(
    session: &mut HttpSession,
    parts: &mpsc::Sender<Result<Bytes, Lost>>,
    timeout: Duration,
) -> Option<Result<(), Lost>> {
    loop {
        let part = match tokio::time::timeout(timeout, session.read_response_body()).await {
            Ok(Ok(Some(part))) => Ok(part),
            Ok(Ok(None)) => return Some(Ok(())),
            Ok(Err(_)) => Err(Lost::Broken),
            Err(_) => Err(Lost::Timeout),
        };
        let lost = part.as_ref().err().copied();
        parts.send(part).await.ok()?;
        if let Some(why) = lost {
            return Some(Err(why));
        }
    }
}
