//! Random tokens, and the sessions of those who are in.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use argon2::password_hash::rand_core::{OsRng, RngCore};
use parking_lot::Mutex;

/// More than a region has pupils; the oldest session ends when one more begins.
const SESSIONS_KEPT: usize = 500_000;

/// Who is logged in: one table for all backends of a region, as a shared session store would be.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    known: HashSet<Box<str>>,
    oldest_first: VecDeque<Box<str>>,
}

impl Sessions {
    /// Begins a session and returns its token.
    pub(super) fn begin(&self) -> String {
        let token = random_token();
        let mut table = self.0.lock();
        if table.oldest_first.len() == SESSIONS_KEPT
            && let Some(oldest) = table.oldest_first.pop_front()
        {
            table.known.remove(&oldest);
        }
        table.known.insert(token.as_str().into());
        table.oldest_first.push_back(token.as_str().into());
        token
    }

    pub(super) fn knows(&self, token: &str) -> bool {
        self.0.lock().known.contains(token)
    }

    pub(super) fn end(&self, token: &str) {
        self.0.lock().known.remove(token);
    }
}

/// 128 random bits as hexadecimal digits.
fn random_token() -> String {
    let mut high = OsRng;
    format!("{:016x}{:016x}", high.next_u64(), high.next_u64())
}

/// A CSRF token that tells its own age: double-submitted, so nothing is kept here.
pub(super) fn csrf_token() -> String {
    format!("{:x}.{}", unix_millis(), random_token())
}

/// Whether `token` was made less than `lifetime` ago.
pub(super) fn csrf_fresh(token: &str, lifetime: Duration) -> bool {
    token
        .split_once('.')
        .and_then(|(made, _)| u128::from_str_radix(made, 16).ok())
        .is_some_and(|made| unix_millis().saturating_sub(made) < lifetime.as_millis())
}

fn unix_millis() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_until_it_is_ended() {
        let sessions = Sessions::default();
        let token = sessions.begin();
        assert!(sessions.knows(&token) && !sessions.knows("guessed"));
        sessions.end(&token);
        assert!(!sessions.knows(&token));
    }

    #[test]
    fn a_csrf_token_grows_old() {
        assert!(csrf_fresh(&csrf_token(), Duration::from_mins(1)));
        assert!(!csrf_fresh("1.abc", Duration::from_mins(1)));
        assert!(!csrf_fresh("nonsense", Duration::from_mins(1)));
    }
}
