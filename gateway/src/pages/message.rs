//! A page that says one thing.

use askama::Template;
use http::StatusCode;

use super::Language;
use super::texts::Texts;
use crate::respond::Reply;

/// What there is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    UnknownHost,
    Unreachable,
    Lost,
    TooLarge,
    BadRequest,
    NotFound,
    StaffUnknown,
    StaffForeign,
    StaffExpired,
}

#[derive(Template)]
#[template(path = "message.html")]
struct Page<'a> {
    texts: &'a Texts,
    title: &'a str,
    text: &'a str,
    link: Option<&'a str>,
}

impl Message {
    fn status(self) -> StatusCode {
        match self {
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Lost => StatusCode::GATEWAY_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::StaffUnknown | Self::StaffForeign => StatusCode::FORBIDDEN,
            Self::StaffExpired => StatusCode::GONE,
        }
    }

    /// The page, with a link to the login page if given.
    pub(crate) fn reply(self, language: Language, link: Option<&str>) -> Reply {
        let texts = language.texts();
        let (title, text) = match self {
            Self::UnknownHost => texts.unknown_host,
            Self::Unreachable => texts.unreachable,
            Self::Lost => texts.lost,
            Self::TooLarge => texts.too_large,
            Self::BadRequest => texts.bad_request,
            Self::NotFound => texts.not_found,
            Self::StaffUnknown => texts.staff_unknown,
            Self::StaffForeign => texts.staff_foreign,
            Self::StaffExpired => texts.staff_expired,
        };
        let page = Page {
            texts,
            title,
            text,
            link,
        };
        let body = page.render().unwrap_or_else(|_| title.to_owned());
        let reply = Reply::html(self.status(), body);
        match self {
            Self::Unreachable => reply.with(http::header::RETRY_AFTER, "30".to_owned()),
            _ => reply,
        }
    }
}
