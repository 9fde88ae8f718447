//! A request finds a backend, or waits for one for a moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::balancer::{Choice, Wish};
use super::{Backends, Busy, Home, Kind, Rank, Shared};

/// While all are at their bound, it is looked so often whether one has grown.
const AGAIN: Duration = Duration::from_millis(25);

/// Why a request has no backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unplaced {
    /// There is none, or none in time.
    Nobody,
    /// What is left is for those who go first.
    Shed(Rank),
}

impl Backends {
    /// A backend for a request, of those not `tried` yet. If all are at their bound, one is waited
    /// for, as long as a connection might take; one that is being restarted is waited for by its
    /// sessions, for some seconds.
    ///
    /// `rank` is only asked where a page would find no place.
    pub(crate) async fn place(
        &self,
        kind: Kind,
        rank: impl FnOnce() -> Rank + Send,
        home: Home,
        mut tried: &[SocketAddr],
    ) -> Result<Busy, Unplaced> {
        if tried.is_empty() {
            self.shared.lock().budget.earn();
        }
        let mut ask = self.ranked.then_some(rank);
        let mut rank = Rank::Page;
        let mut line = None;
        let patience = self.peers.connect_timeout();
        let mut waited_since = self.shared.clock.now();
        loop {
            let freed = self.shared.freed.notified();
            let now = self.shared.clock.now();
            let wish = Wish {
                kind,
                rank,
                home,
                tried,
            };
            let choice = self.shared.lock().choose(now, wish);
            match choice {
                Choice::At(id, address) => {
                    return Ok(Busy::new(&self.shared, id, address, kind));
                }
                Choice::Try(id, address) => {
                    let mut busy = Busy::new(&self.shared, id, address, kind);
                    busy.tries = true;
                    return Ok(busy);
                }
                Choice::Nobody => return Err(Unplaced::Nobody),
                Choice::Full => {
                    if let Some(ask) = ask.take() {
                        rank = ask();
                        if rank > Rank::Page {
                            continue;
                        }
                    }
                    let over = now.saturating_sub(waited_since) >= patience;
                    if over || self.ranked && !self.stands_in_line(rank, &mut line) {
                        return Err(self.unplaced(rank));
                    }
                }
                // That has an end of its own. Whoever has waited for it may try it again, also when
                // it has taken up its work in the meantime.
                Choice::Away => {
                    waited_since = now;
                    tried = &[];
                }
            }
            let _ = tokio::time::timeout(AGAIN, freed).await;
        }
    }

    fn unplaced(&self, rank: Rank) -> Unplaced {
        if self.ranked {
            Unplaced::Shed(rank)
        } else {
            Unplaced::Nobody
        }
    }

    /// Whether a request may wait for a place. Of those who do not go first no more may than have
    /// one: a crowd that looks forty times a second would be a load of its own.
    fn stands_in_line(&self, rank: Rank, line: &mut Option<InLine>) -> bool {
        if rank == Rank::Session || line.is_some() {
            return true;
        }
        let place = line.insert(InLine::new(&self.shared));
        let stands = place.before < self.limit();
        if !stands {
            *line = None;
        }
        stands
    }
}

/// One of those who wait for a place and do not go first.
struct InLine {
    shared: Arc<Shared>,
    /// Those who stood there already.
    before: u32,
}

impl InLine {
    fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            before: shared.in_line.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        self.shared.in_line.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "placing_tests.rs"]
mod tests;
