//! The staff pass: signed leave to wait among the staff of a school, until a day.

use crate::keys::{self, Keyring};
use crate::turn::{SchoolKey, Unix};

const PURPOSE: u8 = b'F';
const LENGTH: usize = 8 + 8;

/// Made by the operator, kept by the browser. Good any number of times until it expires: what all who
/// have it can gain together is the share of their school's staff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaffPass {
    /// The school whose staff it is for.
    pub school: SchoolKey,
    /// The last second it is good for.
    pub expires: Unix,
}

/// Why a staff pass gains nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadPass {
    /// None of our keys signed it: forged, cut off, or its key was removed.
    Unknown,
    /// It is another school's.
    Foreign,
    /// Its time is over.
    Expired,
}

impl StaffPass {
    /// Signs it with the current key: about 70 characters, fit for an address or a cookie.
    pub fn encode(&self, keys: &Keyring) -> String {
        let mut payload = [0; LENGTH];
        payload[..8].copy_from_slice(&self.school.0.to_be_bytes());
        payload[8..].copy_from_slice(&self.expires.0.to_be_bytes());
        keys::sign(keys, PURPOSE, &payload)
    }

    /// Believes a pass that one of our keys signed for this school, not yet expired.
    pub fn decode(
        keys: &Keyring,
        text: &str,
        school: SchoolKey,
        now: Unix,
    ) -> Result<Self, BadPass> {
        let payload: [u8; LENGTH] = keys::verify(keys, PURPOSE, text).ok_or(BadPass::Unknown)?;
        let number = |at: usize| {
            payload[at..at + 8]
                .iter()
                .fold(0_u64, |acc, byte| (acc << 8) | u64::from(*byte))
        };
        let pass = Self {
            school: SchoolKey(number(0)),
            expires: Unix(number(8)),
        };
        if pass.school != school {
            return Err(BadPass::Foreign);
        }
        if now > pass.expires {
            return Err(BadPass::Expired);
        }
        Ok(pass)
    }
}
