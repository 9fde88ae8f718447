//! What can go wrong for a pupil, by kind.

use std::fmt;
use std::io;

/// One error as a browser would meet it. Its text is its name in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// Nobody listens.
    Refused,
    /// The connection ended before the answer did.
    Closed,
    /// No whole answer within the request's time.
    TimedOut,
    /// This machine has no port or descriptor left: the crowd is too big for its sources, not the gateway too slow.
    NoSocket,
    /// An unexpected status.
    Status(u16),
    /// A page without a login form where one is needed.
    NoForm,
    /// The right password was answered with the form.
    Rejected,
    /// Redirected inside, without a session.
    NoSession,
    /// Redirected to somewhere unknown, or round and round.
    LostWay,
    /// The answer to a poll is not the documented JSON.
    NotJson,
    /// The waiting page's polls failed too often in a row.
    DeadPage,
    /// Not in when the rush was over.
    Unfinished,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => return write!(f, "http_{status}"),
            Self::Refused => "refused",
            Self::Closed => "closed",
            Self::TimedOut => "timeout",
            Self::NoSocket => "no_local_socket",
            Self::NoForm => "unexpected_page",
            Self::Rejected => "right_password_rejected",
            Self::NoSession => "no_session",
            Self::LostWay => "unexpected_redirect",
            Self::NotJson => "poll_not_json",
            Self::DeadPage => "waiting_page_dead",
            Self::Unfinished => "unfinished",
        }
        .fmt(f)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed,
            // Out of ports (EADDRNOTAVAIL, EADDRINUSE) or descriptors (EMFILE).
            _ => Self::NoSocket,
        }
    }
}
