use net::sim::Zone;

use super::*;
use crate::dns::records;

const RECORD: &str = "v=DKIM1; k=ed25519; p=MCowBQYDK2Vw";

/// A domain for which everything is published.
fn published() -> Zone {
    let zone = Zone::new();
    zone.add_mx("example.net", 10, "mx.example.net");
    zone.add_addresses("mx.example.net", &["192.0.2.1".parse().unwrap()]);
    zone.add_ptr("1.2.0.192.in-addr.arpa", "mx.example.net");
    zone.add_txt("example.net", "v=spf1 mx ~all");
    zone.add_txt("e1._domainkey.example.net", "v=DKIM1; t=s; k=ed25519; p= MCowBQYDK2Vw ");
    zone.add_txt("_dmarc.example.net", "v=DMARC1; p=reject");
    zone
}

async fn findings(zone: &Zone) -> Vec<Finding> {
    let key = Record {
        name: "e1._domainkey.example.net".into(),
        kind: "TXT".into(),
        value: RECORD.into(),
        ttl: records::TTL,
        purpose: String::new(),
        need: records::Need::Required,
    };
    let expected = Expected {
        domain: "example.net".parse().unwrap(),
        hostname: "mx.example.net".into(),
        records: vec![key],
        now: Timestamp::from_secs(0),
    };
    Questions(Arc::new(zone.clone())).domain(&expected).await
}

/// What is not good, but for what can wait.
async fn complaints(change: impl FnOnce(&Zone)) -> Vec<String> {
    let zone = published();
    change(&zone);
    let findings = findings(&zone).await;
    let bad = findings.into_iter().filter(|finding| finding.status >= Status::Unknown);
    bad.map(|finding| format!("{}: {}", finding.subject, finding.found)).collect()
}

#[tokio::test]
async fn all_is_well() {
    let text = report(&findings(&published()).await);
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn each_mistake_is_named() {
    let check = async |change: fn(&Zone), expect: &[&str]| {
        assert_eq!(complaints(change).await, expect);
    };
    check(|_| {}, &[]).await;
    check(
        |zone| zone.add_txt("example.net", "v=spf1 -all"),
        &["SPF of example.net for 192.0.2.1: example.net has several SPF records"],
    )
    .await;
    check(
        |zone| {
            zone.remove("example.net");
            zone.add_mx("example.net", 10, "mx.example.net");
            zone.add_txt("example.net", "v=spf1 ip4:198.51.100.0/24 -all");
        },
        &["SPF of example.net for 192.0.2.1: the record does not allow this server (fail)"],
    )
    .await;
    check(|zone| zone.remove("e1._domainkey.example.net"), &["DKIM key e1._domainkey.example.net: not published"])
        .await;
    check(
        |zone| {
            zone.remove("e1._domainkey.example.net");
            zone.add_txt("e1._domainkey.example.net", "v=DKIM1; k=ed25519; p=AAAA");
        },
        &["DKIM key e1._domainkey.example.net: another key is published: signatures fail"],
    )
    .await;
    check(
        |zone| zone.remove("_dmarc.example.net"),
        &["DMARC of example.net: there is no record; large providers ask for one"],
    )
    .await;
    check(
        |zone| zone.add_txt("_dmarc.example.net", "v=DMARC1; p=none"),
        &["DMARC of example.net: 2 records are published, so none counts"],
    )
    .await;
    check(
        |zone| {
            zone.remove("1.2.0.192.in-addr.arpa");
            zone.add_ptr("1.2.0.192.in-addr.arpa", "elsewhere.example");
        },
        &["PTR of 192.0.2.1: its name does not lead back to it"],
    )
    .await;
    check(
        |zone| zone.set_failing("_dmarc.example.net", true),
        &["DMARC of example.net: the name servers did not answer"],
    )
    .await;
    check(|zone| zone.remove("mx.example.net"), &["address of mx.example.net: the name of this server has no address"])
        .await;
}

#[test]
fn what_strangers_publish_stays_on_its_line() {
    let finding = Finding::new("MX of example.net", Status::Note, "mail goes to a\u{1b}[2Jb\nWRONG  forged");
    assert_eq!(report(&[finding]).lines().count(), 1);
}
