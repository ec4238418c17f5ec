//! What we sign verifies, whatever the message; and no more changes on the way are forgiven than c= says.

use std::time::Duration;

use policy::dkim::{BodyHasher, Canon, Fields, NAMES_MAX, Reason, SignError, Signature, Signer};
use proptest::{collection::vec, prelude::*, sample::select};

use super::{DOMAIN, NOW, Zone, halves, name, signatures, signed, signer, verify, verify_by};

/// The canonicalisations, each with each.
const CANONS: [(Canon, Canon); 4] = [
    (Canon::Relaxed, Canon::Relaxed),
    (Canon::Relaxed, Canon::Simple),
    (Canon::Simple, Canon::Relaxed),
    (Canon::Simple, Canon::Simple),
];

#[test]
fn the_field_is_folded_and_names_what_it_signs() {
    let letter = b"From: a@example.net\r\nTo: b@example.org\r\nTo: c@example.org\r\nCc: d@example.org\r\n\r\n";
    let text = signatures(letter, &signer().with_lifetime(Duration::from_secs(3600)));
    assert!(text.lines().all(|line| line.len() <= 78), "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    let values: Vec<&str> = text.split("DKIM-Signature:").skip(1).collect();
    for (value, selector) in values.iter().zip(["rsa", "ed"]) {
        let signature = Signature::parse(value.as_bytes()).unwrap();
        assert_eq!((signature.domain.as_str(), signature.selector.as_str()), (DOMAIN, selector));
        assert_eq!((signature.header, signature.body, signature.length), (Canon::Relaxed, Canon::Relaxed, None));
        assert_eq!(signature.made, Some(1_795_521_600));
        assert_eq!(signature.expires, Some(1_795_525_200));
        assert_eq!(
            signature.names.join(":"),
            "From:From:Reply-To:To:To:To:Cc:Cc:Subject:Date:Message-ID:MIME-Version:Content-Type:\
             Content-Transfer-Encoding:List-Unsubscribe:List-Unsubscribe-Post"
        );
    }
    assert_eq!(values.len(), 2);
}

#[test]
fn the_machines_move_between_threads() {
    fn moves<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    moves::<BodyHasher>();
    moves::<policy::dkim::Verify>();
    moves::<policy::dkim::Signing>();
    is_shared::<Signer>();
}

#[test]
fn what_cannot_be_signed_is_said() {
    let begin = |letter: &str| {
        let signer = signer();
        let mut bodies = BodyHasher::default();
        signer.begin(&Fields::parse(letter.as_bytes()), NOW, &mut bodies).map(|_| ())
    };
    assert_eq!(begin("To: b@example.org\r\n\r\n"), Err(SignError::NoFrom));
    assert_eq!(begin("From: a@example.net\r\nno field\r\n\r\n"), Err(SignError::BrokenHeader));
    let many = format!("From: a@example.net\r\n{}", "To: b@example.org\r\n".repeat(NAMES_MAX));
    assert_eq!(begin(&many), Err(SignError::TooManyFields));
    let new = |domain: &str, keys| Signer::new(name(domain), keys).map(|_| ());
    let keys = || vec![super::SigningKey { selector: name("s"), key: super::ED25519.clone() }];
    assert_eq!(new(DOMAIN, vec![]), Err(SignError::Keys));
    assert_eq!(new(DOMAIN, vec![keys().remove(0); 5]), Err(SignError::Keys));
    assert_eq!(new("net", keys()), Err(SignError::Name));
    assert_eq!(new("exam\"ple.net", keys()), Err(SignError::Name));
    assert_eq!(new(&vec!["a".repeat(60); 4].join("."), keys()), Err(SignError::Name));
    assert_eq!(new(DOMAIN, keys()), Ok(()));
}

#[test]
fn relaxed_forgives_blanks_and_simple_does_not() {
    let letter = b"From: Ann <ann@example.net>\r\nSubject: A long\r\n subject\r\n\r\nTwo words  here\r\n";
    for (header, body) in CANONS {
        let message = signed(letter, &signer().with_canon(header, body));
        let text = String::from_utf8(message).unwrap();
        let check = |from: &str, to: &str, forgiven: bool, reason: Reason| {
            let expect = if forgiven { None } else { Some(reason) };
            let report = verify(text.replace(from, to).as_bytes(), &Zone::ours());
            let reasons: Vec<_> = report.verdicts.iter().map(|verdict| verdict.reason).collect();
            assert_eq!(reasons, [expect; 2], "{header:?}/{body:?} {to:?}");
        };
        let relaxed = header == Canon::Relaxed;
        check("Subject: A long\r\n subject", "SUBJECT :\tA long subject  ", relaxed, Reason::Signature);
        check("Subject: A long", "Subject: A\r\n long", relaxed, Reason::Signature);
        check("DKIM-Signature: v", "DKIM-signature:  v", relaxed, Reason::Signature);
        check("A long", "Along", false, Reason::Signature);
        let relaxed = body == Canon::Relaxed;
        check("Two words  here\r\n", "Two\twords here \t\r\n", relaxed, Reason::BodyHash);
        check("here\r\n", "here\r\n\r\n\r\n", true, Reason::BodyHash);
        check("here\r\n", "here\r\n \r\n", relaxed, Reason::BodyHash);
        check("Two words", "Twowords", false, Reason::BodyHash);
        check("Two words", " Two words", false, Reason::BodyHash);
        check("here", "her\u{e9}", false, Reason::BodyHash);
    }
}

/// Values of fields: words, blanks, folds, 8-bit.
fn value() -> impl Strategy<Value = String> {
    let word =
        select(vec!["a", "word", " ", "\t", "\r\n ", "\r\n\t", ": ", ";", "=", "\u{e9}", "<b@example.org>", "\"q\""]);
    // A line of blanks only would end the header for some, so the fold is followed by a letter.
    vec(word, 0..12).prop_map(|words| words.concat().replace("\r\n ", "\r\n x").replace("\r\n\t", "\r\n\tx"))
}

fn field() -> impl Strategy<Value = String> {
    let names = [
        "From",
        "FROM",
        "To",
        "Subject",
        "subject",
        "Date",
        "Message-ID",
        "Cc",
        "Received",
        "X-Other",
        "Reply-To",
        "List-Unsubscribe",
        "Content-Type",
        "References",
        "Subject ",
    ];
    (select(names.to_vec()), value()).prop_map(|(name, value)| format!("{name}:{value}\r\n"))
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let word = select(vec![
        &b"a"[..],
        b"line of words",
        b" ",
        b"\t",
        b"\r\n",
        b"\r\n\r\n",
        b" \r\n",
        b".\r\n",
        b"\xff\xfe",
        b"=20",
        b"From x\r\n",
        b"a line of text that is long enough to be taken whole\r\n",
    ]);
    vec(word, 0..60).prop_map(|words| words.concat())
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    (vec(field(), 0..8), vec(field(), 0..8), body()).prop_map(|(before, after, body)| {
        let header = format!("{}From: a@example.net\r\n{}\r\n", before.concat(), after.concat());
        [header.as_bytes(), &body].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_we_sign_verifies(message in message(), canon in select(CANONS.to_vec()), cut in 1_usize..200) {
        let signer = signer().with_canon(canon.0, canon.1);
        let report = verify_by(&signed(&message, &signer), &Zone::ours(), NOW, cut);
        let reasons: Vec<_> = report.verdicts.iter().map(|verdict| verdict.reason).collect();
        prop_assert_eq!(reasons, vec![None; 2]);
    }

    #[test]
    fn a_changed_octet_is_noticed(message in message(), canon in select(CANONS.to_vec()), at in any::<prop::sample::Index>()) {
        let (_, body) = halves(&message);
        let visible: Vec<usize> = (0..body.len()).filter(|at| body[*at].is_ascii_graphic()).collect();
        prop_assume!(!visible.is_empty());
        let mut message = signed(&message, &signer().with_canon(canon.0, canon.1));
        let at = message.len() - body.len() + visible[at.index(visible.len())];
        message[at] ^= 1;
        prop_assume!(message[at].is_ascii_graphic());
        let report = verify(&message, &Zone::ours());
        let reasons: Vec<_> = report.verdicts.iter().map(|verdict| verdict.reason).collect();
        prop_assert_eq!(reasons, vec![Some(Reason::BodyHash); 2]);
    }

    #[test]
    fn a_field_added_to_an_over_signed_name_is_noticed(message in message(), added in value(), canon in select(CANONS.to_vec())) {
        let message = signed(&message, &signer().with_canon(canon.0, canon.1));
        let forged = [format!("Subject: {added}\r\n").as_bytes(), &message].concat();
        let report = verify(&forged, &Zone::ours());
        let reasons: Vec<_> = report.verdicts.iter().map(|verdict| verdict.reason).collect();
        prop_assert_eq!(reasons, vec![Some(Reason::Signature); 2]);
    }
}
