//! What the log may say of a fault.

use std::fmt;

use pingora_core::Error;

/// The kind of an error and whose it is. Never its context: where the bytes of a request or of an
/// answer cannot be read as HTTP, that quotes them, and with them cookies and names.
pub(crate) struct Fault<'a>(pub(crate) &'a Error);

impl fmt::Display for Fault<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.0.esource().as_str();
        write!(out, "{source} {}", self.0.etype().as_str())
    }
}
