//! What the gateway knows about a request once its school is found.

use std::sync::Arc;

use crate::cookies::Baker;
use crate::forwarding::Origin;
use crate::pages::Language;
use crate::site::{Pool, Seat};

/// A request of a school.
pub(crate) struct Request {
    pub(crate) seat: Seat,
    /// Where the session is, if not at the pool of the school.
    pub(crate) away: Option<Arc<Pool>>,
    /// As the browser asked for it, with its port.
    pub(crate) host: String,
    pub(crate) origin: Origin,
    pub(crate) language: Language,
}

impl Request {
    /// Whose backends know the session.
    pub(crate) fn session_pool(&self) -> &Arc<Pool> {
        self.away.as_ref().unwrap_or(&self.seat.pool)
    }

    pub(crate) fn baker(&self) -> Baker {
        Baker {
            secure: self.origin.secure,
        }
    }

    /// Where a pupil types the password: the page of the first gated path.
    pub(crate) fn login_page(&self) -> String {
        let submit = self.seat.pool.gate.submit.first();
        submit.map_or_else(
            || "/".to_owned(),
            |m| m.path().trim_end_matches('*').to_owned(),
        )
    }
}
