//! The control listener: the record, and the number of workers. Never reachable through the gateway.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::Region;
use super::record::Snapshot;

pub(super) fn router(region: Arc<Region>) -> Router {
    Router::new()
        .route("/_platform/record", get(record))
        .route("/_platform/workers", post(workers))
        .with_state(region)
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    logins: u8,
}

async fn record(State(region): State<Arc<Region>>, Query(wanted): Query<Wanted>) -> Json<Snapshot> {
    Json(region.snapshot(wanted.logins != 0))
}

#[derive(Deserialize)]
struct Number {
    n: usize,
}

async fn workers(State(region): State<Arc<Region>>, Query(number): Query<Number>) -> String {
    region.workers.resize(number.n);
    format!("{}\n", region.workers.wanted())
}
