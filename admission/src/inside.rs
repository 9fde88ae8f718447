//! The mark of a login that worked: this browser has been inside.

use crate::keys::{self, Keyring};
use crate::turn::{SchoolKey, Unix};

const PURPOSE: u8 = b'I';
const LENGTH: usize = 8 + 8;

/// Given with the answer to a login that worked. When a pool has all it can do, whoever comes with it
/// goes first. It says nothing about who that is, and gains nothing at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Where the login worked.
    pub school: SchoolKey,
    /// The last second it is good for.
    pub expires: Unix,
}

impl Inside {
    /// Signs it with the current key.
    pub fn encode(&self, keys: &Keyring) -> String {
        let mut payload = [0; LENGTH];
        payload[..8].copy_from_slice(&self.school.0.to_be_bytes());
        payload[8..].copy_from_slice(&self.expires.0.to_be_bytes());
        keys::sign(keys, PURPOSE, &payload)
    }

    /// Whether one of our keys signed the text for a login at this school that is not too long ago.
    pub fn is_good(keys: &Keyring, text: &str, school: SchoolKey, now: Unix) -> bool {
        let payload: Option<[u8; LENGTH]> = keys::verify(keys, PURPOSE, text);
        payload.is_some_and(|payload| {
            let (of, expires) = payload.split_at(8);
            of == school.0.to_be_bytes() && now.0.to_be_bytes().as_slice() <= expires
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::Pass;
    use crate::staff_pass::StaffPass;
    use crate::turn::RoomKey;

    const NOW: Unix = Unix(1_800_000_000);

    fn keys(id: u8) -> Keyring {
        Keyring::parse(&Keyring::text(id, &[id; 32])).unwrap()
    }

    #[test]
    fn a_mark_is_good_at_its_school_until_it_expires_and_under_its_own_key() {
        let (here, there) = (SchoolKey::of("gym.example"), SchoolKey::of("igs.example"));
        let (school, expires) = (here, Unix(NOW.0 + 300));
        let text = Inside { school, expires }.encode(&keys(1));
        assert!(Inside::is_good(&keys(1), &text, here, NOW));
        assert!(Inside::is_good(&keys(1), &text, here, expires));
        assert!(!Inside::is_good(&keys(1), &text, here, Unix(expires.0 + 1)));
        assert!(!Inside::is_good(&keys(1), &text, there, NOW));
        assert!(!Inside::is_good(&keys(2), &text, here, NOW));
        assert!(!Inside::is_good(&keys(1), "", here, NOW));
    }

    #[test]
    fn nothing_else_that_we_sign_is_a_mark() {
        let school = SchoolKey::of("gym.example");
        let expires = Unix(NOW.0 + 300);
        let staff = StaffPass { school, expires }.encode(&keys(1));
        let room = RoomKey::of("north");
        let pass = Pass {
            room,
            school,
            expires,
            id: 7,
        };
        for text in [staff, pass.encode(&keys(1))] {
            assert!(!Inside::is_good(&keys(1), &text, school, NOW));
        }
        let mark = Inside { school, expires }.encode(&keys(1));
        assert!(Pass::decode(&keys(1), &mark, room, school, NOW).is_none());
        assert!(StaffPass::decode(&keys(1), &mark, school, NOW).is_err());
    }
}
