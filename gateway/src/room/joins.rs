//! Turns for those who come. In a fleet they are gathered: all who come while a call is under way go in
//! the next one.

use einlass_admission::ledger::{Join, Joined};
use einlass_admission::{SchoolIndex, Turn};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::LiveRoom;
use crate::random;

pub(crate) type Joiner = (SchoolIndex, oneshot::Sender<Option<(Turn, u32)>>);

/// Those who have come since the last call.
#[derive(Default)]
pub(super) struct Joiners {
    come: Mutex<Vec<Joiner>>,
    one_came: Notify,
}

impl Joiners {
    fn add(&self, joiner: Joiner) {
        self.come.lock().push(joiner);
        self.one_came.notify_one();
    }

    /// Waits for somebody, and takes all who have come, by school and in the order of arrival.
    async fn take(&self) -> Vec<Joiner> {
        loop {
            let mut batch = std::mem::take(&mut *self.come.lock());
            if !batch.is_empty() {
                batch.sort_by_key(|(school, _)| *school);
                return batch;
            }
            self.one_came.notified().await;
        }
    }
}

impl LiveRoom {
    /// The next turn of a school, as a ticket without its school's key.
    pub(crate) async fn join(&self, school: SchoolIndex) -> Option<(Turn, u32)> {
        if !self.in_fleet {
            return self.lock().join(school);
        }
        let (sender, turn) = oneshot::channel();
        self.joiners.add((school, sender));
        turn.await.ok().flatten()
    }

    /// Waits for somebody who joins, and takes all who have come.
    pub(crate) async fn joiners(&self) -> Vec<Joiner> {
        self.joiners.take().await
    }

    /// How to ask the ledger for their turns; `None` if it is not to be asked.
    pub(crate) fn joining(&self, batch: &[Joiner]) -> Option<Join> {
        self.lock().joining(random::nonce(), &counted(batch))
    }

    /// Gives them the ledger's turns, or our own.
    pub(crate) fn joined(&self, batch: Vec<Joiner>, joined: Option<&Joined>) {
        let mut gatekeeper = self.lock();
        let turns: Vec<Option<(Turn, u32)>> = match joined {
            Some(joined) => {
                let turns = gatekeeper.joined(&counted(&batch), joined);
                turns.into_iter().map(Some).collect()
            }
            None => batch
                .iter()
                .map(|(school, _)| gatekeeper.join(*school))
                .collect(),
        };
        drop(gatekeeper);
        for ((_, joiner), turn) in batch.into_iter().zip(turns) {
            // A browser that has gone leaves a turn that nobody takes.
            let _ = joiner.send(turn);
        }
    }
}

/// How many of each school, in the order of a batch.
fn counted(batch: &[Joiner]) -> Vec<(SchoolIndex, u32)> {
    batch
        .chunk_by(|(one, _), (other, _)| one == other)
        .filter_map(|same| Some((same.first()?.0, u32::try_from(same.len()).ok()?)))
        .collect()
}
