//! The operators' listener: health, readiness, metrics, a table of the rooms, and orders.

mod api;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Response, StatusCode};
use pingora_core::apps::http_app::ServeHttp;
use pingora_core::protocols::http::ServerSession;

use crate::backends::Rank;
use crate::edge::EdgeCounters;
use crate::metrics::Metrics;
use crate::site::Site;

/// Answers operators. Never public: it asks for no password.
pub(crate) struct Desk {
    pub(crate) site: Arc<Site>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) edge: Arc<EdgeCounters>,
    /// The process was told to stop.
    pub(crate) stopping: Arc<AtomicBool>,
}

#[async_trait]
impl ServeHttp for Desk {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        const TEXT: &str = "text/plain; charset=utf-8";
        let path = session.req_header().uri.path();
        if path.starts_with("/api/") {
            return match api::answer(&self.site, session).await {
                Ok(api::Answer::Description(text)) => {
                    answer(StatusCode::OK, "application/json", text.to_owned())
                }
                Ok(api::Answer::Backends(backends)) => json(StatusCode::OK, &backends),
                Ok(api::Answer::Backend(backend)) => json(StatusCode::OK, &backend),
                Err(refusal) => json(
                    refusal.status,
                    &serde_json::json!({ "error": refusal.error }),
                ),
            };
        }
        match path {
            // The process runs and answers.
            "/healthz" => answer(StatusCode::OK, TEXT, "ok\n".into()),
            // Readiness does not depend on the ledger: without it a gateway goes on by itself.
            // The edge listens and every room has its registers: both before the desk starts.
            "/readyz" if self.stopping.load(Ordering::Acquire) => {
                let text = self.ready("stopping: no new requests, please");
                answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
            }
            "/readyz" => answer(StatusCode::OK, TEXT, self.ready("ready")),
            "/metrics" => answer(
                StatusCode::OK,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                self.metrics.scrape(&self.site, &self.edge),
            ),
            "/" => answer(StatusCode::OK, "text/html; charset=utf-8", self.table()),
            _ => answer(StatusCode::NOT_FOUND, TEXT, "not found\n".into()),
        }
    }
}

impl Desk {
    fn ready(&self, how: &str) -> String {
        let mut out = format!("{how}\n");
        for pool in &self.site.pools {
            let (mode, since) = pool.room.mode();
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "room {} {} {:.1} s",
                pool.name,
                mode.name(),
                since.as_secs_f64()
            );
        }
        out
    }

    fn table(&self) -> String {
        let mut rows = String::new();
        for pool in &self.site.pools {
            let gauges = pool.room.gauges();
            let capacity = gauges
                .capacity
                .map_or_else(|| "–".to_owned(), |c| format!("{c:.1}/s"));
            let shed = Rank::ALL
                .map(|rank| self.metrics.shed_so_far(&pool.name, rank).to_string())
                .join(" / ");
            let state = if pool.room.is_down() { "down" } else { "up" };
            // Pool names are made of letters, digits, '-', '_', '.', '/' and ':': safe in HTML.
            let _ = write!(
                rows,
                "<tr><th scope=row>{}<td>{}<td>{}<td>{}<td>{} / {}<td>{capacity}<td>{shed}<td>{state}",
                pool.name,
                gauges.waiting,
                gauges.buffered,
                pool.backends.len(),
                gauges.in_flight,
                gauges.cap,
            );
        }
        let backends = self.backends();
        format!(
            "<!DOCTYPE html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=2>\
             <meta name=viewport content=\"width=device-width\"><title>Einlass: rooms</title>\
             <style>:root{{color-scheme:light dark}}body{{font:1rem/1.5 system-ui;margin:2rem}}\
             td,th{{padding:.3rem 1rem;text-align:right;border-bottom:1px solid #8888}}\
             th[scope=row]{{text-align:left}}</style><h1>Rooms</h1><table><thead><tr><th>room\
             <th>waiting<th>buffered<th>backends<th>in flight / cap<th>capacity<th>shed: pages / logins / sessions<th>pool</thead>\
             {rows}</table><h1>Backends</h1><table><thead><tr><th>room<th>backend<th>state\
             <th>in flight / bound<th>unfinished<th>last request<th>login<th>ejections</thead>{backends}</table><p><a href=/metrics>metrics</a>"
        )
    }

    fn backends(&self) -> String {
        let mut rows = String::new();
        for pool in &self.site.pools {
            for gauge in pool.backends.gauges() {
                let latency = gauge
                    .latency
                    .map_or_else(|| "–".to_owned(), |l| format!("{:.0} ms", l * 1_000.0));
                let _ = write!(
                    rows,
                    "<tr><th scope=row>{}<td>{}<td>{}<td>{} / {}<td>{}<td>{}<td>{latency}<td>{}",
                    pool.name,
                    gauge.address,
                    gauge.state.name(),
                    gauge.in_flight,
                    gauge.limit,
                    gauge.unfinished,
                    ago(gauge.idle),
                    gauge.ejections,
                );
            }
        }
        rows
    }
}

/// How long ago something was.
fn ago(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Vec<u8>> {
    // Our JSON types have string keys and finite numbers, which always serialize.
    let body = serde_json::to_string(value).unwrap_or_default();
    answer(status, "application/json", body)
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Vec<u8>> {
    let body = Bytes::from(body);
    let mut response = Response::new(body.to_vec());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(content_type),
    );
    headers.insert(http::header::CONTENT_LENGTH, body.len().into());
    headers.insert(
        http::header::CACHE_CONTROL,
        http::HeaderValue::from_static("no-store"),
    );
    response
}
