//! What a browser proves: its turn by a ticket, that it was let in by a pass.

use einlass_admission::{Pass, Ticket};
use http::HeaderName;
use pingora_proxy::Session;

use crate::clock::wall;
use crate::cookies::{self, Jar};
use crate::proxy::{Gateway, Request};
use crate::random;
use crate::site::Seat;

/// Where a ticket may be sent besides the cookie.
pub(crate) const TICKET_FIELD: HeaderName = HeaderName::from_static("einlass-ticket");

/// A ticket and the text it came in: seals are bound to the text.
pub(crate) struct Held {
    pub(crate) ticket: Ticket,
    pub(crate) text: String,
}

impl Gateway {
    /// The ticket of a request: the first that is good here, from the header field, which somebody
    /// wrote on purpose, or from the cookies.
    pub(crate) fn held(&self, session: &Session, request: &Request, jar: &Jar) -> Option<Held> {
        let fields = session.req_header().headers.get_all(TICKET_FIELD);
        let fields = fields.into_iter().filter_map(|value| value.to_str().ok());
        let mut texts = fields.chain(jar.all(cookies::TICKET)).peekable();
        texts.peek()?;
        let Seat {
            pool, key, staff, ..
        } = &request.seat;
        let lifetime = pool.limits.ticket_lifetime;
        let decode = |text| Ticket::decode(&self.keys, text, pool.room.key, *key, wall(), lifetime);
        let held = texts.find_map(|text| {
            // Where staff have no line any more nobody knows where such a turn stands.
            let ticket = decode(text).filter(|t| !t.staff || staff.is_some())?;
            let text = text.to_owned();
            Some(Held { ticket, text })
        });
        if held.is_none() {
            self.metrics.bad_ticket(&pool.name);
        }
        held
    }

    /// The pass of a request, if it is good here.
    pub(crate) fn pass(&self, request: &Request, jar: &Jar) -> Option<Pass> {
        let text = jar.find(cookies::PASS)?;
        let seat = &request.seat;
        Pass::decode(&self.keys, text, seat.pool.room.key, seat.key, wall())
    }

    pub(super) fn fresh_pass(&self, request: &Request) -> String {
        let seat = &request.seat;
        let lifetime = seat.pool.limits.pass_lifetime;
        let mut expires = wall();
        expires.0 += lifetime.as_secs();
        let pass = Pass {
            room: seat.pool.room.key,
            school: seat.key,
            expires,
            id: u64::from_be_bytes(random::bytes()),
        };
        request.baker().pass(&pass.encode(&self.keys), lifetime)
    }
}
