//! Reading a field (RFC 8601 §2.2).

use super::lexer::{Lexer, Open};

/// Octets of a value that are read.
const FIELD_OCTETS: usize = 64 * 1024;
/// Results, and properties of each, that are read.
const LIST_MAX: usize = 100;

/// What a field says. Words are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The authserv-id.
    pub id: String,
    /// Its version; 1 when left out.
    pub version: u32,
    /// The results.
    pub entries: Vec<ReadingEntry>,
}

/// One result that a field speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadingEntry {
    /// What was checked.
    pub method: String,
    /// With which result.
    pub outcome: String,
    /// Why.
    pub reason: Option<String>,
    /// ptype, property and value.
    pub properties: Vec<(String, String, String)>,
}

/// The field does not follow the grammar, or is past all bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not an Authentication-Results field")]
pub struct UnreadableField;

impl From<Open> for UnreadableField {
    fn from(_: Open) -> Self {
        Self
    }
}

/// Reads the value of a field, folds included. Linear.
///
/// # Errors
/// When it does not follow the grammar, has more than a hundred results or is longer than 64 KiB.
pub fn read(value: &[u8]) -> Result<Reading, UnreadableField> {
    if value.len() > FIELD_OCTETS {
        return Err(UnreadableField);
    }
    let text = String::from_utf8_lossy(value);
    let mut lexer = Lexer::new(&text);
    lexer.skip()?;
    let id = lexer.value()?;
    lexer.skip()?;
    let version = match lexer.run(|character| character.is_ascii_digit()) {
        "" => 1,
        digits => digits.parse().map_err(|_| UnreadableField)?,
    };
    let mut reading = Reading { id, version, entries: Vec::new() };
    if reading.id.is_empty() {
        return Err(UnreadableField);
    }
    let mut none = false;
    while separator(&mut lexer)? {
        let word = word(&mut lexer)?;
        lexer.skip()?;
        if none || reading.entries.len() == LIST_MAX {
            return Err(UnreadableField);
        }
        // `none` stands alone.
        none = word == "none" && reading.entries.is_empty() && matches!(lexer.peek(), None | Some(';'));
        if !none {
            reading.entries.push(entry(word, &mut lexer)?);
        }
    }
    Ok(reading)
}

/// Whether another result follows; a semicolon at the end is forgiven.
fn separator(lexer: &mut Lexer<'_>) -> Result<bool, UnreadableField> {
    lexer.skip()?;
    match lexer.peek() {
        None => return Ok(false),
        Some(';') => _ = lexer.take(';'),
        Some(_) => return Err(UnreadableField),
    }
    lexer.skip()?;
    Ok(lexer.peek().is_some())
}

/// `method[/version]=result [reason=…] *(ptype.property=value)`, the method being read already.
fn entry(method: String, lexer: &mut Lexer<'_>) -> Result<ReadingEntry, UnreadableField> {
    if lexer.take('/') {
        lexer.skip()?;
        lexer.run(|character| character.is_ascii_digit());
        lexer.skip()?;
    }
    equals(lexer)?;
    let mut entry = ReadingEntry { method, outcome: word(lexer)?, reason: None, properties: Vec::new() };
    loop {
        lexer.skip()?;
        if matches!(lexer.peek(), None | Some(';')) {
            return Ok(entry);
        }
        let kind = word(lexer)?;
        lexer.skip()?;
        if kind == "reason" && entry.reason.is_none() && entry.properties.is_empty() && lexer.peek() == Some('=') {
            equals(lexer)?;
            entry.reason = Some(lexer.value()?);
            continue;
        }
        if !lexer.take('.') || entry.properties.len() == LIST_MAX {
            return Err(UnreadableField);
        }
        lexer.skip()?;
        let name = word(lexer)?;
        lexer.skip()?;
        equals(lexer)?;
        entry.properties.push((kind, name, lexer.value()?));
    }
}

/// An equals sign and the blanks after it.
fn equals(lexer: &mut Lexer<'_>) -> Result<(), UnreadableField> {
    if !lexer.take('=') {
        return Err(UnreadableField);
    }
    Ok(lexer.skip()?)
}

/// A keyword, in lower case.
fn word(lexer: &mut Lexer<'_>) -> Result<String, UnreadableField> {
    let word = lexer.run(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_'));
    if word.is_empty() { Err(UnreadableField) } else { Ok(word.to_ascii_lowercase()) }
}
