//! What can be wrong with Redis, and what to do about it.

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};

/// Why the ledger did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// A setting cannot be used.
    #[error("[store] {0}")]
    Setting(String),
    /// There is no connection at the moment.
    #[error("{0}")]
    Away(Trouble),
    /// An answer that no ledger gives.
    #[error(
        "Redis answers {answer}, but {expected}: does something else write keys that begin with [store] prefix?"
    )]
    Answer {
        /// What would be right.
        expected: &'static str,
        /// What came, shortened.
        answer: String,
    },
}

/// What is wrong between a gateway and Redis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The first attempt has not ended.
    #[error("Not connected to Redis yet")]
    Connecting,
    /// Nobody answers at the address.
    #[error(
        "Redis cannot be reached ({0}): check [store] redis, sentinels or cluster, and the network"
    )]
    Unreachable(String),
    /// TLS failed.
    #[error(
        "TLS to Redis fails ({0}): check [store] ca_file, and whether the server speaks TLS at all (rediss:// or redis://)"
    )]
    Tls(String),
    /// User or password are wrong.
    #[error(
        "Redis refuses the user or the password ({0}): check [store] user, password_file or password_env"
    )]
    Password(String),
    /// The user may not do what is needed.
    #[error(
        "The Redis user lacks a permission ({0}): [store] user needs +@read +@write -@dangerous +fcall +info +time ~PREFIX:*, beside a database number +select, behind sentinels +role, in a cluster +cluster +readonly +asking"
    )]
    Permission(String),
    /// A replica that cannot be written to.
    #[error(
        "This Redis is a read-only replica: name the master in [store] redis, or use sentinels or cluster"
    )]
    ReadOnly,
    /// No memory left.
    #[error(
        "Redis is out of memory: raise its maxmemory, or name a Redis of its own in [store] redis, sentinels or cluster (a room needs less than 1 kB per school)"
    )]
    Memory,
    /// The server is too old, or cannot do what is needed.
    #[error(
        "Redis is version {0}, Einlass needs 7.0 or later (or Valkey) for Functions: name another in [store] redis, sentinels or cluster"
    )]
    TooOld(String),
    /// Sentinels do not know the master.
    #[error("No sentinel knows the master ({0}): check [store] master and sentinels")]
    Master(String),
    /// It answers too late.
    #[error(
        "Redis does not answer in time: check its load and the network, or raise [store] timeout"
    )]
    Slow,
    /// Loading, failing over, or a part of the cluster is missing: it passes.
    #[error("Redis is not ready ({0})")]
    NotReady(String),
    /// Anything else.
    #[error("Redis fails: {0}")]
    Other(String),
}

impl LedgerError {
    pub(super) fn answer(expected: &'static str, value: &Value) -> Self {
        let mut answer = format!("{value:?}");
        if answer.len() > 120 {
            answer.truncate(answer.floor_char_boundary(120));
            answer.push('…');
        }
        Self::Answer { expected, answer }
    }
}

impl From<Trouble> for LedgerError {
    fn from(trouble: Trouble) -> Self {
        Self::Away(trouble)
    }
}

/// The Functions are not there: a fresh server, or somebody flushed them.
pub(super) fn lacks_functions(error: &RedisError) -> bool {
    error.to_string().contains("Function not found")
}

impl Trouble {
    pub(super) fn of(error: &RedisError) -> Self {
        let detail = error.to_string();
        let code = error.code().unwrap_or_default();
        if detail.contains("OOM command not allowed") || code == "OOM" {
            return Self::Memory;
        }
        if lacks_permission(&detail) {
            return Self::Permission(detail);
        }
        if detail.contains("unknown command") {
            return Self::TooOld("without FUNCTION".to_owned());
        }
        match code {
            "WRONGPASS" | "NOAUTH" => return Self::Password(detail),
            "NOPERM" => return Self::Permission(detail),
            "READONLY" => return Self::ReadOnly,
            _ => {}
        }
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Password(detail),
            ErrorKind::MasterNameNotFoundBySentinel => Self::Master(detail),
            ErrorKind::Server(ServerErrorKind::ReadOnly) => Self::ReadOnly,
            ErrorKind::Server(ServerErrorKind::NoPerm) => Self::Permission(detail),
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask,
            )
            | ErrorKind::ClusterConnectionNotFound => Self::NotReady(detail),
            ErrorKind::RESP3NotSupported => Self::TooOld("without RESP3".to_owned()),
            _ if error.is_timeout() => Self::Slow,
            _ if is_tls(&detail) => Self::Tls(detail),
            ErrorKind::Io => Self::Unreachable(detail),
            _ => Self::Other(detail),
        }
    }
}

/// Inside a Function, and when a database is chosen, it is said without the code for it.
fn lacks_permission(detail: &str) -> bool {
    [
        "ACL failure",
        "The user executing the script can't",
        "no permissions to run",
    ]
    .iter()
    .any(|words| detail.contains(words))
}

fn is_tls(detail: &str) -> bool {
    let detail = detail.to_ascii_lowercase();
    ["certificate", "tls", "handshake", "invalidcontenttype"]
        .iter()
        .any(|word| detail.contains(word))
}
