//! A gateway as simple as can be: everybody waits for a number of polls, then the login is passed on.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Semaphore;

/// How this gateway treats people.
#[derive(Clone, Copy)]
pub(crate) struct Manners {
    /// Polls answered `waiting` until the turn of the n-th pupil has come.
    pub(crate) polls: fn(usize) -> usize,
    /// Seconds from one poll to the next.
    pub(crate) poll_after: f64,
    /// Whether `ahead` grows from poll to poll.
    pub(crate) ahead_grows: bool,
    /// Whether everybody is asked to log in again when the turn has come.
    pub(crate) asks_again: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            polls: |_| 2,
            poll_after: 0.04,
            ahead_grows: false,
            asks_again: false,
        }
    }
}

pub(crate) struct FakeGateway {
    pub(crate) address: SocketAddr,
    /// While set, everything is answered with 502.
    pub(crate) away: Arc<AtomicBool>,
}

struct Gateway {
    backend: SocketAddr,
    manners: Manners,
    away: Arc<AtomicBool>,
    /// Connections to the backend: descriptors are scarce when both ends are in one process.
    forwards: Semaphore,
    places: Mutex<Vec<Place>>,
}

struct Place {
    polls: usize,
    login: (HeaderMap, axum::body::Bytes),
    pass: bool,
}

impl FakeGateway {
    pub(crate) async fn start(backend: SocketAddr, manners: Manners) -> Self {
        let away = Arc::new(AtomicBool::new(false));
        let gateway = Arc::new(Gateway {
            backend,
            manners,
            away: Arc::clone(&away),
            forwards: Semaphore::new(500),
            places: Mutex::default(),
        });
        let router = Router::new()
            .route("/_einlass/wait", get(async || "Bitte warten"))
            .route("/_einlass/turn", get(turn))
            .route("/_einlass/enter", post(enter))
            .fallback(gate)
            .with_state(gateway);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, away }
    }
}

async fn gate(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let passed = ticket(request.headers()).is_some_and(|ticket| gateway.places.lock()[ticket].pass);
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    if head.method != "POST" || passed {
        return forward(
            &gateway,
            head.method.as_str(),
            head.uri.path(),
            head.headers,
            body,
        )
        .await;
    }
    let mut places = gateway.places.lock();
    let number = places.len();
    places.push(Place {
        polls: 0,
        login: (head.headers, body),
        pass: false,
    });
    see_other(
        "/_einlass/wait",
        &format!("ticket={number}; Path=/; HttpOnly"),
    )
}

async fn turn(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Response {
    if gateway.away.load(SeqCst) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let Some(ticket) = ticket(&headers) else {
        return axum::Json(json!({ "state": "none" })).into_response();
    };
    let manners = gateway.manners;
    let wanted = (manners.polls)(ticket);
    let mut places = gateway.places.lock();
    let polls = places[ticket].polls;
    places[ticket].polls += 1;
    let ahead = if manners.ahead_grows {
        polls
    } else {
        wanted.saturating_sub(polls)
    };
    let likely = manners.poll_after * ahead as f64;
    let state = if polls >= wanted { "ready" } else { "waiting" };
    axum::Json(json!({
        "state": state, "ahead": ahead, "poll_after_seconds": manners.poll_after, "since": "2021-01-11T08:00:00Z",
        "eta_seconds": { "low": likely / 2.0, "likely": likely, "high": likely + 2.0 }, "message": null,
    }))
    .into_response()
}

async fn enter(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Response {
    let ticket = ticket(&headers).unwrap();
    let (headers, body) = {
        let mut places = gateway.places.lock();
        places[ticket].pass = true;
        places[ticket].login.clone()
    };
    if gateway.manners.asks_again {
        return see_other("/login", "kept=1; Path=/");
    }
    forward(&gateway, "POST", "/login", headers, body).await
}

async fn forward(
    gateway: &Gateway,
    method: &str,
    path: &str,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    let _forward = gateway.forwards.acquire().await.unwrap();
    let stream = tokio::net::TcpStream::connect(gateway.backend)
        .await
        .unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .body(Full::new(body))
        .unwrap();
    *request.headers_mut() = headers;
    sender.send_request(request).await.unwrap().map(Body::new)
}

fn see_other(location: &str, cookie: &str) -> Response {
    (
        StatusCode::SEE_OTHER,
        [("location", location), ("set-cookie", cookie)],
    )
        .into_response()
}

fn ticket(headers: &HeaderMap) -> Option<usize> {
    let cookies = headers.get("cookie")?.to_str().ok()?;
    let pairs: HashMap<&str, &str> = cookies
        .split("; ")
        .filter_map(|pair| pair.split_once('='))
        .collect();
    pairs.get("ticket")?.parse().ok()
}
