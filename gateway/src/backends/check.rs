//! Active checks: does a backend accept connections, does it answer?

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use einlass_config::Check;
use http::header::{CONNECTION, HOST, USER_AGENT};
use parking_lot::Mutex;
use pingora_core::Error;
use pingora_core::connectors::TransportConnector;
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_http::RequestHeader;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Backends;
use super::balancer::Comparison;
use super::checks::Finding;
use super::slow::{LONGEST, slow_from};
use crate::open_files::is_our_want;
use crate::site::Pool;

/// Checks backends, over connections of its own.
pub(crate) struct Checker {
    transport: Arc<TransportConnector>,
    http: Arc<Connector>,
    turns: Turns,
}

/// Thousands of schools with a server of their own shall not be asked in one moment; and those of one
/// region that hang shall not hold up another's.
#[derive(Default)]
struct Turns(Mutex<HashMap<String, Arc<Semaphore>>>);

/// So much of a login page is looked at, in bytes.
const LONGEST_PAGE: usize = 256 << 10;
/// So long an answer to a knock may come too late.
const LATEST: Duration = Duration::from_secs(30);
/// Checks under way at a time, in one region.
const AT_ONCE: usize = 256;

impl Turns {
    fn of(&self, region: &str) -> Arc<Semaphore> {
        let mut regions = self.0.lock();
        if let Some(turns) = regions.get(region) {
            return Arc::clone(turns);
        }
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        regions.insert(region.to_owned(), Arc::clone(&turns));
        turns
    }
}

impl Checker {
    pub(crate) fn new() -> Self {
        Self {
            transport: Arc::new(TransportConnector::new(None)),
            http: Arc::new(Connector::new(None)),
            turns: Turns::default(),
        }
    }

    /// Begins the checks of a pool that are due, and asks those who owe answers for a sign of life.
    /// Returns at once.
    pub(crate) fn begin(&self, pool: &Arc<Pool>) {
        self.knock(pool);
        self.compare(pool);
        for (id, address) in pool.backends.due() {
            let (pool, transport) = (Arc::clone(pool), Arc::clone(&self.transport));
            let (http, at_once) = (Arc::clone(&self.http), self.turns.of(&pool.region));
            tokio::spawn(async move {
                // It is never closed; without a permit the check takes place all the same.
                let _permit = at_once.acquire().await;
                let backends = &pool.backends;
                let check = async {
                    match &backends.health.check {
                        Check::Tcp => accepts(&transport, backends, address).await,
                        Check::Http { status, .. } => {
                            let answer =
                                Answer::get(&http, backends, address, backends.page()).await;
                            finding(answer, |answer| answer.status == *status)
                        }
                        Check::Login { .. } => {
                            let mut answer =
                                Answer::get(&http, backends, address, backends.page()).await;
                            let fits = match &mut answer {
                                Ok(answer) => answer.status == 200 && answer.asks_password().await,
                                Err(_) => false,
                            };
                            finding(answer, |_| fits)
                        }
                    }
                };
                let found = timeout(backends.health.timeout, check).await;
                backends.checked(id, found.unwrap_or(Finding::Failed));
            });
        }
    }

    /// Any answer to a request for a page will do. One that comes too late says that the backend is slow: one
    /// knock is waited for beside those that follow.
    fn knock(&self, pool: &Arc<Pool>) {
        for (id, address, within) in pool.backends.knocks() {
            let (pool, http) = (Arc::clone(pool), Arc::clone(&self.http));
            tokio::spawn(async move {
                let backends = &pool.backends;
                let begun = Instant::now();
                let mut answer = pin!(Answer::get(&http, backends, address, backends.page()));
                let answered = timeout(within, &mut answer).await;
                let late = answered.is_err();
                backends.knocked(id, answered.is_ok_and(|answer| answer.is_ok()));
                if late && backends.waits_on(id) {
                    let answered = timeout(LATEST, answer).await;
                    let answered = answered.is_ok_and(|answer| answer.is_ok());
                    backends.late(id, answered.then(|| begun.elapsed()));
                }
            });
        }
    }

    /// Asks backends that seem slow, and another one of their pool each, for the same page.
    fn compare(&self, pool: &Arc<Pool>) {
        for pair in pool.backends.comparisons() {
            let (pool, http) = (Arc::clone(pool), Arc::clone(&self.http));
            tokio::spawn(async move {
                let slow = is_slow(&http, &pool, pair).await;
                pool.backends.compared(pair.id, slow);
            });
        }
    }
}

/// Whether a backend is slow, asked for the login page at the same moment as another one; `None` if one of
/// both gives no answer.
async fn is_slow(http: &Arc<Connector>, pool: &Arc<Pool>, pair: Comparison) -> Option<bool> {
    let begun = Instant::now();
    let ask = |address| {
        let (http, pool) = (Arc::clone(http), Arc::clone(pool));
        async move {
            let backends = &pool.backends;
            let answer = Answer::get(&http, backends, address, backends.login_page()).await;
            answer.is_ok().then(|| begun.elapsed())
        }
    };
    // In a task of its own, so that its answer is noted when it comes.
    let here = tokio::spawn(ask(pair.suspect));
    let stop = here.abort_handle();
    let slow = async {
        let Ok(there) = timeout(LONGEST, ask(pair.other)).await else {
            return Some(false);
        };
        let from = slow_from(there?);
        match timeout(from.saturating_sub(begun.elapsed()), here).await {
            Ok(here) => Some(here.ok()?? >= from),
            Err(_) => Some(true),
        }
    };
    let slow = slow.await;
    stop.abort();
    slow
}

/// A connection stands, with TLS if the pool has it. Nothing is sent.
async fn accepts(
    transport: &TransportConnector,
    backends: &Backends,
    address: SocketAddr,
) -> Finding {
    let peer = backends.peers.at(address);
    match transport.new_stream(&peer).await {
        Ok(_) => Finding::Passed,
        Err(error) => unreached(&error),
    }
}

fn finding(answer: Result<Answer, Finding>, fits: impl FnOnce(&Answer) -> bool) -> Finding {
    match answer {
        Ok(answer) if fits(&answer) => Finding::Passed,
        Ok(answer) if answer.status < 500 => Finding::Otherwise,
        Ok(_) => Finding::Failed,
        Err(finding) => finding,
    }
}

/// Why there is no connection.
fn unreached(error: &Error) -> Finding {
    if is_our_want(error) {
        Finding::Unmade
    } else {
        Finding::Failed
    }
}

/// What came of asking for a page: the head of the answer.
struct Answer {
    status: u16,
    session: HttpSession,
}

impl Answer {
    async fn get(
        http: &Connector,
        backends: &Backends,
        address: SocketAddr,
        page: (&str, &str),
    ) -> Result<Self, Finding> {
        let peer = backends.peer_alone(address);
        let connected = http.get_http_session(&peer).await;
        let (session, _) = connected.map_err(|error| unreached(&error))?;
        Self::of(session, backends, page)
            .await
            .ok_or(Finding::Failed)
    }

    async fn of(
        mut session: HttpSession,
        backends: &Backends,
        (host, path): (&str, &str),
    ) -> Option<Self> {
        let mut header = RequestHeader::build("GET", path.as_bytes(), Some(3)).ok()?;
        header.insert_header(HOST, host).ok()?;
        header.insert_header(USER_AGENT, "einlass-check").ok()?;
        if matches!(session, HttpSession::H1(_)) {
            header.insert_header(CONNECTION, "close").ok()?;
        } else {
            backends.complete(&mut header).ok()?;
        }
        session.write_request_header(Box::new(header)).await.ok()?;
        session.finish_request_body().await.ok()?;
        session.read_response_header().await.ok()?;
        let status = session.response_header()?.status.as_u16();
        Some(Self { status, session })
    }

    /// Whether the page has a field for a password.
    async fn asks_password(&mut self) -> bool {
        let mut page = Vec::new();
        while page.len() < LONGEST_PAGE {
            match self.session.read_response_body().await {
                Ok(Some(part)) => page.extend_from_slice(&part),
                Ok(None) => break,
                Err(_) => return false,
            }
        }
        has_password_field(&String::from_utf8_lossy(&page))
    }
}

/// An `<input>` of that type, however it is written.
fn has_password_field(page: &str) -> bool {
    let page = page.to_ascii_lowercase();
    page.split("<input").skip(1).any(|field| {
        let field = field.split('>').next().unwrap_or(field);
        let field: String = field
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\''))
            .collect();
        field.contains("type=password")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_region_whose_checks_hang_leaves_the_others_their_turns() {
        let turns = Turns::default();
        let all = u32::try_from(AT_ONCE).unwrap();
        let north = turns.of("north");
        let _hanging = north.acquire_many(all).await.unwrap();
        assert_eq!(turns.of("north").available_permits(), 0);
        assert_eq!(turns.of("south").available_permits(), AT_ONCE);
    }

    #[test]
    fn a_field_for_a_password_is_known_however_it_is_written() {
        for page in [
            r#"<form><input name="user"><input type="password" name="p"></form>"#,
            "<INPUT NAME=p TYPE=Password>",
            "<input\n  id='p'\n  type = 'password' required>",
        ] {
            assert!(has_password_field(page), "{page}");
        }
        for page in [
            "<p>type=password</p>",
            r#"<input type="text"><p type="password">"#,
            "502 Bad Gateway",
        ] {
            assert!(!has_password_field(page), "{page}");
        }
    }
}
