//! Comments of header fields (RFC 5322 §3.2.2), which may stand almost anywhere and nest.

/// Octets of the comment that `text` begins with; nothing when it is not closed.
pub(crate) fn length(text: &str) -> Option<usize> {
    let (mut depth, mut escaped) = (0_usize, false);
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' if depth == 1 => return Some(at + 1),
            b')' => depth -= 1,
            _ => {}
        }
    }
    None
}
