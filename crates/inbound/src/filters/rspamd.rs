//! Rspamd's `/checkv2`: the message as the body, what is known beside it as fields, the result as JSON.
//!
//! | action | what becomes of the message |
//! | --- | --- |
//! | no action, greylist | taken; where greylisting has to wait, Rspamd says soft reject |
//! | add header | taken, with `X-Spam: Yes` |
//! | rewrite subject | the same, and another Subject |
//! | soft reject | 451 4.7.1 with Rspamd's text |
//! | reject | 550 5.7.1 with Rspamd's text |
//! | quarantine | taken, marked for the folder Junk; held when it is outgoing |
//! | discard | held: nothing that was answered with 250 disappears |
//!
//! The fields of `milter.add_headers`, `milter.remove_headers` and `dkim-signature` are obeyed. Incoming mail also gets
//! `X-Spam-Score` and `X-Spam-Symbols`; what a stranger wrote under these names is removed.

mod answer;

use std::time::Instant;

use mail::TlsSummary;
use net::{
    Dialer, Endpoint,
    http::{self, Post},
};

pub(super) use self::answer::FORGEABLE;
use super::{
    exchange,
    facts::Facts,
    letter::Letter,
    opinion::{Opinion, Trouble},
};

/// Octets of recipients that are told: its parser takes 80 KiB of fields in all. Who is left out is not judged otherwise.
const RECIPIENT_OCTETS_MAX: usize = 32 * 1024;
/// Octets of a name that a client gave itself.
const HELO_MAX: usize = 255;

/// Asks Rspamd about a letter.
pub(super) async fn ask(
    dialer: &Dialer,
    endpoint: &Endpoint,
    hostname: &str,
    letter: &Letter<'_>,
    facts: &Facts<'_>,
    deadline: Instant,
) -> Result<Opinion, Trouble> {
    let host = match endpoint {
        Endpoint::Local(_) => "localhost".to_owned(),
        Endpoint::Address(_) | Endpoint::Name(..) => endpoint.to_string(),
    };
    let mut post = Post::new(&host, "/checkv2")?;
    tell(&mut post, facts, hostname);
    let (pieces, body) = http::body(letter.size());
    let answer: answer::Answer =
        exchange::ask(dialer, endpoint, deadline, (post, body), exchange::feed(pieces, letter)).await?;
    let subject = if answer.wants_subject() {
        let gathered = letter.gather_header().await?;
        super::letter::header(&gathered).first("Subject").map(mail::header::Field::unfolded)
    } else {
        None
    };
    answer.into_opinion(facts.direction, subject.as_deref())
}

/// The fields by which Rspamd learns what is not in the message.
fn tell(post: &mut Post, facts: &Facts<'_>, hostname: &str) {
    let origin = &facts.envelope.origin;
    post.field("queue-id", facts.id.to_string().as_bytes());
    post.field("mta-name", hostname.as_bytes());
    post.field("from", format!("<{}>", facts.reverse_path()).as_bytes());
    let mut told = 0;
    for recipient in &facts.recipients {
        let recipient = recipient.to_string();
        told += recipient.len();
        if told > RECIPIENT_OCTETS_MAX {
            break;
        }
        post.field("rcpt", format!("<{recipient}>").as_bytes());
    }
    if let Some(peer) = origin.peer {
        post.field("ip", peer.ip().to_canonical().to_string().as_bytes());
    }
    if let Some(name) = facts.client_name {
        post.field("hostname", name.as_bytes());
    }
    if let Some(helo) = origin.helo.as_ref().filter(|helo| helo.len() <= HELO_MAX) {
        post.field("helo", helo.as_bytes());
    }
    if let Some(user) = &origin.user {
        post.field("user", user.to_string().as_bytes());
    }
    if let Some(TlsSummary { version, cipher }) = &origin.tls {
        post.field("tls-version", version.as_bytes());
        post.field("tls-cipher", cipher.as_bytes());
    }
}
