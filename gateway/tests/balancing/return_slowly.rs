//! A backend that comes back gets its work little by little.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::common::Gateway;
use super::fickle::Fickle;
use super::number;

/// A backend may have so much in flight.
pub(super) const MOST: f64 = 1_024.0;

/// What is in flight at a backend that is back, and its bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    after: Duration,
    /// What it is at work on by its own count, if it tells.
    pub(super) at_work: usize,
    in_flight: f64,
    bound: f64,
}

/// What was seen of a backend that is back, until its bound was what it may be: it begins low, grows by steps,
/// and never is there more in flight, as the gateway counts it and as the backend does.
pub(super) async fn starts_slowly(
    gateway: &Gateway,
    backend: SocketAddr,
    own: Option<&Fickle>,
) -> Vec<Look> {
    let mut curve: Vec<Look> = Vec::new();
    let started = Instant::now();
    loop {
        // In this order: the bound grows from one look to the next.
        let at_work = own.map_or(0, Fickle::at_work);
        let in_flight = number(gateway, "in_flight_requests", backend).await;
        let bound = number(gateway, "limit_requests", backend).await;
        let last = curve.last().map_or(0.0, |last| last.bound);
        curve.push(Look {
            after: started.elapsed(),
            at_work,
            in_flight,
            bound,
        });
        assert!(in_flight <= bound && last <= bound, "{curve:?}");
        assert!(at_work as f64 <= bound, "{curve:?}");
        if bound >= MOST {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{curve:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let first = curve[0].bound;
    assert!(first <= 5.0, "it begins with a tenth of eight: {curve:?}");
    let mut bounds: Vec<u64> = curve.iter().map(|look| look.bound.to_bits()).collect();
    bounds.dedup();
    assert!(bounds.len() >= 6, "it leaps: {curve:?}");
    show(&curve);
    curve
}

fn show(curve: &[Look]) {
    let look = |look: &Look| {
        let ms = look.after.as_millis();
        format!("{ms}: {}/{}", look.in_flight, look.bound)
    };
    let looks: Vec<String> = curve.iter().step_by(4).map(look).collect();
    println!("back (ms: in flight/bound): {}", looks.join(", "));
}
