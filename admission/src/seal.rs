//! The sealed login: authenticated encryption under a gateway key, bound to one ticket.
//!
//! The password lives in the pupil's own browser, unreadable there, until its turn has come. No
//! gateway and no ledger keeps it.

use ring::aead::{Aad, NONCE_LEN, Nonce};

use crate::keys::{Keyring, TEXT};
use base64::Engine as _;

/// Random bytes that one sealing needs, never used twice.
pub const NONCE_LENGTH: usize = NONCE_LEN;

/// Seals `plain` so that only a holder of our keys can open it, and only with this ticket.
///
/// `None` if the plain text is longer than the cipher takes (64 GiB).
pub fn seal(
    keys: &Keyring,
    ticket: &str,
    nonce: [u8; NONCE_LENGTH],
    plain: &[u8],
) -> Option<String> {
    let key = keys.current();
    let mut out = Vec::with_capacity(1 + NONCE_LENGTH + plain.len() + 16);
    out.push(key.id);
    out.extend_from_slice(&nonce);
    let mut cipher = plain.to_vec();
    key.seal
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(ticket.as_bytes()),
            &mut cipher,
        )
        .ok()?;
    out.extend_from_slice(&cipher);
    Some(TEXT.encode(out))
}

/// Opens a seal made with one of our keys for this ticket; `None` for anything else.
pub fn open(keys: &Keyring, ticket: &str, sealed: &str) -> Option<Vec<u8>> {
    let mut raw = TEXT.decode(sealed).ok()?;
    let key = keys.find(*raw.first()?)?;
    let nonce: [u8; NONCE_LENGTH] = raw.get(1..=NONCE_LENGTH)?.try_into().ok()?;
    let cipher = raw.get_mut(1 + NONCE_LENGTH..)?;
    let plain = key
        .seal
        .open_in_place(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(ticket.as_bytes()),
            cipher,
        )
        .ok()?;
    Some(plain.to_vec())
}
