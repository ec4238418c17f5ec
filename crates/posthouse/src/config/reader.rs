//! Takes one table of the file apart, key by key, against its declaration in [`super::keys`]. What is wrong is noted
//! and reading goes on, so that a person sees everything at once.
//!
//! This is the raw half of the configuration: it knows tables, keys and types, not what the values mean together.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    complaint::{Complaint, expected_one_of, nearest},
    keys::{Key, Section},
};

/// A value with its place in the text.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it stands.
    pub(crate) span: Range<usize>,
}

/// One table being read.
pub(crate) struct Reader<'t> {
    section: &'static Section,
    table: &'t DeTable<'t>,
    /// The whole table, for complaints about what is missing.
    pub(crate) span: Range<usize>,
    complaints: &'t mut Vec<Complaint>,
}

impl<'t> Reader<'t> {
    /// Begins with a table: complains at once of keys that the section does not have.
    pub(crate) fn new(
        section: &'static Section,
        table: &'t DeTable<'t>,
        span: Range<usize>,
        complaints: &'t mut Vec<Complaint>,
    ) -> Self {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !is_declared(section, name) {
                complaints.push(unknown_key(section, name, key.span()));
            }
        }
        Self { section, table, span, complaints }
    }

    /// Notes a complaint.
    pub(crate) fn complain(&mut self, complaint: Complaint) {
        self.complaints.push(complaint);
    }

    /// A text that `parse` understands.
    pub(crate) fn text<T>(
        &mut self,
        key: &'static Key,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Placed<T>> {
        let value = self.find(key)?;
        let parsed = parse_text(key, value, &parse);
        self.keep(parsed)
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(&mut self, key: &'static Key, words: &[(&'static str, T)]) -> Option<Placed<T>> {
        let value = self.find(key)?;
        let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let parsed = match value.get_ref().as_str() {
            None => Err(wrong_type(key, value)),
            Some(text) => words
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, meaning)| Placed { value: *meaning, span: value.span() })
                .ok_or_else(|| {
                    let what = format!("`{text}` is not a value of {}", self.path(key));
                    Complaint::at(value.span(), what).help(expected_one_of(text, &allowed))
                }),
        };
        self.keep(parsed)
    }

    /// A list of texts; one text alone is a list of one.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static Key,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<Placed<T>>> {
        let value = self.find(key)?;
        let parsed: Vec<Result<Placed<T>, Complaint>> = match value.get_ref() {
            DeValue::Array(array) => array.iter().map(|element| parse_text(key, element, &parse)).collect(),
            _ => vec![parse_text(key, value, &parse)],
        };
        Some(parsed.into_iter().filter_map(|parsed| self.keep(parsed)).collect())
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, key: &'static Key) -> Option<Placed<bool>> {
        let value = self.find(key)?;
        let parsed = match value.get_ref().as_bool() {
            Some(flag) => Ok(Placed { value: flag, span: value.span() }),
            None => Err(wrong_type(key, value)),
        };
        self.keep(parsed)
    }

    /// A number within bounds.
    pub(crate) fn number(&mut self, key: &'static Key, bounds: std::ops::RangeInclusive<u64>) -> Option<Placed<u64>> {
        let value = self.find(key)?;
        let number = value
            .get_ref()
            .as_integer()
            .map(|integer| i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX));
        let parsed = match number {
            None => Err(wrong_type(key, value)),
            Some(number) => u64::try_from(number)
                .ok()
                .filter(|number| bounds.contains(number))
                .map(|number| Placed { value: number, span: value.span() })
                .ok_or_else(|| {
                    let (low, high) = (bounds.start(), bounds.end());
                    Complaint::at(value.span(), format!("{} is out of bounds", self.path(key)))
                        .help(format!("expected a number from {low} to {high}"))
                }),
        };
        self.keep(parsed)
    }

    /// Like any of the above, for a key that must be there.
    pub(crate) fn required<T>(&mut self, key: &'static Key, found: Option<T>) -> Option<T> {
        if found.is_none() && !self.table.contains_key(key.name) {
            let help = format!("add {} = {}", key.name, key.example);
            self.complain(Complaint::at(self.span.clone(), format!("{} is missing", self.path(key))).help(help));
        }
        found
    }

    fn find(&self, key: &'static Key) -> Option<&'t Spanned<DeValue<'t>>> {
        debug_assert!(is_declared(self.section, key.name), "{} is not declared", key.name);
        self.table.get(key.name)
    }

    fn keep<T>(&mut self, parsed: Result<T, Complaint>) -> Option<T> {
        parsed.map_err(|complaint| self.complaints.push(complaint)).ok()
    }

    fn path(&self, key: &Key) -> String {
        match self.section.name() {
            "" => key.name.to_owned(),
            section => format!("{section}.{}", key.name),
        }
    }
}

fn parse_text<T>(
    key: &Key,
    value: &Spanned<DeValue<'_>>,
    parse: &impl Fn(&str) -> Result<T, String>,
) -> Result<Placed<T>, Complaint> {
    let text = value.get_ref().as_str().ok_or_else(|| wrong_type(key, value))?;
    match parse(text) {
        Ok(parsed) => Ok(Placed { value: parsed, span: value.span() }),
        Err(what) => Err(Complaint::at(value.span(), what).help(format!("for example {} = {}", key.name, key.example))),
    }
}

fn wrong_type(key: &Key, value: &Spanned<DeValue<'_>>) -> Complaint {
    let found = value.get_ref().type_str();
    let what = format!("`{}` takes {}, found a value of type {found}", key.name, key.takes);
    Complaint::at(value.span(), what).help(format!("for example {} = {}", key.name, key.example))
}

fn is_declared(section: &Section, name: &str) -> bool {
    let is_table = section.heading.is_empty() && super::keys::SECTIONS.iter().any(|other| other.name() == name);
    is_table || section.keys.iter().any(|key| key.name == name)
}

fn unknown_key(section: &'static Section, name: &str, span: Range<usize>) -> Complaint {
    if let Some((_, sentence)) = section.later.iter().find(|(later, _)| *later == name) {
        return Complaint::at(span, format!("`{name}` cannot be used")).help(*sentence);
    }
    let mut allowed: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
    let place = match section.heading {
        "" => {
            allowed.extend(super::keys::SECTIONS.iter().map(|other| other.heading).filter(|name| !name.is_empty()));
            "the top of the file"
        }
        heading => heading,
    };
    let elsewhere = super::keys::SECTIONS
        .iter()
        .find(|other| other.name() != section.name() && other.keys.iter().any(|key| key.name == name));
    let what = format!("`{name}` is not a key of {place}");
    let help = match (elsewhere, nearest(name, allowed.iter().copied())) {
        (Some(other), None) if !other.heading.is_empty() => format!("it belongs under {}", other.heading),
        (Some(_), None) => "it belongs at the top of the file, before the first table".to_owned(),
        _ => expected_one_of(name, &allowed),
    };
    Complaint::at(span, what).help(help)
}
