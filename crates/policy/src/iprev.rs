//! iprev (RFC 8601 §3): does the name that an address claims lead back to it?
//!
//! ```text
//!  address ─► PTR? ─► names (ten at most) ─► A or AAAA? of each ─┬─► one has the address: Pass, with its name
//!               │                                                ├─► none has: Fail
//!               ├─► none: PermError                              └─► none has, one could not be asked: TempError
//!               └─► no answer: TempError
//! ```
//!
//! It says that the owner of a network and the owner of a name know each other; it says nothing good about either.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv6Addr},
};

use crate::dns::{Answer, Kind, Name, Question};

/// RFC 8601 §3 asks for a bound to guard against large answers; ten as in RFC 7208 §4.6.4.
const NAMES_MAX: usize = 10;

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first name that leads back.
    Pass(Name),
    /// There are names, but none leads back.
    Fail,
    /// A question stayed open, and no other name leads back.
    TempError,
    /// There is no name.
    PermError,
}

/// What the machine says when polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Ask this, and hand the answer to [`Check::answer`].
    Ask(Question),
    /// The result.
    Done(Outcome),
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Check {
    address: IpAddr,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// The names are being asked for.
    Names,
    /// The last of `rest` is being asked for its addresses; the others come after it.
    Addresses {
        rest: Vec<Name>,
        failed: bool,
    },
    Done(Outcome),
}

impl Check {
    /// Begins with an address; an IPv4 address in an IPv6 coat is taken for what it is.
    pub fn new(address: IpAddr) -> Self {
        Self { address: address.to_canonical(), state: State::Names }
    }

    /// The result, or what must be asked first. The same question until it is answered.
    pub fn poll(&self) -> Poll {
        match &self.state {
            State::Names => Poll::Ask(Question { name: reverse_name(self.address), kind: Kind::Ptr }),
            State::Addresses { rest, failed } => match rest.last() {
                Some(name) => Poll::Ask(Question { name: name.clone(), kind: self.forward() }),
                None if *failed => Poll::Done(Outcome::TempError),
                None => Poll::Done(Outcome::Fail),
            },
            State::Done(outcome) => Poll::Done(outcome.clone()),
        }
    }

    /// Takes the answer to the question.
    pub fn answer(&mut self, answer: Answer) {
        match &mut self.state {
            State::Names => {
                self.state = match answer {
                    Answer::Ptr(mut names) if !names.is_empty() => {
                        names.truncate(NAMES_MAX);
                        names.reverse();
                        State::Addresses { rest: names, failed: false }
                    }
                    Answer::Failed => State::Done(Outcome::TempError),
                    _ => State::Done(Outcome::PermError),
                }
            }
            State::Addresses { rest, failed } => {
                let Some(name) = rest.pop() else { return };
                *failed |= answer == Answer::Failed;
                if has(&answer, self.address) {
                    self.state = State::Done(Outcome::Pass(name));
                }
            }
            State::Done(_) => {}
        }
    }

    fn forward(&self) -> Kind {
        if self.address.is_ipv4() { Kind::A } else { Kind::Aaaa }
    }
}

fn has(answer: &Answer, address: IpAddr) -> bool {
    match (answer, address) {
        (Answer::A(addresses), IpAddr::V4(address)) => addresses.contains(&address),
        (Answer::Aaaa(addresses), IpAddr::V6(address)) => addresses.contains(&address),
        _ => false,
    }
}

/// Where the PTR records of an address are (RFC 1035 §3.5, RFC 3596 §2.5).
pub(crate) fn reverse_name(address: IpAddr) -> Name {
    let text = match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => nibbles(address),
    };
    Name::parse(&text).expect("digits, dots and arpa, 72 octets at most")
}

fn nibbles(address: Ipv6Addr) -> String {
    let mut text = String::with_capacity(72);
    for octet in address.octets().iter().rev() {
        let _infallible = write!(text, "{:x}.{:x}.", octet & 0xf, octet >> 4);
    }
    text + "ip6.arpa"
}
