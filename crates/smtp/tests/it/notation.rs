//! What the notations of both ends have in common, and the ways in which octets arrive.

use std::time::Duration;

/// A line as the script has it: the same, or a beginning.
pub(crate) fn matches(expected: &str, said: &str) -> bool {
    match expected.strip_suffix('…') {
        Some(start) => said.starts_with(start),
        None => said == expected,
    }
}

/// `90s`, `5m`.
pub(crate) fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().unwrap();
    Duration::from_secs(match unit {
        "s" => number,
        "m" => number * 60,
        other => panic!("no such unit: {other}"),
    })
}

/// `\r`, `\n`, `\\`, `\x00`.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'\\' => match rest.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b'\\' => b'\\',
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => panic!("no such escape: {other}"),
            },
            other => other,
        });
    }
    octets
}

/// How the other end's octets arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Split {
    Whole,
    /// One piece in two parts.
    Two {
        piece: usize,
        at: usize,
    },
    Octets,
}

impl Split {
    /// The parts in which the piece of that number arrives.
    pub(crate) fn parts(self, octets: &[u8], number: usize) -> Vec<&[u8]> {
        match self {
            Self::Two { piece, at } if piece == number => {
                let (left, right) = octets.split_at(at);
                vec![left, right]
            }
            Self::Octets => octets.chunks(1).collect(),
            Self::Whole | Self::Two { .. } => vec![octets],
        }
    }
}
