//! When to talk to the ledger, what was said last, and for how long it has been silent.

use std::time::Duration;

use super::untold::Untold;
use crate::buffer::WaiterId;
use crate::ledger::{Report, Seen, TicketKey};

/// How often a gateway exchanges while there is something to do.
const BUSY: Duration = Duration::from_millis(100);
/// How often while there is not.
const IDLE: Duration = Duration::from_millis(300);
/// The shortest time between two exchanges, when something has changed that others wait for.
const AT_ONCE: Duration = Duration::from_millis(20);
/// So long without an answer, and the gateway goes on alone. Less than the work in the buffers.
const PATIENCE: Duration = Duration::from_millis(600);

/// What was told in the exchange that is under way.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Whether tickets were told that this gateway keeps.
    pub(super) kept: bool,
    /// The tickets that were claimed, and by whom.
    pub(super) claims: Vec<(WaiterId, TicketKey)>,
    /// Everything that is told once.
    pub(super) news: Untold,
}

/// What this gateway has now, for the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stand {
    /// What it reports.
    pub(super) report: Report,
    /// Its share.
    pub(super) share: u32,
    /// Slots free and not owed to its buffer.
    pub(super) free: u32,
    /// Whether a ticket waits for the ledger's word.
    pub(super) claims: bool,
    /// Whether nobody waits or is let in.
    pub(super) idle: bool,
}

/// The talk with the ledger.
#[derive(Debug, Default)]
pub(super) struct Contact {
    asked: Option<Duration>,
    told: Option<Told>,
    last_told: Report,
    last_share_told: u32,
    /// Whether the ledger has ever answered.
    answered: bool,
    /// When this gateway began to wait for an answer.
    alone_since: Option<Duration>,
    seen: Seen,
    /// It has said good-bye.
    has_left: bool,
}

impl Contact {
    /// Whether the ledger has ever answered.
    pub(super) fn is_made(&self) -> bool {
        self.answered
    }

    /// What was last seen of the ledger.
    pub(super) fn seen(&self) -> Seen {
        self.seen
    }

    /// Whether an exchange is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.told.is_some()
    }

    /// Whether good-bye was said.
    pub(super) fn has_ended(&self) -> bool {
        self.has_left
    }

    /// Says good-bye: nothing else is told afterwards.
    pub(super) fn end(&mut self) {
        self.has_left = true;
    }

    /// Whether it is time for an exchange, and none is under way.
    pub(super) fn is_due(&self, now: Duration, stand: Stand) -> bool {
        if self.told.is_some() || self.has_left {
            return false;
        }
        let since = self.asked.map(|asked| now.saturating_sub(asked));
        since.is_none_or(|since| {
            let period = if stand.idle { IDLE } else { BUSY };
            since >= period || (since >= AT_ONCE && self.has_news(stand))
        })
    }

    /// Whether others, or somebody here, would have to wait if this were told only in time.
    fn has_news(&self, stand: Stand) -> bool {
        let Stand {
            report,
            share,
            free,
            claims,
            ..
        } = stand;
        let held = share.max(report.in_flight);
        let held_told = self.last_share_told.max(self.last_told.in_flight);
        let gave_way = held < held_told;
        let first_in_buffer = report.buffered > 0 && free == 0 && self.last_told.buffered == 0;
        let ran_dry = report.want() < share && self.last_told.want() >= self.last_share_told;
        gave_way || first_in_buffer || ran_dry || (claims && free > 0)
    }

    /// An exchange begins, with a report and the share that is told.
    pub(super) fn begin(&mut self, now: Duration, report: Report, share: u32, told: Told) {
        self.asked = Some(now);
        self.last_told = report;
        self.last_share_told = share;
        self.told = Some(told);
    }

    /// The exchange is over: what was told in it.
    pub(super) fn finish(&mut self) -> Option<Told> {
        self.told.take()
    }

    /// The ledger has answered. Returns what was seen of it before, and whether this is the first answer.
    pub(super) fn answered(&mut self, now: Duration, seen: Seen) -> (Seen, bool) {
        self.alone_since = Some(now);
        let before = std::mem::replace(&mut self.seen, seen);
        let first = !std::mem::replace(&mut self.answered, true);
        (before, first)
    }

    /// The ledger had no time to answer until now.
    pub(super) fn excuse(&mut self, now: Duration) {
        self.alone_since = Some(now);
    }

    /// Whether the ledger has been silent for too long. To be asked with every tick.
    pub(super) fn is_lost(&mut self, now: Duration) -> bool {
        let alone_since = *self.alone_since.get_or_insert(now);
        now.saturating_sub(alone_since) > PATIENCE
    }
}
