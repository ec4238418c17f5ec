//! The structure of a chain (RFC 8617 §5.2, steps 1 to 3): its sets, complete and in order, before any signature.

use mail::header::Field;

use crate::{
    authres::lexer::{Lexer, Open},
    dkim::{Algorithm, Fields, Reason as DkimReason, parts},
    dns::{Name, Question},
    tags::Tags,
};

use super::reason::{FieldKind, Reason};

/// RFC 8617 §4.2.1: instances go from 1 to 50.
pub const SETS_MAX: usize = 50;

/// A field of the header section, with its index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'f, 'a> {
    pub(super) index: usize,
    pub(super) field: &'f Field<'a>,
}

/// One set.
#[derive(Debug)]
pub(super) struct Set<'f, 'a> {
    pub(super) instance: u8,
    pub(super) results: Place<'f, 'a>,
    pub(super) message: Place<'f, 'a>,
    pub(super) seal: Place<'f, 'a>,
}

/// What a seal says (§4.1.3).
#[derive(Debug)]
pub(super) struct SealTags {
    pub(super) domain: Name,
    pub(super) selector: Name,
    pub(super) algorithm: Algorithm,
    pub(super) question: Question,
    pub(super) signature: Vec<u8>,
    /// Where `b=` is in the field's value.
    pub(super) blank: std::ops::Range<usize>,
}

/// Collects the sets, that of instance 1 first. An empty list when there is no chain.
pub(super) fn collect<'f, 'a>(fields: &'f Fields<'a>) -> Result<Vec<Set<'f, 'a>>, Reason> {
    let most = FieldKind::ALL.iter().map(|kind| fields.count(kind.as_str())).max().unwrap_or(0);
    if most == 0 {
        return Ok(Vec::new());
    }
    if !fields.is_whole() {
        return Err(Reason::TooManyFields);
    }
    if most > SETS_MAX {
        return Err(Reason::TooManySets);
    }
    let mut slots = [[None; 3]; SETS_MAX];
    let mut count = 0;
    for (column, kind) in FieldKind::ALL.into_iter().enumerate() {
        for (index, field) in fields.named(kind.as_str()) {
            let instance = instance(kind, field.value).ok_or(Reason::Instance(kind))?;
            let row = usize::from(instance) - 1;
            let slot = slots.get_mut(row).and_then(|row| row.get_mut(column)).ok_or(Reason::Instance(kind))?;
            if slot.replace(Place { index, field }).is_some() {
                return Err(Reason::Repeated(instance, kind));
            }
            count = count.max(row + 1);
        }
    }
    (1_u8..).zip(slots.into_iter().take(count)).map(|(instance, places)| complete(instance, places)).collect()
}

/// §5.2 step 3.1: a set has each of its fields.
fn complete<'f, 'a>(instance: u8, places: [Option<Place<'f, 'a>>; 3]) -> Result<Set<'f, 'a>, Reason> {
    let missing = |kind| Reason::Incomplete(instance, kind);
    let [results, message, seal] = places;
    Ok(Set {
        instance,
        results: results.ok_or(missing(FieldKind::AuthenticationResults))?,
        message: message.ok_or(missing(FieldKind::MessageSignature))?,
        seal: seal.ok_or(missing(FieldKind::Seal))?,
    })
}

/// The instance of a field (§4.2.1).
fn instance(kind: FieldKind, value: &[u8]) -> Option<u8> {
    match kind {
        FieldKind::AuthenticationResults => results(value).map(|(instance, _)| instance),
        FieldKind::MessageSignature | FieldKind::Seal => position(parts::tags_of(value).ok()?.get("i")?),
    }
}

fn position(text: &str) -> Option<u8> {
    let digits = matches!(text.len(), 1 | 2) && text.bytes().all(|octet| octet.is_ascii_digit());
    let number: u8 = text.parse().ok().filter(|_| digits)?;
    (1..=SETS_MAX).contains(&usize::from(number)).then_some(number)
}

/// The instance of an ARC-Authentication-Results field, and what follows it: a field by RFC 8601 (§4.1.1).
pub(super) fn results(value: &[u8]) -> Option<(u8, String)> {
    if value.len() > crate::dkim::FIELD_OCTETS {
        return None;
    }
    let text = String::from_utf8_lossy(value);
    let (instance, start) = results_instance(&text).ok().flatten()?;
    Some((instance, text.get(start..).unwrap_or_default().trim().to_owned()))
}

/// `i=1;`, with blanks and comments where they please, and where it ends.
fn results_instance(text: &str) -> Result<Option<(u8, usize)>, Open> {
    let mut lexer = Lexer::new(text);
    lexer.skip()?;
    if !lexer.take('i') {
        return Ok(None);
    }
    lexer.skip()?;
    if !lexer.take('=') {
        return Ok(None);
    }
    lexer.skip()?;
    let number = position(lexer.run(|character| character.is_ascii_digit()));
    lexer.skip()?;
    let ended = lexer.take(';');
    Ok(number.filter(|_| ended).map(|number| (number, lexer.position())))
}

/// Whether a seal says that the chain was broken when it was made (§5.2 step 2).
pub(super) fn is_broken(seal: &Field<'_>) -> bool {
    parts::tags_of(seal.value).is_ok_and(|tags| status(&tags).is_some_and(|status| status.eq_ignore_ascii_case("fail")))
}

fn status<'a>(tags: &Tags<'a>) -> Option<&'a str> {
    tags.get("cv")
}

/// Reads a seal.
pub(super) fn seal(instance: u8, field: &Field<'_>) -> Result<SealTags, Reason> {
    let wrong = |reason| Reason::Seal(instance, reason);
    let tags = parts::tags_of(field.value).map_err(wrong)?;
    // §4.1.3: h= is not allowed, and makes the chain fail.
    if tags.get("h").is_some() {
        return Err(Reason::SealNamesFields(instance));
    }
    let expected = if instance == 1 { "none" } else { "pass" };
    if !status(&tags).is_some_and(|status| status.eq_ignore_ascii_case(expected)) {
        return Err(Reason::ChainStatus(instance));
    }
    read_seal(&tags).map_err(wrong)
}

fn read_seal(tags: &Tags<'_>) -> Result<SealTags, DkimReason> {
    let (domain, selector) = (parts::domain(tags)?, parts::selector(tags)?);
    Ok(SealTags {
        question: parts::question(&selector, &domain).ok_or(DkimReason::Domain("s"))?,
        algorithm: Algorithm::parse(tags.get("a").ok_or(DkimReason::Missing("a"))?)?,
        signature: parts::signature_octets(tags)?,
        blank: tags.tag("b").map(|tag| tag.range.clone()).unwrap_or_default(),
        domain,
        selector,
    })
}
