//! Signs, verifies and times DKIM over folders of messages: what the interop cases and the benchmark of DKIM run.
//!
//! ```text
//! dkim generate rsa|ed25519                    prints a new key in PEM, then the text of its record
//! dkim sign DOMAIN TIME HEADER/BODY FROM TO SELECTOR=KEY.pem…
//!                                              signs each file of FROM into a file of TO
//! dkim verify RECORDS TIME FROM                prints for each file and signature: NAME RESULT SELECTOR REASON
//! dkim time MESSAGE RECORDS TIME ROUNDS        prints microseconds for verifying, with and without the key's operation
//! ```
//! TIME is in seconds since the epoch. RECORDS is a file of lines `NAME TEXT`.
#![expect(clippy::print_stdout, reason = "it is a program for people and scripts")]

use std::{collections::HashMap, env, error::Error, fs, path::Path, sync::Arc};

use mail::Timestamp;
use policy::{
    dkim::{BodyHasher, Canon, Fields, PrivateKey, Report, Signer, SigningKey, Verify},
    dns::{Answer, Name},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;
/// TXT records by name.
type Zone = HashMap<String, Answer>;

/// Octets of a piece of body, as they would come from a socket.
const PIECE: usize = 1400;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["generate", kind] => generate(kind),
        ["sign", domain, time, canon, from, to, keys @ ..] => sign(domain, at(time)?, canon, from, to, keys),
        ["verify", records, time, from] => verify_all(&zone(records)?, at(time)?, from),
        ["time", message, records, time, rounds] => {
            timing::run(&fs::read(message)?, &zone(records)?, at(time)?, rounds.parse()?);
            Ok(())
        }
        _ => Err("usage: dkim generate|sign|verify|time …, see the source".into()),
    }
}

fn at(seconds: &str) -> Result<Timestamp> {
    Ok(Timestamp::from_secs(seconds.parse()?))
}

fn generate(kind: &str) -> Result<()> {
    let key = if kind == "rsa" { PrivateKey::generate_rsa()? } else { PrivateKey::generate_ed25519()? };
    println!("{}{}", *key.to_pem()?, key.public_record()?);
    Ok(())
}

fn sign(domain: &str, now: Timestamp, canon: &str, from: &str, to: &str, keys: &[&str]) -> Result<()> {
    let mut list = Vec::new();
    for key in keys {
        let (selector, file) = key.split_once('=').ok_or("SELECTOR=KEY.pem")?;
        let key = Arc::new(PrivateKey::from_pem(&fs::read_to_string(file)?)?);
        list.push(SigningKey { selector: Name::parse(selector)?, key });
    }
    let (header, body) = canon.split_once('/').ok_or("HEADER/BODY")?;
    let canon = |word| if word == "simple" { Canon::Simple } else { Canon::Relaxed };
    let signer = Signer::new(Name::parse(domain)?, list)?.with_canon(canon(header), canon(body));
    for (name, message) in messages(from)? {
        let (header, body) = halves(&message);
        let mut bodies = BodyHasher::default();
        let signing = signer.begin(&Fields::parse(header), now, &mut bodies)?;
        body.chunks(PIECE).for_each(|piece| bodies.update(piece));
        let signature = signing.finish(&bodies.finish())?;
        fs::write(Path::new(to).join(name), [signature.as_bytes(), &message].concat())?;
    }
    Ok(())
}

fn verify_all(zone: &Zone, now: Timestamp, from: &str) -> Result<()> {
    for (name, message) in messages(from)? {
        let report = verify(&message, zone, now);
        for verdict in &report.verdicts {
            let selector = verdict.selector.as_ref().map_or("-", Name::as_str);
            let reason = verdict.reason.map(|reason| reason.to_string()).unwrap_or_default();
            println!("{name} {} {selector} {reason}", verdict.outcome().as_str());
        }
        if report.verdicts.is_empty() {
            println!("{name} none - ");
        }
    }
    Ok(())
}

fn verify(message: &[u8], zone: &Zone, now: Timestamp) -> Report {
    let (header, body) = halves(message);
    let mut bodies = BodyHasher::default();
    let mut verify = Verify::new(&Fields::parse(header), now, &mut bodies);
    let questions: Vec<_> = verify.questions().cloned().collect();
    for question in questions {
        verify.answer(&question, zone.get(question.name.as_str()).unwrap_or(&Answer::NoName));
    }
    body.chunks(PIECE).for_each(|piece| bodies.update(piece));
    verify.finish(&bodies.finish())
}

/// The files of a folder by name, in order.
fn messages(folder: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        found.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
    }
    found.sort();
    Ok(found)
}

fn zone(file: &str) -> Result<Zone> {
    let mut zone: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
    for line in fs::read_to_string(file)?.lines() {
        let (name, text) = line.split_once(' ').ok_or("NAME TEXT")?;
        zone.entry(name.to_owned()).or_default().push(text.as_bytes().to_vec());
    }
    Ok(zone.into_iter().map(|(name, records)| (name, Answer::Txt(records))).collect())
}

/// Header section, and body behind the empty line.
fn halves(message: &[u8]) -> (&[u8], &[u8]) {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n").map_or(message.len(), |at| at + 4);
    message.split_at(end)
}

mod timing {
    //! How long verifying takes, and how much of that is not the public-key operation.
    #![expect(clippy::disallowed_methods, reason = "it measures, so it needs a clock")]

    use std::time::Instant;

    use super::{Timestamp, Zone, verify};

    pub(crate) fn run(message: &[u8], zone: &Zone, now: Timestamp, rounds: u32) {
        // A body with an octet more is all the work but the public-key operation, which is not done for it.
        let changed = [message, b"x\r\n"].concat();
        for (what, message) in [("whole", message), ("apart from the key's operation", &changed)] {
            let start = Instant::now();
            for _ in 0..rounds {
                std::hint::black_box(verify(std::hint::black_box(message), zone, now));
            }
            let each = start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds.max(1));
            let results: Vec<_> =
                verify(message, zone, now).verdicts.iter().map(|one| one.outcome().as_str()).collect();
            println!("{what}: {each:.1} us ({}, {} octets)", results.join(" "), message.len());
        }
    }
}
