//! Questions of `policy` in the words of hickory, and its records in the words of `policy`. Pure.
//!
//! Strangers choose what is asked and what is answered, so that both are bounded: a name is taken label by label, never
//! through a text form with escapes, and of an answer only so many records and octets are kept (E8).

use hickory_resolver::proto::rr::{Name as DnsName, RData, RecordType};
use policy::dns::{Answer, Kind, Name};

use super::{RECORDS_MAX, TXT_OCTETS_MAX};

/// The name to ask for, absolute, so that no search list is tried. Nothing for what is too long on the wire: there can
/// be no such name.
pub(super) fn name(name: &Name) -> Option<DnsName> {
    let mut asked = DnsName::from_labels(name.labels().map(str::as_bytes)).ok()?;
    asked.set_fqdn(true);
    Some(asked)
}

pub(super) fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::Txt => RecordType::TXT,
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Mx => RecordType::MX,
        Kind::Ptr => RecordType::PTR,
    }
}

/// The records of a name that exists.
pub(super) fn answer(kind: Kind, records: &[RData]) -> Answer {
    let records = || records.iter().take(RECORDS_MAX);
    if records().next().is_none() {
        return Answer::NoData;
    }
    match kind {
        Kind::Txt => Answer::Txt(bounded(records().filter_map(text))),
        Kind::A => {
            Answer::A(records().filter_map(|data| if let RData::A(a) = data { Some(a.0) } else { None }).collect())
        }
        Kind::Aaaa => Answer::Aaaa(
            records().filter_map(|data| if let RData::AAAA(a) = data { Some(a.0) } else { None }).collect(),
        ),
        Kind::Mx => Answer::Mx(records().filter_map(exchange).collect()),
        Kind::Ptr => {
            let host = |data: &RData| if let RData::PTR(host) = data { read(&host.0) } else { None };
            Answer::Ptr(records().filter_map(host).collect())
        }
    }
}

/// Octets of an answer in memory, about.
pub(super) fn octets(answer: &Answer) -> usize {
    let host = |name: &Name| size_of::<(u16, Name)>() + name.as_str().len();
    match answer {
        Answer::Txt(texts) => texts.iter().map(|text| size_of_val(text) + text.len()).sum(),
        Answer::A(addresses) => size_of_val(addresses.as_slice()),
        Answer::Aaaa(addresses) => size_of_val(addresses.as_slice()),
        Answer::Mx(exchanges) => exchanges.iter().map(|(_, name)| host(name)).sum(),
        Answer::Ptr(names) => names.iter().map(host).sum(),
        Answer::NoData | Answer::NoName | Answer::Failed => 0,
    }
}

/// As many whole texts as fit.
pub(crate) fn bounded(texts: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut room = TXT_OCTETS_MAX;
    let fits = |text: &Vec<u8>| {
        room = room.saturating_sub(text.len());
        room > 0
    };
    texts.take_while(fits).collect()
}

/// RFC 7208 §3.3: the strings of a record are one text, without anything between them.
fn text(data: &RData) -> Option<Vec<u8>> {
    let RData::TXT(text) = data else { return None };
    Some(text.txt_data.concat())
}

/// An MX record; not the null MX (RFC 7505), nor a host that is no name.
fn exchange(data: &RData) -> Option<(u16, Name)> {
    let RData::MX(mx) = data else { return None };
    Some((mx.preference, read(&mx.exchange)?))
}

/// A name from the wire: nothing for the root, and for labels with octets that a [`Name`] does not have. A dot within a
/// label would make another name of it.
fn read(name: &DnsName) -> Option<Name> {
    let mut text = String::new();
    for label in name.iter() {
        let label = std::str::from_utf8(label).ok().filter(|label| !label.contains('.'))?;
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(label);
    }
    Name::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::{MX, PTR, TXT};

    use super::*;

    fn wire(labels: &[&[u8]]) -> DnsName {
        DnsName::from_labels(labels.iter().copied()).unwrap()
    }

    #[test]
    fn a_name_is_asked_for_label_by_label() {
        let asked = |text: &str| name(&Name::parse(text).unwrap()).unwrap();
        assert_eq!(asked("s1._domainkey.example.net"), wire(&[b"s1", b"_domainkey", b"example", b"net"]));
        // What would be an escape in a zone file, or quoted, is what it is.
        assert_eq!(asked(r"a\046b.x\y.example"), wire(&[br"a\046b", br"x\y", b"example"]));
        assert_eq!(asked("\"@*.example"), wire(&[b"\"@*", b"example"]));
        assert!(asked("example.net").is_fqdn());
    }

    #[test]
    fn names_that_are_none_are_dropped() {
        let ptr = |labels: &[&[u8]]| RData::PTR(PTR(wire(labels)));
        let records =
            [ptr(&[b"A", b"Example"]), ptr(&[b"a.b", b"example"]), ptr(&[b"a\0b"]), ptr(&[b"\xfc"]), ptr(&[])];
        assert_eq!(answer(Kind::Ptr, &records), Answer::Ptr(vec![Name::parse("a.example").unwrap()]));
        let null = RData::MX(MX::new(0, DnsName::root()));
        assert_eq!(answer(Kind::Mx, &[null]), Answer::Mx(vec![]));
        assert_eq!(answer(Kind::Mx, &[]), Answer::NoData);
    }

    #[test]
    fn strings_are_joined_and_texts_bounded() {
        let txt = |strings: &[&str]| RData::TXT(TXT::new(strings.iter().map(|text| (*text).to_owned()).collect()));
        let records = [txt(&["v=spf1 ", "-all"]), txt(&[""])];
        assert_eq!(answer(Kind::Txt, &records), Answer::Txt(vec![b"v=spf1 -all".to_vec(), vec![]]));
        let large = "x".repeat(250);
        let many = vec![txt(&[large.as_str(); 10]); 1000];
        let Answer::Txt(texts) = answer(Kind::Txt, &many) else { panic!("no text") };
        assert_eq!((texts.len(), octets(&Answer::Txt(texts)) < TXT_OCTETS_MAX + 1000), (13, true));
        let small = vec![txt(&["x"]); 10_000];
        let Answer::Txt(texts) = answer(Kind::Txt, &small) else { panic!("no text") };
        assert_eq!(texts.len(), RECORDS_MAX);
    }
}
