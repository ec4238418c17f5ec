//! clamd's INSTREAM: the message in pieces, each behind its length, and one line that answers.
//!
//! ```text
//! C: zINSTREAM\0  LENGTH piece  LENGTH piece … 0      S: stream: OK\0 | stream: NAME FOUND\0 | … ERROR\0
//! ```
//! clamd answers early when the message passes its own bound, and closes: the answer is read while pieces are written. That
//! all is well can't be said before everything was.

use std::time::Instant;

use bytes::Buf;
use mail::Reply;
use net::{Channel, Dialer, Endpoint};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{
    letter::Letter,
    opinion::{Opinion, Trouble, Verdict, clean},
    settings::OnFound,
};

/// Octets of an answer: `stream: `, a name, `FOUND`.
const ANSWER_MAX: usize = 1024;

/// Asks clamd about a letter.
pub(super) async fn ask(
    dialer: &Dialer,
    endpoint: &Endpoint,
    on_found: OnFound,
    letter: &Letter<'_>,
    deadline: Instant,
) -> Result<Opinion, Trouble> {
    let channel = dialer.dial(endpoint, deadline).await?;
    let answer = exchange(channel, letter).await?;
    opinion(&answer, on_found)
}

async fn exchange(channel: Channel, letter: &Letter<'_>) -> Result<Vec<u8>, Trouble> {
    let (mut input, mut output) = tokio::io::split(channel);
    let mut answer = std::pin::pin!(read(&mut input));
    let written = tokio::select! {
        biased;
        answer = &mut answer => return early(answer?),
        written = write(&mut output, letter) => written,
    };
    match written {
        Ok(()) => answer.await,
        Err(Trouble::Broken(why)) => match answer.await {
            // It has closed after it said why.
            Ok(words) => early(words),
            Err(_) => Err(Trouble::Broken(why)),
        },
        Err(trouble) => Err(trouble),
    }
}

/// An answer before the message was whole: it can only be that something is wrong.
fn early(answer: Vec<u8>) -> Result<Vec<u8>, Trouble> {
    if answer.trim_ascii().ends_with(b"ERROR") {
        return Ok(answer);
    }
    Err(Trouble::Nonsense("it came before the message was whole".into()))
}

async fn write(output: &mut (impl AsyncWrite + Unpin), letter: &Letter<'_>) -> Result<(), Trouble> {
    let broken = |error: std::io::Error| Trouble::Broken(format!("it does not take the message: {error}"));
    output.write_all(b"zINSTREAM\0").await.map_err(broken)?;
    let mut pieces = letter.pieces();
    while let Some(piece) = pieces.next().await? {
        let length = u32::try_from(piece.len()).unwrap_or(u32::MAX).to_be_bytes();
        output.write_all_buf(&mut Buf::chain(&length[..], piece)).await.map_err(broken)?;
    }
    output.write_all(&0_u32.to_be_bytes()).await.map_err(broken)?;
    output.flush().await.map_err(broken)
}

/// Everything up to the NUL, or to the end.
async fn read(input: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Trouble> {
    let mut answer = Vec::with_capacity(128);
    loop {
        let count = input.read_buf(&mut answer).await;
        let count = count.map_err(|error| Trouble::Broken(format!("it does not answer: {error}")))?;
        if let Some(end) = memchr::memchr(0, &answer) {
            answer.truncate(end);
            return Ok(answer);
        }
        if answer.len() > ANSWER_MAX {
            return Err(Trouble::Nonsense(format!("it has more than {ANSWER_MAX} octets")));
        }
        if count == 0 {
            return if answer.is_empty() { Err(Trouble::Broken("it closed".into())) } else { Ok(answer) };
        }
    }
}

fn opinion(answer: &[u8], on_found: OnFound) -> Result<Opinion, Trouble> {
    let answer = String::from_utf8_lossy(answer);
    let answer = answer.trim_ascii();
    if answer.starts_with("INSTREAM size limit exceeded") {
        return Err(Trouble::LargerThere);
    }
    if let Some(why) = answer.strip_suffix("ERROR") {
        return Err(Trouble::Failed(clean(why)));
    }
    let result = answer.strip_prefix("stream: ").ok_or_else(|| Trouble::Nonsense(clean(answer)))?;
    if result == "OK" {
        return Ok(Opinion::new(Verdict::Accept, ""));
    }
    let name = result.strip_suffix(" FOUND").map(clean).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Trouble::Nonsense(clean(answer)))?;
    let verdict = match on_found {
        OnFound::Reject => {
            Verdict::Refuse(Reply::with(550, (5, 7, 1), format!("The message contains malware: {name}")))
        }
        OnFound::Quarantine => Verdict::Quarantine,
        OnFound::Hold => Verdict::Hold,
    };
    Ok(Opinion::new(verdict, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, expect: &str) {
        let found = match opinion(answer.as_bytes(), OnFound::Reject) {
            Ok(Opinion { verdict: Verdict::Refuse(reply), .. }) => reply.to_string(),
            Ok(opinion) => format!("{} {}", opinion.verdict.word(), opinion.reason),
            Err(trouble) => trouble.to_string(),
        };
        assert_eq!(found, expect, "{answer}");
    }

    #[test]
    fn answers() {
        check("stream: OK", "accept ");
        check("stream: OK\n", "accept ");
        check("stream: Eicar-Test FOUND", "550 5.7.1 The message contains malware: Eicar-Test");
        check("stream: a\r\n250 b FOUND", "550 5.7.1 The message contains malware: a 250 b");
        check("INSTREAM size limit exceeded. ERROR", "the message is larger than the filter takes");
        check("stream: Can't allocate memory ERROR", "it says: stream: Can't allocate memory");
        for nonsense in ["", "OK", "stream: ", "stream:  FOUND", "stream: ok", "FOUND", "\u{fffd}"] {
            assert!(matches!(opinion(nonsense.as_bytes(), OnFound::Reject), Err(Trouble::Nonsense(_))), "{nonsense}");
        }
    }

    #[test]
    fn what_is_found_can_be_kept() {
        let verdict = |on_found| opinion(b"stream: X FOUND", on_found).unwrap().verdict;
        assert_eq!((verdict(OnFound::Quarantine), verdict(OnFound::Hold)), (Verdict::Quarantine, Verdict::Hold));
    }
}
