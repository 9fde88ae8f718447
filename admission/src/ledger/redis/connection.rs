//! One connection to Redis for all rooms: made in the background, given up when it fails.
//!
//! Nobody waits here for longer than one call may take. While there is no connection a call fails
//! at once (the circuit is open), and one task alone tries to make a new one, at growing intervals
//! with jitter.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::{Cmd, RedisError, Value};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::error::{LedgerError, Trouble, lacks_functions};
use super::link::Link;
use super::maker::Maker;
use super::settings::StoreSettings;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// How the connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It stands.
    Up,
    /// It does not, or it is of no use.
    Down(Trouble),
}

pub(super) struct Connection {
    settings: StoreSettings,
    link: ArcSwapOption<Link>,
    /// Calls in a row that were not answered.
    unanswered: AtomicU32,
    /// Whether the latest link has answered a call.
    answered: AtomicBool,
    lost: Notify,
    status: watch::Sender<Status>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("settings", &self.settings)
            .field("status", &*self.status.borrow())
            .finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn open(settings: StoreSettings, seed: u64) -> Result<Arc<Self>, LedgerError> {
        let maker = Maker::new(&settings)?;
        let connection = Arc::new(Self {
            settings,
            link: ArcSwapOption::empty(),
            unanswered: AtomicU32::new(0),
            // So that the first attempt is made at once.
            answered: AtomicBool::new(true),
            lost: Notify::new(),
            status: watch::Sender::new(Status::Down(Trouble::Connecting)),
        });
        tokio::spawn(keep(Arc::downgrade(&connection), maker, Jitter(seed | 1)));
        Ok(connection)
    }

    pub(super) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    pub(super) async fn connected(&self, patience: Duration) -> Result<(), LedgerError> {
        let mut status = self.status.subscribe();
        let up = status.wait_for(|status| *status == Status::Up);
        match timeout(patience, up).await {
            Ok(_) => Ok(()),
            Err(_) => match self.status() {
                Status::Up => Ok(()),
                Status::Down(trouble) => Err(trouble.into()),
            },
        }
    }

    /// One call, answered or failed within the time that the settings give.
    pub(super) async fn call(&self, cmd: Cmd) -> Result<Value, LedgerError> {
        let Some(link) = self.link.load_full() else {
            return Err(match self.status() {
                Status::Up => Trouble::Connecting,
                Status::Down(trouble) => trouble,
            }
            .into());
        };
        let trouble = match timeout(self.settings.timeout, link.send(&cmd)).await {
            Ok(Ok(value)) => {
                self.answered();
                return Ok(value);
            }
            Ok(Err(error)) if link.is_useless_after(&error) => {
                return Err(self.failed(&link, &error).into());
            }
            Ok(Err(error)) => Trouble::of(&error),
            Err(_) => Trouble::Slow,
        };
        self.unanswered(&link, &trouble);
        Err(trouble.into())
    }

    fn answered(&self) {
        self.unanswered.store(0, Ordering::Relaxed);
        self.answered.store(true, Ordering::Relaxed);
        if self.status() != Status::Up {
            self.set_status(Status::Up);
        }
    }

    /// An error after which the link is of no use.
    fn failed(&self, link: &Arc<Link>, error: &RedisError) -> Trouble {
        let trouble = Trouble::of(error);
        self.give_up(link);
        if !lacks_functions(error) {
            self.set_status(Status::Down(trouble.clone()));
        }
        trouble
    }

    /// One more call that was not answered as it should be: the link may do, until there are too many.
    fn unanswered(&self, link: &Arc<Link>, trouble: &Trouble) {
        let unanswered = 1 + self.unanswered.fetch_add(1, Ordering::Relaxed);
        if unanswered.is_multiple_of(link.patience()) {
            self.set_status(Status::Down(trouble.clone()));
            if matches!(
                trouble,
                Trouble::Slow | Trouble::Unreachable(_) | Trouble::NotReady(_)
            ) {
                self.give_up(link);
            }
        }
    }

    fn use_link(&self, link: Link) {
        self.unanswered.store(0, Ordering::Relaxed);
        self.link.store(Some(Arc::new(link)));
        self.set_status(Status::Up);
    }

    /// Only the link that failed: by now there may be another.
    fn give_up(&self, link: &Arc<Link>) {
        let current = self.link.load();
        if current.as_ref().is_some_and(|now| Arc::ptr_eq(now, link)) {
            self.link.compare_and_swap(&*current, None);
            self.lost.notify_one();
        }
    }

    fn set_status(&self, status: Status) {
        self.status.send_if_modified(|old| {
            let changed = *old != status;
            *old = status;
            changed
        });
    }
}

/// Makes a link whenever there is none, for as long as the connection is in use.
async fn keep(connection: Weak<Connection>, mut maker: Maker, mut jitter: Jitter) {
    let mut pause = FIRST_PAUSE;
    while let Some(held) = connection.upgrade() {
        if held.link.load().is_some() {
            let lost = held.lost.notified();
            if held.link.load().is_some() {
                let _ = timeout(LONGEST_PAUSE, lost).await;
            }
            continue;
        }
        // A link that stood and answered nothing is no better than one that did not stand.
        if held.answered.swap(false, Ordering::Relaxed) {
            pause = FIRST_PAUSE;
        } else {
            drop(held);
            sleep(pause.mul_f64(jitter.between(0.5, 1.0))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        let Some(held) = connection.upgrade() else {
            return;
        };
        match maker.make().await {
            Ok(link) => held.use_link(link),
            Err(trouble) => held.set_status(Status::Down(trouble)),
        }
    }
}

/// Spreads the attempts of many gateways (xorshift64).
struct Jitter(u64);

impl Jitter {
    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + (high - low) * (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}
