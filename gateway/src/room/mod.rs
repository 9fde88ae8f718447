//! A live room: the gatekeeper behind a short lock, and beside it what polls read without one.

mod entering;
mod exchange;
mod joins;
mod lending;
mod slot;
mod turns;
mod watermark;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use einlass_admission::{
    Door, Gatekeeper, Grant, Mode, Refusal, RoomKey, Scores, Unix, View, state::RoomState,
};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot, watch};

use crate::clock::Clock;

use joins::Joiners;
use watermark::Watermark;

pub(crate) use entering::pause;
pub(crate) use slot::Slot;

type Waker = oneshot::Sender<Result<Slot, Refusal>>;

/// The room in front of one pool.
pub(crate) struct LiveRoom {
    pub(crate) key: RoomKey,
    name: String,
    clock: Clock,
    gatekeeper: Mutex<Gatekeeper<Waker>>,
    view: ArcSwap<View>,
    watermark: Watermark,
    /// It is known how far the room has been called.
    informed: watch::Sender<bool>,
    /// Every ticket is of interest, not only those of turns that are news.
    learning: AtomicBool,
    /// No backend answers.
    down: AtomicBool,
    /// Other gateways may have this room too.
    in_fleet: bool,
    /// This gateway is to take its leave of them.
    leaving: AtomicBool,
    /// Rings when there may be something to tell them.
    bell: Notify,
    joiners: Joiners,
}

impl LiveRoom {
    pub(crate) fn new(name: &str, clock: Clock, gatekeeper: Gatekeeper<Waker>) -> Arc<Self> {
        let serving = gatekeeper.serving();
        Arc::new(Self {
            key: RoomKey::of(name),
            name: name.to_owned(),
            informed: watch::Sender::new(gatekeeper.mode().0 == Mode::Embedded),
            learning: AtomicBool::new(gatekeeper.is_learning()),
            in_fleet: gatekeeper.mode().0 != Mode::Embedded,
            down: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            bell: Notify::new(),
            joiners: Joiners::default(),
            clock,
            view: ArcSwap::from_pointee(gatekeeper.view()),
            watermark: Watermark::new(serving),
            gatekeeper: Mutex::new(gatekeeper),
        })
    }

    /// One step; several times a second. `down`: no backend can be reached; `backends`: logins that they
    /// can take. `publish` also makes the picture that polls read.
    pub(crate) fn tick(self: &Arc<Self>, down: bool, backends: u32, publish: bool) {
        let mut gatekeeper = self.lock();
        gatekeeper.set_down(down);
        gatekeeper.set_room_at_backends(backends);
        let grant = gatekeeper.tick(self.clock.now());
        let serving = gatekeeper.serving();
        let door = gatekeeper.door();
        // Whoever is turned away at a door that has just been shut asks at once why.
        let turned = door != self.view.load().door;
        let view = (publish || turned).then(|| gatekeeper.view());
        let learning = gatekeeper.is_learning();
        let mode = gatekeeper.mode().0;
        drop(gatekeeper);
        self.learning.store(learning, Ordering::Relaxed);
        if let Some(view) = view {
            self.view.store(Arc::new(view));
        }
        self.tell(door, down);
        if mode != Mode::Recovering && !*self.informed.borrow() {
            self.informed.send_replace(true);
        }
        self.watermark.move_on(serving);
        self.wake(grant);
        self.ring();
    }

    /// Writes down when a pool stops to answer, and when it answers again.
    fn tell(&self, door: Door, unreachable: bool) {
        let down = door == Door::Down;
        if self.down.swap(down, Ordering::Relaxed) != down {
            let room = &self.name;
            if down {
                tracing::warn!(room, unreachable, "Pool gives no answer; places are kept");
            } else {
                tracing::info!(room, "Pool answers a login; the room opens slowly");
            }
        }
    }

    /// Nobody is let in because no backend answers, but those who try.
    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Forgets what can no longer be replayed.
    pub(crate) fn expire(&self, wall: Unix) {
        self.lock().expire(self.clock.now(), wall);
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    pub(crate) fn state(&self) -> RoomState {
        self.lock().state()
    }

    pub(crate) fn state_ahead(&self, interval: Duration) -> RoomState {
        self.lock().state_ahead(interval)
    }

    pub(crate) fn gauges(&self) -> Gauges {
        let gatekeeper = self.lock();
        let (in_flight, cap) = gatekeeper.in_flight();
        Gauges {
            waiting: gatekeeper.waiting(),
            staff: gatekeeper.room().staff_waiting(),
            buffered: gatekeeper.buffered(),
            in_flight,
            cap,
            capacity: gatekeeper.capacity(),
            forecasts: gatekeeper.scores(),
        }
    }

    /// Logins in flight.
    pub(crate) fn in_flight(&self) -> u32 {
        self.lock().in_flight().0
    }

    /// Whether other gateways may have this room too.
    pub(crate) fn in_fleet(&self) -> bool {
        self.in_fleet
    }

    /// How the room's ledger is, and for how long.
    pub(crate) fn mode(&self) -> (Mode, Duration) {
        let (mode, since) = self.lock().mode();
        (mode, self.clock.now().saturating_sub(since))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn wake(self: &Arc<Self>, grant: Grant<Waker>) {
        for waker in grant.go {
            // A waiter that is gone gives the slot back by dropping it.
            drop(waker.send(Ok(Slot::new(self, None))));
        }
        for waker in grant.refused {
            drop(waker.send(Err(Refusal::Used)));
        }
        for waker in grant.shut {
            drop(waker.send(Err(Refusal::Shut)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gatekeeper<Waker>> {
        self.gatekeeper.lock()
    }
}

/// Numbers for the desk.
pub(crate) struct Gauges {
    pub(crate) waiting: u64,
    /// Of them in the lines of staff.
    pub(crate) staff: u64,
    pub(crate) buffered: usize,
    pub(crate) in_flight: u32,
    pub(crate) cap: u32,
    pub(crate) capacity: Option<f64>,
    pub(crate) forecasts: Scores,
}
