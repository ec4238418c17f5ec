//! DMARC over hostile From fields, records and identifiers: no panic, bounded questions that stay below `_dmarc`, and
//! records that read the same when printed.
//!
//! Input, parts ended by NUL: a From value, the domain SPF passed for, one that signed, then records; the first of them
//! answers the first question, and so on. A record `!` is a failure, an empty one no record, `?` no name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::header::Header;
use policy::{
    dmarc::{Author, AuthorError, Check, Identifiers, Outcome, Policy, Poll, Record},
    dns::{Answer, Kind, Name},
};

/// Eight for the author and for each of two identifiers, and whether the author exists.
const QUESTIONS_MAX: usize = 25;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.split(|octet| *octet == 0);
    let from = parts.next().unwrap_or_default();
    let mut name = || parts.next().and_then(|part| Name::parse(str::from_utf8(part).ok()?).ok());
    let (spf, signer) = (name(), name());
    let records: Vec<&[u8]> = parts.collect();
    for record in &records {
        if let Ok(record) = Record::parse(record) {
            assert_eq!(Record::parse(record.to_string().as_bytes()), Ok(record));
        }
    }
    let Ok(author) = author(from) else { return };
    let identifiers = Identifiers { spf: spf.clone(), dkim: signer.iter().cloned().collect() };
    let mut check = Check::new(author.clone(), identifiers);
    let mut answers = records.iter();
    for _ in 0..=QUESTIONS_MAX {
        let question = match check.poll() {
            Poll::Ask(question) => question,
            Poll::Done(verdict) => {
                let passed = verdict.aligned.as_ref().map(|(_, name)| name);
                assert_eq!(passed.is_some(), verdict.outcome == Outcome::Pass);
                assert!(passed.is_none_or(|name| Some(name) == spf.as_ref() || Some(name) == signer.as_ref()));
                assert!(verdict.disposition == Policy::None || verdict.outcome == Outcome::Fail);
                return;
            }
        };
        match question.kind {
            Kind::Txt => assert!(question.name.as_str().starts_with("_dmarc.")),
            _ => assert_eq!(question.name, author.domain),
        }
        check.answer(match answers.next() {
            Some(&b"!") => Answer::Failed,
            Some(&b"?") | None => Answer::NoName,
            Some(&b"") => Answer::NoData,
            Some(record) => Answer::Txt(record.split(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect()),
        });
    }
    panic!("more than {QUESTIONS_MAX} questions");
});

/// The author by the value, and by a header that has it: the same, unless the value is more than one field.
fn author(from: &[u8]) -> Result<Author, AuthorError> {
    let value = Author::from_value(from);
    let header = [b"From:", from, b"\r\n"].concat();
    let field = Author::from_header(&Header::parse(&header, 100));
    if value.is_ok() && !from.ends_with(b"\r\n") {
        assert_eq!(field, value);
    }
    value
}
