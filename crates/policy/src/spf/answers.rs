//! Answers of the DNS compared with what a check is about.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::dns::{Answer, Kind};

use super::record::DualCidr;

/// Records of another kind, or none at all, are no data.
pub(super) fn fitting(kind: Kind, answer: Answer) -> Answer {
    let fits = match (&answer, kind) {
        (Answer::Txt(texts), Kind::Txt) => !texts.is_empty(),
        (Answer::A(addresses), Kind::A) => !addresses.is_empty(),
        (Answer::Aaaa(addresses), Kind::Aaaa) => !addresses.is_empty(),
        (Answer::Mx(hosts), Kind::Mx) => !hosts.is_empty(),
        (Answer::Ptr(names), Kind::Ptr) => !names.is_empty(),
        (Answer::NoData | Answer::NoName | Answer::Failed, _) => true,
        _ => false,
    };
    if fits { answer } else { Answer::NoData }
}

/// Whether one of the addresses shares its first bits with this one.
pub(super) fn is_near(address: IpAddr, answer: &Answer, cidr: DualCidr) -> bool {
    match answer {
        Answer::A(networks) => networks.iter().any(|network| in_v4(address, *network, cidr.v4)),
        Answer::Aaaa(networks) => networks.iter().any(|network| in_v6(address, *network, cidr.v6)),
        _ => false,
    }
}

/// Whether an address is in an IPv4 network; no IPv6 address is.
pub(super) fn in_v4(address: IpAddr, network: Ipv4Addr, bits: u8) -> bool {
    let IpAddr::V4(address) = address else { return false };
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
    (address.to_bits() ^ network.to_bits()) & mask == 0
}

/// Whether an address is in an IPv6 network; no IPv4 address is.
pub(super) fn in_v6(address: IpAddr, network: Ipv6Addr, bits: u8) -> bool {
    let IpAddr::V6(address) = address else { return false };
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
    (address.to_bits() ^ network.to_bits()) & mask == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_every_length() {
        let check = |address: &str, network: &str, bits: u8, expect: bool| {
            let address: IpAddr = address.parse().unwrap();
            let found = match network.parse().unwrap() {
                IpAddr::V4(network) => in_v4(address, network, bits),
                IpAddr::V6(network) => in_v6(address, network, bits),
            };
            assert_eq!(found, expect, "{address} in {network}/{bits}");
        };
        check("192.0.2.1", "203.0.113.9", 0, true);
        check("192.0.2.1", "64.0.0.0", 1, false);
        check("192.0.2.1", "192.0.3.255", 23, true);
        check("192.0.2.1", "192.0.3.255", 24, false);
        check("192.0.2.1", "192.0.2.1", 32, true);
        check("192.0.2.1", "192.0.2.0", 32, false);
        check("2001:db8::1", "ff02::", 0, true);
        check("2001:db8::1", "2001:db8:8000::", 32, true);
        check("2001:db8::1", "2001:db8:8000::", 33, false);
        check("2001:db8::1", "2001:db8::1", 128, true);
        check("2001:db8::1", "2001:db8::", 128, false);
        check("2001:db8::1", "0.0.0.0", 0, false);
        check("192.0.2.1", "::", 0, false);
    }
}
