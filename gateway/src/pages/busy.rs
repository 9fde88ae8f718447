//! The page of a request that was shed: what is going on, and that it will be asked again by itself.

use askama::Template;
use http::StatusCode;
use http::header::RETRY_AFTER;

use super::Language;
use super::texts::Texts;
use crate::backends::Rank;
use crate::random;
use crate::respond::Reply;

/// Seconds until it is asked again: from these on, spread over as many more.
const AGAIN: f64 = 10.0;

#[derive(Template)]
#[template(path = "busy.html")]
pub(crate) struct BusyPage<'a> {
    texts: &'a Texts,
    text: &'a str,
    /// What happens next.
    again: String,
    /// Seconds after which the browser asks again; `None`: it would not send what it has sent.
    refresh: Option<u64>,
    link: Option<&'a str>,
}

impl<'a> BusyPage<'a> {
    /// The page for a request of that rank. `safe`: it may be sent again as it is. `login`: where one
    /// logs in, for whoever is not there.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some seconds"
    )]
    pub(crate) fn reply(rank: Rank, language: Language, safe: bool, login: &'a str) -> Reply {
        let texts = language.texts();
        // Spread, or all who were shed together come together again.
        let seconds = (AGAIN * (1.0 + random::fraction())).round() as u64;
        let again = if safe {
            texts.busy_again
        } else {
            texts.busy_unsent
        };
        let page = Self {
            text: if rank == Rank::Session {
                texts.busy_inside
            } else {
                texts.busy
            },
            again: again.replace("{n}", &seconds.to_string()),
            refresh: safe.then_some(seconds),
            link: (rank == Rank::Page).then_some(login),
            texts,
        };
        let body = page
            .render()
            .unwrap_or_else(|_| texts.busy_title.to_owned());
        Reply::html(StatusCode::SERVICE_UNAVAILABLE, body).with(RETRY_AFTER, seconds.to_string())
    }
}
