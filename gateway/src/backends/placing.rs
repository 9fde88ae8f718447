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
    /// There is none.
    Nobody,
    /// There is no place in time, or what is left is for those who go first.
    Shed(Rank),
}

impl Backends {
    /// A backend for a request, of those not `tried` yet. If all are at their bound, one is waited
    /// for, as long as a connection might take; one that is being restarted is waited for by its
    /// sessions, for some seconds.
    ///
    /// `rank` is only asked where a page finds no place.
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
        let mut ask = Some(rank);
        let mut rank = Rank::Page;
        let mut line: Option<InLine> = None;
        let patience = self.peers.connect_timeout();
        let mut waited_since = self.shared.clock.now();
        loop {
            let ahead = line.as_ref().is_some_and(InLine::is_ahead);
            let freed = self.shared.freed(ahead).notified();
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
                    if over || !self.lines_up(rank, home, &mut line) {
                        return Err(Unplaced::Shed(rank));
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

    /// Whether a request may wait for a place, which it does in `line` from then on.
    fn lines_up(&self, rank: Rank, home: Home, line: &mut Option<InLine>) -> bool {
        if line.is_none() {
            let joined = match (self.ranked, rank) {
                // The one finds a place that is kept for it, the other takes what nobody else waits for.
                (true, Rank::Session) | (false, Rank::Page) => return true,
                // Of these no more may wait than have one: a crowd that looks forty times a second would
                // be a load of its own.
                (true, _) => InLine::behind(&self.shared, self.limit()),
                (false, _) => Some(InLine::ahead(&self.shared, home)),
            };
            *line = joined;
        }
        line.is_some()
    }
}

/// A request that waits for a place, and for whom that matters.
struct InLine {
    shared: Arc<Shared>,
    stands: Stands,
}

enum Stands {
    /// One of those who do not go first.
    Behind,
    /// One of those who go before pages, at this backend or at any.
    Ahead(Option<SocketAddr>),
}

impl InLine {
    /// `None` if so many stand there already.
    fn behind(shared: &Arc<Shared>, most: u32) -> Option<Self> {
        let before = shared.in_line.fetch_add(1, Ordering::Relaxed);
        let line = Self {
            shared: Arc::clone(shared),
            stands: Stands::Behind,
        };
        (before < most).then_some(line)
    }

    fn ahead(shared: &Arc<Shared>, home: Home) -> Self {
        Self {
            stands: Stands::Ahead(shared.lock().line_up(home)),
            shared: Arc::clone(shared),
        }
    }

    fn is_ahead(&self) -> bool {
        matches!(self.stands, Stands::Ahead(_))
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        match self.stands {
            Stands::Behind => {
                self.shared.in_line.fetch_sub(1, Ordering::Relaxed);
            }
            Stands::Ahead(at) => self.shared.lock().ahead.leave(at),
        }
    }
}

#[cfg(test)]
#[path = "placing_tests.rs"]
mod tests;
