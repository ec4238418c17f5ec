//! The parameters of MAIL and RCPT (RFC 5321 §4.1.2): a table per command, a row per keyword.
//!
//! An extension adds its row to [`MAIL`] or [`RCPT`] and its field to the parameters.

use mail::Body;

use super::{MailParameters, RcptParameters, number, xtext};

/// A parameter that can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{keyword}: {fault:?}")]
pub struct ParameterError {
    /// The keyword as typed: hostile text.
    pub keyword: String,
    /// Why.
    pub fault: ParameterFault,
}

/// What is wrong with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterFault {
    /// No extension that is offered has it, or not with this value: 555.
    NotImplemented,
    /// It is there twice: 501.
    Twice,
    /// Its value is not this: 501.
    Expected(&'static str),
}

/// A keyword and what to do with its value.
pub(super) struct Row<P> {
    keyword: &'static str,
    set: fn(&mut P, Option<&str>) -> Result<(), ParameterFault>,
}

pub(super) const MAIL: &[Row<MailParameters>] =
    &[Row { keyword: "SIZE", set: size }, Row { keyword: "BODY", set: body }, Row { keyword: "AUTH", set: auth }];

pub(super) const RCPT: &[Row<RcptParameters>] = &[];

/// Reads `KEYWORD=value KEYWORD …` by a table of at most 32 rows.
pub(super) fn read<P: Default>(text: &str, table: &[Row<P>]) -> Result<P, ParameterError> {
    let mut parameters = P::default();
    let mut seen = 0_u32;
    for word in text.split_ascii_whitespace() {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        let complain = |fault| ParameterError { keyword: keyword.to_owned(), fault };
        let (index, row) = table
            .iter()
            .enumerate()
            .find(|(_, row)| row.keyword.eq_ignore_ascii_case(keyword))
            .ok_or_else(|| complain(ParameterFault::NotImplemented))?;
        if seen & (1 << index) != 0 {
            return Err(complain(ParameterFault::Twice));
        }
        seen |= 1 << index;
        (row.set)(&mut parameters, value).map_err(complain)?;
    }
    Ok(parameters)
}

/// RFC 1870 §6.
fn size(parameters: &mut MailParameters, value: Option<&str>) -> Result<(), ParameterFault> {
    let octets = value.and_then(number).ok_or(ParameterFault::Expected("a number of octets of at most 20 digits"))?;
    parameters.size = Some(octets);
    Ok(())
}

/// RFC 6152 §2; BINARYMIME is RFC 3030's.
fn body(parameters: &mut MailParameters, value: Option<&str>) -> Result<(), ParameterFault> {
    let value = value.unwrap_or_default();
    parameters.body = if value.eq_ignore_ascii_case("7BIT") {
        Body::SevenBit
    } else if value.eq_ignore_ascii_case("8BITMIME") {
        Body::EightBitMime
    } else if value.eq_ignore_ascii_case("BINARYMIME") {
        return Err(ParameterFault::NotImplemented);
    } else {
        return Err(ParameterFault::Expected("7BIT or 8BITMIME"));
    };
    Ok(())
}

/// RFC 4954 §5: an address in xtext, or `<>`.
fn auth(parameters: &mut MailParameters, value: Option<&str>) -> Result<(), ParameterFault> {
    let decoded = match value {
        Some("<>") => Some(String::new()),
        Some(text) if !text.is_empty() => xtext::decode(text),
        _ => None,
    };
    parameters.auth = Some(decoded.ok_or(ParameterFault::Expected("an address in xtext, or <>"))?);
    Ok(())
}
