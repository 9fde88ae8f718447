//! Logins of one region at another region's backends, as far as those have capacity to spare.
//!
//! [`einlass_admission::Overflow`] decides how many. Here they are sent: whoever is next in the
//! buffer of a room gets a slot that another room lends. The session then lives at that region's
//! backends, and a cookie of ours leads the pupil's requests there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use einlass_admission::{Help, Keyring, Overflow, RoomKey, seal};
use einlass_config::Config;
use parking_lot::Mutex;

use crate::cookies::{AWAY, Jar};
use crate::random;
use crate::site::Pool;

/// One room's way to one other pool.
pub(crate) struct Outlet {
    pub(crate) from: Arc<Pool>,
    pub(crate) to: Arc<Pool>,
    rule: Mutex<Overflow>,
    allowed: AtomicU32,
    guests: AtomicU32,
    sent: AtomicU64,
}

/// A login of another region in flight; it counts until this is dropped.
pub(crate) struct Guest(Arc<Outlet>);

impl Outlet {
    /// All ways that the configuration names, in its order.
    pub(crate) fn all(config: &Config, pools: &[Arc<Pool>]) -> Vec<Arc<Self>> {
        let pool = |name: &str| pools.iter().find(|pool| pool.name == name);
        let mut outlets = Vec::new();
        for configured in config.pools() {
            let Some(overflow) = configured.overflow else {
                continue;
            };
            for other in &overflow.to {
                if let (Some(from), Some(to)) = (pool(&configured.name), pool(other)) {
                    outlets.push(Arc::new(Self {
                        from: Arc::clone(from),
                        to: Arc::clone(to),
                        rule: Mutex::new(Overflow::new(overflow.max)),
                        allowed: AtomicU32::new(0),
                        guests: AtomicU32::new(0),
                        sent: AtomicU64::new(0),
                    }));
                }
            }
        }
        outlets
    }

    /// Sends as many as may go now, and says what it can do for the room.
    fn step(self: &Arc<Self>) -> Help {
        let (from, to) = (&self.from.room, &self.to.room);
        let guests = self.guests();
        let needed = from.has_crowd();
        let host = to.as_host();
        let now = to.now();
        let allowed = self.rule.lock().step(now, needed, &host, guests);
        self.allowed.store(allowed, Ordering::Relaxed);
        let most = (allowed.saturating_sub(guests) as usize).min(from.buffered());
        let mut slots = Vec::new();
        while slots.len() < most
            && let Some(slot) = to.lend(Guest::new(self))
        {
            slots.push(slot);
        }
        // Slots for which nobody is left go back as they are dropped.
        from.send_away(slots, &self.sent);
        if needed {
            Help {
                logins_per_second: f64::from(allowed) * to.logins_per_slot().unwrap_or(0.0),
                free: allowed.saturating_sub(self.guests()),
            }
        } else {
            Help::default()
        }
    }

    /// Logins in flight there.
    pub(crate) fn guests(&self) -> u32 {
        self.guests.load(Ordering::Relaxed)
    }

    /// How many may be.
    pub(crate) fn allowed(&self) -> u32 {
        self.allowed.load(Ordering::Relaxed)
    }

    /// How many logins have been sent there so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// One step for all rooms that overflow; several times a second.
pub(crate) fn step(outlets: &[Arc<Outlet>]) {
    for ways in outlets.chunk_by(|one, other| Arc::ptr_eq(&one.from, &other.from)) {
        let mut help = Help::default();
        for outlet in ways {
            let more = outlet.step();
            help.logins_per_second += more.logins_per_second;
            help.free += more.free;
        }
        if let Some(outlet) = ways.first() {
            outlet.from.room.set_help(help);
        }
    }
}

// === impl Guest ===

impl Guest {
    fn new(outlet: &Arc<Outlet>) -> Self {
        outlet.guests.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(outlet))
    }

    /// Where the login is performed.
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.0.to
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.guests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The value of the cookie that leads the requests of a session to the pool where it began.
pub(crate) fn seal_away(keys: &Keyring, from: &Pool, to: &Pool) -> Option<String> {
    let bound = bound_to(from.room.key);
    seal::seal(keys, &bound, random::bytes(), to.name.as_bytes())
}

/// The pool that a browser's session is at, if it is not that of its school. Only one that the
/// school's pool overflows to is believed, and only while it answers.
pub(crate) fn away(
    outlets: &[Arc<Outlet>],
    keys: &Keyring,
    from: &Arc<Pool>,
    jar: &Jar,
) -> Option<Arc<Pool>> {
    let named = jar
        .all(AWAY)
        .find_map(|value| seal::open(keys, &bound_to(from.room.key), value))?;
    let leads = |outlet: &&Arc<Outlet>| {
        Arc::ptr_eq(&outlet.from, from) && outlet.to.name.as_bytes() == named
    };
    let to = &outlets.iter().find(leads)?.to;
    (!to.backends.down()).then(|| Arc::clone(to))
}

fn bound_to(room: RoomKey) -> String {
    format!("away {room:?}")
}
