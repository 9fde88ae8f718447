//! `[region.NAME.priorities]`: who goes first when the backends of a pool have all they can do.

use crate::affinity;
use crate::report::Problem;
use crate::section::Section;
use crate::settings;

/// Sessions before logins before anonymous pages.
///
/// Each backend has a bound on its requests in flight ([`max_in_flight`](crate::Balancing::max_in_flight), and less
/// while it starts slowly or was ejected). Sessions may use all of it, the others a part.
#[derive(Clone, Debug, PartialEq)]
pub struct Priorities {
    /// The part of its bound up to which a backend is sent pages of nobody who is logged in: 0.1 to 1. Default: 0.7.
    pub pages: f64,
    /// The part up to which it is sent logins: 0.1 to 1, and no less than [`pages`](Self::pages). Default: 0.9.
    pub logins: f64,
    /// A cookie of the platform that only those have who are logged in. Default: none; the gateway's own mark of a
    /// login that worked is enough, unless there are other ways to log in.
    pub session_cookie: Option<String>,
}

impl Default for Priorities {
    fn default() -> Self {
        Self {
            pages: settings::PAGES.default,
            logins: settings::LOGINS.default,
            session_cookie: None,
        }
    }
}

pub(crate) fn read(mut section: Section<'_, '_>) -> Priorities {
    let place = section.place_of("pages").or(section.place_of("logins"));
    let pages = section.take(&settings::PAGES);
    let logins = section.take(&settings::LOGINS);
    let session_cookie =
        section.take_text("session_cookie", "the name of a cookie", affinity::cookie);
    if let Some(place) = place.filter(|_| pages > logins) {
        let problem = Problem::new(format!(
            "`pages` must not be more than `logins`, and {pages} is more than {logins}"
        ))
        .help("pages are shed before logins");
        section.report().add(&place, problem);
    }
    section.finish();
    Priorities {
        pages,
        logins,
        session_cookie: session_cookie.map(|cookie| cookie.value),
    }
}
