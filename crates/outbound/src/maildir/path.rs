//! Names of folders and files made of addresses. Nothing that an address can hold leads out of its folder.

use std::fmt::Write as _;

use mail::Mailbox;

use super::Letter;

/// The two folders of a mailbox: of its domain and of its local part, in lower case. Letters, digits and `+ - = _ .` stand
/// for themselves, a dot not at the beginning; every other octet is `%` and two digits.
pub fn folder(mailbox: &Mailbox) -> (String, String) {
    let local = encode(&mailbox.local.unquoted().to_ascii_lowercase());
    (encode(&mailbox.domain.to_string()), local)
}

fn encode(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'+' | b'-' | b'=' | b'_' => name.push(char::from(byte)),
            b'.' if index > 0 => name.push('.'),
            other => {
                let _infallible = write!(name, "%{other:02x}");
            }
        }
    }
    name
}

/// `TIME.DELIVERY.HOST`, the same for every attempt of one delivery. No colon: it begins the flags.
pub(super) fn file_name(letter: &Letter) -> String {
    format!("{}.{}.{}", letter.received.as_secs(), letter.delivery, encode(&letter.hostname))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(address: &str, expect: &str) {
        let (domain, local) = folder(&address.parse().unwrap());
        assert_eq!(format!("{domain}/{local}"), expect, "{address}");
    }

    #[test]
    fn folders() {
        check("Alice.B+x@Ours.Example", "ours.example/alice.b+x");
        check("\"..\"@b.example", "b.example/%2e.");
        check("\".\"@b.example", "b.example/%2e");
        check("\"../../x\"@b.example", "b.example/%2e.%2f..%2fx");
        check("\"a/b\"@b.example", "b.example/a%2fb");
        check("\":2,\"@b.example", "b.example/%3a2%2c");
        check("\"%2e\"@b.example", "b.example/%252e");
        check("\"a \\\\ b\"@b.example", "b.example/a%20%5c%20b");
        check("a@[192.0.2.1]", "%5b192.0.2.1%5d/a");
        check("a@[IPv6:2001:db8::1]", "%5bIPv6%3a2001%3adb8%3a%3a1%5d/a");
    }

    proptest! {
        #[test]
        fn any_address_gives_one_safe_name(local in "[ -~]{1,64}") {
            let quoted = format!("\"{}\"@b.example", local.replace('\\', "\\\\").replace('"', "\\\""));
            if let Ok(mailbox) = quoted.parse::<Mailbox>() {
                let (_, name) = folder(&mailbox);
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-=_.%".contains(&byte)));
                prop_assert!(!name.is_empty() && !name.starts_with('.') && name.len() <= 192);
            }
        }
    }
}
