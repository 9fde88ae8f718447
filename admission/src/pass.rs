//! The pass: signed leave to log in again without waiting, for a few minutes and a few tries.

use std::collections::HashMap;

use crate::keys::{self, Keyring};
use crate::turn::{RoomKey, SchoolKey, Unix};

const PURPOSE: u8 = b'P';
const LENGTH: usize = 8 + 8 + 8 + 8;

/// Given with the answer to an admitted login: the password may have been mistyped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The room it is good for.
    pub room: RoomKey,
    /// The school it is good for.
    pub school: SchoolKey,
    /// The last second it is good for.
    pub expires: Unix,
    /// Random; what tries are counted by.
    pub id: u64,
}

impl Pass {
    /// Signs it with the current key.
    pub fn encode(&self, keys: &Keyring) -> String {
        let mut payload = [0; LENGTH];
        payload[..8].copy_from_slice(&self.room.0.to_be_bytes());
        payload[8..16].copy_from_slice(&self.school.0.to_be_bytes());
        payload[16..24].copy_from_slice(&self.expires.0.to_be_bytes());
        payload[24..].copy_from_slice(&self.id.to_be_bytes());
        keys::sign(keys, PURPOSE, &payload)
    }

    /// Believes a pass that one of our keys signed for this room and school, not yet expired.
    pub fn decode(
        keys: &Keyring,
        text: &str,
        room: RoomKey,
        school: SchoolKey,
        now: Unix,
    ) -> Option<Self> {
        let payload: [u8; LENGTH] = keys::verify(keys, PURPOSE, text)?;
        let number = |at: usize| {
            payload[at..at + 8]
                .iter()
                .fold(0_u64, |acc, byte| (acc << 8) | u64::from(*byte))
        };
        let pass = Self {
            room: RoomKey(number(0)),
            school: SchoolKey(number(8)),
            expires: Unix(number(16)),
            id: number(24),
        };
        (pass.room == room && pass.school == school && now <= pass.expires).then_some(pass)
    }
}

/// Tries counted per pass: only for passes that were used, only until they expire.
#[derive(Debug, Default)]
pub struct Tries {
    counted: HashMap<u64, (u8, Unix)>,
}

impl Tries {
    /// Counts a try. False when all are used up.
    pub fn take(&mut self, pass: &Pass, allowed: u8) -> bool {
        let (count, _) = self.counted.entry(pass.id).or_insert((0, pass.expires));
        let granted = *count < allowed;
        *count = count.saturating_add(1);
        granted
    }

    /// Forgets passes that have expired.
    pub fn expire(&mut self, now: Unix) {
        self.counted.retain(|_, (_, expires)| *expires >= now);
    }

    /// Passes remembered.
    pub fn len(&self) -> usize {
        self.counted.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.counted.is_empty()
    }
}
