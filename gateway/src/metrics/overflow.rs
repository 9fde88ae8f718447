//! Logins that one region performs for another.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::register::register;
use crate::site::Site;

/// From a room to another region's backends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    pool: String,
    to: String,
}

/// What goes from a room to another region.
pub(super) struct Overflow {
    in_flight: Family<Way, Gauge>,
    limit: Family<Way, Gauge>,
    logins: Family<Way, Counter>,
}

impl Overflow {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            in_flight: register(
                registry,
                "overflow_in_flight_logins",
                "Logins in flight at another region's backends",
            ),
            limit: register(
                registry,
                "overflow_limit_logins",
                "Logins that may be in flight there now",
            ),
            logins: register(
                registry,
                "overflow_logins",
                "Logins sent to another region's backends",
            ),
        }
    }

    /// What is known of every way now.
    pub(super) fn read(&self, site: &Site) {
        for outlet in &site.outlets {
            let label = Way {
                pool: outlet.from.name.clone(),
                to: outlet.to.name.clone(),
            };
            let in_flight = self.in_flight.get_or_create(&label);
            in_flight.set(outlet.guests().into());
            let limit = self.limit.get_or_create(&label);
            limit.set(outlet.allowed().into());
            let logins = self.logins.get_or_create(&label);
            logins.inner().store(outlet.sent(), Ordering::Relaxed);
        }
    }
}
