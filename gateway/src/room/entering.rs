//! Who goes in: straight, with a turn that has come, or with a pass.

use std::sync::Arc;
use std::time::Duration;

use einlass_admission::{Pass, Refusal, SchoolIndex, Straight, Ticket};
use tokio::sync::oneshot;

use super::LiveRoom;
use super::slot::{Claim, Slot};
use crate::random;

/// How long a request waits for a slot. Well before browsers give up they are sent to the waiting
/// page, where the place is kept and nothing hangs, however many logins a backend leaves unanswered.
const PATIENCE: Duration = Duration::from_secs(15);
/// While the buffer is full, about so long until it is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// For about [`AGAIN`], so that a browser does not come again before the picture that polls read has
/// changed.
pub(crate) async fn pause() {
    tokio::time::sleep(AGAIN.mul_f64(0.5 + random::fraction())).await;
}

impl LiveRoom {
    /// A slot on the spot, if nobody waits.
    pub(crate) fn straight(self: &Arc<Self>) -> Option<Slot> {
        let straight = self.lock().straight(self.clock.now());
        (straight == Straight::Go).then(|| Slot::new(self, None))
    }

    /// Waits in the buffer for a slot, for [`PATIENCE`]. Dropping the future leaves the buffer; the
    /// ticket then counts as unused.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        school: SchoolIndex,
        ticket: &Ticket,
    ) -> Result<Slot, Refusal> {
        if !self.come(ticket.turn).await {
            return Err(Refusal::TooEarly);
        }
        let entering = async {
            loop {
                match self.enter_buffer(school, ticket).await {
                    // Spread: who is called and finds no room would else come at once again.
                    Err(Refusal::Full) => pause().await,
                    entered => return entered,
                }
            }
        };
        let entered = tokio::time::timeout(PATIENCE, entering).await;
        let entered = entered.unwrap_or(Err(Refusal::Full));
        if matches!(entered, Err(Refusal::Shut)) {
            pause().await;
        }
        entered
    }

    async fn enter_buffer(
        self: &Arc<Self>,
        school: SchoolIndex,
        ticket: &Ticket,
    ) -> Result<Slot, Refusal> {
        let (waker, woken) = oneshot::channel();
        let now = self.clock.now();
        let entry = self
            .lock()
            .enter(now, school, ticket.turn, ticket.epoch, waker)?;
        self.ring();
        let claim = Claim {
            room: Arc::clone(self),
            school,
            turn: ticket.turn,
            epoch: ticket.epoch,
        };
        self.slot(entry, woken, Some(claim)).await
    }

    /// Waits in front of the buffer, by a pass, for [`PATIENCE`].
    pub(crate) async fn enter_again(self: &Arc<Self>, pass: &Pass) -> Result<Slot, Refusal> {
        let (waker, woken) = oneshot::channel();
        let now = self.clock.now();
        let entry = self.lock().enter_again(now, pass, waker)?;
        let entered = tokio::time::timeout(PATIENCE, self.slot(entry, woken, None)).await;
        entered.unwrap_or(Err(Refusal::Full))
    }

    /// Uses up a ticket without taking a slot.
    pub(crate) fn redeem(&self, school: SchoolIndex, ticket: &Ticket) -> Result<(), Refusal> {
        self.lock().redeem(school, ticket.turn, ticket.epoch)
    }

    /// Whether the ticket has admitted somebody.
    pub(crate) fn is_used(&self, school: SchoolIndex, ticket: &Ticket) -> bool {
        self.lock().is_used(school, ticket.turn, ticket.epoch)
    }

    /// Ends when a request has waited for so long, and the pool gives no answer to anybody.
    pub(crate) async fn silent(&self, waited: Duration) {
        tokio::time::sleep(waited).await;
        while !self.is_down() {
            tokio::time::sleep(AGAIN).await;
        }
    }
}
