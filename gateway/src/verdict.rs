//! What a backend made of a login: only those that were hashed say how fast it is.

use std::time::Duration;

use einlass_admission::Verdict;
use einlass_config::{Gate, Platform};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Method, StatusCode};
use pingora_http::ResponseHeader;
use prometheus_client::encoding::EncodeLabelValue;

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
    pub(crate) fn of(
        platform: Platform,
        gate: &Gate,
        method: &Method,
        answer: &ResponseHeader,
    ) -> Self {
        match answer.status {
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::Overloaded,
            status if status.is_server_error() => Self::Failed,
            _ if method.is_safe() => Self::Page,
            StatusCode::UNAUTHORIZED => Self::WrongPassword,
            status if status.is_client_error() => Self::Refused,
            status if status.is_redirection() => Self::of_redirect(platform, gate, answer),
            // A form that comes again says what was wrong; an interface for apps says what is new.
            _ if is_html(answer) => Self::WrongPassword,
            _ => Self::Worked,
        }
    }

    /// Back to where one logs in, or on to what one wanted.
    fn of_redirect(platform: Platform, gate: &Gate, answer: &ResponseHeader) -> Self {
        let location = answer.headers.get(LOCATION);
        let location = location.and_then(|l| l.to_str().ok()).unwrap_or_default();
        let path = path(location);
        let back = gate.submit.iter().any(|rule| rule.matches("POST", path));
        // Moodle leads everybody who is in through its login page once more, to see whether the
        // browser keeps cookies.
        let moodle = platform == Platform::Moodle;
        let test = moodle && location.contains("testsession=");
        if moodle && MOODLE_EARLY.contains(&parameter(location, "errorcode")) {
            Self::Refused
        } else if back && !test {
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

/// Why Moodle refuses before the hash, as it tells a login page of somebody's own: the browser keeps no cookies, the
/// name has letters that no name has, the session has ended. Its own page is told nothing in the address, and a
/// stale form looks like a wrong password: those are samples, of which the median takes no notice.
const MOODLE_EARLY: [Option<&str>; 3] = [Some("1"), Some("2"), Some("4")];

/// A parameter of a reference's query.
fn parameter<'l>(location: &'l str, name: &str) -> Option<&'l str> {
    let (_, query) = location.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
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
    use Class::{Failed, Overloaded, Page, Refused, Worked, WrongPassword};

    /// What an answer to a request is taken for. `to` is where a redirect leads, or else the type of the body.
    fn class(platform: Platform, method: &Method, status: u16, to: &str) -> Class {
        let mut answer = ResponseHeader::build(status, None).unwrap();
        let name = if answer.status.is_redirection() {
            LOCATION
        } else {
            CONTENT_TYPE
        };
        answer.insert_header(name, to).unwrap();
        Class::of(platform, &platform.gate(), method, &answer)
    }

    #[test]
    fn what_each_platform_answers_to_a_login() {
        const HTML: &str = "text/html; charset=utf-8";
        const JSON: &str = "application/json";
        for platform in Platform::ALL {
            let gate = platform.gate();
            // Moodle's second rule stands for anything behind the script.
            let form = gate.submit[0].path();
            let again = format!("{form}?next=/a#top");
            let elsewhere = format!("https://gym.example{form}");
            for (status, to, expected) in [
                (302, "/", Worked),
                (303, "https://gym.example/my/", Worked),
                (302, form, WrongPassword),
                (303, again.as_str(), WrongPassword),
                (302, elsewhere.as_str(), WrongPassword),
                (200, HTML, WrongPassword),
                (200, JSON, Worked),
                (401, JSON, WrongPassword),
                (400, HTML, Refused),
                (403, HTML, Refused),
                (412, HTML, Refused),
                (422, JSON, Refused),
                (429, HTML, Refused),
                (500, HTML, Failed),
                (501, HTML, Failed),
                (502, HTML, Overloaded),
                (503, HTML, Overloaded),
                (504, HTML, Overloaded),
            ] {
                let class = class(platform, &Method::POST, status, to);
                assert_eq!(class, expected, "{platform}: {status} {to}");
            }
            for (status, to, expected) in [
                (200, HTML, Page),
                (302, "/", Page),
                (404, HTML, Page),
                (500, HTML, Failed),
                (503, HTML, Overloaded),
            ] {
                let class = class(platform, &Method::GET, status, to);
                assert_eq!(class, expected, "{platform}: the page, {status} {to}");
            }
        }
    }

    #[test]
    fn moodle_says_in_the_address_what_it_refuses_early() {
        for (to, expected) in [
            ("/login/index.php?testsession=7", Worked),
            ("/login/index.php?loginredirect=1", WrongPassword),
            ("/login/index.php/x", WrongPassword),
            ("https://gym.example/own.php?errorcode=1", Refused),
            ("/own.php?lang=de&errorcode=2", Refused),
            ("/login/index.php?errorcode=4#top", Refused),
            ("/login/index.php?errorcode=3", WrongPassword),
            ("/login/index.php?errorcode=14", WrongPassword),
            ("/my/?xerrorcode=4", Worked),
        ] {
            let class = class(Platform::Moodle, &Method::POST, 303, to);
            assert_eq!(class, expected, "{to}");
        }
        let other = class(Platform::Generic, &Method::POST, 303, "/login?errorcode=4");
        assert_eq!(other, WrongPassword, "of others nothing is known");
    }

    #[test]
    fn only_what_was_hashed_is_a_sample() {
        let took = Duration::from_millis(250);
        for class in [Worked, WrongPassword] {
            assert_eq!(class.verdict(took), Verdict::Hashed(took));
        }
        for class in [Overloaded, Class::Lost] {
            assert_eq!(class.verdict(took), Verdict::Lost);
        }
        let others = [Refused, Failed, Page].map(|class| class.verdict(took));
        assert_eq!(others, [Verdict::Refused, Verdict::Neutral, Verdict::Page]);
    }

    #[test]
    fn a_reference_has_its_path_wherever_it_leads() {
        assert_eq!(path("/login?next=/a"), "/login");
        assert_eq!(path("https://gym.example/login#top"), "/login");
        assert_eq!(path("https://gym.example"), "/");
        assert_eq!(path(""), "");
    }
}
