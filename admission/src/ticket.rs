//! The ticket: the signed proof of a turn, kept by the browser.

use std::time::Duration;

use crate::keys::{self, Keyring};
use crate::turn::{RoomKey, SchoolKey, Turn, Unix};

const PURPOSE: u8 = b'T';
const STAFF_PURPOSE: u8 = b'S';
const LENGTH: usize = 8 + 8 + 8 + 8 + 4;

/// A pupil's place, bound to one room and one school.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The room it was given in.
    pub room: RoomKey,
    /// The school it was given to.
    pub school: SchoolKey,
    /// The place.
    pub turn: Turn,
    /// When it was given.
    pub issued: Unix,
    /// Which run of the ledger gave it; with room, school and turn it names the ticket.
    pub epoch: u32,
    /// Whether the turn is one of the school's staff and not one of its pupils.
    pub staff: bool,
}

impl Ticket {
    /// Signs it with the current key: about 95 characters, fit for a cookie or a header.
    pub fn encode(&self, keys: &Keyring) -> String {
        let mut payload = [0; LENGTH];
        payload[..8].copy_from_slice(&self.room.0.to_be_bytes());
        payload[8..16].copy_from_slice(&self.school.0.to_be_bytes());
        payload[16..24].copy_from_slice(&self.turn.0.to_be_bytes());
        payload[24..32].copy_from_slice(&self.issued.0.to_be_bytes());
        payload[32..].copy_from_slice(&self.epoch.to_be_bytes());
        let purpose = if self.staff { STAFF_PURPOSE } else { PURPOSE };
        keys::sign(keys, purpose, &payload)
    }

    /// Believes a ticket that one of our keys signed, for this room and school, younger than
    /// `lifetime`. A ticket from the future is believed: another gateway's clock may be ahead.
    pub fn decode(
        keys: &Keyring,
        text: &str,
        room: RoomKey,
        school: SchoolKey,
        now: Unix,
        lifetime: Duration,
    ) -> Option<Self> {
        let (payload, staff): ([u8; LENGTH], bool) = match keys::verify(keys, PURPOSE, text) {
            Some(payload) => (payload, false),
            None => (keys::verify(keys, STAFF_PURPOSE, text)?, true),
        };
        let number = |at: usize| {
            payload[at..at + 8]
                .iter()
                .fold(0_u64, |acc, byte| (acc << 8) | u64::from(*byte))
        };
        let ticket = Self {
            room: RoomKey(number(0)),
            school: SchoolKey(number(8)),
            turn: Turn(number(16)),
            issued: Unix(number(24)),
            epoch: payload[32..]
                .iter()
                .fold(0, |acc, byte| (acc << 8) | u32::from(*byte)),
            staff,
        };
        let age = now.0.saturating_sub(ticket.issued.0);
        let ours = ticket.room == room && ticket.school == school;
        (ours && age <= lifetime.as_secs()).then_some(ticket)
    }
}
