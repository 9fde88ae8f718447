//! What takes long without being work: downloads, uploads, events, a WebSocket. Nobody has to be logged in for it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::Interval;

use crate::streams::pattern::{self, Pattern};
use crate::streams::websocket;

/// The largest upload that is taken.
const LARGEST: u64 = 4 << 30;

/// What has gone through since the start.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams {
    /// Bytes of downloads that the network has asked for.
    pub(super) sent: Arc<AtomicU64>,
    /// Bytes of uploads that have been read.
    pub(super) received: Arc<AtomicU64>,
}

pub(super) fn router(streams: Streams) -> Router {
    Router::new()
        .route("/stream/download/{bytes}", get(download))
        .route("/stream/upload", post(upload))
        .route("/stream/events", get(events))
        .route("/stream/echo", get(echo))
        .with_state(streams)
}

/// So many bytes, or the range of them that is asked for (RFC 9110, section 14).
async fn download(
    State(streams): State<Streams>,
    Path(bytes): Path<u64>,
    headers: HeaderMap,
) -> Response {
    let asked = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let answer = Response::builder().header(ACCEPT_RANGES, "bytes");
    let (answer, from, end) = match asked.map(|asked| range(asked, bytes)) {
        None => (answer, 0, bytes),
        Some(Some((from, last))) => {
            let content = format!("bytes {from}-{last}/{bytes}");
            let answer = answer.status(StatusCode::PARTIAL_CONTENT);
            (answer.header(CONTENT_RANGE, content), from, last + 1)
        }
        Some(None) => {
            let answer = answer.status(StatusCode::RANGE_NOT_SATISFIABLE);
            (
                answer.header(CONTENT_RANGE, format!("bytes */{bytes}")),
                0,
                0,
            )
        }
    };
    let body = Body::new(Pattern::new(from, end, streams.sent));
    let answer = answer.header(CONTENT_LENGTH, end - from).body(body);
    answer.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The first and the last byte of `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`.
fn range(asked: &str, length: u64) -> Option<(u64, u64)> {
    let (first, last) = asked.strip_prefix("bytes=")?.split_once('-')?;
    let end = length.checked_sub(1)?;
    let (first, last) = match (first.parse(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => (first, last.min(end)),
        (Ok(first), Err(_)) if last.is_empty() => (first, end),
        (Err(_), Ok(count)) if first.is_empty() && count > 0 => (length.saturating_sub(count), end),
        _ => return None,
    };
    (first <= last).then_some((first, last))
}

/// Reads the pattern and says how much of it has come.
async fn upload(State(streams): State<Streams>, headers: HeaderMap, body: Body) -> Response {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > LARGEST) {
        // Before any of it is read, so that who expects leave to send gets none.
        return (StatusCode::PAYLOAD_TOO_LARGE, "too large").into_response();
    }
    let mut body = body;
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return (StatusCode::BAD_REQUEST, "broke off").into_response();
        };
        if let Ok(part) = frame.into_data() {
            if !pattern::fits(seen, &part) {
                return (StatusCode::BAD_REQUEST, "not as it was sent").into_response();
            }
            seen += part.len() as u64;
            streams
                .received
                .fetch_add(part.len() as u64, Ordering::Relaxed);
        }
    }
    format!("{seen}").into_response()
}

#[derive(Deserialize)]
struct Rhythm {
    /// Milliseconds from event to event.
    every: u64,
    count: u64,
}

/// Events with numbers, one after the other (the HTML standard, section 9.2).
async fn events(Query(rhythm): Query<Rhythm>) -> Response {
    let every = Duration::from_millis(rhythm.every.max(1));
    let body = Body::new(Events {
        ticks: tokio::time::interval(every),
        next: 0,
        count: rhythm.count,
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}

/// The events that are still to come.
struct Events {
    ticks: Interval,
    next: u64,
    count: u64,
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.next == self.count {
            return Poll::Ready(None);
        }
        ready!(self.ticks.poll_tick(context));
        let event = format!("data: {}\n\n", self.next);
        self.next += 1;
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }
}

/// Sends back every message until it is told to close.
async fn echo(mut request: Request) -> Response {
    let key = request
        .headers()
        .get(SEC_WEBSOCKET_KEY)
        .and_then(|key| key.to_str().ok());
    let Some(accept) = key.map(websocket::accept_of) else {
        return (StatusCode::UPGRADE_REQUIRED, [(UPGRADE, "websocket")]).into_response();
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let mut socket = TokioIo::new(upgraded);
        while let Ok((kind, message)) = websocket::read(&mut socket).await {
            let sent = websocket::write(&mut socket, kind, &message, None).await;
            if sent.is_err() || kind == websocket::CLOSE {
                return;
            }
        }
    });
    let headers = [
        (UPGRADE, "websocket".to_owned()),
        (CONNECTION, "Upgrade".to_owned()),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn ranges_are_those_of_the_rfc() {
        assert_eq!(range("bytes=0-499", 1_000), Some((0, 499)));
        assert_eq!(range("bytes=500-", 1_000), Some((500, 999)));
        assert_eq!(range("bytes=-300", 1_000), Some((700, 999)));
        assert_eq!(range("bytes=900-2000", 1_000), Some((900, 999)));
        for none in [
            "bytes=1000-",
            "bytes=5-4",
            "bytes=-0",
            "bytes=-",
            "lines=1-2",
        ] {
            assert_eq!(range(none, 1_000), None, "{none}");
        }
    }
}
