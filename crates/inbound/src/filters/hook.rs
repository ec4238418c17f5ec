//! A program of the operator's own, asked with JSON over HTTP. The manual's page `filters.md` has both forms.
//!
//! The content goes as base64 inside the JSON, made while it is sent: nothing holds the message whole.

mod answer;

use std::time::Instant;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use mail::TlsSummary;
use net::{
    Dialer,
    http::{self, Pieces, Post},
};
use serde::Serialize;
use spool::SpoolError;

use super::{
    exchange,
    facts::Facts,
    letter::{self, Letter},
    opinion::{Opinion, Trouble},
    settings::{Hook, Shown},
};

/// The version of the form. It changes when something is taken away or means something else.
const VERSION: u8 = 1;
/// Octets that become whole letters of base64.
const GROUP: usize = 3;

#[derive(Debug, Serialize)]
struct Question<'q> {
    version: u8,
    id: String,
    direction: &'static str,
    hostname: &'q str,
    envelope: Envelope,
    session: Session<'q>,
    size: u64,
    headers: Vec<Field>,
}

#[derive(Debug, Serialize)]
struct Envelope {
    from: String,
    recipients: Vec<String>,
    body: &'static str,
}

#[derive(Debug, Serialize)]
struct Session<'q> {
    service: &'q str,
    address: Option<String>,
    port: Option<u16>,
    name: Option<&'q str>,
    helo: Option<&'q str>,
    user: Option<String>,
    protocol: String,
    tls: Option<&'q TlsSummary>,
}

#[derive(Debug, Serialize)]
struct Field {
    name: String,
    value: String,
}

/// Asks the hook about a letter.
pub(super) async fn ask(
    dialer: &Dialer,
    hook: &Hook,
    hostname: &str,
    letter: &Letter<'_>,
    facts: &Facts<'_>,
    deadline: Instant,
) -> Result<Opinion, Trouble> {
    let (head, tail) = question(hook.shown, hostname, letter, facts).await?;
    let content = match hook.shown {
        Shown::Header => 0,
        Shown::Whole => base64_length(letter.size()),
    };
    let mut post = Post::new(&hook.host, &hook.path)?;
    post.field("content-type", b"application/json");
    let (pieces, body) = http::body(head.len() as u64 + content + tail.len() as u64);
    let feed = feed(pieces, hook.shown, letter, head, tail);
    let answer: answer::Answer = exchange::ask(dialer, &hook.endpoint, deadline, (post, body), feed).await?;
    answer.into_opinion()
}

/// The question up to the content, and what follows it.
async fn question(
    shown: Shown,
    hostname: &str,
    letter: &Letter<'_>,
    facts: &Facts<'_>,
) -> Result<(Bytes, Bytes), SpoolError> {
    let origin = &facts.envelope.origin;
    let question = Question {
        version: VERSION,
        id: facts.id.to_string(),
        direction: facts.direction.word(),
        hostname,
        envelope: Envelope {
            from: facts.reverse_path(),
            recipients: facts.recipients.iter().map(ToString::to_string).collect(),
            body: match facts.envelope.body {
                mail::Body::SevenBit => "7BIT",
                mail::Body::EightBitMime => "8BITMIME",
            },
        },
        session: Session {
            service: &origin.service,
            address: origin.peer.map(|peer| peer.ip().to_canonical().to_string()),
            port: origin.peer.map(|peer| peer.port()),
            name: facts.client_name,
            helo: origin.helo.as_deref(),
            user: origin.user.as_ref().map(ToString::to_string),
            protocol: origin.protocol.to_string(),
            tls: origin.tls.as_ref(),
        },
        size: letter.size(),
        headers: fields(letter).await?,
    };
    let mut text = serde_json::to_string(&question).expect("strings and numbers can be written as JSON");
    Ok(match shown {
        Shown::Header => (text.into(), Bytes::new()),
        Shown::Whole => {
            // The last brace makes way for one key more.
            text.pop();
            text.push_str(r#","content":""#);
            (text.into(), Bytes::from_static(br#""}"#))
        }
    })
}

async fn fields(letter: &Letter<'_>) -> Result<Vec<Field>, SpoolError> {
    let field = |field: &mail::header::Field<'_>| Field {
        name: String::from_utf8_lossy(field.name).into_owned(),
        value: field.unfolded(),
    };
    let gathered = letter.gather_header().await?;
    let (ours, theirs) = (letter::header(letter.prefix()), letter::header(&gathered));
    Ok(ours.fields.iter().chain(&theirs.fields).map(field).collect())
}

/// Letters that so many octets become (RFC 4648 §4).
fn base64_length(octets: u64) -> u64 {
    octets.div_ceil(GROUP as u64) * 4
}

async fn feed(
    mut pieces: Pieces,
    shown: Shown,
    letter: &Letter<'_>,
    head: Bytes,
    tail: Bytes,
) -> Result<(), SpoolError> {
    if !pieces.send(head).await || shown == Shown::Header {
        return Ok(());
    }
    let mut source = letter.pieces();
    let mut group = BytesMut::new();
    while let Some(piece) = source.next().await? {
        group.extend_from_slice(&piece);
        let whole = group.split_to(group.len() / GROUP * GROUP);
        if !pieces.send(STANDARD.encode(whole).into()).await {
            return Ok(());
        }
    }
    let _last = pieces.send(STANDARD.encode(group).into()).await && pieces.send(tail).await;
    Ok(())
}
