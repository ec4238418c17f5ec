//! DKIM over hostile messages and key records: no panic, no strange name asked, bounded work, the same verdicts whatever
//! the cuts of the body; and what we sign ourselves verifies.
//!
//! Input: an octet that says how large pieces are, a key record, a NUL, the message.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use mail::Timestamp;
use policy::{
    dkim::{
        BodyHasher, Canon, Fields, KeyRecord, PrivateKey, Report, SIGNATURES_MAX, SignError, Signer, SigningKey, Verify,
    },
    dns::{Answer, Name},
};

const NOW: Timestamp = Timestamp::from_secs(1_795_521_600);

/// An Ed25519 key in PKCS #8, its seed all ones.
static SIGNERS: LazyLock<Vec<Signer>> = LazyLock::new(|| {
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let key = Arc::new(PrivateKey::from_der(&[&prefix[..], &[1; 32]].concat()).expect("a key"));
    let name = |text| Name::parse(text).expect("a name");
    let signer = Signer::new(name("example.net"), vec![SigningKey { selector: name("s"), key }]).expect("a signer");
    let canons = [Canon::Simple, Canon::Relaxed];
    canons.into_iter().flat_map(|header| canons.map(|body| signer.clone().with_canon(header, body))).collect()
});
static RECORD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let key = PrivateKey::from_der(&[&prefix[..], &[1; 32]].concat()).expect("a key");
    key.public_record().expect("a record").into_bytes()
});

fuzz_target!(|input: &[u8]| {
    let Some((&piece, rest)) = input.split_first() else { return };
    let mut parts = rest.splitn(2, |octet| *octet == 0);
    let record = parts.next().unwrap_or_default();
    let message = parts.next().unwrap_or_default();
    let _read = KeyRecord::parse(record);
    let whole = verify(message, record, message.len().max(1));
    assert!(whole.verdicts.len() <= SIGNATURES_MAX);
    assert_eq!(verify(message, record, usize::from(piece) + 1), whole);
    for signer in &*SIGNERS {
        sign(message, signer, usize::from(piece) + 1);
    }
});

fn halves(message: &[u8]) -> (&[u8], &[u8]) {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n").map_or(message.len(), |at| at + 4);
    message.split_at(end)
}

fn verify(message: &[u8], record: &[u8], piece: usize) -> Report {
    let (header, body) = halves(message);
    let mut bodies = BodyHasher::default();
    let mut verify = Verify::new(&Fields::parse(header), NOW, &mut bodies);
    let questions: Vec<_> = verify.questions().cloned().collect();
    for question in questions {
        let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        assert!(question.name.as_str().bytes().all(plain), "{}", question.name);
        assert!(question.name.as_str().contains("._domainkey."));
        verify.answer(&question, &Answer::Txt(vec![record.to_vec()]));
    }
    assert_eq!(verify.questions().count(), 0);
    body.chunks(piece).for_each(|piece| bodies.update(piece));
    verify.finish(&bodies.finish())
}

fn sign(message: &[u8], signer: &Signer, piece: usize) {
    let (header, body) = halves(message);
    let mut bodies = BodyHasher::default();
    let signing = match signer.begin(&Fields::parse(header), NOW, &mut bodies) {
        Ok(signing) => signing,
        Err(SignError::NoFrom | SignError::TooManyFields | SignError::BrokenHeader) => return,
        Err(error) => panic!("{error}"),
    };
    body.chunks(piece).for_each(|piece| bodies.update(piece));
    let signature = signing.finish(&bodies.finish()).expect("a signature");
    let report = verify(&[signature.as_bytes(), message].concat(), &RECORD, piece);
    assert_eq!(report.verdicts[0].reason, None, "{signature}");
}
