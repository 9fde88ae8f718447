//! What the desk exports for Prometheus.

mod backends;
mod counts;
mod edge;
mod forecasts;
mod labels;
mod overflow;
mod register;
mod rooms;
mod tally;

use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use crate::edge::EdgeCounters;
use crate::site::Site;

use backends::Backends;
use counts::Counts;
use edge::Edge;
use forecasts::Forecasts;
use overflow::Overflow;
use rooms::Rooms;

pub(crate) use labels::{Outcome, Staff};

/// All metrics. Counters are bumped by requests, gauges are read when somebody scrapes.
pub(crate) struct Metrics {
    registry: Registry,
    counts: Counts,
    rooms: Rooms,
    forecasts: Forecasts,
    overflow: Overflow,
    backends: Backends,
    edge: Edge,
}

impl Metrics {
    pub(crate) fn new<'a>(pools: impl Iterator<Item = &'a str>) -> Self {
        let mut registry = Registry::with_prefix("einlass");
        Self {
            counts: Counts::new(&mut registry, pools),
            rooms: Rooms::new(&mut registry),
            forecasts: Forecasts::new(&mut registry),
            overflow: Overflow::new(&mut registry),
            backends: Backends::new(&mut registry),
            edge: Edge::new(&mut registry),
            registry,
        }
    }

    /// The text a scraper gets.
    pub(crate) fn scrape(&self, site: &Site, edge: &Arc<EdgeCounters>) -> String {
        for pool in &site.pools {
            let gauges = pool.room.gauges();
            self.rooms.read(pool, &gauges);
            self.forecasts.read(&pool.name, &gauges.forecasts);
        }
        self.overflow.read(site);
        self.backends.read(site);
        self.edge.read(edge);
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}
