//! The expensive part of a login: one argon2id password hash, really computed.

use std::time::{Duration, Instant};

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{self, PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

/// What one hash costs: memory and passes over it (argon2id, one lane, RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashCost {
    /// Memory per hash, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
}

impl HashCost {
    /// A fraction of a millisecond: for tests that need many logins and no load.
    pub const QUICK: Self = Self {
        memory_kib: 64,
        passes: 1,
    };

    /// OWASP's recommended memory for argon2id; more time than this gives comes from more passes.
    const USUAL_MEMORY_KIB: u32 = 19_456;

    /// The cost that takes about `target` on one otherwise idle core of this machine.
    ///
    /// Measures some hashes, so it takes a few times `target`. Short targets use less memory, long ones more passes.
    pub fn about(target: Duration) -> Result<Self, password_hash::Error> {
        let mut cost = Self {
            memory_kib: 4096,
            passes: 1,
        };
        // The second round corrects for caches: the first guess is measured at another size.
        for _ in 0..2 {
            let kib_per_second =
                f64::from(cost.memory_kib * cost.passes) / cost.measure()?.as_secs_f64();
            cost = Self::from_work(kib_per_second * target.as_secs_f64());
        }
        Ok(cost)
    }

    /// How long one hash of this cost takes here: the best of three, because everything else only slows it down.
    pub fn measure(self) -> Result<Duration, password_hash::Error> {
        let entry = Entry::new(self, "calibration")?;
        let mut best = Duration::MAX;
        for _ in 0..3 {
            let begun = Instant::now();
            entry.verify("calibration");
            best = best.min(begun.elapsed());
        }
        Ok(best)
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of the type"
    )]
    fn from_work(kib: f64) -> Self {
        let usual = f64::from(Self::USUAL_MEMORY_KIB);
        if kib < usual {
            return Self {
                memory_kib: kib.clamp(8.0, usual) as u32,
                passes: 1,
            };
        }
        Self {
            memory_kib: Self::USUAL_MEMORY_KIB,
            passes: (kib / usual).round().clamp(1.0, 10_000.0) as u32,
        }
    }
}

/// The stored password: a PHC string, as a user table holds it.
#[derive(Debug, Clone)]
pub(super) struct Entry(String);

impl Entry {
    /// Hashes `password` with a fresh salt.
    pub(super) fn new(cost: HashCost, password: &str) -> Result<Self, password_hash::Error> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None)?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let salt = SaltString::generate(&mut OsRng);
        let phc = hasher.hash_password(password.as_bytes(), &salt)?;
        Ok(Self(phc.to_string()))
    }

    /// Computes the hash of `password` at the stored cost and compares.
    pub(super) fn verify(&self, password: &str) -> bool {
        PasswordHash::new(&self.0)
            .and_then(|stored| Argon2::default().verify_password(password.as_bytes(), &stored))
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stored_password_verifies() {
        let entry = Entry::new(HashCost::QUICK, "richtig").unwrap();
        assert!(entry.verify("richtig"));
        assert!(!entry.verify("falsch"));
    }

    #[test]
    fn calibration_comes_near_its_target() {
        let target = Duration::from_millis(20);
        let took = HashCost::about(target).unwrap().measure().unwrap();
        assert!(took > target / 4 && took < target * 6, "{took:?}");
    }
}
