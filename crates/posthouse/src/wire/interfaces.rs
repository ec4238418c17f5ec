//! The addresses of this machine, as the kernel lists them under `/proc`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every address of every interface; empty when `/proc` is not there.
pub(super) fn addresses() -> Vec<IpAddr> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut addresses = parse_v4(&read("/proc/net/fib_trie"));
    addresses.extend(parse_v6(&read("/proc/net/if_inet6")));
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Whether an address can be reached from everywhere.
pub(super) fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            // RFC 6598: what a provider keeps behind its own translation.
            let shared = four.to_bits() >> 22 == Ipv4Addr::new(100, 64, 0, 0).to_bits() >> 22;
            !(four.is_loopback() || four.is_private() || four.is_link_local() || four.is_unspecified() || shared)
        }
        IpAddr::V6(six) => {
            !(six.is_loopback() || six.is_unicast_link_local() || six.is_unique_local() || six.is_unspecified())
        }
    }
}

/// A leaf `|-- 192.0.2.1` followed by `/32 host LOCAL` is an address of ours.
fn parse_v4(text: &str) -> Vec<IpAddr> {
    let mut leaf: Option<Ipv4Addr> = None;
    let mut found = Vec::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("|-- ") {
            Some(address) => leaf = address.trim().parse().ok(),
            None if line.contains("/32 host LOCAL") => found.extend(leaf.map(IpAddr::V4)),
            None => {}
        }
    }
    found
}

/// Lines begin with 32 hexadecimal digits.
fn parse_v6(text: &str) -> Vec<IpAddr> {
    let address = |line: &str| {
        let digits = line.split_whitespace().next()?;
        u128::from_str_radix(digits, 16).ok().map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
    };
    text.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_found() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 192.0.2.7\n        \
                    /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n";
        assert_eq!(parse_v4(trie), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        let six = "00000000000000000000000000000001 01 80 10 80       lo\n";
        assert_eq!(parse_v6(six), ["::1".parse::<IpAddr>().unwrap()]);
        assert!(addresses().contains(&"127.0.0.1".parse().unwrap()));
    }
}
