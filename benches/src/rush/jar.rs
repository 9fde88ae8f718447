//! One pupil's cookies, kept as RFC 6265 section 5 wants it. One jar serves one host, so domains play no part.

use std::time::{Duration, Instant};

use cookie::{Cookie, Expiration, time::OffsetDateTime};

/// Browsers drop a cookie whose name and value together are longer.
const LONGEST: usize = 4096;

/// The cookies of one browser.
#[derive(Debug, Default)]
pub(super) struct Jar(Vec<Stored>);

#[derive(Debug)]
struct Stored {
    name: Box<str>,
    value: Box<str>,
    path: Box<str>,
    expires: Option<Instant>,
}

impl Jar {
    /// Applies one `Set-Cookie` field of an answer to a request for `request_path`.
    pub(super) fn set(&mut self, field: &str, request_path: &str) {
        let Ok(cookie) = Cookie::parse(field) else {
            return;
        };
        if cookie.name().len() + cookie.value().len() > LONGEST {
            return;
        }
        let path = match cookie.path() {
            Some(path) if path.starts_with('/') => path,
            _ => default_path(request_path),
        };
        self.0
            .retain(|stored| *stored.name != *cookie.name() || *stored.path != *path);
        let Lifetime::Until(expires) = lifetime(&cookie) else {
            return;
        };
        self.0.push(Stored {
            name: cookie.name().into(),
            value: cookie.value().into(),
            path: path.into(),
            expires,
        });
    }

    /// The `Cookie` field for a request, longest paths first; `None` without a matching cookie.
    pub(super) fn header(&mut self, request_path: &str) -> Option<String> {
        let now = Instant::now();
        self.0
            .retain(|stored| stored.expires.is_none_or(|expires| expires > now));
        let mut matching: Vec<&Stored> = self
            .0
            .iter()
            .filter(|stored| path_matches(&stored.path, request_path))
            .collect();
        matching.sort_by_key(|stored| std::cmp::Reverse(stored.path.len()));
        let pairs: Vec<String> = matching
            .iter()
            .map(|stored| format!("{}={}", stored.name, stored.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Whether there is a cookie of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|stored| *stored.name == *name)
    }
}

enum Lifetime {
    /// For the session (`None`) or until a moment.
    Until(Option<Instant>),
    /// It deletes.
    Over,
}

/// Max-Age wins over Expires (section 5.3).
fn lifetime(cookie: &Cookie<'_>) -> Lifetime {
    let seconds = match (cookie.max_age(), cookie.expires()) {
        (Some(age), _) => age.whole_seconds(),
        (None, Some(Expiration::DateTime(at))) => (at - OffsetDateTime::now_utc()).whole_seconds(),
        (None, _) => return Lifetime::Until(None),
    };
    match u64::try_from(seconds) {
        Ok(0) | Err(_) => Lifetime::Over,
        // Too far away to be represented is as good as the whole session.
        Ok(seconds) => Lifetime::Until(Instant::now().checked_add(Duration::from_secs(seconds))),
    }
}

/// The directory of the request (section 5.1.4).
fn default_path(request_path: &str) -> &str {
    match request_path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &request_path[..end],
    }
}

fn path_matches(path: &str, request_path: &str) -> bool {
    let request_path = request_path.split('?').next().unwrap_or("/");
    request_path
        .strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || path.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_comes_back_where_its_path_says() {
        let mut jar = Jar::default();
        jar.set(
            "place=abc; Path=/_einlass; HttpOnly; SameSite=Lax",
            "/login",
        );
        jar.set("sid=1; Path=/", "/login");
        assert_eq!(
            jar.header("/_einlass/turn").as_deref(),
            Some("place=abc; sid=1")
        );
        assert_eq!(jar.header("/_einlassen").as_deref(), Some("sid=1"));
        assert_eq!(jar.header("/?a=/_einlass").as_deref(), Some("sid=1"));
    }

    #[test]
    fn the_latest_value_wins_and_max_age_0_deletes() {
        let mut jar = Jar::default();
        jar.set("sid=1; Path=/", "/");
        jar.set("sid=2; Path=/", "/");
        assert_eq!(jar.header("/").as_deref(), Some("sid=2"));
        jar.set("sid=; Path=/; Max-Age=0", "/");
        assert_eq!(jar.header("/"), None);
        assert!(!jar.has("sid"));
    }

    #[test]
    fn an_expiry_in_the_past_deletes_and_one_in_the_future_does_not() {
        let mut jar = Jar::default();
        jar.set("a=1; Path=/; Expires=Fri, 31 Dec 2100 23:59:59 GMT", "/");
        assert!(jar.has("a"));
        jar.set("a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "/");
        assert!(!jar.has("a"));
        jar.set(
            "b=1; Path=/; Max-Age=600; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "/",
        );
        assert!(jar.has("b"));
    }

    #[test]
    fn without_a_path_the_directory_of_the_request_counts() {
        let mut jar = Jar::default();
        jar.set("a=1", "/kurs/login");
        assert_eq!(jar.header("/kurs/3").as_deref(), Some("a=1"));
        assert_eq!(jar.header("/"), None);
    }

    #[test]
    fn a_cookie_too_long_for_browsers_is_dropped() {
        let mut jar = Jar::default();
        jar.set(&format!("big={}; Path=/", "x".repeat(LONGEST)), "/");
        assert!(!jar.has("big"));
    }
}
