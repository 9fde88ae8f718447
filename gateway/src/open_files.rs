//! How many files, and so connections, this process may have open, and what follows if they run out.
//!
//! A system gives a process few by default and lets it ask for more. Each browser's connection is one, each
//! connection to a backend two. Where they run out the edge must not have taken all of them: what a
//! browser asks for needs a connection to a backend as well.

use pingora_core::{Error, ErrorType};
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

/// Whether no connection could be made for want of something of our own, such as a free file or port. It
/// says nothing about who was to be reached.
pub(crate) fn is_our_want(error: &Error) -> bool {
    // So pingora calls what fails before anything is sent to the network.
    matches!(
        error.etype(),
        ErrorType::InternalError | ErrorType::SocketError | ErrorType::BindError
    )
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
    fn a_file_more_is_seen() {
        let before = open().unwrap();
        let _held: Vec<_> = (0..50)
            .map(|_| std::fs::File::open("/dev/null").unwrap())
            .collect();
        assert!(open().unwrap() > before);
        assert!(limit().is_none_or(|limit| limit > 50));
    }
}
