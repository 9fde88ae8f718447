//! How a metric comes into the registry.

use prometheus_client::registry::{Metric, Registry, Unit};

/// A metric with this name, of which the registry keeps a copy.
pub(super) fn register<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: Metric + Clone + Default,
{
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// The same for one that counts seconds, which its name then ends in.
pub(super) fn register_seconds<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: Metric + Clone + Default,
{
    let metric = M::default();
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}
