//! A network: an address and how many of its bits count.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Bits before an IPv4 address in an IPv6 coat: `::ffff:0:0/96` (RFC 4291 §2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// A block of addresses, such as `192.0.2.0/24` or `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a network such as 192.0.2.0/24, 2001:db8::/32 or 127.0.0.1")]
pub struct NetworkError;

impl Network {
    /// The block around `address` of which the first `prefix` bits count: at most 32 for IPv4, 128 for IPv6. Bits of
    /// `address` past the prefix are ignored.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, NetworkError> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        if prefix > most {
            return Err(NetworkError);
        }
        match address.to_canonical() {
            // An IPv4 network in an IPv6 coat counts as what it is.
            v4 @ IpAddr::V4(_) if address.is_ipv6() && prefix >= MAPPED_BITS => {
                Ok(Self { address: v4, prefix: prefix - MAPPED_BITS })
            }
            _ => Ok(Self { address, prefix }),
        }
    }

    /// Whether the address lies in the block. An IPv4 address that came in an IPv6 coat counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let difference = u32::from(ours) ^ u32::from(theirs);
                u32::from(self.prefix) <= difference.leading_zeros()
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let difference = u128::from(ours) ^ u128::from(theirs);
                u32::from(self.prefix) <= difference.leading_zeros()
            }
            _ => false,
        }
    }

    /// The networks of this machine alone.
    pub const LOOPBACK: [Self; 2] = [
        Self { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 },
        Self { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 },
    ];
}

/// Whether the address lies in one of the networks.
pub(crate) fn any_contains(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(whole), |digits| digits.parse().map_err(|_| NetworkError))?;
        Self::new(address, prefix)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(network: &str, address: &str, expect: bool) {
        let network: Network = network.parse().unwrap();
        assert_eq!(network.contains(address.parse().unwrap()), expect, "{address} in {network}");
    }

    #[test]
    fn membership() {
        check("192.0.2.0/24", "192.0.2.255", true);
        check("192.0.2.0/24", "192.0.3.0", false);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.6", false);
        check("0.0.0.0/0", "255.255.255.255", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("2001:db8::/32", "2001:db8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("::/0", "192.0.2.1", false);
        check("127.0.0.0/8", "::ffff:127.0.0.1", true);
        check("::ffff:127.0.0.1", "127.0.0.1", true);
        check("::ffff:192.0.2.0/120", "192.0.2.7", true);
        check("::ffff:192.0.2.0/120", "192.0.3.7", false);
    }

    #[test]
    fn texts_that_are_no_network() {
        for bad in ["", "x", "192.0.2.0/33", "2001:db8::/129", "192.0.2/24", "192.0.2.0/", "192.0.2.0/-1"] {
            assert_eq!(bad.parse::<Network>(), Err(NetworkError), "{bad}");
        }
    }
}
