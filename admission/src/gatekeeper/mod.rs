//! One room at one gateway, put together: registers, buffer, pacer, and the memory of tickets.
//!
//! A state machine without I/O. The gateway's shell calls it under a short lock, with the time,
//! and wakes whom it names.

mod ceiling;
mod door;
mod entering;
mod figures;
mod fleet;
mod guests;
mod keep;
mod steps;
mod tickets;

use std::time::Duration;

use crate::buffer::Buffer;
use crate::conductor::Conductor;
use crate::forecast::Forecast;
use crate::learning::Learning;
use crate::pacer::Pacer;
use crate::pass::Tries;
use crate::pulse::Trials;
use crate::room::Room;
use crate::view::Door;

use ceiling::Ceiling;
use fleet::Fleet;
use tickets::{Entrance, Tickets};

pub use entering::{Entry, Refusal, Straight};
pub use fleet::{Answer, Membership, Mode};
pub use guests::Help;

/// What an operator sets for a room.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The operator lets nobody in.
    pub closed: bool,
    /// The pacer decides and reports, and holds nobody.
    pub observe: bool,
    /// What needs a turn is the login page: tickets enter with a page that costs nearly nothing, and
    /// the logins follow with passes.
    pub page_gate: bool,
    /// Ceiling in logins per second.
    pub ceiling: Option<f64>,
    /// How long a ticket is believed.
    pub ticket_lifetime: Duration,
    /// How often a pass may be used.
    pub pass_tries: u8,
}

/// Who to wake.
#[derive(Debug)]
#[must_use]
pub struct Grant<W> {
    /// Each of them holds a slot now.
    pub go: Vec<W>,
    /// Their tickets have entered at another gateway.
    pub refused: Vec<W>,
    /// Nobody is let in any more: their tickets are good again.
    pub shut: Vec<W>,
}

impl<W> Grant<W> {
    fn nobody() -> Self {
        Self {
            go: Vec::new(),
            refused: Vec::new(),
            shut: Vec::new(),
        }
    }
}

/// Somebody in the buffer.
struct Buffered<W> {
    waiter: W,
    /// The ticket, unless it was a pass: until the slot is given nothing was sent for it.
    ticket: Option<Entrance>,
}

/// One room at one gateway. `W` is whatever wakes a waiter.
pub struct Gatekeeper<W> {
    room: Room,
    epoch: u32,
    settings: Settings,
    buffer: Buffer<Buffered<W>>,
    conductor: Conductor,
    /// The other gateways, if there may be any.
    fleet: Option<Fleet<W>>,
    tickets: Tickets,
    /// Turns given since the last [`Gatekeeper::state_ahead`], per school.
    joined: Vec<u64>,
    tries: Tries,
    /// Until it is known where the line begins.
    learning: Option<Learning>,
    down: bool,
    forecast: Forecast,
    trials: Trials,
    /// Logins that the backends can take, as the balancer sees it.
    room_at_backends: u32,
    help: Help,
    waiting: u64,
    ceiling: Ceiling,
    ticked: Option<Duration>,
}

impl<W> Gatekeeper<W> {
    /// A room nobody has used. `epoch` must differ from that of every earlier run.
    pub fn new(room: Room, epoch: u32, settings: Settings, pacer: Box<dyn Pacer>) -> Self {
        let conductor = Conductor::new(pacer);
        Self {
            tickets: Tickets::new(room.schools().len()),
            joined: vec![0; room.schools().len()],
            room,
            epoch,
            settings,
            buffer: Buffer::new(conductor.cap()),
            conductor,
            fleet: None,
            tries: Tries::default(),
            learning: Some(Learning::default()),
            down: false,
            forecast: Forecast::default(),
            trials: Trials::default(),
            room_at_backends: u32::MAX,
            help: Help::default(),
            waiting: 0,
            ceiling: Ceiling::new(settings.ceiling),
            ticked: None,
        }
    }
}
