use super::*;
use crate::dkim::{
    canon::Canon,
    fields::Fields,
    hash::{BodyHasher, sha256},
    record::KeyRecord,
    signature::Signature,
    verify::Verify,
};

/// The seed of RFC 8463 §A.1 (and RFC 8032 §7.1) in PKCS #8.
fn rfc_8463() -> PrivateKey {
    let seed = STANDARD.decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=").unwrap();
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    PrivateKey::from_der(&[&prefix[..], &seed].concat()).unwrap()
}

/// The header of RFC 8463 §A.3, with only its first signature.
const LETTER: &str = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r
 d=football.example.com; i=@football.example.com;\r
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r
 subject : date : message-id : from : subject : date;\r
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r
From: Joe SixPack <joe@football.example.com>\r
To: Suzie Q <suzie@shopping.example.net>\r
Subject: Is dinner ready?\r
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r
Message-ID: <20030712040037.46341.5F8J@football.example.com>\r
\r
";

#[test]
fn rfc_8463_signs_as_printed() {
    let fields = Fields::parse(LETTER.as_bytes());
    let (index, field) = fields.named("DKIM-Signature").next().unwrap();
    let tags = crate::tags::Tags::parse(field.value).unwrap();
    let signature = Signature::read(&tags).unwrap();
    let mut signed = Vec::new();
    fields.select(signature.names.iter().copied(), Some(index), Canon::Relaxed, &mut signed);
    fields.canonical_without(index, tags.tag("b").unwrap().range.clone(), Canon::Relaxed, &mut signed);
    assert_eq!(rfc_8463().sign(&sha256(&signed)).unwrap(), signature.signature);
    assert_eq!(
        rfc_8463().public_record().unwrap(),
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    );
}

#[test]
fn keys_come_back_from_what_is_written() {
    for key in [PrivateKey::generate_rsa().unwrap(), PrivateKey::generate_ed25519().unwrap()] {
        let hash = sha256(b"hello");
        let record = KeyRecord::parse(key.public_record().unwrap().as_bytes()).unwrap();
        let pem = key.to_pem().unwrap();
        assert!(pem.lines().all(|line| line.len() <= 64));
        for again in [PrivateKey::from_pem(&pem).unwrap(), PrivateKey::from_der(&key.to_pkcs8().unwrap()).unwrap()] {
            assert_eq!(again.algorithm(), key.algorithm());
            assert_eq!(again.public_record(), key.public_record());
            assert!(record.key.verify(&hash, &again.sign(&hash).unwrap()));
        }
        assert!(!record.key.verify(&sha256(b"hullo"), &key.sign(&hash).unwrap()));
        assert_eq!(record.key.bits(), if key.algorithm() == Algorithm::RsaSha256 { 2048 } else { 256 });
    }
}

#[test]
fn what_is_no_key_is_refused_without_quoting_it() {
    let check = |text: &str, expect| assert_eq!(PrivateKey::from_pem(text).map(|_| ()), Err(expect), "{text:?}");
    let pem = |label: &str, base64: &str| format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n");
    check("", KeyError::Pem);
    check("-----BEGIN PRIVATE KEY-----\nAAAA", KeyError::Pem);
    check(&pem("PUBLIC KEY", "AAAA"), KeyError::Pem);
    check(&pem("ENCRYPTED PRIVATE KEY", "AAAA"), KeyError::Pem);
    check(&pem("PRIVATE KEY", "A*AA"), KeyError::Pem);
    check(&pem("PRIVATE KEY", "AAAA"), KeyError::Unsuitable);
    check(&"x".repeat(FILE_OCTETS + 1), KeyError::TooLong);
    assert_eq!(PrivateKey::from_der(&vec![0; FILE_OCTETS + 1]).map(|_| ()), Err(KeyError::TooLong));
    assert_eq!(format!("{:?}", rfc_8463()), "PrivateKey(ed25519-sha256, <redacted>)");
}

#[test]
fn records_are_cut_into_strings() {
    let record = PrivateKey::generate_rsa().unwrap().public_record().unwrap();
    let strings = txt_strings(&record);
    assert_eq!(strings.iter().map(|string| string.len()).collect::<Vec<_>>(), [255, record.len() - 255]);
    assert_eq!(strings.concat(), record);
    assert_eq!(txt_strings(""), Vec::<&str>::new());
}

/// A signature with `l=`, which our signer never makes.
#[test]
fn a_right_signature_with_l_passes_only_when_nothing_follows() {
    use crate::dkim::{Outcome, Reason};
    let key = rfc_8463();
    let verdict = |length: usize, body: &[u8]| {
        let body_hash = STANDARD.encode(sha256(&b"Hi Bob\r\n"[..length.min(8)]));
        let unsigned = format!(
            "DKIM-Signature: v=1; a=ed25519-sha256; d=example.net; s=s; h=From; l={length}; bh={body_hash}; b="
        );
        let signature = key.sign(&sha256(format!("From: a@example.net\r\n{unsigned}").as_bytes())).unwrap();
        let letter = format!("{unsigned}{}\r\nFrom: a@example.net\r\n\r\n", STANDARD.encode(signature));
        let mut bodies = BodyHasher::default();
        let mut verify = Verify::new(&Fields::parse(letter.as_bytes()), mail::Timestamp::from_secs(0), &mut bodies);
        let question = verify.questions().next().unwrap().clone();
        verify.answer(&question, &crate::dns::Answer::Txt(vec![key.public_record().unwrap().into_bytes()]));
        bodies.update(body);
        verify.finish(&bodies.finish()).verdicts.remove(0)
    };
    assert_eq!(verdict(8, b"Hi Bob\r\n").outcome(), Outcome::Pass);
    assert_eq!(verdict(8, b"Hi Bob\r\n\r\n\r\n").outcome(), Outcome::Pass);
    let beyond = verdict(8, b"Hi Bob\r\nBuy this\r\n");
    assert_eq!((beyond.reason, beyond.outcome()), (Some(Reason::BodyBeyond), Outcome::Policy));
    assert_eq!(verdict(0, b"Buy this\r\n").reason, Some(Reason::BodyBeyond));
    assert_eq!(verdict(8, b"Hi Rob\r\n").reason, Some(Reason::BodyHash));
    assert_eq!(verdict(9, b"Hi Bob\r\n").reason, Some(Reason::BodyTooShort));
}
