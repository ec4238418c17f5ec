//! What both halves of SCRAM-SHA-256 compute (RFC 5802 §3, RFC 7677). Talking is done by [`super::server`] and
//! [`super::client`].
//!
//! ```text
//! SaltedPassword = Hi(password, salt, iterations)
//! ClientKey      = HMAC(SaltedPassword, "Client Key")    StoredKey = H(ClientKey)
//! ServerKey      = HMAC(SaltedPassword, "Server Key")
//! ClientProof    = ClientKey XOR HMAC(StoredKey, AuthMessage)
//! ServerSignature = HMAC(ServerKey, AuthMessage)
//! ```

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The fewest iterations that are taken from a server or stored (RFC 7677 §4).
pub const ITERATIONS_MIN: u32 = 4096;
/// The most iterations that are taken from a server: more would be an attack on the client's processor.
pub const ITERATIONS_MAX: u32 = 1_000_000;

/// A SHA-256 digest or key.
pub type Digest = [u8; 32];

/// What a server keeps to verify a user by SCRAM: the password can't be computed from it.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// Random octets of this user.
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// `H(ClientKey)`.
    pub stored_key: Digest,
    /// `HMAC(SaltedPassword, "Server Key")`.
    pub server_key: Digest,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl Verifier {
    /// The verifier of a password. It costs `iterations` rounds of HMAC: milliseconds.
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = salted_password(password, salt, iterations);
        Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: hash(&*client_key(&salted)),
            server_key: server_key(&salted),
        }
    }
}

/// HMAC-SHA-256.
pub fn hmac(key: &[u8], message: &[u8]) -> Digest {
    keyed(key).chain_update(message).finalize().into_bytes().into()
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// SHA-256.
pub fn hash(message: &[u8]) -> Digest {
    Sha256::digest(message).into()
}

/// `Hi()`: PBKDF2 with HMAC-SHA-256 and one block of output (RFC 5802 §2.2).
pub fn salted_password(password: &str, salt: &[u8], iterations: u32) -> Zeroizing<Digest> {
    let mac = keyed(password.as_bytes());
    let first = mac.clone().chain_update(salt).chain_update(1_u32.to_be_bytes()).finalize();
    let mut round: Digest = first.into_bytes().into();
    let mut sum = Zeroizing::new(round);
    for _ in 1..iterations {
        round = mac.clone().chain_update(round).finalize().into_bytes().into();
        xor_into(&mut sum, &round);
    }
    sum
}

/// The key that the proof hides.
pub fn client_key(salted: &Digest) -> Zeroizing<Digest> {
    Zeroizing::new(hmac(salted, b"Client Key"))
}

/// The key by which the server proves itself.
pub fn server_key(salted: &Digest) -> Digest {
    hmac(salted, b"Server Key")
}

/// The client's proof over the messages of the exchange.
pub fn client_proof(salted: &Digest, auth_message: &[u8]) -> Digest {
    let key = client_key(salted);
    let mut proof = hmac(&hash(&*key), auth_message);
    xor_into(&mut proof, &key);
    proof
}

/// Whether the proof comes from somebody who knows the password. The time it takes does not depend on the answer.
pub fn verify_proof(stored_key: &Digest, auth_message: &[u8], proof: &Digest) -> bool {
    let mut key = Zeroizing::new(hmac(stored_key, auth_message));
    xor_into(&mut key, proof);
    hash(&*key).ct_eq(stored_key).into()
}

fn xor_into(sum: &mut Digest, other: &Digest) {
    for (left, right) in sum.iter_mut().zip(other) {
        *left ^= right;
    }
}
