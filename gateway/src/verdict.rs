//! What a backend made of a login: only those that were hashed say how fast it is.

use std::time::Duration;

use einlass_admission::Verdict;
use einlass_config::Platform;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Method, StatusCode};
use pingora_http::ResponseHeader;
use prometheus_client::encoding::EncodeLabelValue;

use crate::site::Pool;

/// How a login ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Class {
    /// The pupil is in.
    Worked,
    /// The password was hashed and did not fit.
    WrongPassword,
    /// Refused before the hash: a stale form, a missing field, too many tries.
    Refused,
    /// The backend said that it has too much to do.
    Overloaded,
    /// The backend failed in another way.
    Failed,
    /// Not a login: a gated page.
    Page,
    /// No answer.
    Lost,
}

impl Class {
    /// Which class an answer belongs to.
    pub(crate) fn of(pool: &Pool, method: &Method, answer: &ResponseHeader) -> Self {
        match answer.status {
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::Overloaded,
            status if status.is_server_error() => Self::Failed,
            _ if method.is_safe() => Self::Page,
            StatusCode::UNAUTHORIZED => Self::WrongPassword,
            status if status.is_client_error() => Self::Refused,
            status if status.is_redirection() => Self::of_redirect(pool, answer),
            // A form that comes again says what was wrong; an interface for apps says what is new.
            _ if is_html(answer) => Self::WrongPassword,
            _ => Self::Worked,
        }
    }

    /// Back to where one logs in, or on to what one wanted.
    fn of_redirect(pool: &Pool, answer: &ResponseHeader) -> Self {
        let location = answer.headers.get(LOCATION);
        let location = location.and_then(|l| l.to_str().ok()).unwrap_or_default();
        let path = path(location);
        let back = pool
            .gate
            .submit
            .iter()
            .any(|rule| rule.matches("POST", path));
        // Moodle leads everybody who is in through its login page once more, to see whether the
        // browser keeps cookies.
        let test = pool.platform == Platform::Moodle && location.contains("testsession=");
        if back && !test {
            Self::WrongPassword
        } else {
            Self::Worked
        }
    }

    /// What the pacer makes of it. `latency` is from the sent login to the head of the answer.
    pub(crate) fn verdict(self, latency: Duration) -> Verdict {
        match self {
            Self::Worked | Self::WrongPassword => Verdict::Hashed(latency),
            Self::Refused => Verdict::Refused,
            Self::Failed => Verdict::Neutral,
            Self::Page => Verdict::Page,
            Self::Overloaded | Self::Lost => Verdict::Lost,
        }
    }
}

/// The path of a reference, which may name scheme and host.
fn path(location: &str) -> &str {
    let after = location.split_once("://").map_or(location, |(_, rest)| {
        rest.find('/').map_or("/", |at| &rest[at..])
    });
    let end = after.find(['?', '#']).unwrap_or(after.len());
    &after[..end]
}

fn is_html(answer: &ResponseHeader) -> bool {
    let kind = answer.headers.get(CONTENT_TYPE);
    kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_its_path_wherever_it_leads() {
        assert_eq!(path("/login?next=/a"), "/login");
        assert_eq!(path("https://gym.example/login#top"), "/login");
        assert_eq!(path("https://gym.example"), "/");
        assert_eq!(path(""), "");
    }
}
