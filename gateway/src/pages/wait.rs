//! The waiting page: the same with and without JavaScript, nothing loaded from elsewhere.

use askama::Template;
use base64::Engine as _;
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderName, StatusCode};

use super::Language;
use super::texts::Texts;
use crate::random;
use crate::respond::Reply;
use crate::standing::{State, TurnBody};

/// Without JavaScript the page is loaded anew, never sooner than this, in seconds.
const SLOW_REFRESH: u64 = 10;

/// The page for one pupil at one moment.
#[derive(Template)]
#[template(path = "wait.html")]
#[allow(clippy::struct_excessive_bools, reason = "a template asks questions")]
pub(crate) struct WaitPage<'a> {
    texts: &'a Texts,
    /// What the script's texts are made from.
    words: String,
    nonce: String,
    title: &'a str,
    place: &'a str,
    ahead: String,
    wait: String,
    message: &'a str,
    refresh: u64,
    poll_after: f64,
    login: &'a str,
    waiting: bool,
    /// It is the crowd that is waited for, and neither a server nor the operator.
    crowd: bool,
    ready: bool,
    none: bool,
}

impl<'a> WaitPage<'a> {
    /// The page; `login` is the path of the school's login page.
    pub(crate) fn reply(turn: &'a TurnBody, language: Language, login: &'a str) -> Reply {
        let texts = language.texts();
        let nonce = base64::engine::general_purpose::STANDARD.encode(random::bytes::<16>());
        let page = Self {
            words: words(texts),
            title: match turn.state {
                State::Ready => texts.ready_title,
                State::None => texts.none_title,
                State::Held => texts.held_title,
                State::Closed => texts.closed_title,
                State::Waiting => texts.title,
            },
            place: if turn.staff {
                texts.place_staff
            } else {
                texts.place
            },
            ahead: texts.ahead(turn.ahead),
            wait: texts.wait(turn.eta_seconds.map(|eta| (eta.low, eta.high))),
            message: turn.message.unwrap_or_default(),
            refresh: turn.whole_seconds().max(SLOW_REFRESH),
            poll_after: turn.poll_after_seconds,
            login,
            waiting: !matches!(turn.state, State::Ready | State::None),
            crowd: turn.state == State::Waiting,
            ready: turn.state == State::Ready,
            none: turn.state == State::None,
            nonce,
            texts,
        };
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{0}'; script-src 'nonce-{0}'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            page.nonce
        );
        let body = page.render().unwrap_or_else(|_| texts.title.to_owned());
        Reply::html(StatusCode::OK, body)
            .with(CONTENT_SECURITY_POLICY, policy)
            .with(
                HeaderName::from_static("referrer-policy"),
                "same-origin".to_owned(),
            )
            .with(
                HeaderName::from_static("x-content-type-options"),
                "nosniff".to_owned(),
            )
    }
}

/// The sentences the script needs, as JSON safe inside a `script` element.
fn words(texts: &Texts) -> String {
    let words = serde_json::json!({
        "title": texts.title,
        "readyTitle": texts.ready_title,
        "heldTitle": texts.held_title,
        "closedTitle": texts.closed_title,
        "next": texts.next,
        "one": texts.one_ahead,
        "many": texts.many_ahead,
        "soon": texts.soon,
        "minute": texts.about_minute,
        "minutes": texts.minutes,
        "unknown": texts.unknown,
        "ready": texts.ready,
        "offline": texts.offline,
    });
    words.to_string().replace('<', "\\u003c")
}
