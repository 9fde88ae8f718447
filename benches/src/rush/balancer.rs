//! The load balancer in front of several gateways: it sends a request to any that answers.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::browser::{Browser, JSON};
use super::plan::Connections;

/// How often each gateway is asked whether it is well, and how long it may take to say so.
const CHECK_EVERY: Duration = Duration::from_millis(200);
const CHECK_TIMEOUT: Duration = Duration::from_millis(500);

/// Which of the targets answer.
#[derive(Debug)]
pub(super) struct Balancer {
    /// A target written several times gets so many times the requests.
    targets: Vec<SocketAddr>,
    down: watch::Sender<BTreeSet<SocketAddr>>,
}

impl Balancer {
    pub(super) fn new(targets: &[SocketAddr]) -> Self {
        Self {
            targets: targets.to_vec(),
            down: watch::Sender::default(),
        }
    }

    /// Any that answers; if none does, any.
    pub(super) fn pick(&self, rng: &mut fastrand::Rng) -> SocketAddr {
        let any = |rng: &mut fastrand::Rng| self.targets[rng.usize(..self.targets.len())];
        let down = self.down.borrow();
        for _ in 0..64 {
            let target = any(rng);
            if !down.contains(&target) {
                return target;
            }
        }
        any(rng)
    }

    /// Nobody listens there.
    pub(super) fn refused(&self, target: SocketAddr) {
        self.found(target, false);
    }

    /// Returns when a target does not answer any more and another does: who asks there asks elsewhere.
    pub(super) async fn silent(&self, target: SocketAddr) {
        let mut down = self.down.subscribe();
        let silent = |down: &BTreeSet<_>| {
            down.contains(&target) && self.targets.iter().any(|other| !down.contains(other))
        };
        // The sender is this balancer's own and lives.
        let _ = down.wait_for(silent).await;
    }

    fn found(&self, target: SocketAddr, well: bool) {
        self.down.send_if_modified(|down| {
            if well {
                down.remove(&target)
            } else {
                down.insert(target)
            }
        });
    }

    /// Asks all of them, again and again.
    pub(super) async fn watch(self: Arc<Self>, host: String) {
        let mut ticks = interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let targets: BTreeSet<_> = self.targets.iter().copied().collect();
        loop {
            ticks.tick().await;
            for target in targets.iter().copied() {
                let (balancer, host) = (Arc::clone(&self), host.clone());
                tokio::spawn(async move {
                    let (source, once) = (Ipv4Addr::LOCALHOST, Connections::PerRequest);
                    let mut browser = Browser::new(&host, 0, source, once, CHECK_TIMEOUT);
                    let well = browser.get(target, "/_einlass/turn", JSON).await.is_ok();
                    balancer.found(target, well);
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_asks_a_silent_gateway_asks_another_as_soon_as_there_is_one() {
        let [one, other] = [1, 2].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let balancer = Balancer::new(&[one, one, other]);
        balancer.refused(one);
        balancer.refused(other);
        let mut silent = Box::pin(balancer.silent(one));
        let moment = Duration::from_millis(10);
        assert!(timeout(moment, &mut silent).await.is_err());
        balancer.found(other, true);
        silent.await;
        let mut rng = fastrand::Rng::with_seed(1);
        assert!((0..100).all(|_| balancer.pick(&mut rng) == other));
    }
}
