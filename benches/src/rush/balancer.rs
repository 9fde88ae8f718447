//! The load balancer in front of several gateways: it sends a request to any that answers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::browser::{Browser, JSON};
use super::plan::Connections;

/// How often each gateway is asked whether it is well, and how long it may take to say so.
const CHECK_EVERY: Duration = Duration::from_millis(200);
const CHECK_TIMEOUT: Duration = Duration::from_millis(500);

/// Which of the targets answer.
#[derive(Debug, Default)]
pub(super) struct Balancer {
    targets: Vec<SocketAddr>,
    down: BTreeMap<SocketAddr, AtomicBool>,
}

impl Balancer {
    /// A target written several times gets so many times the requests.
    pub(super) fn new(targets: &[SocketAddr]) -> Self {
        Self {
            targets: targets.to_vec(),
            down: targets
                .iter()
                .map(|t| (*t, AtomicBool::default()))
                .collect(),
        }
    }

    /// Any that answers; if none does, any.
    pub(super) fn pick(&self, rng: &mut fastrand::Rng) -> SocketAddr {
        let any = |rng: &mut fastrand::Rng| self.targets[rng.usize(..self.targets.len())];
        for _ in 0..64 {
            let target = any(rng);
            if !self.down[&target].load(Relaxed) {
                return target;
            }
        }
        any(rng)
    }

    /// Nobody listens there.
    pub(super) fn refused(&self, target: SocketAddr) {
        self.down[&target].store(true, Relaxed);
    }

    /// Asks all of them, again and again.
    pub(super) async fn watch(self: Arc<Self>, host: String) {
        let mut ticks = interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            for target in self.down.keys().copied() {
                let (balancer, host) = (Arc::clone(&self), host.clone());
                tokio::spawn(async move {
                    let (source, once) = (Ipv4Addr::LOCALHOST, Connections::PerRequest);
                    let mut browser = Browser::new(&host, 0, source, once, CHECK_TIMEOUT);
                    let well = browser.get(target, "/_einlass/turn", JSON).await.is_ok();
                    balancer.down[&target].store(!well, Relaxed);
                });
            }
        }
    }
}
