//! What a request is when its pool has all it can do, and the mark by which a session is known.
//!
//! Platforms give their session cookie to everybody who opens a page, so that cookie says nothing.
//! The gateway has seen which logins worked, and marks the browsers; a request with that mark, or
//! with a pass, which those have who were let in a moment ago, goes first.

use std::time::Duration;

use einlass_admission::Inside;
use http::{HeaderMap, HeaderName};
use pingora_proxy::Session;

use crate::backends::{Rank, has_cookie};
use crate::clock::wall;
use crate::cookies::{INSIDE, Jar};
use crate::proxy::{Gateway, Request};
use crate::site::Pool;

/// How long a browser is known after its login worked: as long as platforms remember theirs who ask
/// to stay logged in.
const LIFETIME: Duration = Duration::from_hours(24 * 30);
/// What the browser makes of the answer (Fetch Metadata). A page's script cannot write it.
const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");

impl Gateway {
    /// The rank of a request that is not the gate.
    pub(crate) fn rank(&self, session: &Session, request: &Request) -> Rank {
        let header = session.req_header();
        if self.is_of_a_session(&header.headers, request) {
            Rank::Session
        } else if is_login_page(&request.seat.pool, header.uri.path())
            || is_part_of_a_page(&header.headers)
        {
            Rank::Login
        } else {
            Rank::Page
        }
    }

    fn is_of_a_session(&self, headers: &HeaderMap, request: &Request) -> bool {
        let jar = Jar::of(headers);
        let (school, now) = (request.seat.key, wall());
        let named = request.session_pool().priorities.as_ref();
        let named = named.and_then(|priorities| priorities.session_cookie.as_deref());
        named.is_some_and(|cookie| has_cookie(headers, cookie))
            || jar
                .all(INSIDE)
                .any(|text| Inside::is_good(&self.keys, text, school, now))
            || self.pass(request, &jar).is_some()
    }

    /// The cookie of a browser whose login worked at this pool; `None` where everybody is treated
    /// alike, there and at home.
    pub(crate) fn mark(&self, request: &Request, at: &Pool) -> Option<String> {
        let home = &request.seat.pool;
        at.priorities.as_ref().or(home.priorities.as_ref())?;
        let mut expires = wall();
        expires.0 += LIFETIME.as_secs();
        let mark = Inside {
            school: request.seat.key,
            expires,
        };
        Some(request.baker().inside(&mark.encode(&self.keys), LIFETIME))
    }
}

/// Where one types the password: whoever is sent there is on the way in.
fn is_login_page(pool: &Pool, path: &str) -> bool {
    let mut submits = pool.gate.submit.iter();
    submits.any(|submit| submit.matches(submit.method(), path))
}

/// A style, a script, a picture: what the page costs that it belongs to is spent already, and without
/// them that was in vain.
fn is_part_of_a_page(headers: &HeaderMap) -> bool {
    let whole = ["document", "empty", "iframe", "frame", "embed", "object"];
    let destination = headers.get(DESTINATION);
    destination.is_some_and(|destination| !whole.iter().any(|whole| destination == whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_parts_of_a_page_are_told_from_pages() {
        let is_part = |destination| {
            let mut headers = HeaderMap::new();
            headers.insert(DESTINATION, HeaderValue::from_static(destination));
            is_part_of_a_page(&headers)
        };
        for part in ["style", "script", "image", "font", "manifest"] {
            assert!(is_part(part), "{part}");
        }
        for page in ["document", "iframe", "empty"] {
            assert!(!is_part(page), "{page}");
        }
        assert!(!is_part_of_a_page(&HeaderMap::new()), "in doubt it is one");
    }
}
