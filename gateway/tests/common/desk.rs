//! What operators and their monitoring ask of the desk.

use std::net::SocketAddr;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;

use super::gateway::Gateway;
use super::http::{Answer, get, send};

/// One number of a desk's `/metrics`; 0 if it is not there yet.
pub async fn metric(desk: SocketAddr, line: &str) -> f64 {
    let answer = send(desk, get("/metrics", "desk")).await;
    answer
        .text()
        .lines()
        .find_map(|l| l.strip_prefix(line)?.trim().parse().ok())
        .unwrap_or(0.0)
}

/// Orders at the desk that a backend be emptied, or used again.
pub async fn drain(gateway: &Gateway, pool: &str, backend: SocketAddr, drain: bool) -> Answer {
    let order = serde_json::json!({ "pool": pool, "backend": backend, "drain": drain });
    self::order(gateway, &order.to_string()).await
}

/// Sends an order to the desk as it is.
pub async fn order(gateway: &Gateway, body: &str) -> Answer {
    let request = Request::post("/api/v1/drain")
        .header("host", "desk")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    send(gateway.desk, request).await
}
