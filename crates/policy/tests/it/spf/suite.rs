//! The test suite for RFC 7208 of openspf.org, as it comes with pyspf 2.0.14; its licence is beside it. The JSON has the
//! documents of the YAML file as one list, with every scalar as a string; nothing else was changed.

use mail::Timestamp;
use policy::spf::{Check, Subject};
use serde_json::Value;

use super::zone::{Entry, Zone, play};

const SUITE: &str = include_str!("rfc7208-tests.json");
/// So that a suite that is read wrongly can't pass.
const CASES: usize = 203;

#[test]
fn every_case_of_the_official_suite() {
    let suite: Vec<Value> = serde_json::from_str(SUITE).unwrap();
    let mut faults = Vec::new();
    let mut cases = 0;
    for scenario in &suite {
        let zone = zone_of(&scenario["zonedata"]);
        for (name, case) in scenario["tests"].as_object().unwrap() {
            cases += 1;
            if let Err(fault) = run(&zone, case) {
                faults.push(format!("{}, {name} ({}): {fault}", scenario["description"], case["spec"]));
            }
        }
    }
    assert!(faults.is_empty(), "{} of {cases}:\n{}", faults.len(), faults.join("\n"));
    assert_eq!(cases, CASES);
}

fn run(zone: &Zone, case: &Value) -> Result<(), String> {
    let subject = Subject {
        address: case["host"].as_str().unwrap().parse().unwrap(),
        helo: case["helo"].as_str().unwrap(),
        mail_from: case["mailfrom"].as_str().unwrap(),
        receiver: "",
        now: Timestamp::from_secs(0),
    };
    let (_, verdict) = play(zone, Check::new(&subject));
    if !texts(&case["result"]).contains(&verdict.outcome.as_str()) {
        return Err(format!("expected {}, got {verdict:?}", case["result"]));
    }
    match case["explanation"].as_str() {
        None => Ok(()),
        Some("DEFAULT") if verdict.explanation.is_none() => Ok(()),
        Some(expected) if verdict.explanation.as_deref() == Some(expected) => Ok(()),
        Some(expected) => Err(format!("expected the explanation {expected:?}, got {verdict:?}")),
    }
}

/// A text, or a list of texts.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(list) => list.iter().map(|text| text.as_str().unwrap()).collect(),
        one => vec![one.as_str().unwrap()],
    }
}

fn zone_of(data: &Value) -> Zone {
    let mut zone = Zone::default();
    for (name, records) in data.as_object().unwrap() {
        let records = records.as_array().unwrap();
        // A record of the old type SPF stands for a TXT record, too, unless the name has TXT records of its own.
        let has_txt = records.iter().any(|record| record.get("TXT").is_some());
        zone.0.insert(name.to_ascii_lowercase(), Vec::new());
        for record in records {
            match record {
                Value::String(word) => {
                    assert_eq!(word, "TIMEOUT");
                    zone.add(name, Entry::Timeout);
                }
                record => {
                    let (kind, value) = record.as_object().unwrap().iter().next().unwrap();
                    zone.0.get_mut(&name.to_ascii_lowercase()).unwrap().extend(entry(kind, value, has_txt));
                }
            }
        }
    }
    zone
}

fn entry(kind: &str, value: &Value, has_txt: bool) -> Option<Entry> {
    let host = |value: &Value| value.as_str().unwrap().to_owned();
    Some(match kind {
        "SPF" if has_txt => return None,
        "TXT" if value == "NONE" => return None,
        // Characters of the file stand for octets.
        "SPF" | "TXT" => {
            Entry::Txt(texts(value).concat().chars().map(|octet| u8::try_from(u32::from(octet)).unwrap()).collect())
        }
        "A" => Entry::A(value.as_str().unwrap().parse().unwrap()),
        "AAAA" => Entry::Aaaa(value.as_str().unwrap().parse().unwrap()),
        "MX" => Entry::Mx(value[0].as_str().unwrap().parse().unwrap(), host(&value[1])),
        "PTR" => Entry::Ptr(host(value)),
        "CNAME" => Entry::Cname(host(value)),
        other => panic!("{other}"),
    })
}
