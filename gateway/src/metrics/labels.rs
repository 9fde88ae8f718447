//! What tells the series of a metric apart, beside the pool.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};

use crate::login::{Answer, Failure, Lost};

/// How a login that had to take a turn went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    /// Its turn came within the hold time.
    Held,
    /// It was sent to the waiting page.
    Queued,
}

/// What happens with staff passes. Nobody is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Staff {
    /// A place in the line of a school's staff.
    Placed,
    /// A place among the pupils, with a good pass: it came no later.
    Ordinary,
    /// Let in by a place among the staff.
    Admitted,
    /// A pass that gains nothing: forged, another school's, or expired.
    Refused,
}

/// What a backend made of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum LoginAnswer {
    Redirect,
    Page,
    ClientError,
    ServerError,
    Timeout,
    Broken,
    Unreachable,
}

impl LoginAnswer {
    pub(super) fn of(answer: &Result<Answer, Failure>) -> Self {
        match answer {
            Ok(answer) if answer.header.status.is_redirection() => Self::Redirect,
            Ok(answer) if answer.header.status.is_client_error() => Self::ClientError,
            Ok(answer) if answer.header.status.is_server_error() => Self::ServerError,
            Ok(_) => Self::Page,
            Err(Failure::Unreachable) => Self::Unreachable,
            Err(Failure::Lost(Lost::Timeout)) => Self::Timeout,
            Err(Failure::Lost(Lost::Broken)) => Self::Broken,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Pool {
    pub(super) pool: String,
}

impl Pool {
    pub(super) fn of(pool: &str) -> Self {
        Self {
            pool: pool.to_owned(),
        }
    }
}
