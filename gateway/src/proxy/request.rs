//! What the gateway knows about a request once its school is found.

use crate::cookies::Baker;
use crate::forwarding::Origin;
use crate::pages::Language;
use crate::site::Seat;

/// A request of a school.
pub(crate) struct Request {
    pub(crate) seat: Seat,
    /// As the browser asked for it, with its port.
    pub(crate) host: String,
    pub(crate) origin: Origin,
    pub(crate) language: Language,
}

impl Request {
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
