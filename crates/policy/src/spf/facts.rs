//! What macros see of a subject, made fit for a check.

use std::net::IpAddr;

use mail::{LocalPart, Timestamp};

use crate::dns::Name;

use super::{SUBJECT_OCTETS_MAX, expand::Values, verdict::Subject};

/// RFC 7208 §4.3: the local part of a sender that has none.
const NO_LOCAL_PART: &str = "postmaster";

/// What macros see of the subject.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) address: IpAddr,
    local_part: Box<str>,
    sender_domain: Box<str>,
    helo: Box<str>,
    receiver: Box<str>,
    now: Timestamp,
}

impl Facts {
    /// Of a sender; one without a domain that could be checked has an empty one.
    pub(super) fn new(subject: &Subject<'_>, local_part: &str, domain: Option<&Name>) -> Self {
        Self {
            // RFC 7208 §5: an IPv4 address in an IPv6 coat is an IPv4 address.
            address: subject.address.to_canonical(),
            local_part: plain(local_part),
            sender_domain: domain.map(Name::as_str).unwrap_or_default().into(),
            helo: bounded(subject.helo).into(),
            receiver: bounded(subject.receiver).into(),
            now: subject.now,
        }
    }

    /// What the letters stand for in a record of `domain`.
    pub(super) fn values<'a>(&'a self, domain: &'a Name, client_name: Option<&'a Name>) -> Values<'a> {
        Values {
            address: self.address,
            local_part: &self.local_part,
            sender_domain: &self.sender_domain,
            helo: &self.helo,
            receiver: &self.receiver,
            now: self.now,
            domain,
            client_name,
        }
    }
}

/// A local part without the quotes that it may need in MAIL (RFC 5321 §4.1.2): they are no part of it.
fn plain(local_part: &str) -> Box<str> {
    match local_part.parse::<LocalPart>() {
        Ok(parsed) => parsed.unquoted().into(),
        Err(_) if local_part.is_empty() => NO_LOCAL_PART.into(),
        Err(_) => local_part.into(),
    }
}

/// The domain of a sender as a name that can be checked: of more than one label (RFC 7208 §4.3), no address, and U-labels
/// as A-labels.
pub(super) fn checkable(text: &str) -> Option<Name> {
    let text = if text.is_ascii() { text.to_owned() } else { idna::domain_to_ascii(text).ok()? };
    if text.starts_with('[') {
        return None;
    }
    let name = Name::parse(&text).ok()?;
    let last = name.labels().next_back()?;
    let is_checkable = name.labels().count() > 1 && !last.bytes().all(|octet| octet.is_ascii_digit());
    is_checkable.then_some(name)
}

/// The beginning of a text from the peer, cut on a character boundary.
pub(super) fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(SUBJECT_OCTETS_MAX)).unwrap_or(text)
}
