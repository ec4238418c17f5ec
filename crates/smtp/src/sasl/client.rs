//! The client half: one exchange, step by step. Each challenge of the server, decoded from base64, gives a response.
//!
//! ```text
//! PLAIN   name and password ── 235
//! LOGIN   ── challenge ─► name ── challenge ─► password ── 235
//! SCRAM   client-first ── server-first ─► client-final ── server-final ─► "" ── 235
//! ```
//!
//! A server of SCRAM must prove that it knows the password's verifier, else [`Exchange::succeed`] fails: a 235 alone is
//! worth nothing (RFC 5802 §5). Deviation: names and passwords are sent as they are, not prepared by SASLprep.

use std::str;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{Mechanism, decode, encode, scram};

/// Octets of a challenge of SCRAM (decoded).
const CHALLENGE_MAX: usize = 4096;
/// Octets of a salt.
const SALT_MAX: usize = 1024;

/// Why the exchange can't go on. `Display` says it in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// A challenge that the mechanism does not have there.
    #[error("the server asked more than {0} has to say")]
    Unexpected(Mechanism),
    /// A message that the mechanism does not know.
    #[error("the server's part of SCRAM is malformed")]
    Malformed,
    /// The server's nonce does not go on from ours: a replay.
    #[error("the server did not take up our nonce")]
    Nonce,
    /// Too few rounds would show the password to whoever listens, too many would keep us busy.
    #[error("the server wants {0} iterations of SCRAM, expected {min} to {max}", min = scram::ITERATIONS_MIN, max = scram::ITERATIONS_MAX)]
    Iterations(u64),
    /// The server refused within the exchange.
    #[error("the server ended SCRAM with an error")]
    Refused,
    /// The server does not know the password's verifier.
    #[error("the server did not prove that it knows the user")]
    Unproven,
}

/// An exchange that waits for the server.
#[derive(Debug)]
pub struct Exchange(State);

enum State {
    /// All has been said.
    Plain,
    LoginName {
        username: String,
        password: Zeroizing<String>,
    },
    LoginPassword {
        password: Zeroizing<String>,
    },
    LoginEnd,
    ScramFirst {
        password: Zeroizing<String>,
        nonce: String,
        client_first_bare: String,
    },
    ScramFinal {
        /// What the server must say.
        signature: scram::Digest,
    },
    /// The server has proven itself.
    ScramEnd,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::LoginName { .. } => "LoginName",
            Self::LoginPassword { .. } => "LoginPassword",
            Self::LoginEnd => "LoginEnd",
            Self::ScramFirst { .. } => "ScramFirst",
            Self::ScramFinal { .. } => "ScramFinal",
            Self::ScramEnd => "ScramEnd",
        })
    }
}

impl Exchange {
    /// Begins; returns the initial response, if the mechanism has one. `nonce` is fresh random text for SCRAM:
    /// printable ASCII without comma.
    pub fn begin(
        mechanism: Mechanism,
        username: &str,
        password: &str,
        nonce: &str,
    ) -> (Self, Option<Zeroizing<String>>) {
        let password = || Zeroizing::new(password.to_owned());
        match mechanism {
            Mechanism::Plain => {
                let response = Zeroizing::new(format!("\0{username}\0{}", *password()));
                (Self(State::Plain), Some(response))
            }
            Mechanism::Login => {
                let state = State::LoginName { username: username.to_owned(), password: password() };
                (Self(state), None)
            }
            Mechanism::ScramSha256 => {
                let client_first_bare = format!("n={},r={nonce}", sasl_name(username));
                let response = Zeroizing::new(format!("n,,{client_first_bare}"));
                let state = State::ScramFirst { password: password(), nonce: nonce.to_owned(), client_first_bare };
                (Self(state), Some(response))
            }
        }
    }

    fn mechanism(&self) -> Mechanism {
        match self.0 {
            State::Plain => Mechanism::Plain,
            State::LoginName { .. } | State::LoginPassword { .. } | State::LoginEnd => Mechanism::Login,
            State::ScramFirst { .. } | State::ScramFinal { .. } | State::ScramEnd => Mechanism::ScramSha256,
        }
    }

    /// The response to a challenge.
    pub fn challenge(self, challenge: &[u8]) -> Result<(Self, Zeroizing<String>), ExchangeError> {
        let mechanism = self.mechanism();
        let (state, response) = match self.0 {
            // What the prompts say differs from server to server and is not looked at.
            State::LoginName { username, password } => (State::LoginPassword { password }, Zeroizing::new(username)),
            State::LoginPassword { password } => (State::LoginEnd, password),
            State::ScramFirst { password, nonce, client_first_bare } => {
                server_first(challenge, &password, &nonce, &client_first_bare)?
            }
            State::ScramFinal { signature } => (server_final(challenge, &signature)?, Zeroizing::default()),
            State::Plain | State::LoginEnd | State::ScramEnd => return Err(ExchangeError::Unexpected(mechanism)),
        };
        Ok((Self(state), response))
    }

    /// The server said 235: whether it may be believed.
    pub fn succeed(self) -> Result<(), ExchangeError> {
        match self.0 {
            State::ScramFirst { .. } | State::ScramFinal { .. } => Err(ExchangeError::Unproven),
            State::Plain
            | State::LoginName { .. }
            | State::LoginPassword { .. }
            | State::LoginEnd
            | State::ScramEnd => Ok(()),
        }
    }
}

/// RFC 5802 §5.1: `,` and `=` have names of their own.
fn sasl_name(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// `r=nonce,s=salt,i=iterations` (RFC 5802 §7) gives the proof.
fn server_first(
    message: &[u8],
    password: &str,
    nonce: &str,
    client_first_bare: &str,
) -> Result<(State, Zeroizing<String>), ExchangeError> {
    let message = text(message)?;
    let mut attributes = message.split(',');
    let mut attribute = |name: &str| attributes.next().and_then(|attribute| attribute.strip_prefix(name));
    // `m=` would be first: an extension that must be understood, and none is.
    let whole_nonce = attribute("r=").ok_or(ExchangeError::Malformed)?;
    let salt = attribute("s=").and_then(|salt| decode(salt.as_bytes())).ok_or(ExchangeError::Malformed)?;
    let iterations = attribute("i=").ok_or(ExchangeError::Malformed)?;
    if whole_nonce.len() <= nonce.len() || !whole_nonce.starts_with(nonce) {
        return Err(ExchangeError::Nonce);
    }
    if salt.is_empty() || salt.len() > SALT_MAX {
        return Err(ExchangeError::Malformed);
    }
    let iterations = bounded_iterations(iterations)?;

    let salted = scram::salted_password(password, &salt, iterations);
    // `biws` is `n,,` in base64: no channel binding.
    let without_proof = format!("c=biws,r={whole_nonce}");
    let auth_message = format!("{client_first_bare},{message},{without_proof}");
    let proof = scram::client_proof(&salted, auth_message.as_bytes());
    let signature = scram::hmac(&scram::server_key(&salted), auth_message.as_bytes());
    let response = format!("{without_proof},p={}", encode(&proof));
    Ok((State::ScramFinal { signature }, Zeroizing::new(response)))
}

fn bounded_iterations(digits: &str) -> Result<u32, ExchangeError> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(ExchangeError::Malformed);
    }
    let number = digits.parse::<u64>().unwrap_or(u64::MAX);
    u32::try_from(number)
        .ok()
        .filter(|iterations| (scram::ITERATIONS_MIN..=scram::ITERATIONS_MAX).contains(iterations))
        .ok_or(ExchangeError::Iterations(number))
}

/// `v=signature` or `e=error` (RFC 5802 §7).
fn server_final(message: &[u8], signature: &scram::Digest) -> Result<State, ExchangeError> {
    let message = text(message)?;
    if message.starts_with("e=") {
        return Err(ExchangeError::Refused);
    }
    let verifier = message.strip_prefix("v=").and_then(|rest| rest.split(',').next());
    let claimed = verifier.and_then(|text| decode(text.as_bytes())).ok_or(ExchangeError::Malformed)?;
    if bool::from(claimed.ct_eq(signature.as_slice())) { Ok(State::ScramEnd) } else { Err(ExchangeError::Unproven) }
}

fn text(message: &[u8]) -> Result<&str, ExchangeError> {
    str::from_utf8(message).ok().filter(|text| text.len() <= CHALLENGE_MAX).ok_or(ExchangeError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677 §3.
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn begin() -> Exchange {
        let (exchange, first) = Exchange::begin(Mechanism::ScramSha256, "user", "pencil", NONCE);
        assert_eq!(first.unwrap().as_str(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        exchange
    }

    fn second(server_first: &str) -> Result<Exchange, ExchangeError> {
        begin().challenge(server_first.as_bytes()).map(|(exchange, _)| exchange)
    }

    #[test]
    fn the_example_of_the_rfc() {
        let (exchange, response) = begin().challenge(SERVER_FIRST.as_bytes()).unwrap();
        assert_eq!(
            response.as_str(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let (exchange, response) = exchange.challenge(SERVER_FINAL.as_bytes()).unwrap();
        assert_eq!((response.as_str(), exchange.succeed()), ("", Ok(())));
    }

    #[test]
    fn c5_a_server_must_prove_itself() {
        assert_eq!(begin().succeed(), Err(ExchangeError::Unproven));
        assert_eq!(second(SERVER_FIRST).unwrap().succeed(), Err(ExchangeError::Unproven));
        let last = |message: &str| second(SERVER_FIRST).unwrap().challenge(message.as_bytes()).map(|_| ());
        assert_eq!(last(&SERVER_FINAL.replace("v=6", "v=7")), Err(ExchangeError::Unproven));
        assert_eq!(last("v="), Err(ExchangeError::Unproven));
        assert_eq!(last("e=invalid-proof"), Err(ExchangeError::Refused));
        assert_eq!(last(""), Err(ExchangeError::Malformed));
    }

    #[test]
    fn c5_iterations_are_bounded() {
        let iterations = |count: &str| second(&SERVER_FIRST.replace("i=4096", &format!("i={count}"))).map(|_| ());
        assert_eq!(iterations("1"), Err(ExchangeError::Iterations(1)));
        assert_eq!(iterations("4095"), Err(ExchangeError::Iterations(4095)));
        assert_eq!(iterations("2147483648"), Err(ExchangeError::Iterations(1 << 31)));
        assert_eq!(iterations("99999999999999999999999"), Err(ExchangeError::Iterations(u64::MAX)));
        assert_eq!(iterations("+4096"), Err(ExchangeError::Malformed));
        assert_eq!(iterations(""), Err(ExchangeError::Malformed));
    }

    #[test]
    fn c5_replayed_and_malformed_messages_are_refused() {
        for bad in ["r=other,s=QQ==,i=4096", "r=rOprNGfwEbeRWgbNEkqO,s=QQ==,i=4096", "r=,s=QQ==,i=4096"] {
            assert_eq!(second(bad).map(|_| ()), Err(ExchangeError::Nonce), "{bad}");
        }
        for bad in ["", "m=x,r=a,s=QQ==,i=4096", "r=a", "s=QQ==,r=a,i=4096", &SERVER_FIRST.replace("W22", "*")] {
            assert_eq!(second(bad).map(|_| ()), Err(ExchangeError::Malformed), "{bad}");
        }
        let endless = format!("{SERVER_FIRST},{}", "x".repeat(CHALLENGE_MAX));
        assert_eq!(second(&endless).map(|_| ()), Err(ExchangeError::Malformed));
    }

    #[test]
    fn plain_and_login() {
        let (exchange, first) = Exchange::begin(Mechanism::Plain, "me", "secret", "");
        assert_eq!(first.unwrap().as_str(), "\0me\0secret");
        assert_eq!(exchange.challenge(b"").map(|_| ()), Err(ExchangeError::Unexpected(Mechanism::Plain)));

        let (exchange, first) = Exchange::begin(Mechanism::Login, "me", "secret", "");
        assert!(first.is_none());
        let (exchange, name) = exchange.challenge(b"Username:").unwrap();
        let (exchange, password) = exchange.challenge(b"Password:").unwrap();
        assert_eq!((name.as_str(), password.as_str()), ("me", "secret"));
        assert_eq!(exchange.challenge(b"").map(|_| ()), Err(ExchangeError::Unexpected(Mechanism::Login)));
    }

    #[test]
    fn names_are_escaped() {
        let (_, first) = Exchange::begin(Mechanism::ScramSha256, "a=b,c", "x", "n");
        assert_eq!(first.unwrap().as_str(), "n,,n=a=3Db=2Cc,r=n");
    }
}
