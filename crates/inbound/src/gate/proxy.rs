//! The PROXY protocol, versions 1 and 2: a proxy says on whose behalf it connects. It is taken from named networks
//! only, and from those always; from anybody else the header is a wrong command like any other.
//!
//! The header is read to its last octet and no further, because a TLS handshake may follow. Fields beyond the addresses
//! (TLVs) are checked to be whole, and their checksum, when there is one, to be right; nothing else is taken from them.
//!
//! A header that names no client (LOCAL, UNKNOWN: a proxy that looks whether we live) gets a greeting and no more: the
//! proxy's own address proves nothing, so it may not send mail.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use net::Stream;
use ppp::{v1, v2};
use tokio::io::AsyncReadExt as _;

/// How long a proxy may take for its header.
pub(crate) const HEADER_WAIT: std::time::Duration = std::time::Duration::from_secs(5);
/// Octets of the shortest header there is: `PROXY UNKNOWN` and a line end.
const SHORTEST: usize = 15;
/// Octets of the longest header of version 1, line end included.
const V1_MAX: usize = 107;
/// What version 1 begins with.
const V1_PREFIX: &[u8] = b"PROXY ";
/// What is said of anything else.
const NOT_V1: &str = "neither a line of version 1 nor version 2";
/// Octets of version 2 up to its length.
const V2_FIXED: usize = 16;
/// Octets of version 2 behind its length that are taken: addresses, and room for a client's certificate.
const V2_REST_MAX: usize = 8 * 1024;

/// Who a connection is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// This client.
    At(SocketAddr),
    /// The proxy does not say.
    Unnamed,
}

impl Client {
    /// Its address; when it has none, that of who speaks for it.
    pub(crate) fn address_or(self, proxy: SocketAddr) -> SocketAddr {
        match self {
            Self::At(address) => address,
            Self::Unnamed => proxy,
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// The connection broke, or ended within the header.
    #[error("no whole PROXY header came: {0}")]
    Read(#[from] io::Error),
    /// What came is no header.
    #[error("the PROXY header cannot be read: {0}")]
    Malformed(&'static str),
}

/// Reads the header. The caller keeps the deadline.
pub(crate) async fn read(stream: &mut Stream) -> Result<Client, ProxyError> {
    let mut header = vec![0; SHORTEST];
    stream.read_exact(&mut header).await?;
    if header.starts_with(v2::PROTOCOL_PREFIX) { read_v2(stream, header).await } else { read_v1(stream, header).await }
}

async fn read_v1(stream: &mut Stream, mut header: Vec<u8>) -> Result<Client, ProxyError> {
    if !header.starts_with(V1_PREFIX) {
        return Err(ProxyError::Malformed(NOT_V1));
    }
    while !header.ends_with(b"\n") {
        if header.len() >= V1_MAX {
            return Err(ProxyError::Malformed(NOT_V1));
        }
        header.push(stream.read_u8().await?);
    }
    parse_v1(&header)
}

fn parse_v1(header: &[u8]) -> Result<Client, ProxyError> {
    let malformed = |_| ProxyError::Malformed(NOT_V1);
    match v1::Header::try_from(header).map_err(malformed)?.addresses {
        v1::Addresses::Tcp4(pair) => Ok(at(pair.source_address.into(), pair.source_port)),
        v1::Addresses::Tcp6(pair) => Ok(at(pair.source_address.into(), pair.source_port)),
        v1::Addresses::Unknown => Ok(Client::Unnamed),
    }
}

async fn read_v2(stream: &mut Stream, mut header: Vec<u8>) -> Result<Client, ProxyError> {
    header.push(stream.read_u8().await?);
    let rest = match header.get(V2_FIXED - 2..) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
        _ => return Err(ProxyError::Malformed("no length")),
    };
    if rest > V2_REST_MAX {
        return Err(ProxyError::Malformed("a length past all reason"));
    }
    header.resize(V2_FIXED + rest, 0);
    stream.read_exact(header.get_mut(V2_FIXED..).unwrap_or_default()).await?;
    parse_v2(&header)
}

fn parse_v2(header: &[u8]) -> Result<Client, ProxyError> {
    let parsed = v2::Header::try_from(header).map_err(|_| ProxyError::Malformed("not version 2"))?;
    if parsed.command == v2::Command::Local {
        // What else stands there is to be skipped, whatever it is.
        return Ok(Client::Unnamed);
    }
    if parsed.protocol == v2::Protocol::Datagram {
        return Err(ProxyError::Malformed("not a stream"));
    }
    for field in parsed.tlvs() {
        let field = field.map_err(|_| ProxyError::Malformed("a field that is cut off"))?;
        if field.kind == u8::from(v2::Type::CRC32C) && !is_checksum_right(header, &field.value) {
            return Err(ProxyError::Malformed("a wrong checksum"));
        }
    }
    Ok(match parsed.addresses {
        v2::Addresses::IPv4(pair) => at(pair.source_address.into(), pair.source_port),
        v2::Addresses::IPv6(pair) => at(pair.source_address.into(), pair.source_port),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => Client::Unnamed,
    })
}

fn at(address: IpAddr, port: u16) -> Client {
    Client::At(SocketAddr::new(address.to_canonical(), port))
}

/// The checksum is that of the header with zeros in its own place.
fn is_checksum_right(header: &[u8], value: &[u8]) -> bool {
    let Ok(expect) = <[u8; 4]>::try_from(value) else { return false };
    let marked = [&[u8::from(v2::Type::CRC32C), 0, 4], value].concat();
    // Nothing says that the octets of the field appear once only; any place that makes it right will do.
    let places = header.windows(marked.len()).enumerate().filter(|(_, window)| *window == marked);
    places.map(|(place, _)| place + 3).any(|place| {
        let blank = |(at, octet): (usize, &u8)| if (place..place + 4).contains(&at) { 0 } else { *octet };
        crc32c(header.iter().enumerate().map(blank)) == u32::from_be_bytes(expect)
    })
}

/// CRC-32C (RFC 3720 §B.4), a bit at a time: headers are short.
fn crc32c(octets: impl Iterator<Item = u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    !octets.fold(u32::MAX, |sum, octet| {
        (0..8).fold(sum ^ u32::from(octet), |sum, _| (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[0x20 | command, family], &length, rest].concat()
    }

    const PAIR: [u8; 12] = [203, 0, 113, 7, 192, 0, 2, 25, 0x10, 0, 0, 25];

    fn check(header: &[u8], expect: Option<&str>) {
        let parsed = if header.starts_with(b"PROXY") { parse_v1(header) } else { parse_v2(header) };
        let shown = parsed.ok().map(|client| match client {
            Client::At(address) => address.to_string(),
            Client::Unnamed => "unnamed".into(),
        });
        assert_eq!(shown.as_deref(), expect, "{header:?}");
    }

    #[test]
    fn version_one() {
        check(b"PROXY TCP4 203.0.113.7 192.0.2.25 4096 25\r\n", Some("203.0.113.7:4096"));
        check(b"PROXY TCP6 2001:db8::7 2001:db8::25 4096 25\r\n", Some("[2001:db8::7]:4096"));
        check(b"PROXY UNKNOWN\r\n", Some("unnamed"));
        check(b"PROXY UNKNOWN whatever stands here\r\n", Some("unnamed"));
        for bad in
            ["PROXY TCP4 203.0.113.7 192.0.2.25 4096 99999\r\n", "PROXY TCP4 2001:db8::7 ::1 1 2\r\n", "PROXY \r\n"]
        {
            check(bad.as_bytes(), None);
        }
    }

    #[test]
    fn version_two() {
        check(&v2(1, 0x11, &PAIR), Some("203.0.113.7:4096"));
        check(&v2(1, 0x11, &[&PAIR[..], &[0x02, 0, 1, b'x', 0x05, 0, 0]].concat()), Some("203.0.113.7:4096"));
        check(&v2(1, 0x11, &[&PAIR[..], &[0x02, 0, 9, b'x']].concat()), None);
        check(&v2(1, 0x11, &PAIR[..8]), None);
        check(&v2(1, 0x12, &PAIR), None);
        check(&v2(0, 0x11, &PAIR), Some("unnamed"));
        check(&v2(0, 0x00, &[]), Some("unnamed"));
        check(&v2(1, 0x00, &[]), Some("unnamed"));
        check(&v2(1, 0x31, &[0; 216]), Some("unnamed"));
        check(&v2(7, 0x11, &PAIR), None);
    }

    #[test]
    fn a_checksum_is_checked() {
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xE306_9283);
        let blank = v2(1, 0x11, &[&PAIR[..], &[0x03, 0, 4, 0, 0, 0, 0]].concat());
        let sum = crc32c(blank.iter().copied()).to_be_bytes();
        check(&v2(1, 0x11, &[&PAIR[..], &[0x03, 0, 4], &sum].concat()), Some("203.0.113.7:4096"));
        check(&v2(1, 0x11, &[&PAIR[..], &[0x03, 0, 4, 1, 2, 3, 4]].concat()), None);
        check(&v2(1, 0x11, &[&PAIR[..], &[0x03, 0, 2, 1, 2]].concat()), None);
    }
}
