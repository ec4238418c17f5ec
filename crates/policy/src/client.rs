//! What counts as one client, and as its neighbours.
//!
//! An IPv4 address is a client. Of IPv6 a subscriber has a whole /64 and may take any address of it (RFC 6177), so the
//! /64 is the client. Its neighbours are the /24 of IPv4 and the /48 of IPv6: what one customer usually gets at most.
//! An IPv4 address that came in an IPv6 coat counts as what it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of an IPv6 address that one client has.
const CLIENT_BITS_V6: u32 = 64;
/// Bits that neighbours share in IPv4.
const NEIGHBOUR_BITS_V4: u32 = 24;
/// Bits that neighbours share in IPv6.
const NEIGHBOUR_BITS_V6: u32 = 48;

/// The client that an address belongs to.
pub fn client(address: IpAddr) -> IpAddr {
    masked(address, u32::BITS, CLIENT_BITS_V6)
}

/// The neighbours among whom an address lives.
pub fn neighbours(address: IpAddr) -> IpAddr {
    masked(address, NEIGHBOUR_BITS_V4, NEIGHBOUR_BITS_V6)
}

/// The network whose hosts share a mail queue: /24 and /64. A sender that tries again from another host of it is still
/// the same one.
pub fn pool(address: IpAddr) -> IpAddr {
    masked(address, NEIGHBOUR_BITS_V4, CLIENT_BITS_V6)
}

fn masked(address: IpAddr, bits_v4: u32, bits_v6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & high_bits_v4(bits_v4))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & high_bits_v6(bits_v6))),
    }
}

fn high_bits_v4(bits: u32) -> u32 {
    u32::MAX.checked_shl(u32::BITS - bits).unwrap_or(0)
}

fn high_bits_v6(bits: u32) -> u128 {
    u128::MAX.checked_shl(u128::BITS - bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(of: fn(IpAddr) -> IpAddr, address: &str, expect: &str) {
        assert_eq!(of(address.parse().unwrap()).to_string(), expect, "{address}");
    }

    #[test]
    fn what_counts_as_one() {
        check(client, "192.0.2.77", "192.0.2.77");
        check(client, "::ffff:192.0.2.77", "192.0.2.77");
        check(client, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
        check(neighbours, "192.0.2.77", "192.0.2.0");
        check(neighbours, "2001:db8:1:2:3:4:5:6", "2001:db8:1::");
        check(pool, "192.0.2.77", "192.0.2.0");
        check(pool, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
    }
}
