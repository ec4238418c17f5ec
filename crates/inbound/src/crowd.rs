//! How many connections there are, in all and of each address, and whether another fits.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bits of an IPv6 address that one subscriber shares: the usual size of a network at home (RFC 6177).
const SUBSCRIBER_BITS: u32 = 64;

/// The connections of all services.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowd {
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// By service and address, as far as the address is counted.
    by_address: HashMap<(&'static str, IpAddr), usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// For anybody.
    Server,
    /// For this address.
    Address,
}

/// Whether an address has a bound of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PerAddress {
    /// So many.
    AtMost(usize),
    /// Loopback and trusted networks.
    Free,
}

/// The place of one connection; dropped with it.
#[derive(Debug)]
pub(crate) struct Place {
    crowd: Crowd,
    key: Option<(&'static str, IpAddr)>,
}

impl Crowd {
    /// Takes a place, if there is one.
    pub(crate) fn enter(
        &self,
        service: &'static str,
        address: IpAddr,
        per_address: PerAddress,
        all: usize,
    ) -> Result<Place, Full> {
        let mut counts = self.lock();
        if counts.all >= all {
            return Err(Full::Server);
        }
        let key = match per_address {
            PerAddress::Free => None,
            PerAddress::AtMost(most) => {
                let key = (service, subscriber(address));
                let count = counts.by_address.entry(key).or_insert(0);
                if *count >= most {
                    return Err(Full::Address);
                }
                *count += 1;
                Some(key)
            }
        };
        counts.all += 1;
        Ok(Place { crowd: self.clone(), key })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.lock();
        counts.all -= 1;
        if let Some(key) = self.key
            && let Some(count) = counts.by_address.get_mut(&key)
        {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&key);
            }
        }
    }
}

/// What counts as one address: for IPv6 the network, of which one client has any number of addresses.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX << (u128::BITS - SUBSCRIBER_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(crowd: &Crowd, service: &'static str, address: &str, most: usize) -> Result<Place, Full> {
        crowd.enter(service, address.parse().unwrap(), PerAddress::AtMost(most), 3)
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let crowd = Crowd::default();
        let first = enter(&crowd, "mx", "192.0.2.1", 1).unwrap();
        assert_eq!(enter(&crowd, "mx", "192.0.2.1", 1).unwrap_err(), Full::Address);
        assert_eq!(enter(&crowd, "mx", "::ffff:192.0.2.1", 1).unwrap_err(), Full::Address);
        let _second = enter(&crowd, "submission", "192.0.2.1", 1).unwrap();
        let _third = enter(&crowd, "mx", "192.0.2.2", 1).unwrap();
        assert_eq!(enter(&crowd, "mx", "192.0.2.3", 1).unwrap_err(), Full::Server);
        drop(first);
        let _again = enter(&crowd, "mx", "192.0.2.1", 1).unwrap();
        assert_eq!(crowd.lock().by_address.len(), 3);
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let crowd = Crowd::default();
        let _first = enter(&crowd, "mx", "2001:db8::1", 1).unwrap();
        assert_eq!(enter(&crowd, "mx", "2001:db8::ffff:2", 1).unwrap_err(), Full::Address);
        assert!(enter(&crowd, "mx", "2001:db8:0:1::1", 1).is_ok());
    }

    #[test]
    fn the_free_are_counted_in_all_alone() {
        let crowd = Crowd::default();
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let places: Vec<_> = (0..3).map(|_| crowd.enter("mx", loopback, PerAddress::Free, 3).unwrap()).collect();
        assert_eq!(crowd.enter("mx", loopback, PerAddress::Free, 3).unwrap_err(), Full::Server);
        assert!(crowd.lock().by_address.is_empty());
        drop(places);
        assert_eq!(crowd.lock().all, 0);
    }
}
