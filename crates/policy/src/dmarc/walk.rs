//! The DNS tree walk (RFC 9989 §4.10): from a domain towards the root, looking for DMARC records.
//!
//! ```text
//!  a.b.c.d.e.f.g.mail.example.com   asked first
//!        ╎ skipped: more than 8 labels are shortened to 7
//!        d.e.f.g.mail.example.com   then one label less each time, to the last one:
//!          e.f.g.mail.example.com   eight questions at most
//!                …            com   a record with psd=y or psd=n ends the walk
//! ```
//!
//! A walk here is a function of what is known. It either has its end or names the one question that it lacks.

use std::collections::BTreeMap;

use crate::dns::{Answer, Kind, Name, Question};

use super::record::{Psd, Record};

/// RFC 9989 §4.10: labels that are left when a domain with more than these and one is shortened; and so, with the
/// domain itself, eight questions in all.
const SHORTENED_LABELS: usize = 7;

/// What was learnt from the DNS within one check.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By domain, what is at its `_dmarc`.
    records: BTreeMap<Name, Found>,
    /// Whether the author's domain exists.
    author: Option<Existence>,
}

/// What an answer about `_dmarc` amounts to.
#[derive(Debug)]
enum Found {
    Record(Box<Record>),
    /// None, or several (§4.10: then all are discarded).
    Nothing(Existence),
    Failed,
}

/// Whether a domain exists (§3.2.13: it does not when the answer is NXDOMAIN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existence {
    Exists,
    Missing,
    /// There was no answer, or it was not asked.
    Unknown,
}

/// Why there is no result yet.
#[derive(Debug)]
pub(super) enum Halt {
    /// This is to be asked first.
    Ask(Question),
    /// The DNS failed where its answer decides.
    Failed,
}

/// A walk that reached its end.
#[derive(Debug)]
pub(super) struct Walk<'k> {
    /// The organizational domain of where it began.
    pub(super) organizational: Name,
    /// The records found, the one of the longest name first.
    pub(super) found: Vec<(Name, &'k Record)>,
}

impl Known {
    /// Takes an answer in.
    pub(super) fn learn(&mut self, question: &Question, answer: Answer) {
        match question.kind {
            Kind::Txt => {
                let Some(domain) =
                    question.name.as_str().strip_prefix("_dmarc.").and_then(|text| Name::parse(text).ok())
                else {
                    return;
                };
                self.records.insert(domain, Found::read(answer));
            }
            _ => self.author = Some(existence(&answer)),
        }
    }

    /// The record of a domain.
    pub(super) fn record(&self, domain: &Name) -> Result<Option<&Record>, Halt> {
        match self.records.get(domain) {
            Some(Found::Record(record)) => Ok(Some(record)),
            Some(Found::Nothing(_)) => Ok(None),
            Some(Found::Failed) => Err(Halt::Failed),
            // A name that does not fit below `_dmarc` has no record.
            None => match Name::parse(&format!("_dmarc.{domain}")) {
                Ok(name) => Err(Halt::Ask(Question { name, kind: Kind::Txt })),
                Err(_) => Ok(None),
            },
        }
    }

    /// Whether the author's domain exists. Anything below a name proves the name (RFC 8020 §2).
    pub(super) fn existence(&self, author: &Name) -> Result<Existence, Question> {
        match (self.records.get(author), self.author) {
            (Some(Found::Record(_) | Found::Nothing(Existence::Exists)), _) => Ok(Existence::Exists),
            (_, Some(known)) => Ok(known),
            (_, None) => Err(Question { name: author.clone(), kind: Kind::A }),
        }
    }

    /// Walks from a domain (§4.10) and picks its organizational domain (§4.10.2).
    pub(super) fn walk(&self, start: &Name) -> Result<Walk<'_>, Halt> {
        let mut found = Vec::new();
        for name in targets(start) {
            if let Some(record) = self.record(&name)? {
                found.push((name, record));
                if record.psd != Psd::Unknown {
                    break;
                }
            }
        }
        let organizational = match found.last() {
            // The organization is one label below a public suffix; where the walk began, psd=y does not count.
            Some((suffix, record)) if record.psd == Psd::Yes && suffix != start => one_below(suffix, start),
            Some((name, _)) => name.clone(),
            None => start.clone(),
        };
        Ok(Walk { organizational, found })
    }
}

impl Found {
    fn read(answer: Answer) -> Self {
        let texts = match answer {
            Answer::Txt(texts) => texts,
            Answer::Failed => return Self::Failed,
            other => return Self::Nothing(existence(&other)),
        };
        let mut records = texts.iter().filter_map(|text| Record::parse(text).ok());
        match (records.next(), records.next()) {
            (Some(record), None) => Self::Record(Box::new(record)),
            _ => Self::Nothing(Existence::Exists),
        }
    }
}

fn existence(answer: &Answer) -> Existence {
    match answer {
        Answer::NoName => Existence::Missing,
        Answer::Failed => Existence::Unknown,
        _ => Existence::Exists,
    }
}

/// The domains that a walk looks at, in order (§4.10, steps 1 to 7).
fn targets(start: &Name) -> impl Iterator<Item = Name> {
    let labels = start.labels().count();
    let parents = (1..=SHORTENED_LABELS.min(labels - 1)).rev();
    std::iter::once(start.clone()).chain(parents.filter_map(|labels| suffix(start, labels)))
}

/// The last so many labels of a name.
fn suffix(name: &Name, labels: usize) -> Option<Name> {
    let text = name.as_str();
    let dot = text.rmatch_indices('.').nth(labels.checked_sub(1)?);
    Name::parse(dot.map_or(text, |(at, _)| text.get(at + 1..).unwrap_or_default())).ok()
}

/// The domain one label below `suffix` on the way to `start`.
fn one_below(above: &Name, start: &Name) -> Name {
    suffix(start, above.labels().count() + 1).unwrap_or_else(|| start.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_looks_at_eight_domains_at_most() {
        let check = |start: &str, expect: &[&str]| {
            let names: Vec<Name> = targets(&Name::parse(start).unwrap()).collect();
            assert_eq!(names.iter().map(Name::as_str).collect::<Vec<_>>(), expect);
        };
        check("com", &["com"]);
        check("mail.example.com", &["mail.example.com", "example.com", "com"]);
        // Eight labels are not yet shortened; the rule gives the same for them.
        check(
            "a.b.c.d.e.f.g.h",
            &["a.b.c.d.e.f.g.h", "b.c.d.e.f.g.h", "c.d.e.f.g.h", "d.e.f.g.h", "e.f.g.h", "f.g.h", "g.h", "h"],
        );
        // The example of RFC 9989 §4.10.
        check(
            "a.b.c.d.e.f.g.h.i.j.mail.example.com",
            &[
                "a.b.c.d.e.f.g.h.i.j.mail.example.com",
                "g.h.i.j.mail.example.com",
                "h.i.j.mail.example.com",
                "i.j.mail.example.com",
                "j.mail.example.com",
                "mail.example.com",
                "example.com",
                "com",
            ],
        );
        let deepest = vec!["a"; 127].join(".");
        assert_eq!(targets(&Name::parse(&deepest).unwrap()).count(), 8);
    }

    #[test]
    fn one_label_below_is_found_on_the_way_to_the_start() {
        let name = |text| Name::parse(text).unwrap();
        assert_eq!(one_below(&name("com"), &name("a.mail.example.com")), name("example.com"));
        assert_eq!(one_below(&name("example.com"), &name("mail.example.com")), name("mail.example.com"));
    }
}
