//! How many files, and so connections, this process may have open, and what follows if they run out.
//!
//! A system gives a process few by default and lets it ask for more. Each browser's connection is one, each
//! connection to a backend two. Where they run out the edge must not have taken all of them: what a
//! browser asks for needs a connection to a backend as well.

use pingora_core::{BError, Error, ErrorType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Of all open files the edge's connections may be one in so many.
const EDGE_PART: u64 = 2;

/// Asks the system for as many open files as this process may have. Returns how many that is; `None` if
/// there is no limit.
pub(crate) fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, all) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, ?limit.current, "The limit of open files cannot be raised");
            limit.current
        }
    }
}

/// How many connections the edge may take if `wanted` are configured and so many files may be open: no more
/// than leave as many files to those to the backends.
pub(crate) fn most_connections(wanted: usize, limit: Option<u64>) -> usize {
    let most = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit / EDGE_PART).unwrap_or(usize::MAX)
    });
    if most < wanted {
        tracing::warn!(
            limit,
            "Only so many files may be open: the edge takes {most} connections at most instead of edge.max_connections = {wanted}. Raise the hard limit: LimitNOFILE= in systemd, ulimit -Hn"
        );
    }
    wanted.min(most)
}

/// How many may be open now; `None` if there is no limit.
pub(crate) fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// How many are open, with the one for looking; `None` if nobody can say.
pub(crate) fn open() -> Option<u64> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(files.count() as u64)
}

/// Whether no connection could be made for want of something of our own: a free file, memory or a port. It says
/// nothing about who was to be reached, other than a way there that is forbidden.
pub(crate) fn is_our_want(error: &Error) -> bool {
    let want =
        |error: &Error| matches!(error.etype(), ErrorType::SocketError | ErrorType::BindError);
    // pingora wraps what it says of a socket in an error of its own.
    let within = error.cause.as_ref();
    want(error) || within.is_some_and(|e| e.downcast_ref::<BError>().is_some_and(|e| want(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_leaves_files_to_the_backends() {
        assert_eq!(most_connections(200_000, None), 200_000);
        assert_eq!(most_connections(200_000, Some(524_288)), 200_000);
        assert_eq!(most_connections(200_000, Some(1_024)), 512);
        assert_eq!(most_connections(100, Some(1_024)), 100);
    }

    #[test]
    fn what_is_missing_here_is_told_from_a_way_that_is_forbidden() {
        let full = Error::because(
            ErrorType::SocketError,
            "",
            std::io::Error::from_raw_os_error(24),
        );
        let wrapped = Error::because(ErrorType::InternalError, "", full);
        assert!(is_our_want(&wrapped));
        let forbidden = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let forbidden = Error::because(ErrorType::InternalError, "", forbidden);
        assert!(!is_our_want(&forbidden));
        assert!(!is_our_want(&Error::new(ErrorType::ConnectRefused)));
    }

    #[test]
    fn a_file_more_is_seen() {
        let before = open().unwrap();
        let _held: Vec<_> = (0..50)
            .map(|_| std::fs::File::open("/dev/null").unwrap())
            .collect();
        assert!(open().unwrap() > before);
        assert!(limit().is_none_or(|limit| limit > 50));
    }
}
