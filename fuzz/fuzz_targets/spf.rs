//! SPF over hostile records and answers: what is read prints to the same, a check ends within its questions, and nothing
//! from outside leaves its place in the header field or the explanation.
//!
//! Input: the HELO name, a NUL, the reverse-path, a NUL, then answers, each an octet that says of which kind and a text
//! up to the next NUL. When they are used up, the last one is given again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::Timestamp;
use policy::{
    dns::{Answer, Kind, Name},
    spf::{Check, EXPLANATION_OCTETS_MAX, Poll, QUESTIONS_MAX, Record, Subject, received_spf},
};

fuzz_target!(|input: &[u8]| {
    let mut parts = input.split(|octet| *octet == 0);
    let helo = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let mail_from = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let answers: Vec<&[u8]> = parts.collect();
    for text in &answers {
        if let Ok(record) = Record::parse(text.get(1..).unwrap_or_default()) {
            assert_eq!(Record::parse(record.to_string().as_bytes()), Ok(record));
        }
    }
    for address in ["192.0.2.1", "2001:db8::1"] {
        let subject = Subject {
            address: address.parse().expect("an address"),
            helo: &helo,
            mail_from: &mail_from,
            receiver: "mx.example.net",
            now: Timestamp::from_secs(1_795_521_600),
        };
        play(&subject, &answers);
    }
});

fn play(subject: &Subject<'_>, answers: &[&[u8]]) {
    let mut check = Check::new(subject);
    let mut asked = 0;
    let verdict = loop {
        match check.poll() {
            Poll::Ask(question) => {
                let bytes = answers.get(asked).or(answers.last()).copied().unwrap_or_default();
                asked += 1;
                assert!(asked <= QUESTIONS_MAX);
                assert!(question.name.as_str().len() <= 253);
                check.answer(answer(question.kind, bytes));
            }
            Poll::Done(verdict) => break verdict,
        }
    };
    let printable = |text: &str| text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    if let Some(explanation) = &verdict.explanation {
        assert!(printable(explanation) && explanation.len() <= EXPLANATION_OCTETS_MAX);
    }
    let field = received_spf(subject, &verdict);
    for (at, line) in field.split("\r\n").enumerate() {
        assert!(printable(line) && line.len() < 990 && (at == 0 || line.starts_with(' ')), "{field}");
    }
}

/// What a resolver could say; the first octet chooses.
fn answer(kind: Kind, bytes: &[u8]) -> Answer {
    let (choice, text) = bytes.split_first().map_or((b' ', bytes), |(choice, text)| (*choice, text));
    let names = || {
        let text = String::from_utf8_lossy(text);
        text.split(' ').filter_map(|name| Name::parse(name).ok()).collect::<Vec<_>>()
    };
    match (choice, kind) {
        (b'n', _) => Answer::NoName,
        (b'd', _) => Answer::NoData,
        (b'f', _) => Answer::Failed,
        (b't', _) | (_, Kind::Txt) => Answer::Txt(text.split(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect()),
        (b'x', Kind::A) => Answer::A(vec![[198, 51, 100, 1].into()]),
        (_, Kind::A) => Answer::A(vec![[192, 0, 2, 1].into()]),
        (_, Kind::Aaaa) => Answer::Aaaa(vec!["2001:db8::1".parse().expect("an address")]),
        (_, Kind::Mx) => Answer::Mx(names().into_iter().map(|name| (10, name)).collect()),
        (_, Kind::Ptr) => Answer::Ptr(names()),
    }
}
