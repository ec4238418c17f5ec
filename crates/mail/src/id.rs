//! Names that a message and its deliveries keep for life: in the 250, in logs, on the command line, in the API.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {prefix} followed by 32 hexadecimal digits")]
pub struct IdError {
    prefix: &'static str,
}

/// A UUIDv7 (RFC 9562 §5.7): milliseconds of `now` first, so that ids sort by time and need no central counter.
fn uuid_v7(now: Timestamp, random: [u8; 10]) -> [u8; 16] {
    let millis = u64::try_from(now.as_micros() / 1000).unwrap_or(0);
    let [_, _, a, b, c, d, e, f] = millis.to_be_bytes();
    let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9] = random;
    [a, b, c, d, e, f, 0x70 | (r0 & 0x0f), r1, 0x80 | (r2 & 0x3f), r3, r4, r5, r6, r7, r8, r9]
}

fn parse_hex(text: &str, prefix: &'static str) -> Result<[u8; 16], IdError> {
    let error = IdError { prefix };
    let digits = text.strip_prefix(prefix).ok_or(error)?;
    if digits.len() != 32 || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(error);
    }
    u128::from_str_radix(digits, 16).map(u128::to_be_bytes).map_err(|_| error)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new id made of the time and ten random bytes.
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                Self(uuid_v7(now, random))
            }

            /// The id with these bytes, as read from our own storage.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The sixteen bytes to store.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:032x}"), u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex(text, $prefix).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One accepted message: `msg_` and 32 hexadecimal digits.
    MessageId,
    "msg_"
);
id!(
    /// One recipient of one message: `rcp_` and 32 hexadecimal digits.
    DeliveryId,
    "rcp_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_prints_and_parses_and_sorts_by_time() {
        let early = MessageId::new(Timestamp::from_secs(1), [0xff; 10]);
        let late = MessageId::new(Timestamp::from_secs(2), [0; 10]);
        assert!(early < late);
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(early.to_string(), "msg_0000000003e87fffbfffffffffffffff");
        assert!("rcp_0000000003e87fffbfffffffffffffff".parse::<MessageId>().is_err());
        assert!("msg_+000000003e87fffbfffffffffffffff".parse::<MessageId>().is_err());
    }
}
