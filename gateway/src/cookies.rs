//! Our cookies: read from every `Cookie` field, kept from the backends, set and deleted.

use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::HeaderMap;
use http::header::COOKIE;

pub(crate) const TICKET: &str = "einlass_ticket";
pub(crate) const PASS: &str = "einlass_pass";
pub(crate) const CALLED: &str = "einlass_called";
pub(crate) const STAFF: &str = "einlass_staff";
pub(crate) const HOME: &str = "einlass_home";
pub(crate) const INSIDE: &str = "einlass_inside";
pub(crate) const AWAY: &str = "einlass_away";
const SEAL: &str = "einlass_seal_";
const OURS: &str = "einlass_";
/// Browsers keep about 4,096 bytes per cookie, name and attributes included.
const CHUNK: usize = 3_800;
/// The most a sealed login may take, in cookies.
const CHUNKS: usize = 8;

/// The cookies of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar {
    pairs: Vec<(String, String)>,
}

impl Jar {
    /// Reads all `Cookie` fields; an HTTP/2 client may send one per cookie (RFC 9113, 8.2.3).
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let fields = headers.get_all(COOKIE).into_iter();
        let pairs = fields
            .filter_map(|field| std::str::from_utf8(field.as_bytes()).ok())
            .flat_map(Cookie::split_parse)
            .filter_map(Result::ok)
            .filter(|cookie| cookie.name().starts_with(OURS))
            .map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned()))
            .collect();
        Self { pairs }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every cookie of that name: another host of the same domain may have set one too.
    pub(crate) fn all<'a, 'n>(
        &'a self,
        name: &'n str,
    ) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let named = self.pairs.iter().filter(move |(n, _)| n == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The sealed login, its chunks put together.
    pub(crate) fn seal(&self) -> Option<String> {
        let chunk = |i: usize| self.find(&format!("{SEAL}{i}"));
        let whole: String = (0..CHUNKS).map_while(chunk).collect();
        (!whole.is_empty()).then_some(whole)
    }

    fn seal_chunks(&self) -> usize {
        let seals = |(name, _): &&(String, String)| name.starts_with(SEAL);
        self.pairs.iter().filter(seals).count().min(CHUNKS)
    }
}

/// The `Cookie` header without our cookies, all fields joined; `None` if nothing is left.
pub(crate) fn foreign(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut joined: Vec<u8> = Vec::new();
    for field in headers.get_all(COOKIE) {
        for pair in field.as_bytes().split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            if pair.is_empty() || pair.starts_with(OURS.as_bytes()) {
                continue;
            }
            if !joined.is_empty() {
                joined.extend_from_slice(b"; ");
            }
            joined.extend_from_slice(pair);
        }
    }
    (!joined.is_empty()).then_some(joined)
}

/// Builds our `Set-Cookie` values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Baker {
    /// The browser came by TLS.
    pub(crate) secure: bool,
}

impl Baker {
    pub(crate) fn ticket(self, value: &str, lifetime: Duration) -> String {
        self.set(TICKET.to_owned(), value.to_owned(), "/", lifetime)
    }

    pub(crate) fn pass(self, value: &str, lifetime: Duration) -> String {
        self.set(PASS.to_owned(), value.to_owned(), "/", lifetime)
    }

    pub(crate) fn called(self, value: &str, lifetime: Duration) -> String {
        self.set(CALLED.to_owned(), value.to_owned(), "/", lifetime)
    }

    pub(crate) fn staff(self, value: &str, lifetime: Duration) -> String {
        self.set(STAFF.to_owned(), value.to_owned(), "/", lifetime)
    }

    pub(crate) fn home(self, value: &str, lifetime: Duration) -> String {
        self.set(HOME.to_owned(), value.to_owned(), "/", lifetime)
    }

    pub(crate) fn away(self, value: &str, lifetime: Duration) -> String {
        self.set(AWAY.to_owned(), value.to_owned(), "/", lifetime)
    }

    pub(crate) fn inside(self, value: &str, lifetime: Duration) -> String {
        self.set(INSIDE.to_owned(), value.to_owned(), "/", lifetime)
    }

    /// The sealed login in as many cookies as it takes, and the deletion of chunks left over from
    /// an earlier one. `None` if it takes too many.
    pub(crate) fn seal(self, jar: &Jar, value: &str, lifetime: Duration) -> Option<Vec<String>> {
        // The encoding is ASCII, so that cutting by bytes is safe.
        let chunks: Vec<&str> = value
            .as_bytes()
            .chunks(CHUNK)
            .filter_map(|chunk| std::str::from_utf8(chunk).ok())
            .collect();
        if chunks.len() > CHUNKS {
            return None;
        }
        let used = chunks.len();
        let set = chunks
            .into_iter()
            .enumerate()
            .map(|(i, chunk)| self.set(format!("{SEAL}{i}"), chunk.to_owned(), "/", lifetime));
        let stale = (used..jar.seal_chunks()).map(|i| self.delete_seal(i));
        Some(set.chain(stale).collect())
    }

    /// Deletes the ticket and the sealed login.
    pub(crate) fn delete_place(self, jar: &Jar) -> Vec<String> {
        let ticket = self.set(TICKET.to_owned(), String::new(), "/", Duration::ZERO);
        std::iter::once(ticket)
            .chain(self.delete_seals(jar))
            .collect()
    }

    /// Deletes the sealed login alone.
    pub(crate) fn delete_seals(self, jar: &Jar) -> Vec<String> {
        (0..jar.seal_chunks())
            .map(|i| self.delete_seal(i))
            .collect()
    }

    fn delete_seal(self, chunk: usize) -> String {
        let name = format!("{SEAL}{chunk}");
        self.set(name, String::new(), "/", Duration::ZERO)
    }

    fn set(self, name: String, value: String, path: &'static str, lifetime: Duration) -> String {
        let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        Cookie::build((name, value))
            .path(path)
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Lax)
            .max_age(cookie::time::Duration::seconds(seconds))
            .build()
            .to_string()
    }
}
