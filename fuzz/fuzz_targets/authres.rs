//! Authentication-Results: what is written is one field that reads the same whatever is in it; what reads as ours is
//! found to be; and nothing panics over the fields of others.
//!
//! Input, parts ended by NUL: our name, a value that arrived, a text that stands in what we write.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::header::Header;
use policy::authres::{Entry, Method, Outcome, PropertyKind, Results, claims_to_be, read};

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |octet| *octet == 0);
    let id = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let arrived = parts.next().unwrap_or_default();
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let removed = claims_to_be(arrived, &id);
    if let Ok(reading) = read(arrived) {
        let ours = reading.id.eq_ignore_ascii_case(&id) && id.is_ascii();
        assert!(removed || !ours, "{reading:?} stays");
    }
    let entry = Entry::new(Method::Spf, Outcome::Fail)
        .comment(text.as_ref())
        .reason(text.as_ref())
        .property(PropertyKind::Smtp, "mailfrom", text.as_ref())
        .property(PropertyKind::Header, "d", text.as_ref());
    let field = Results { id: "mx.example.net".into(), entries: vec![entry.clone(), entry] }.to_field();
    assert!(
        field
            .split("\r\n")
            .all(|line| line.len() <= 998 && line.bytes().all(|octet| matches!(octet, b'\t' | b' '..=b'~')))
    );
    let header = Header::parse(field.as_bytes(), 10);
    let [only] = header.fields.as_slice() else { panic!("{field}") };
    assert_eq!(header.end, field.len());
    assert!(claims_to_be(only.value, "MX.example.net."));
    let reading = read(only.value).expect("what is written can be read");
    assert_eq!(reading.entries.len(), 2);
    for entry in &reading.entries {
        let written = |text: &str, cut: &str| {
            cut.len() <= text.chars().count() && cut.bytes().all(|octet| matches!(octet, b' '..=b'~'))
        };
        assert!(written(&text, entry.reason.as_deref().expect("a reason")));
        assert!(matches!(entry.properties.as_slice(), [(_, _, one), (_, _, two)] if one == two && written(&text, one)));
    }
});
