//! What a browser carries from one gateway to the next: how far the room has been called.
//!
//! Gateways that cannot hear of one another through the ledger still serve the same browsers. A
//! watermark only grows, so whoever sees a signed one that is higher takes it over: then no gateway
//! shows a place that another has shown smaller, and nobody is sent back who was told to come.

use std::time::Duration;

use crate::keys::{self, Keyring};
use crate::turn::{RoomKey, Serving, Unix};

const PURPOSE: u8 = b'C';
const LENGTH: usize = 8 + 8 + 8;
/// An old one says nothing new; whoever kept one cannot move a room that has begun again.
const LIFETIME: Duration = Duration::from_mins(2);

/// A room's watermark, signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called {
    /// The room.
    pub room: RoomKey,
    /// How far it has been called.
    pub serving: Serving,
    /// When that was.
    pub at: Unix,
}

impl Called {
    /// How long it is believed.
    pub const LIFETIME: Duration = LIFETIME;

    /// Signs it with the current key.
    pub fn encode(&self, keys: &Keyring) -> String {
        let mut payload = [0; LENGTH];
        payload[..8].copy_from_slice(&self.room.0.to_be_bytes());
        payload[8..16].copy_from_slice(&self.serving.0.to_be_bytes());
        payload[16..].copy_from_slice(&self.at.0.to_be_bytes());
        keys::sign(keys, PURPOSE, &payload)
    }

    /// Believes what one of our keys signed for this room, a moment ago.
    pub fn decode(keys: &Keyring, text: &str, room: RoomKey, now: Unix) -> Option<Serving> {
        let payload: [u8; LENGTH] = keys::verify(keys, PURPOSE, text)?;
        let number = |at: usize| {
            payload[at..at + 8]
                .iter()
                .fold(0_u64, |acc, byte| (acc << 8) | u64::from(*byte))
        };
        let recent = now.0.saturating_sub(number(16)) <= LIFETIME.as_secs();
        (number(0) == room.0 && recent).then(|| Serving(number(8)))
    }
}
