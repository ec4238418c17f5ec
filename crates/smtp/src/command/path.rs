//! Finding the address in what stands after `FROM:` or `TO:`, as people type it.

/// Whether there were `<` and `>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brackets {
    Present,
    Missing,
}

/// An argument taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path<'a> {
    /// The address, without brackets and source route.
    pub(super) address: &'a str,
    pub(super) brackets: Brackets,
    /// The parameters.
    pub(super) rest: &'a str,
}

/// Takes an argument apart, or nothing when it is not one address: a bracket or quote is open, something sticks to the
/// bracket, a name stands before the address, or another address follows.
pub(super) fn split(text: &str) -> Option<Path<'_>> {
    parts(text).filter(|path| !path.address.ends_with([',', ';']) && !begins_with_address(path.rest))
}

/// Whether what stands where parameters do is an address: `<a@b>`, `a@b`. A value of a parameter may hold both marks.
fn begins_with_address(rest: &str) -> bool {
    let word = rest.split_ascii_whitespace().next().unwrap_or_default();
    word.starts_with('<') || (word.contains('@') && !word.contains('='))
}

fn parts(text: &str) -> Option<Path<'_>> {
    match text.strip_prefix('<') {
        Some(inner) => {
            let (address, rest) = inner.split_at_checked(unquoted(inner, |octet| octet == b'>')?)?;
            let rest = rest.strip_prefix('>')?;
            let separate = rest.is_empty() || rest.starts_with([' ', '\t']);
            let address = without_route(address.trim_matches([' ', '\t']));
            separate.then_some(Path { address, brackets: Brackets::Present, rest })
        }
        None => {
            // Deviation: RFC 5321 §4.1.2 wants brackets. A person at a terminal leaves them out, and so does Postfix.
            let end = unquoted(text, |octet| matches!(octet, b' ' | b'\t')).unwrap_or(text.len());
            let (address, rest) = text.split_at_checked(end)?;
            Some(Path { address, brackets: Brackets::Missing, rest })
        }
    }
}

/// RFC 5321 §4.1.1.3, appendix C: `@one,@two:user@domain` means `user@domain`.
fn without_route(address: &str) -> &str {
    match address.strip_prefix('@').and_then(|route| route.split_once(':')) {
        Some((_, mailbox)) => mailbox,
        None => address,
    }
}

/// Where the first such octet stands outside a Quoted-string.
fn unquoted(text: &str, wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            octet if !quoted && wanted(octet) => return Some(at),
            _ => {}
        }
    }
    None
}
