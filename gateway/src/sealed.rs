//! What a sealed login holds, in bytes, and how it becomes a login again.

use bytes::Bytes;
use einlass_admission::{Keyring, Unix, seal};
use http::header::{CONTENT_TYPE, COOKIE, ORIGIN, REFERER};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::login::Login;
use crate::random;

/// Fields of the moment the password was typed: what the backend checks the form against. The
/// others are taken from the request that opens the seal.
const OF_THE_MOMENT: [HeaderName; 4] = [CONTENT_TYPE, COOKIE, ORIGIN, REFERER];
/// The cookies of eight kilobytes that a seal may fill leave no use for a longer login.
const LARGEST: usize = 22 << 10;

/// Seals a login for the holder of this ticket; `None` if it is too large for cookies.
pub(crate) fn seal(keys: &Keyring, ticket: &str, now: Unix, login: &Login) -> Option<String> {
    let mut plain = Vec::with_capacity(512 + login.body.len());
    plain.extend_from_slice(&now.0.to_be_bytes());
    put(&mut plain, login.method.as_str().as_bytes())?;
    put(&mut plain, login.target.as_bytes())?;
    for name in &OF_THE_MOMENT {
        let value = login
            .headers
            .get(name)
            .map_or(&[][..], HeaderValue::as_bytes);
        put(&mut plain, value)?;
    }
    put(&mut plain, &login.body)?;
    if plain.len() > LARGEST {
        return None;
    }
    seal::seal(keys, ticket, random::bytes(), &plain)
}

/// Opens a seal. `None` if it is not ours, not this ticket's, or older than `lifetime` seconds.
/// The login's other headers are those in `around`.
pub(crate) fn open(
    keys: &Keyring,
    ticket: &str,
    sealed: &str,
    now: Unix,
    lifetime: u64,
    around: HeaderMap,
) -> Option<Login> {
    let plain = seal::open(keys, ticket, sealed)?;
    let (at, mut rest) = plain.split_first_chunk::<8>()?;
    if now.0.saturating_sub(u64::from_be_bytes(*at)) > lifetime {
        return None;
    }
    let method = Method::from_bytes(take(&mut rest)?).ok()?;
    let target = String::from_utf8(take(&mut rest)?.to_vec()).ok()?;
    let mut headers = around;
    for name in OF_THE_MOMENT {
        let value = take(&mut rest)?;
        headers.remove(&name);
        if !value.is_empty() {
            headers.insert(name, HeaderValue::from_bytes(value).ok()?);
        }
    }
    Some(Login {
        method,
        target,
        headers,
        body: Bytes::copy_from_slice(take(&mut rest)?),
    })
}

fn put(out: &mut Vec<u8>, field: &[u8]) -> Option<()> {
    out.extend_from_slice(&u32::try_from(field.len()).ok()?.to_be_bytes());
    out.extend_from_slice(field);
    Some(())
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let field = after.get(..length)?;
    *rest = &after[length..];
    Some(field)
}
