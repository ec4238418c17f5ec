//! E6 and F2 of the attacks, and their like.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use policy::dkim::{FIELDS_MAX, NAMES_MAX, Outcome, Reason, SIGNATURES_MAX};

use super::{Zone, asked, signatures, signed, signer, verdict, verify};

const LETTER: &[u8] = b"From: ann@example.net\r\nTo: bob@example.org\r\nSubject: Hello\r\n\r\nHi Bob\r\n";

/// An RSA key of that many bits in a SubjectPublicKeyInfo. Nobody has its other half.
fn rsa_record(bits: usize) -> String {
    let element = |tag: u8, content: &[u8]| {
        let length = content.len();
        [&[tag, 0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8], content].concat()
    };
    let modulus = element(2, &[vec![0], vec![0xff; bits / 8]].concat());
    let key = element(0x30, &[modulus, vec![2, 3, 1, 0, 1]].concat());
    let algorithm = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let bit_string = element(3, &[vec![0], key].concat());
    let der = element(0x30, &[&algorithm[..], &bit_string].concat());
    format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(der))
}

#[test]
fn e6_at_most_ten_signatures_are_verified() {
    let one = signatures(LETTER, &signer());
    let message = [one.repeat(5_000).as_bytes(), LETTER].concat();
    let report = verify(&message, &Zone::ours());
    assert_eq!((report.verdicts.len(), report.skipped), (SIGNATURES_MAX, 10_000 - SIGNATURES_MAX));
    assert!(report.verdicts.iter().all(|verdict| verdict.passed()));
    assert_eq!(asked(&message).len(), 2);
    let junk = ["DKIM-Signature: x\r\n".repeat(10_000).as_bytes(), LETTER].concat();
    let report = verify(&junk, &Zone::ours());
    assert_eq!((report.verdicts.len(), report.skipped), (SIGNATURES_MAX, 10_000 - SIGNATURES_MAX));
    assert!(report.verdicts.iter().all(|verdict| verdict.outcome() == Outcome::Neutral));
}

#[test]
fn e6_weak_and_huge_keys_are_refused() {
    let message = signed(LETTER, &signer());
    for (bits, reason) in [
        (512, Reason::WeakKey(512)),
        (1016, Reason::WeakKey(1016)),
        (4104, Reason::HugeKey(4104)),
        (8192, Reason::HugeKey(8192)),
        (16_384, Reason::HugeKey(16_384)),
        (32_768, Reason::KeySyntax),
    ] {
        let zone = Zone::ours().with("rsa._domainkey.example.net", &[&rsa_record(bits)]);
        assert_eq!(verify(&message, &zone).verdicts[0].reason, Some(reason));
    }
    // A key of good size that is not ours is only wrong.
    for bits in [1024, 2048, 4096] {
        let zone = Zone::ours().with("rsa._domainkey.example.net", &[&rsa_record(bits)]);
        let reason = verify(&message, &zone).verdicts[0].reason;
        assert!(matches!(reason, Some(Reason::Signature | Reason::KeySyntax)), "{bits}: {reason:?}");
    }
}

#[test]
fn e6_ten_thousand_names_in_h() {
    let both = signatures(LETTER, &signer());
    let alter = |count: usize| {
        let names = "x:".repeat(count);
        let text = both.replace("h=From:", &format!("h={names}From:"));
        verify(&[text.as_bytes(), LETTER].concat(), &Zone::ours()).verdicts[0].reason
    };
    assert_eq!(alter(NAMES_MAX), Some(Reason::TooManyNames));
    assert_eq!(alter(5_000), Some(Reason::TooManyNames));
    assert_eq!(alter(10_000), Some(Reason::TooLong));
}

#[test]
fn e6_many_fields_of_the_names_that_are_signed() {
    // Ten signatures of 490 names each, over as many fields as are looked at: every name means another field.
    let names = "comments:".repeat(NAMES_MAX - 15);
    let top = signatures(LETTER, &signer()).replace("h=From:", &format!("h={names}From:")).repeat(5);
    let fields = |count: usize| "Comments: x\r\n".repeat(count);
    let message = [top.as_bytes(), fields(FIELDS_MAX - 100).as_bytes(), LETTER].concat();
    let report = verify(&message, &Zone::ours());
    assert!(report.verdicts.iter().all(|verdict| verdict.reason == Some(Reason::Signature)));
    let message = [top.as_bytes(), fields(FIELDS_MAX).as_bytes(), LETTER].concat();
    let report = verify(&message, &Zone::ours());
    assert!(report.verdicts.iter().all(|verdict| verdict.reason == Some(Reason::TooManyFields)));
    assert_eq!(asked(&message), Vec::<String>::new());
}

#[test]
fn e6_l_is_not_trusted() {
    // l= is not what we signed, so the public key refuses it; what is said of the length comes before.
    let letter = signed(LETTER, &signer());
    let text = String::from_utf8(letter).unwrap();
    let altered = text.replace("v=1;", "v=1; l=8;");
    let reasons = |text: &str| {
        verify(text.as_bytes(), &Zone::ours()).verdicts.iter().map(|verdict| verdict.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&altered), [Some(Reason::Signature); 2]);
    assert_eq!(reasons(&text.replace("v=1;", "v=1; l=9;")), [Some(Reason::BodyTooShort); 2]);
    assert_eq!(reasons(&text.replace("v=1;", "v=1; l=7;")), [Some(Reason::BodyHash); 2]);
}

#[test]
fn f2_a_field_added_behind_our_signature_fails() {
    let message = signed(LETTER, &signer());
    let report = verify(&message, &Zone::ours());
    assert!(report.verdicts.iter().all(|verdict| verdict.passed()));
    for added in [
        "Subject: You have won",
        "subject : You have won",
        "From: eve@example.org",
        "To: everybody@example.org",
        "Date: Tue, 24 Nov 2026 12:00:00 +0000",
        "Message-ID: <x@example.org>",
        "Reply-To: eve@example.org",
        "Cc: everybody@example.org",
        "MIME-Version: 1.0",
        "Content-Type: text/html",
        "Content-Transfer-Encoding: base64",
        "List-Unsubscribe: <https://example.org/>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
    ] {
        let (header, body) = super::halves(&message);
        let header = &header[..header.len() - 2];
        let field = format!("{added}\r\n");
        for forged in [[field.as_bytes(), &message].concat(), [header, field.as_bytes(), b"\r\n", body].concat()] {
            let report = verify(&forged, &Zone::ours());
            let reasons: Vec<_> = report.verdicts.iter().map(|verdict| verdict.reason).collect();
            assert_eq!(reasons, [Some(Reason::Signature); 2], "{added}");
        }
    }
    // What is not signed may come and go.
    let traced = [b"Received: from x\r\nX-Spam: no\r\n", &message[..]].concat();
    assert!(verify(&traced, &Zone::ours()).verdicts.iter().all(|verdict| verdict.passed()));
}

#[test]
fn f2_nor_behind_a_line_that_is_no_field() {
    let text = String::from_utf8(signed(LETTER, &signer())).unwrap();
    let forged = text.replace("Hello\r\n", "Hello\r\nthis is no field\r\nSubject: You have won\r\n");
    // A driver that takes all up to the empty line for the header is told.
    let report = verify(forged.as_bytes(), &Zone::ours());
    assert!(report.verdicts.iter().all(|verdict| verdict.reason == Some(Reason::BrokenHeader)));
    assert_eq!(asked(forged.as_bytes()), Vec::<String>::new());
}

#[test]
fn somebody_elses_signature_does_not_fit() {
    let other = b"From: ann@example.net\r\nTo: bob@example.org\r\nSubject: Bye\r\n\r\nHi Bob\r\n";
    let message = [signatures(LETTER, &signer()).as_bytes(), other].concat();
    assert!(verify(&message, &Zone::ours()).verdicts.iter().all(|verdict| verdict.reason == Some(Reason::Signature)));
    let text = signatures(LETTER, &signer());
    let ed25519 = text.split_once("DKIM-Signature: v=1; a=ed").unwrap().1;
    let moved = format!("DKIM-Signature: v=1; a=ed{}", ed25519.replace("s=ed;", "s=rsa;"));
    assert_eq!(verdict(&[moved.as_bytes(), LETTER].concat(), &Zone::ours()).reason, Some(Reason::KeyType));
}
