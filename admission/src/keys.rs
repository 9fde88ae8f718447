//! The gateways' secret keys: the first signs and seals, every one is still believed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{aead, hkdf, hmac};

/// Length of a secret, in bytes.
pub const SECRET_LENGTH: usize = 32;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// The file has no key in it.
    #[error(
        "no key in it; write a line `ID SECRET` with ID 0 to 255 and SECRET 32 bytes in base64"
    )]
    Empty,
    /// A line is not a key.
    #[error("line {0}: expected `ID SECRET` with ID 0 to 255 and SECRET 32 bytes in base64")]
    Line(usize),
    /// Two keys share an id, so a ticket could not say which one signed it.
    #[error("line {line}: key id {id} is taken by an earlier line; give every key its own id")]
    Taken {
        /// The later line, counted from 1.
        line: usize,
        /// The id.
        id: u8,
    },
}

pub(crate) struct Key {
    pub(crate) id: u8,
    pub(crate) sign: hmac::Key,
    pub(crate) seal: aead::LessSafeKey,
}

/// All keys that are believed. To rotate: put a new line on top, remove the last one after the
/// longest ticket lifetime.
pub struct Keyring {
    keys: Vec<Key>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<u8> = self.keys.iter().map(|k| k.id).collect();
        f.debug_struct("Keyring")
            .field("ids", &ids)
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// Reads a key file: a line `ID SECRET` per key, newest first; `#` begins a comment.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys: Vec<Key> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let key = parse_line(line).ok_or(KeyError::Line(number + 1))?;
            if keys.iter().any(|k| k.id == key.id) {
                return Err(KeyError::Taken {
                    line: number + 1,
                    id: key.id,
                });
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self { keys })
    }

    /// The text of a key file with one key.
    pub fn text(id: u8, secret: &[u8; SECRET_LENGTH]) -> String {
        format!(
            "# Keys of this gateway, newest first. Whoever reads them can forge places in the line.\n{id} {}\n",
            STANDARD.encode(secret)
        )
    }

    pub(crate) fn current(&self) -> &Key {
        // `parse` is the only way to build one, and it refuses an empty list.
        &self.keys[0]
    }

    pub(crate) fn find(&self, id: u8) -> Option<&Key> {
        self.keys.iter().find(|k| k.id == id)
    }
}

fn parse_line(line: &str) -> Option<Key> {
    let (id, secret) = line.split_once(char::is_whitespace)?;
    let id = id.parse().ok()?;
    let secret: [u8; SECRET_LENGTH] = STANDARD.decode(secret.trim()).ok()?.try_into().ok()?;
    let derive = |purpose: &[u8]| -> Option<[u8; SECRET_LENGTH]> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"einlass").extract(&secret);
        let info = [purpose];
        let okm = prk.expand(&info, hkdf::HKDF_SHA256).ok()?;
        let mut out = [0; SECRET_LENGTH];
        okm.fill(&mut out).ok()?;
        Some(out)
    };
    let seal = aead::UnboundKey::new(&aead::AES_256_GCM, &derive(b"seal")?).ok()?;
    Some(Key {
        id,
        sign: hmac::Key::new(hmac::HMAC_SHA256, &derive(b"sign")?),
        seal: aead::LessSafeKey::new(seal),
    })
}

/// Appends the signature over `purpose` and `payload`, and encodes the whole for a cookie.
pub(crate) fn sign(keys: &Keyring, purpose: u8, payload: &[u8]) -> String {
    let key = keys.current();
    let mut token = Vec::with_capacity(2 + payload.len() + 32);
    token.extend_from_slice(&[purpose, key.id]);
    token.extend_from_slice(payload);
    let tag = hmac::sign(&key.sign, &token);
    token.extend_from_slice(tag.as_ref());
    TEXT.encode(token)
}

/// The payload of a token, if one of our keys signed it for this purpose.
pub(crate) fn verify<const N: usize>(keys: &Keyring, purpose: u8, token: &str) -> Option<[u8; N]> {
    const TAG: usize = 32;
    // One stack buffer for the largest token there is; no allocation per poll.
    let mut buffer = [0_u8; 128];
    let length = TEXT.decode_slice(token, &mut buffer).ok()?;
    if length != 2 + N + TAG || buffer[0] != purpose {
        return None;
    }
    let key = keys.find(buffer[1])?;
    let (signed, tag) = buffer[..length].split_at(length - TAG);
    hmac::verify(&key.sign, signed, tag).ok()?;
    signed[2..].try_into().ok()
}

/// How binary values are written in cookies and headers.
pub(crate) const TEXT: base64::engine::GeneralPurpose =
    base64::engine::general_purpose::URL_SAFE_NO_PAD;
