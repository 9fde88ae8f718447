//! What a request is when its pool has all it can do, and the mark by which a session is known.
//!
//! Platforms give their session cookie to everybody who opens a page, so that cookie says nothing.
//! The gateway has seen which logins worked, and marks the browsers; a request with that mark, or
//! with a pass, which those have who were let in a moment ago, goes first.
//!
//! That asks for an operator who knows how one logs in. Without, only what certainly is of nobody who is logged
//! in stands back: a page that is asked for without any cookie of the platform's and without credentials.

use std::time::Duration;

use einlass_admission::Inside;
use http::header::{AUTHORIZATION, ORIGIN};
use http::{HeaderMap, HeaderName};
use pingora_proxy::Session;

use crate::backends::{Rank, has_cookie};
use crate::clock::wall;
use crate::cookies::{INSIDE, Jar, foreign};
use crate::proxy::{Gateway, Request};
use crate::site::Pool;

/// How long a browser is known after its login worked: as long as platforms remember theirs who ask
/// to stay logged in.
const LIFETIME: Duration = Duration::from_hours(24 * 30);
/// What the browser makes of the answer (Fetch Metadata). A page's script cannot write it.
const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");

impl Gateway {
    /// The rank of a request that is not the gate. Where the operator has written nothing about it, it is of
    /// a session if it may be.
    pub(crate) fn rank(&self, session: &Session, request: &Request) -> Rank {
        let header = session.req_header();
        let headers = &header.headers;
        let in_doubt = request.session_pool().priorities.is_none();
        if self.is_of_a_session(headers, request) || in_doubt && may_be_of_a_session(headers) {
            Rank::Session
        } else if is_login_page(&request.seat.pool, header.uri.path())
            || is_part_of_a_page(headers)
            || in_doubt && !is_looked_at(header.method.is_safe(), headers)
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

/// Whoever is logged in shows it to the platform: by a cookie of the platform's, whatever it is called and
/// whatever else it may mean, or by credentials (RFC 9110, section 11.6.2).
fn may_be_of_a_session(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) || foreign(headers).is_some()
}

/// A page that somebody asks for to look at it, as far as can be told: nothing is sent, and no script asks,
/// which may show who it is in a way of its own.
fn is_looked_at(safe: bool, headers: &HeaderMap) -> bool {
    let by_script = headers.contains_key("x-requested-with")
        || headers.contains_key(ORIGIN)
        || headers.get(DESTINATION).is_some_and(|to| to == "empty");
    safe && !by_script
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
    fn who_shows_the_platform_nothing_is_certainly_not_logged_in() {
        let may_be = |name: HeaderName, value| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            may_be_of_a_session(&headers)
        };
        let cookie = http::header::COOKIE;
        assert!(may_be(cookie.clone(), "einlass_ticket=x; MoodleSession=1"));
        assert!(may_be(AUTHORIZATION, "Bearer x"));
        assert!(!may_be(cookie, "einlass_ticket=x; einlass_seal_0=y"));
        assert!(!may_be_of_a_session(&HeaderMap::new()));
    }

    #[test]
    fn a_form_and_what_a_script_asks_for_are_no_pages_to_look_at() {
        let mut headers = HeaderMap::new();
        assert!(is_looked_at(true, &headers) && !is_looked_at(false, &headers));
        headers.insert(DESTINATION, HeaderValue::from_static("document"));
        assert!(is_looked_at(true, &headers));
        headers.insert(DESTINATION, HeaderValue::from_static("empty"));
        assert!(!is_looked_at(true, &headers));
    }

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
