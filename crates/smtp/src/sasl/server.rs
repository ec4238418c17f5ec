//! The server half: one exchange, step by step. Each response of the client, decoded from base64, gives a [`Step`].
//!
//! ```text
//! PLAIN   ── response ─► Password
//! LOGIN   ── name ─► Challenge ── password ─► Password
//! SCRAM   ── client-first ─► ScramStart ── the verifier ─► Challenge
//!         ── client-final ─► wrong: ScramDone;  right: Challenge ── "" ─► ScramDone
//! ```
//!
//! The identity is always the authentication identity: an authorization identity that differs is refused
//! (RFC 4616 §2), so nobody acts as another.

use std::str;

use zeroize::Zeroizing;

use super::{
    Mechanism, Secret, decode, encode,
    scram::{self, Verifier},
};

/// LOGIN's prompts, as every client of the last thirty years expects them.
const LOGIN_NAME: &[u8] = b"Username:";
const LOGIN_PASSWORD: &[u8] = b"Password:";

/// An exchange that waits for the client.
#[derive(Debug)]
pub struct Exchange(State);

#[derive(Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword { authcid: String },
    ScramFirst,
    ScramFinal(Box<ScramFinal>),
    ScramAcknowledge { authcid: String },
}

/// What comes of a response.
#[derive(Debug)]
pub enum Step {
    /// Send this and wait for the next response.
    Challenge(Exchange, Vec<u8>),
    /// Find out whether the password is right. The exchange is over.
    Password {
        /// The user's name.
        authcid: String,
        /// The password.
        password: Secret,
    },
    /// Find the user's verifier and call [`ScramStart::verifier`].
    ScramStart(ScramStart),
    /// The exchange is over, and the client has shown that it knows the password.
    ScramRight {
        /// The user's name.
        authcid: String,
    },
    /// The exchange is over, and it has not.
    ScramWrong {
        /// The user's name.
        authcid: String,
    },
    /// The response is not one of the mechanism: 501.
    Malformed,
    /// The client wants to act as somebody else: 535.
    Impersonation,
}

impl Exchange {
    /// Begins, and says with what to prompt a client that sent no initial response.
    pub fn begin(mechanism: Mechanism) -> (Self, &'static [u8]) {
        match mechanism {
            Mechanism::Plain => (Self(State::Plain), b""),
            Mechanism::Login => (Self(State::LoginName), LOGIN_NAME),
            Mechanism::ScramSha256 => (Self(State::ScramFirst), b""),
        }
    }

    /// The mechanism.
    pub fn mechanism(&self) -> Mechanism {
        match self.0 {
            State::Plain => Mechanism::Plain,
            State::LoginName | State::LoginPassword { .. } => Mechanism::Login,
            State::ScramFirst | State::ScramFinal(_) | State::ScramAcknowledge { .. } => Mechanism::ScramSha256,
        }
    }

    /// The client's next response.
    pub fn respond(self, response: &[u8]) -> Step {
        let Ok(text) = str::from_utf8(response) else {
            return Step::Malformed;
        };
        let step = match self.0 {
            State::Plain => plain(text),
            State::LoginName => name(text).map(|authcid| {
                let next = Self(State::LoginPassword { authcid });
                Step::Challenge(next, LOGIN_PASSWORD.to_vec())
            }),
            State::LoginPassword { authcid } => {
                name(text).map(|password| Step::Password { authcid, password: Secret::new(password) })
            }
            State::ScramFirst => scram_first(text),
            State::ScramFinal(exchange) => exchange.respond(text),
            State::ScramAcknowledge { authcid } => text.is_empty().then_some(Step::ScramRight { authcid }),
        };
        step.unwrap_or(Step::Malformed)
    }
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).
fn plain(text: &str) -> Option<Step> {
    let (authzid, rest) = text.split_once('\0')?;
    let (authcid, password) = rest.split_once('\0')?;
    if authcid.is_empty() || password.is_empty() || password.contains('\0') {
        return None;
    }
    if !authzid.is_empty() && authzid != authcid {
        return Some(Step::Impersonation);
    }
    Some(Step::Password { authcid: authcid.to_owned(), password: Secret::new(password) })
}

/// A name or password of LOGIN: not empty, no NUL.
fn name(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains('\0')).then(|| text.to_owned())
}

/// A SCRAM exchange whose user is known by name (RFC 5802 §5).
#[derive(Debug)]
pub struct ScramStart {
    authcid: String,
    /// The header of channel binding, `n,,` for instance, which the last message repeats.
    gs2: String,
    client_nonce: String,
    client_first_bare: String,
}

/// `n,[a=authzid],n=user,r=nonce` (RFC 5802 §7). Channel binding is not offered, so `p=` is refused and `y` taken.
fn scram_first(text: &str) -> Option<Step> {
    let (flag, rest) = text.split_once(',')?;
    if !matches!(flag, "n" | "y") {
        return None;
    }
    let (authzid, bare) = rest.split_once(',')?;
    let gs2 = format!("{flag},{authzid},");
    let authzid = match authzid.strip_prefix("a=") {
        Some(name) => Some(sasl_name(name)?),
        None if authzid.is_empty() => None,
        None => return None,
    };
    // A mandatory extension `m=` would stand first: refused, as RFC 5802 §5.1 demands.
    let mut attributes = bare.split(',');
    let authcid = sasl_name(attributes.next()?.strip_prefix("n=")?)?;
    let client_nonce = attributes.next()?.strip_prefix("r=")?.to_owned();
    if !is_nonce(&client_nonce) {
        return None;
    }
    if authzid.is_some_and(|authzid| authzid != authcid) {
        return Some(Step::Impersonation);
    }
    Some(Step::ScramStart(ScramStart { authcid, gs2, client_nonce, client_first_bare: bare.to_owned() }))
}

/// Printable ASCII without comma (RFC 5802 §7).
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| matches!(octet, b'!'..=b'~') && octet != b',')
}

/// A name in which `=2C` stands for a comma and `=3D` for `=`; any other `=` is an error (RFC 5802 §5.1).
fn sasl_name(text: &str) -> Option<String> {
    let mut pieces = text.split('=');
    let mut plain = pieces.next()?.to_owned();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        plain.push(match code {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        plain.push_str(rest);
    }
    name(&plain)
}

impl ScramStart {
    /// The user's name: hostile text.
    pub fn authcid(&self) -> &str {
        &self.authcid
    }

    /// The exchange goes on with this verifier and nonce; the octets are the challenge.
    pub fn verifier(self, verifier: &Verifier, nonce: &str) -> (Exchange, Vec<u8>) {
        let nonce = format!("{}{nonce}", self.client_nonce);
        let server_first = format!("r={nonce},s={},i={}", encode(&verifier.salt), verifier.iterations);
        let challenge = server_first.clone().into_bytes();
        let next = ScramFinal {
            authcid: self.authcid,
            binding: encode(self.gs2.as_bytes()),
            auth_message: format!("{},{server_first}", self.client_first_bare),
            nonce,
            stored_key: verifier.stored_key,
            server_key: Zeroizing::new(verifier.server_key),
        };
        (Exchange(State::ScramFinal(Box::new(next))), challenge)
    }
}

struct ScramFinal {
    authcid: String,
    binding: String,
    nonce: String,
    auth_message: String,
    stored_key: scram::Digest,
    server_key: Zeroizing<scram::Digest>,
}

impl std::fmt::Debug for ScramFinal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramFinal").field("authcid", &self.authcid).finish_non_exhaustive()
    }
}

impl ScramFinal {
    /// `c=binding,r=nonce,p=proof`, perhaps with extensions before the proof (RFC 5802 §7).
    fn respond(self, text: &str) -> Option<Step> {
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let proof = scram::Digest::try_from(decode(proof.as_bytes())?.as_slice()).ok()?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next()?.strip_prefix("c=")?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        let auth_message = format!("{},{without_proof}", self.auth_message);
        let right = binding == self.binding
            && nonce == self.nonce
            && scram::verify_proof(&self.stored_key, auth_message.as_bytes(), &proof);
        if !right {
            return Some(Step::ScramWrong { authcid: self.authcid });
        }
        let signature = scram::hmac(&*self.server_key, auth_message.as_bytes());
        let server_final = format!("v={}", encode(&signature)).into_bytes();
        Some(Step::Challenge(Exchange(State::ScramAcknowledge { authcid: self.authcid }), server_final))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond(mechanism: Mechanism, response: &[u8]) -> Step {
        Exchange::begin(mechanism).0.respond(response)
    }

    #[test]
    fn c1_plain_takes_one_identity_only() {
        for good in ["\0anna\0pw", "anna\0anna\0pw"] {
            assert!(
                matches!(respond(Mechanism::Plain, good.as_bytes()),
                    Step::Password { authcid, password } if authcid == "anna" && password.expose() == "pw"),
                "{good:?}"
            );
        }
        assert!(matches!(respond(Mechanism::Plain, b"boris\0anna\0pw"), Step::Impersonation));
        for bad in ["", "anna", "\0anna", "\0\0pw", "\0anna\0", "\0anna\0pw\0", "\0\0\0"] {
            assert!(matches!(respond(Mechanism::Plain, bad.as_bytes()), Step::Malformed), "{bad:?}");
        }
        assert!(matches!(respond(Mechanism::Plain, b"\0\xff\0pw"), Step::Malformed));
    }

    #[test]
    fn c4_user_names_are_data() {
        for hostile in ["' OR 1=1 --", "*)(uid=*", "a\nb", "../x"] {
            let Step::Challenge(exchange, prompt) = respond(Mechanism::Login, hostile.as_bytes()) else {
                panic!("{hostile:?}");
            };
            assert_eq!(prompt, LOGIN_PASSWORD);
            assert!(matches!(exchange.respond(b"pw"), Step::Password { authcid, .. } if authcid == hostile));
        }
        assert!(matches!(respond(Mechanism::Login, b"a\0b"), Step::Malformed));
    }

    /// The example of RFC 7677 §3.
    #[test]
    fn the_example_of_rfc_7677() {
        let salt = decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = Verifier::derive("pencil", &salt, 4096);
        let Step::ScramStart(start) = respond(Mechanism::ScramSha256, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") else {
            panic!("no start");
        };
        assert_eq!(start.authcid(), "user");
        let (exchange, challenge) = start.verifier(&verifier, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        assert_eq!(
            String::from_utf8(challenge).unwrap(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let client_final = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let Step::Challenge(exchange, challenge) = exchange.respond(client_final) else {
            panic!("refused");
        };
        assert_eq!(challenge, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert!(matches!(exchange.respond(b""), Step::ScramRight { authcid } if authcid == "user"));
    }

    #[test]
    fn c5_scram_that_is_bent_is_refused() {
        let verifier = Verifier::derive("pencil", b"salt", 4096);
        let last = |client_final: &str| {
            let Step::ScramStart(start) = respond(Mechanism::ScramSha256, b"n,,n=user,r=abc") else {
                panic!("no start");
            };
            start.verifier(&verifier, "def").0.respond(client_final.as_bytes())
        };
        let proof = encode(&[7; 32]);
        for wrong in ["c=biws,r=abcdef", "c=biws,r=abcxyz", "c=eSws,r=abcdef"] {
            assert!(matches!(last(&format!("{wrong},p={proof}")), Step::ScramWrong { .. }), "{wrong}");
        }
        for malformed in ["", "c=biws,r=abcdef", "c=biws,r=abcdef,p=!", "r=abcdef,c=biws,p=AAAA"] {
            assert!(matches!(last(malformed), Step::Malformed), "{malformed}");
        }
        for malformed in [
            "",
            "n,,",
            "p=tls-unique,,n=u,r=a",
            "n,,m=x,n=u,r=a",
            "n,,n=,r=a",
            "n,,n=u,r=",
            "n,,n=a=b,r=x",
            "n,x,n=u,r=a",
        ] {
            assert!(matches!(respond(Mechanism::ScramSha256, malformed.as_bytes()), Step::Malformed), "{malformed}");
        }
        assert!(matches!(respond(Mechanism::ScramSha256, b"n,a=boris,n=anna,r=x"), Step::Impersonation));
        assert!(
            matches!(respond(Mechanism::ScramSha256, b"y,a=a=2Cb,n=a=2Cb,r=x"), Step::ScramStart(start) if start.authcid() == "a,b")
        );
    }
}
