//! What operators and their scripts can ask for and change: `/api/v1/…`, in JSON.
//!
//! The desk asks for no password, so a page in the operator's own browser must not be able to change
//! anything. What changes something has to be sent as `application/json`, which a page of another
//! site may not do without the desk's leave (a CORS preflight, which is never given), and is refused
//! with an `Origin`: that is what a browser adds also for a page that has taken on the desk's own name
//! (DNS rebinding).

use std::net::SocketAddr;
use std::time::Duration;

use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, Method, StatusCode};
use pingora_core::protocols::http::ServerSession;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::backends::Gauge;
use crate::site::{Pool, Site};

/// More than any order needs.
const LONGEST: usize = 4 << 10;
/// For all of an order to come.
const WITHIN: Duration = Duration::from_secs(5);

/// What is asked for.
pub(super) enum Answer {
    /// The description of all this.
    Description(&'static str),
    Backends(Vec<Backend>),
    Backend(Box<Backend>),
}

/// What was wrong with a request, in words for its sender.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: String,
}

/// One backend, as the desk tells it.
#[derive(Serialize)]
#[allow(clippy::struct_field_names, reason = "the names of the API")]
pub(super) struct Backend {
    pool: String,
    backend: SocketAddr,
    state: &'static str,
    /// Nobody new is sent there.
    drain: bool,
    /// Requests that it owes an answer.
    in_flight: u32,
    /// Those, and the streams, downloads and `WebSocket`s that are not over.
    unfinished: u32,
    /// How long no request has gone there.
    idle_seconds: f64,
    /// Requests that it may owe an answer now.
    limit: u32,
    ejections: u32,
    /// Of its logins; `null` before the first.
    login_latency_seconds: Option<f64>,
}

/// An order to empty a backend, or to use it again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "the names of the API")]
struct Drain {
    pool: String,
    /// As the desk shows it: address and port.
    backend: String,
    drain: bool,
}

/// Answers a request below `/api/v1/`.
pub(super) async fn answer(site: &Site, session: &mut ServerSession) -> Result<Answer, Refusal> {
    let header = session.req_header();
    let read = header.method == Method::GET;
    let write = header.method == Method::POST;
    match header.uri.path() {
        "/api/v1/openapi.json" if read => Ok(Answer::Description(include_str!("openapi.json"))),
        "/api/v1/backends" if read => Ok(Answer::Backends(backends(site))),
        "/api/v1/drain" if write => {
            not_from_a_page(&header.headers)?;
            drain(site, &body(session).await?)
        }
        "/api/v1/backends" | "/api/v1/openapi.json" => {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "GET only")
        }
        "/api/v1/drain" => refuse(StatusCode::METHOD_NOT_ALLOWED, "POST only"),
        path => refuse(
            StatusCode::NOT_FOUND,
            format!("there is no {path}; /api/v1/openapi.json says what there is"),
        ),
    }
}

fn refuse<T>(status: StatusCode, error: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        status,
        error: error.into(),
    })
}

/// Lets through what no page of another site can send.
fn not_from_a_page(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(ORIGIN) {
        let error = "the desk takes no orders from pages in a browser";
        return refuse(StatusCode::FORBIDDEN, error);
    }
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    if kind.is_none_or(|kind| !kind.trim().eq_ignore_ascii_case("application/json")) {
        let error = "send it as content-type: application/json";
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, error);
    }
    Ok(())
}

async fn body(session: &mut ServerSession) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(part)) = session.read_request_body().await {
            body.extend_from_slice(&part);
            if body.len() > LONGEST {
                return refuse(StatusCode::PAYLOAD_TOO_LARGE, "too long for an order");
            }
        }
        Ok(())
    };
    let read = timeout(WITHIN, reading).await;
    read.unwrap_or_else(|_| {
        refuse(
            StatusCode::REQUEST_TIMEOUT,
            "the order did not come in time",
        )
    })?;
    Ok(body)
}

fn drain(site: &Site, body: &[u8]) -> Result<Answer, Refusal> {
    const FORM: &str = r#"write {"pool": "…", "backend": "address:port", "drain": true or false}"#;
    let order: Drain = serde_json::from_slice(body)
        .or_else(|error| refuse(StatusCode::BAD_REQUEST, format!("{error}; {FORM}")))?;
    let Ok(address) = order.backend.parse::<SocketAddr>() else {
        let error = format!("{:?} is not an address and a port; {FORM}", order.backend);
        return refuse(StatusCode::BAD_REQUEST, error);
    };
    let Some(pool) = site.pools.iter().find(|pool| pool.name == order.pool) else {
        let names: Vec<&str> = site.pools.iter().map(|pool| pool.name.as_str()).collect();
        let error = format!("no pool {:?}; there are {}", order.pool, some(&names));
        return refuse(StatusCode::NOT_FOUND, error);
    };
    let known = pool.backends.drain(address, order.drain);
    let gauges = pool.backends.gauges();
    if let Some(gauge) = gauges
        .iter()
        .find(|gauge| known && gauge.address == address)
    {
        let drain = order.drain;
        tracing::info!(pool = pool.name, backend = %address, drain, "Backend drained or not, by the desk");
        return Ok(Answer::Backend(Box::new(Backend::of(pool, gauge))));
    }
    let addresses: Vec<String> = gauges.iter().map(|g| g.address.to_string()).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let error = format!(
        "pool {:?} has no backend {address}; it has {}",
        pool.name,
        some(&addresses)
    );
    refuse(StatusCode::NOT_FOUND, error)
}

/// The first of a list that may have thousands.
fn some(names: &[&str]) -> String {
    const SHOWN: usize = 10;
    let shown = names
        .iter()
        .take(SHOWN)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn backends(site: &Site) -> Vec<Backend> {
    let mut backends = Vec::new();
    for pool in &site.pools {
        let gauges = pool.backends.gauges();
        backends.extend(gauges.iter().map(|gauge| Backend::of(pool, gauge)));
    }
    backends
}

impl Backend {
    fn of(pool: &Pool, gauge: &Gauge) -> Self {
        Self {
            pool: pool.name.clone(),
            backend: gauge.address,
            state: gauge.state.name(),
            drain: gauge.drains,
            in_flight: gauge.in_flight,
            unfinished: gauge.unfinished,
            idle_seconds: gauge.idle.as_secs_f64(),
            limit: gauge.limit,
            ejections: gauge.ejections,
            login_latency_seconds: gauge.latency,
        }
    }
}
