//! `[region.NAME.affinity]`: for platforms whose sessions live on one server.

use crate::report::Problem;
use crate::section::Section;

/// What keeps requests together at one backend. The others take over when it is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// Nothing: any backend knows every session. The default.
    #[default]
    None,
    /// `cookie = "sessionid"`: a session stays where this cookie of the platform was set.
    Cookie(String),
    /// `by = "school"`: a school has a backend.
    School,
}

pub(crate) fn read(mut section: Section<'_, '_>) -> Affinity {
    let place = section.place_of("by");
    let cookie = section.take_text("cookie", "the name of a cookie", cookie);
    let by = section.take_text("by", r#""school""#, |written| match written {
        "school" => Ok(Affinity::School),
        _ => Err(Problem::new(format!("unknown affinity by {written:?}"))
            .help(r#"known here: "school""#)),
    });
    if let (Some(_), Some(place)) = (&cookie, place) {
        let problem = Problem::new("`by` and `cookie` exclude each other").help("leave one out");
        section.report().add(&place, problem);
    }
    section.finish();
    match (cookie, by) {
        (Some(cookie), _) => Affinity::Cookie(cookie.value),
        (None, Some(by)) => by.value,
        (None, None) => Affinity::None,
    }
}

/// The name of one of the platform's cookies: a token (RFC 6265, 4.1.1).
pub(crate) fn cookie(written: &str) -> Result<String, Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if written.is_empty() || !written.chars().all(fits) {
        return Err(
            Problem::new(format!("{written:?} is not the name of a cookie"))
                .help(r#"write the platform's session cookie, as in "sessionid""#),
        );
    }
    if written.starts_with("einlass_") {
        return Err(
            Problem::new(format!("{written:?} is a cookie of the gateway"))
                .help("name the platform's session cookie"),
        );
    }
    Ok(written.to_owned())
}
