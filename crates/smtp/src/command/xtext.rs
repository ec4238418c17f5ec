//! xtext (RFC 3461 §4): printable ASCII in which `+` and two capital hexadecimal digits stand for any other character.

/// The text behind it. Nothing when it is malformed, or when what it hides is not printable ASCII: a line end in an
/// address has no honest use.
pub fn decode(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        let plain = match octet {
            b'+' => hex(octets.next()?)? * 16 + hex(octets.next()?)?,
            b'!'..=b'~' if octet != b'=' => octet,
            _ => return None,
        };
        if !matches!(plain, b' '..=b'~') {
            return None;
        }
        decoded.push(char::from(plain));
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert_eq!(decode("a+2Bb@x.example").as_deref(), Some("a+b@x.example"));
        assert_eq!(decode("e+3Dmc2").as_deref(), Some("e=mc2"));
        for bad in ["+", "+4", "+4g", "+2b", "a=b", "a b", "+00", "+0D+0A", "+FF", "é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
