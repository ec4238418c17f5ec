//! `posthouse queue show`: one message for a person to read.

use std::fmt::Write as _;

use mail::{Side, Timestamp};

use super::{super::Place, ask, name, name_of, say, say_json, size, unexpected};
use crate::{
    admin::{Answer, HistoryView, MessageView, RecipientView, ReplyView, queue::Request},
    cli::terminal::when,
};

/// Columns of an event's name, where something follows it.
const EVENT_WIDTH: usize = 10;
/// Octets of a text from outside on one line.
const TEXT_MAX: usize = 500;

/// Asks for the message and prints it.
pub(super) fn run(place: &Place, id: &str) -> anyhow::Result<()> {
    let Answer::Message(message) = ask(place, Request::Show(name(id)?), "looking")? else {
        return Err(unexpected());
    };
    if place.json {
        return say_json(&message);
    }
    say(&page(&message, place.clock.now()));
    Ok(())
}

fn page(message: &MessageView, now: Timestamp) -> String {
    let mut page = String::new();
    let _infallible = write!(
        page,
        "message   {}\nfrom      {}\nsize      {}\nreceived  {} by {}\n",
        message.id,
        message.reverse_path,
        size(message.size),
        when(message.received_at.0, now),
        mail::for_log(&message.service, TEXT_MAX),
    );
    if let Some(origin) = message.history.iter().find_map(|happening| happening.origin.as_ref()) {
        write_origin(&mut page, origin);
    }
    for recipient in &message.recipients {
        write_recipient(&mut page, recipient, now);
    }
    page.push_str("\nhistory\n");
    for happening in &message.history {
        write_happening(&mut page, happening);
    }
    for recipient in &message.recipients {
        let failed =
            |happening: &&HistoryView| happening.recipient == Some(recipient.id) && !happening.transcript.is_empty();
        if let Some(last) = message.history.iter().rev().find(failed) {
            write_transcript(&mut page, recipient, last);
        }
    }
    page
}

/// Who handed it in: nothing for mail that was made here.
fn write_origin(page: &mut String, origin: &mail::Origin) {
    let Some(peer) = origin.peer else { return };
    let _infallible = write!(page, "client    {peer}");
    if let Some(helo) = &origin.helo {
        let _infallible = write!(page, ", calls itself {}", mail::for_log(helo, TEXT_MAX));
    }
    if let Some(user) = &origin.user {
        let _infallible = write!(page, ", authenticated as {user}");
    }
    match &origin.tls {
        Some(tls) => {
            let _infallible = writeln!(page, ", {}", mail::for_log(&tls.version, TEXT_MAX));
        }
        None => page.push_str(", without TLS\n"),
    }
}

fn write_recipient(page: &mut String, recipient: &RecipientView, now: Timestamp) {
    let _infallible = write!(
        page,
        "\nto        {}\n  id      {}\n  state   {}",
        recipient.address,
        recipient.id,
        name_of(recipient.state)
    );
    let _infallible = match recipient.attempts {
        0 => writeln!(page),
        1 => writeln!(page, ", after 1 attempt"),
        attempts => writeln!(page, ", after {attempts} attempts"),
    };
    if let Some(due) = recipient.next_due {
        let _infallible = writeln!(page, "  next    {}", when(due.0, now));
    }
    if let Some(source) = &recipient.source {
        let _infallible = writeln!(page, "  source  {}", mail::for_log(source, TEXT_MAX));
    }
    if let Some(reply) = &recipient.last_reply {
        let _infallible = writeln!(page, "  last    {}, {}", reply_line(reply), when(reply.at.0, now));
    }
}

fn reply_line(reply: &ReplyView) -> String {
    let mut line = format!("{}", reply.code);
    if let Some(enhanced) = reply.enhanced {
        let _infallible = write!(line, " {enhanced}");
    }
    let _infallible = write!(line, " {}", mail::for_log(&reply.text, TEXT_MAX));
    if !reply.host.is_empty() {
        let _infallible = write!(line, " (at {}, {})", reply.stage, mail::for_log(&reply.host, TEXT_MAX));
    }
    line
}

fn write_happening(page: &mut String, happening: &HistoryView) {
    let event = happening.event.strip_prefix("message.").unwrap_or(&happening.event);
    let _infallible = write!(page, "  {}  {event}", happening.at.0);
    if let Some(address) = &happening.address {
        let gap = EVENT_WIDTH.saturating_sub(event.len());
        let _infallible = write!(page, "{:gap$} {address}", "");
    }
    if let Some(reply) = &happening.reply {
        let _infallible = write!(page, "  {}", reply_line(reply));
    }
    if let Some(route) = &happening.route {
        let _infallible = write!(page, "  to {}", mail::for_log(route, TEXT_MAX));
    }
    page.push('\n');
}

fn write_transcript(page: &mut String, recipient: &RecipientView, happening: &HistoryView) {
    let attempt = happening.attempt.map(|attempt| format!(" {attempt}")).unwrap_or_default();
    let _infallible = writeln!(page, "\nconversation of attempt{attempt} to {}", recipient.address);
    for line in &happening.transcript {
        let side = match line.side {
            Side::Client => "C:",
            Side::Server => "S:",
            Side::Note => "--",
        };
        let seconds = line.at_ms / 1000;
        let millis = line.at_ms % 1000;
        let text = mail::for_log(&line.text, TEXT_MAX);
        let _infallible = writeln!(page, "  {seconds:>4}.{millis:03} {side} {text}");
    }
}
