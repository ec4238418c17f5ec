//! Lists of addresses in the DNS (RFC 5782): what to ask, what an answer means, what it weighs.
//!
//! An answer is a listing only when it lies in 127/8, because that is what lists answer with (RFC 5782 §2.1); a resolver
//! that sends all unknown names to an advertiser answers with something else. 127.255.255.0/24 is how the large lists
//! say "you may not ask" or "wrong name": an error, and whoever takes it for a listing refuses all mail.

use std::net::{IpAddr, Ipv4Addr};

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The address is listed.
    Listed,
    /// It is not.
    Clear,
    /// The list did not answer, or not as a list does: it says nothing.
    Unknown,
}

/// The name to ask for in a zone: the octets of an IPv4 address, the nibbles of an IPv6 address, the last one first
/// (RFC 5782 §2.1, §2.4).
pub fn question(address: IpAddr, zone: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.{zone}")
        }
        IpAddr::V6(v6) => {
            let mut name = String::with_capacity(64 + zone.len());
            for octet in v6.octets().into_iter().rev() {
                for nibble in [octet & 0xf, octet >> 4] {
                    name.push(HEX.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit)));
                    name.push('.');
                }
            }
            name + zone
        }
    }
}

/// What the addresses of an answer mean. `counts` says which answers of the list count; none of the name is
/// [`Verdict::Clear`].
pub fn verdict(answers: &[IpAddr], counts: impl Fn(Ipv4Addr) -> bool) -> Verdict {
    let mut verdict = Verdict::Clear;
    for answer in answers {
        match answer {
            IpAddr::V4(v4) if is_error(*v4) => verdict = Verdict::Unknown,
            IpAddr::V4(v4) if counts(*v4) => return Verdict::Listed,
            IpAddr::V4(_) => {}
            // A list has no such answers.
            IpAddr::V6(_) => verdict = Verdict::Unknown,
        }
    }
    verdict
}

/// Outside 127/8, or in the part of it that says what is wrong with the question.
fn is_error(answer: Ipv4Addr) -> bool {
    !answer.is_loopback() || answer.octets().starts_with(&[127, 255, 255])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions() {
        let check = |address: &str, expect: &str| {
            assert_eq!(question(address.parse().unwrap(), "bl.example"), expect);
        };
        check("192.0.2.99", "99.2.0.192.bl.example");
        check("::ffff:192.0.2.99", "99.2.0.192.bl.example");
        // The example of RFC 5782 §2.4.
        check(
            "2001:db8:1:2:3:4:567:89ab",
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example",
        );
    }

    #[test]
    fn answers() {
        let check = |answers: &[&str], expect: Verdict| {
            let answers: Vec<IpAddr> = answers.iter().map(|answer| answer.parse().unwrap()).collect();
            assert_eq!(verdict(&answers, |answer| answer.octets()[3] != 99), expect, "{answers:?}");
        };
        check(&[], Verdict::Clear);
        check(&["127.0.0.2"], Verdict::Listed);
        check(&["127.0.0.99"], Verdict::Clear);
        check(&["127.0.0.99", "127.0.0.2"], Verdict::Listed);
        check(&["127.255.255.254"], Verdict::Unknown);
        check(&["127.255.255.252"], Verdict::Unknown);
        check(&["127.255.254.1"], Verdict::Listed);
        check(&["198.51.100.7"], Verdict::Unknown);
        check(&["2001:db8::1"], Verdict::Unknown);
        check(&["198.51.100.7", "127.0.0.2"], Verdict::Listed);
    }
}
