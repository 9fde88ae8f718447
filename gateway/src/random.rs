//! The gateway's one source of randomness: the operating system's.

use ring::rand::{SecureRandom as _, SystemRandom};

/// Random bytes. Should the system have none to give, which Linux rules out after boot, the
/// process stops: a predictable key or nonce would be worse than no gateway.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        tracing::error!("The operating system has no random numbers");
        std::process::abort();
    }
    bytes
}

/// A random number from 0 up to, not including, 1; good enough for spreading polls.
pub(crate) fn fraction() -> f64 {
    f64::from(u32::from_be_bytes(bytes())) / (f64::from(u32::MAX) + 1.0)
}

/// A random number that is never 0.
pub(crate) fn nonce() -> u32 {
    u32::from_be_bytes(bytes()).max(1)
}
