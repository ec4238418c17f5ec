//! Passwords at rest: an Argon2id hash (RFC 9106) and the verifier of SCRAM-SHA-256 (RFC 7677) beside it. The password
//! can be computed from neither.

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::SaltString,
};
use net::Chance;
use smtp::sasl::scram;
use store::{ScramVerifier, Verifiers};

/// Octets of a salt (RFC 9106 §3.1 recommends 16).
const SALT: usize = 16;

/// How much work a guess costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory of Argon2id in KiB, at least 8.
    pub memory: u32,
    /// Passes of Argon2id, at least 1.
    pub passes: u32,
    /// Rounds of PBKDF2 in the SCRAM verifier: 4096 to a million.
    pub rounds: u32,
}

impl Default for Cost {
    /// What OWASP's cheat sheet recommends for Argon2id in 2026: 19 MiB and two passes, some twenty milliseconds. RFC
    /// 7677 §4 wants at least 4096 rounds; a client computes them at each login.
    fn default() -> Self {
        Self { memory: Params::DEFAULT_M_COST, passes: Params::DEFAULT_T_COST, rounds: 4096 }
    }
}

/// The password cannot be hashed with this cost: our bug or that of whoever chose the cost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot hash a password: {0}")]
pub struct HashError(String);

/// What to store about a new password. It takes some milliseconds of processor: not for a task that others wait for.
pub fn hash_password(password: &str, cost: Cost, chance: &Chance) -> Result<Verifiers, HashError> {
    let failed = |error: &dyn std::fmt::Display| HashError(error.to_string());
    let salt = SaltString::encode_b64(&chance.bytes::<SALT>()).map_err(|error| failed(&error))?;
    let hash = argon2(cost)?.hash_password(password.as_bytes(), &salt).map_err(|error| failed(&error))?;
    let scram = scram::Verifier::derive(password, &chance.bytes::<SALT>(), cost.rounds);
    Ok(Verifiers {
        argon2: hash.to_string(),
        scram: ScramVerifier {
            salt: scram.salt,
            iterations: scram.iterations,
            stored_key: scram.stored_key,
            server_key: scram.server_key,
        },
    })
}

fn argon2(cost: Cost) -> Result<Argon2<'static>, HashError> {
    let params = Params::new(cost.memory, cost.passes, 1, None).map_err(|error| HashError(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// A hash that no password has and that costs as much to try: for users that do not exist.
pub(super) fn nobodys_hash(cost: Cost) -> String {
    let (salt, output) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={},t={},p=1${salt}${output}", cost.memory, cost.passes)
}

/// Whether the password belongs to the hash. The cost is the one named in the hash.
pub(super) fn matches(password: &str, hash: &str) -> bool {
    match PasswordHash::new(hash) {
        Ok(hash) => Argon2::default().verify_password(password.as_bytes(), &hash).is_ok(),
        Err(error) => {
            tracing::error!(%error, "a stored password hash cannot be read; set the user's password again");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::CHEAP;

    #[test]
    fn a_password_matches_its_own_hash_alone() {
        let chance = Chance::seeded(1);
        let verifiers = hash_password("secret", CHEAP, &chance).unwrap();
        assert!(verifiers.argon2.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", verifiers.argon2);
        assert!(matches("secret", &verifiers.argon2));
        assert!(!matches("Secret", &verifiers.argon2));
        assert!(!matches("secret", "not a hash"));
        assert_ne!(hash_password("secret", CHEAP, &chance).unwrap().argon2, verifiers.argon2);
        let derived = scram::Verifier::derive("secret", &verifiers.scram.salt, 4096);
        assert_eq!(derived.stored_key, verifiers.scram.stored_key);
    }

    #[test]
    fn nobodys_hash_is_tried_like_any_other() {
        assert!(PasswordHash::new(&nobodys_hash(Cost::default())).is_ok());
        assert!(!matches("", &nobodys_hash(CHEAP)));
    }

    #[test]
    fn a_cost_that_makes_no_sense_is_an_error() {
        assert!(hash_password("x", Cost { memory: 0, ..CHEAP }, &Chance::seeded(1)).is_err());
    }
}
