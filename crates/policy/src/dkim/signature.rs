//! A DKIM-Signature field (RFC 6376 §3.5), read and checked as far as that goes without the key and the body.

use crate::{
    dns::{Name, Question},
    tags::{self, Tags},
};

use super::{canon::Canon, fields::Fields, hash::Sha256, verdict::Reason};

/// Octets of a field's value that are read. Real ones have less than 2,000.
pub const FIELD_OCTETS: usize = 16 * 1024;
/// Names in `h=`.
pub const NAMES_MAX: usize = 500;
/// Octets of a signature: one by RSA of 8192 bits.
const SIGNATURE_OCTETS: usize = 1024;
/// RFC 5321 §4.5.3.1.1: octets of a local part; `i=` may be encoded, so this is for what it stands for.
const LOCAL_OCTETS: usize = 64;
/// Fields of which a message has one (RFC 5322 §3.6, RFC 2045), and which decide what its readers see.
const ONCE: [&str; 10] = [
    "From",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];
/// RFC 6376 §3.5: decimal digits in `l=`.
const LENGTH_DIGITS: usize = 76;

/// How it is signed. rsa-sha1 is not among them (RFC 8301 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSA by PKCS #1 v1.5 (RFC 6376 §3.3.2).
    RsaSha256,
    /// Ed25519 over the hash (RFC 8463 §3).
    Ed25519Sha256,
}

impl Algorithm {
    /// The word in `a=`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
        }
    }

    /// The word in `k=` of its keys.
    pub fn key_type(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa",
            Self::Ed25519Sha256 => "ed25519",
        }
    }

    pub(crate) fn parse(word: &str) -> Result<Self, Reason> {
        let known = [Self::RsaSha256, Self::Ed25519Sha256];
        if word.eq_ignore_ascii_case("rsa-sha1") {
            return Err(Reason::Sha1);
        }
        known.into_iter().find(|known| word.eq_ignore_ascii_case(known.as_str())).ok_or(Reason::Algorithm)
    }
}

/// What a signature says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// `a=`.
    pub algorithm: Algorithm,
    /// `c=`, of the header.
    pub header: Canon,
    /// `c=`, of the body.
    pub body: Canon,
    /// `d=`.
    pub domain: Name,
    /// `s=`.
    pub selector: Name,
    /// `i=`, decoded; `@` and the domain when it is left out.
    pub identity: String,
    /// The domain of `i=`: `d=` or below it.
    pub identity_domain: Name,
    /// `h=`, in order.
    pub names: Vec<&'a str>,
    /// `bh=`.
    pub body_hash: Sha256,
    /// `b=`.
    pub signature: Vec<u8>,
    /// `l=`: octets of the canonical body that are signed.
    pub length: Option<u64>,
    /// `t=`: seconds since the epoch.
    pub made: Option<u64>,
    /// `x=`: seconds since the epoch.
    pub expires: Option<u64>,
}

impl<'a> Signature<'a> {
    /// Reads the value of a DKIM-Signature field, folds included.
    ///
    /// # Errors
    /// The reason why it can't be verified.
    pub fn parse(value: &'a [u8]) -> Result<Self, Reason> {
        Self::read(&tags_of(value)?)
    }

    /// Reads a DKIM-Signature from its tags.
    pub(crate) fn read(tags: &Tags<'a>) -> Result<Self, Reason> {
        // RFC 6376 §3.5: v= must be there, and be 1.
        if required(tags, "v")? != "1" {
            return Err(Reason::Version);
        }
        let mut signature = Self::read_common(tags)?;
        if let Some(identity) = tags.get("i") {
            signature.identity = decoded(identity).ok_or(Reason::Malformed("i"))?;
            signature.identity_domain = identity_domain(&signature.identity).ok_or(Reason::Malformed("i"))?;
            // RFC 6376 §3.5: the domain of i= is d= or one below it.
            if !signature.identity_domain.is_within(&signature.domain) {
                return Err(Reason::Identity);
            }
        }
        Ok(signature)
    }

    /// Reads what DKIM-Signature and ARC-Message-Signature (RFC 8617 §4.1.2) have in common: all but `v=` and `i=`.
    pub(crate) fn read_common(tags: &Tags<'a>) -> Result<Self, Reason> {
        let (domain, selector) = (domain(tags)?, selector(tags)?);
        let algorithm = Algorithm::parse(required(tags, "a")?)?;
        let (header, body) =
            Canon::parse_pair(tags.get("c").unwrap_or("simple/simple")).ok_or(Reason::Canonicalization)?;
        // RFC 6376 §3.5: q=dns/txt is the default and the only one there is.
        let mut queries = tags::colon_list(tags.get("q").unwrap_or("dns/txt"));
        if !queries.any(|query| query.eq_ignore_ascii_case("dns/txt")) {
            return Err(Reason::Query);
        }
        let names = names(required(tags, "h")?)?;
        let body_hash = tags::base64_octets(required(tags, "bh")?, size_of::<Sha256>())
            .and_then(|octets| octets.try_into().ok())
            .ok_or(Reason::Malformed("bh"))?;
        let signature = signature_octets(tags)?;
        let (made, expires) = (number(tags, "t", LENGTH_DIGITS)?, number(tags, "x", LENGTH_DIGITS)?);
        if let (Some(made), Some(expires)) = (made, expires)
            && expires <= made
        {
            return Err(Reason::ExpiresBeforeMade);
        }
        Ok(Self {
            algorithm,
            header,
            body,
            identity: format!("@{domain}"),
            identity_domain: domain.clone(),
            domain,
            selector,
            names,
            body_hash,
            signature,
            length: number(tags, "l", LENGTH_DIGITS)?,
            made,
            expires,
        })
    }

    /// Whether `x=` is over.
    pub fn is_expired(&self, now: mail::Timestamp) -> bool {
        // A time before the epoch is before every x=.
        let now = u64::try_from(now.as_secs()).unwrap_or(0);
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// RFC 6376 §8.15: a signature means the lowest fields of a name, and readers may be shown the others. Nothing can be
    /// said against fields that are not signed at all.
    ///
    /// # Errors
    /// Which of the fields that a message has once is there more often than this signature names it.
    pub(crate) fn require_all_named(&self, fields: &Fields<'_>) -> Result<(), Reason> {
        let named = |once: &str| self.names.iter().filter(|name| name.eq_ignore_ascii_case(once)).count();
        let added = ONCE.into_iter().find(|once| (1..fields.count(once)).contains(&named(once)));
        added.map_or(Ok(()), |once| Err(Reason::MoreThanSigned(once)))
    }

    /// Where its key is published.
    pub fn question(&self) -> Option<Question> {
        super::record::question(&self.selector, &self.domain)
    }
}

/// The tags of a field, if it is not too long.
pub(crate) fn tags_of(value: &[u8]) -> Result<Tags<'_>, Reason> {
    if value.len() > FIELD_OCTETS {
        return Err(Reason::TooLong);
    }
    Tags::parse(value).map_err(Reason::Tags)
}

fn required<'a>(tags: &Tags<'a>, name: &'static str) -> Result<&'a str, Reason> {
    tags.get(name).ok_or(Reason::Missing(name))
}

/// `d=`: at least two labels, because nobody signs for a top-level domain.
pub(crate) fn domain(tags: &Tags<'_>) -> Result<Name, Reason> {
    let name = host_name(required(tags, "d")?).ok_or(Reason::Domain("d"))?;
    if name.labels().nth(1).is_none() { Err(Reason::Domain("d")) } else { Ok(name) }
}

/// `s=`.
pub(crate) fn selector(tags: &Tags<'_>) -> Result<Name, Reason> {
    host_name(required(tags, "s")?).ok_or(Reason::Domain("s"))
}

/// `b=`.
pub(crate) fn signature_octets(tags: &Tags<'_>) -> Result<Vec<u8>, Reason> {
    let octets = tags::base64_octets(required(tags, "b")?, SIGNATURE_OCTETS).ok_or(Reason::Malformed("b"))?;
    if octets.is_empty() { Err(Reason::Malformed("b")) } else { Ok(octets) }
}

/// A name of labels of letters, digits, hyphens and, as selectors in use have them, underscores. Nothing else is ever
/// asked for in the DNS. Deviation: U-labels (RFC 8616 §4) are not taken; signers write A-labels.
fn host_name(text: &str) -> Option<Name> {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    // The grammar has no final dot, which Name would drop.
    if !text.bytes().all(plain) || text.ends_with('.') {
        return None;
    }
    Name::parse(text).ok()
}

/// RFC 6376 §2.11: `=XX` stands for an octet. Nothing when that is not UTF-8 or has control characters.
fn decoded(value: &str) -> Option<String> {
    let text = tags::without_blanks(value);
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'=' {
            let (digits, after) = rest.split_at_checked(2)?;
            let upper = digits.iter().all(|digit| digit.is_ascii_hexdigit() && !digit.is_ascii_lowercase());
            octets.push(u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok().filter(|_| upper)?);
            rest = after;
        } else {
            octets.push(*first);
        }
    }
    String::from_utf8(octets).ok().filter(|text| !text.chars().any(char::is_control))
}

fn identity_domain(identity: &str) -> Option<Name> {
    let (local, domain) = identity.rsplit_once('@')?;
    if local.len() > LOCAL_OCTETS { None } else { host_name(domain) }
}

/// `h=`: names of fields, From among them (RFC 6376 §5.4).
fn names(value: &str) -> Result<Vec<&str>, Reason> {
    let mut names = Vec::with_capacity(16);
    for name in tags::colon_list(value) {
        if names.len() == NAMES_MAX {
            return Err(Reason::TooManyNames);
        }
        // RFC 5322 §3.6.8. A tag's value has no semicolon, a list's part no colon.
        if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(Reason::Malformed("h"));
        }
        names.push(name);
    }
    if names.iter().any(|name| name.eq_ignore_ascii_case("From")) { Ok(names) } else { Err(Reason::FromNotSigned) }
}

/// A decimal number of any size that its grammar allows; what is more than 64 bits is as good as the most they can say.
fn number(tags: &Tags<'_>, name: &'static str, digits: usize) -> Result<Option<u64>, Reason> {
    let Some(value) = tags.get(name) else { return Ok(None) };
    if value.is_empty() || value.len() > digits || !value.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Reason::Malformed(name));
    }
    Ok(Some(value.parse().unwrap_or(u64::MAX)))
}
