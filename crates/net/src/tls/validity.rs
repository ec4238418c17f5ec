//! When a certificate is valid (RFC 5280 §4.1.2.5): as much DER as it takes to find that, and no more.

use mail::Timestamp;

/// The two ends of a certificate's life, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`, constructed: the version, which the first kind of certificates leaves out.
const VERSION: u8 = 0xa0;

impl Validity {
    /// Reads it out of a certificate.
    pub(super) fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate, _) = element(der).filter(|(tag, ..)| *tag == SEQUENCE)?;
        let (_, mut rest, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
        if let Some((VERSION, _, after)) = element(rest) {
            rest = after;
        }
        // Serial number, signature algorithm, issuer.
        for wanted in [INTEGER, SEQUENCE, SEQUENCE] {
            let (_, _, after) = element(rest).filter(|(tag, ..)| *tag == wanted)?;
            rest = after;
        }
        let (_, validity, _) = element(rest).filter(|(tag, ..)| *tag == SEQUENCE)?;
        let (tag, not_before, rest) = element(validity)?;
        let not_before = time(tag, not_before)?;
        let (tag, not_after, _) = element(rest)?;
        Some(Self { not_before, not_after: time(tag, not_after)? })
    }
}

/// One element: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, short], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, at) = match tag {
        // RFC 5280 §4.1.2.5.1: 50 to 99 are of the last century.
        UTC_TIME => number(0, 2).map(|year| (if year >= 50 { 1900 + year } else { 2000 + year }, 2))?,
        GENERALIZED_TIME => (number(0, 4)?, 4),
        _ => return None,
    };
    if text.len() != at + 10 {
        return None;
    }
    let days = days_from_civil(year, number(at, at + 2)?, number(at + 2, at + 4)?)?;
    let seconds = number(at + 4, at + 6)? * 3600 + number(at + 6, at + 8)? * 60 + number(at + 8, at + 10)?;
    Some(Timestamp::from_secs(days * 86_400 + seconds))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar, counted from March so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let check = |tag, text: &str, expect: Option<&str>| {
            let got = time(tag, text.as_bytes()).map(|time| time.to_rfc3339());
            assert_eq!(got.as_deref().and_then(|time| time.get(..19)), expect, "{text}");
        };
        check(UTC_TIME, "700101000000Z", Some("1970-01-01T00:00:00"));
        check(UTC_TIME, "240229235959Z", Some("2024-02-29T23:59:59"));
        check(UTC_TIME, "491231235959Z", Some("2049-12-31T23:59:59"));
        check(GENERALIZED_TIME, "20500301000000Z", Some("2050-03-01T00:00:00"));
        check(GENERALIZED_TIME, "99991231235959Z", Some("9999-12-31T23:59:59"));
        check(UTC_TIME, "701301000000Z", None);
        check(UTC_TIME, "7001010000Z", None);
        check(UTC_TIME, "-00101000000Z", None);
        check(GENERALIZED_TIME, "700101000000Z", None);
    }

    #[test]
    fn any_cut_and_any_flip_of_a_certificate_is_survived() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["a.example".into()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2024, 2, 29);
        parameters.not_after = rcgen::date_time_ymd(2051, 3, 1);
        let certificate = parameters.self_signed(&key).unwrap();
        let der = certificate.der().to_vec();
        let validity = Validity::of_certificate(&der).unwrap();
        assert!(validity.not_before.to_rfc3339().starts_with("2024-02-29T00:00:00"));
        assert!(validity.not_after.to_rfc3339().starts_with("2051-03-01T00:00:00"));
        for cut in 0..der.len() {
            assert_eq!(Validity::of_certificate(&der[..cut]), None);
        }
        for at in 0..der.len() {
            for bit in 0..8 {
                let mut flipped = der.clone();
                flipped[at] ^= 1 << bit;
                let _survived = Validity::of_certificate(&flipped);
            }
        }
    }
}
