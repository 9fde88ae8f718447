//! Carries a room's words to the ledger and the answers back: two tasks per room, so that those
//! who join never wait for an exchange that is under way.

use std::sync::Arc;
use std::time::Duration;

use einlass_admission::ledger::redis::RedisRoom;

use crate::clock;
use crate::room::LiveRoom;

/// The shortest time between two calls for turns: who joins meanwhile goes in one call.
const GATHER: Duration = Duration::from_millis(5);

/// Exchanges whenever the room rings and it is time to, until this gateway has taken its leave.
pub(crate) async fn exchange(room: Arc<LiveRoom>, ledger: RedisRoom) {
    loop {
        room.rung().await;
        if room.is_leaving() {
            if let Some(call) = room.last_word()
                && let Err(error) = ledger.leave(&call).await
            {
                tracing::warn!(room = room.name(), %error, "The other gateways get its slots when its lease has run out");
            }
            return;
        }
        let Some((asked, call)) = room.exchange() else {
            continue;
        };
        match ledger.exchange(&call).await {
            Ok(reply) => {
                clock::follow(reply.now);
                let answer = room.exchanged(asked, reply);
                if let Some(publish) = answer.publish {
                    // If nothing comes back it may have been written or not; the next exchange
                    // brings the watermark either way.
                    if let Ok(accepted) = ledger.publish(&publish).await {
                        room.published(&publish, accepted);
                    }
                }
                if !answer.merge.is_empty() {
                    let mut accepted = true;
                    for merge in &answer.merge {
                        accepted &= matches!(ledger.merge(merge).await, Ok(true));
                    }
                    room.merged(accepted);
                }
            }
            Err(error) => {
                tracing::debug!(room = room.name(), %error, "No exchange");
                room.exchange_failed();
            }
        }
    }
}

/// Asks for turns for everybody who came since the answer before.
pub(crate) async fn join(room: Arc<LiveRoom>, ledger: RedisRoom) {
    loop {
        let batch = room.joiners().await;
        let joined = match room.joining(&batch) {
            Some(call) => ledger.join(&call).await.ok(),
            None => None,
        };
        room.joined(batch, joined.as_ref());
        tokio::time::sleep(GATHER).await;
    }
}
