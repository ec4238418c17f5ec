//! XCLIENT: a client that speaks for another says for whom. It is no RFC's; the form is that of Postfix's
//! XCLIENT_README: attributes with values in xtext, then a greeting as on a new connection.
//!
//! Only clients whose settings allow it are obeyed; to all others it is no command. ADDR and PORT are taken. The others
//! are read and passed over: the name of an address is looked up by who needs it, EHLO comes again anyway, and nobody is
//! authenticated by hearsay.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{
    ask::{Answer, Ask},
    phase::{Phase, Question},
    session::Session,
    settings::Introduction,
    words,
};

/// What EHLO says may be given.
pub(super) const ATTRIBUTES: &str = "XCLIENT NAME ADDR PORT PROTO HELO";
/// Attributes of which there may be a value that is not taken.
const PASSED_OVER: [&str; 6] = ["NAME", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"];
const VERB: &str = "XCLIENT";
/// What stands in the place of a value that is not known.
const UNKNOWN: [&str; 2] = ["[UNAVAILABLE]", "[TEMPUNAVAIL]"];

impl Session {
    /// Obeys the line if it is XCLIENT and the client may say that.
    pub(super) fn introduction(&mut self, line: &[u8]) -> bool {
        if self.settings.introduction == Introduction::Refused {
            return false;
        }
        let Some((verb, attributes)) = str::from_utf8(line).ok().and_then(|line| line.split_at_checked(VERB.len()))
        else {
            return false;
        };
        if !verb.eq_ignore_ascii_case(VERB) || !(attributes.is_empty() || attributes.starts_with(' ')) {
            return false;
        }
        match self.phase {
            Phase::Greet | Phase::Ready => match parse(attributes) {
                Some(client) => self.ask(Question::Introduce, Ask::Introduce { client }),
                None => self.fail(words::INTRODUCTION_MALFORMED),
            },
            _ => self.fail(words::INTRODUCTION_IN_MAIL),
        }
        true
    }

    /// What came before was about somebody else.
    pub(super) fn introduced(&mut self, answer: Answer) {
        match answer {
            Answer::Introduced { peer, settings } => {
                self.peer = peer;
                self.settings = settings;
                self.hello = None;
                self.user = None;
                self.phase = Phase::Greet;
                self.forgive();
                self.say_reply(&words::banner(&self.settings));
            }
            other => self.refuse(other),
        }
    }
}

/// The client that the attributes name; within, nothing when its address is not known.
fn parse(attributes: &str) -> Option<Option<SocketAddr>> {
    let (mut address, mut port, mut named) = (None, 0, false);
    for attribute in attributes.split_ascii_whitespace() {
        let (name, value) = attribute.split_once('=')?;
        let known = !UNKNOWN.iter().any(|unknown| unknown.eq_ignore_ascii_case(value));
        match name.to_ascii_uppercase().as_str() {
            "ADDR" => {
                named = true;
                address = if known { Some(read_address(value)?) } else { None };
            }
            "PORT" if known => port = value.parse().ok()?,
            "PORT" => {}
            other if PASSED_OVER.contains(&other) => {}
            _ => return None,
        }
    }
    named.then(|| address.map(|address| SocketAddr::new(address, port)))
}

/// `203.0.113.7`, `IPV6:2001:db8::7`, or the latter without its prefix.
fn read_address(value: &str) -> Option<IpAddr> {
    let v6 = value.get(..5).filter(|prefix| prefix.eq_ignore_ascii_case("IPV6:")).and_then(|_| value.get(5..));
    match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => value.parse().ok(),
    }
    .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes() {
        let check = |attributes: &str, expect: Option<Option<&str>>| {
            let expect = expect.map(|address| address.map(|address| address.parse().unwrap()));
            assert_eq!(parse(attributes), expect, "{attributes}");
        };
        check(" ADDR=203.0.113.7 NAME=mail.far.example", Some(Some("203.0.113.7:0")));
        check(" NAME=[UNAVAILABLE] addr=203.0.113.7 port=4711 HELO=x LOGIN=anna", Some(Some("203.0.113.7:4711")));
        check(" ADDR=IPV6:2001:db8::7 PORT=1", Some(Some("[2001:db8::7]:1")));
        check(" ADDR=::ffff:203.0.113.7", Some(Some("203.0.113.7:0")));
        check(" ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE]", Some(None));
        check(" NAME=mail.far.example", None);
        check(" ADDR=mail.far.example", None);
        check(" ADDR=203.0.113.7 PORT=99999", None);
        check(" ADDR=203.0.113.7 COLOUR=blue", None);
        check(" ADDR", None);
        check("", None);
    }
}
