//! Which requests need admission.

use std::fmt;

use thiserror::Error;

use crate::path::normalise;
use crate::report::Problem;
use crate::section::Section;

/// The requests of a platform that need admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The login submits: what makes a backend compute a password hash. Never empty. Default: the platform's.
    pub submit: Vec<RequestMatch>,
    /// The login pages, where they shall be gated as well. Default: none.
    pub page: Vec<RequestMatch>,
}

/// A method and a path, or the beginning of one.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestMatch {
    method: String,
    /// As written.
    path: String,
    /// As compared.
    pattern: Pattern,
}

#[derive(Clone, PartialEq, Eq)]
enum Pattern {
    Exact(Vec<u8>),
    Prefix(Vec<u8>),
}

/// Why a method and a path do not describe a request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestMatchError {
    /// Not a token of RFC 9110, section 5.6.2, in upper case.
    #[error("`{0}` is not a method such as `POST`, in upper case")]
    Method(String),
    /// Paths are written from the root.
    #[error("the path `{0}` must start with `/`")]
    Relative(String),
    /// A `*` that is not the last character.
    #[error("in the path `{0}`, `*` can only be the last character")]
    Star(String),
    /// Queries are not compared.
    #[error("the path `{0}` must not have a query: only the path is compared")]
    Query(String),
}

// === impl RequestMatch ===

impl RequestMatch {
    /// Matches `method` on exactly `path`, or on every path that begins with it if it ends in `*`.
    ///
    /// Methods are compared by case (RFC 9110, section 9.1), so they are written in upper case as they are sent.
    pub fn new(method: &str, path: &str) -> Result<Self, RequestMatchError> {
        let token = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
        if method.is_empty()
            || !method
                .bytes()
                .all(|byte| token(byte) && !byte.is_ascii_lowercase())
        {
            return Err(RequestMatchError::Method(method.to_owned()));
        }
        if !path.starts_with('/') {
            return Err(RequestMatchError::Relative(path.to_owned()));
        }
        if path.contains(['?', '#']) {
            return Err(RequestMatchError::Query(path.to_owned()));
        }
        let prefix = path.strip_suffix('*');
        if prefix.unwrap_or(path).contains('*') {
            return Err(RequestMatchError::Star(path.to_owned()));
        }
        let pattern = match prefix {
            Some(prefix) => Pattern::Prefix(normalise(prefix).into_owned()),
            None => Pattern::Exact(normalise(path).into_owned()),
        };
        Ok(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            pattern,
        })
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path as it was written, with its trailing `*` if there is one.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether a request is meant. The path may carry a query, which is not compared.
    ///
    /// Paths that a backend would take for this one match too: percent-encoded, with doubled slashes, dot segments
    /// or path parameters. Allocates nothing for a path without such oddities.
    pub fn matches(&self, method: &str, path: &str) -> bool {
        self.method == method
            && match &self.pattern {
                Pattern::Exact(exact) => normalise(path).as_ref() == exact.as_slice(),
                Pattern::Prefix(prefix) => normalise(path).starts_with(prefix),
            }
    }
}

impl fmt::Display for RequestMatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.method, self.path)
    }
}

impl fmt::Debug for RequestMatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

// === reading ===

/// `[region.NAME.gate]`; what it does not say stays as the platform has it.
pub(crate) fn read(mut section: Section<'_, '_>, platform: Gate) -> Gate {
    let submit = read_requests(&mut section, "submit");
    let page = read_requests(&mut section, "page");
    if submit.as_ref().is_some_and(Vec::is_empty) {
        section.mistake(
            Problem::new("`submit` must name at least one request")
                .help("leave it out to have the platform's"),
        );
    }
    section.finish();
    Gate {
        submit: submit.unwrap_or(platform.submit),
        page: page.unwrap_or(platform.page),
    }
}

/// `None` when not written, or when nothing of what was written can be used and that has been said.
fn read_requests(section: &mut Section<'_, '_>, key: &'static str) -> Option<Vec<RequestMatch>> {
    let entries = section.take_sections(key)?;
    let written = entries.len();
    let requests: Vec<_> = entries.into_iter().filter_map(read_request).collect();
    (written == 0 || !requests.is_empty()).then_some(requests)
}

fn read_request(mut section: Section<'_, '_>) -> Option<RequestMatch> {
    let anything = |text: &str| Ok(text.to_owned());
    let method = section.take_text("method", "an HTTP method", anything);
    let path = section.take_text("path", "a path", anything);
    let complete = method.zip(path);
    let report = section.report();
    if complete.is_none() {
        section.mistake(Problem::new(
            r#"a request needs both, as in { method = "POST", path = "/login" }"#,
        ));
    }
    section.finish();
    let (method, path) = complete?;
    match RequestMatch::new(&method.value, &path.value) {
        Ok(request) => Some(request),
        Err(error) => {
            let place = match error {
                RequestMatchError::Method(_) => method.place,
                RequestMatchError::Relative(_)
                | RequestMatchError::Star(_)
                | RequestMatchError::Query(_) => path.place,
            };
            report.add(&place, Problem::new(error.to_string()));
            None
        }
    }
}
