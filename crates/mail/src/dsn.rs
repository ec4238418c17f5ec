//! Notifications about mail that could not be delivered (RFC 3464 in a `multipart/report` of RFC 6522). Pure: boundary,
//! Message-ID and date are passed in.
//!
//! Three parts: what happened in words, the same for programs, and the header of the message. What remote servers said
//! stands in the first two, made harmless: printable ASCII on lines of its own, so that it can neither end a part nor
//! begin a header field. The header of the message is encoded as soon as it holds anything but plain lines.
//! Not here: deciding that there is to be one, and sending it.

mod encode;
mod words;

use crate::{FailureClass, Mailbox, Refusal, Timestamp, header::Header};

/// Octets of the original header that are quoted.
const HEADER_MAX: usize = 16 * 1024;
/// Characters of a remote reply that are quoted.
const REPLY_MAX: usize = 1_000;
/// Octets of a host's name that are quoted (RFC 1035 §2.3.4).
const HOST_MAX: usize = 255;
/// Recipients named in one notification; a transaction has no more.
const RECIPIENTS_MAX: usize = 1_000;

/// What a notification says.
#[derive(Clone, Debug)]
pub struct Notification<'a> {
    /// Our host name.
    pub reporting_mta: &'a str,
    /// Who writes: `mailer-daemon@` our host.
    pub from: &'a Mailbox,
    /// The sender of the message.
    pub to: &'a Mailbox,
    /// The Message-ID of the notification, without brackets.
    pub message_id: &'a str,
    /// A boundary that is in none of the parts: random.
    pub boundary: &'a str,
    /// Now.
    pub date: Timestamp,
    /// When the message was accepted.
    pub arrival: Timestamp,
    /// Our id of the message.
    pub original_id: &'a str,
    /// The recipients that it could not be delivered to, at least one.
    pub failures: &'a [Failure<'a>],
    /// The content of the message, or its beginning.
    pub original: &'a [u8],
}

/// One recipient that a message could not be delivered to.
#[derive(Clone, Debug)]
pub struct Failure<'a> {
    /// Where it was sent.
    pub recipient: &'a Mailbox,
    /// The address as the sender gave it, when it was another.
    pub original: Option<&'a Mailbox>,
    /// The last refusal.
    pub refusal: &'a Refusal,
    /// Attempts made.
    pub attempts: u32,
    /// Whether it was given up because its time was over, and not because of the refusal alone.
    pub expired: bool,
}

/// Writes the notification: header and body, lines ended by CRLF, all of it ASCII.
pub fn build(notification: &Notification<'_>) -> Vec<u8> {
    let mut out = String::with_capacity(4096);
    write_header(&mut out, notification);
    let boundary = safe_token(notification.boundary);
    let original = original_header(notification.original);
    for (kind, body) in [
        ("text/plain; charset=us-ascii", words::explain(notification)),
        ("message/delivery-status", delivery_status(notification)),
        original_part(original),
    ] {
        out.push_str("--");
        out.push_str(&boundary);
        field(&mut out, "\r\nContent-Type", kind);
        out.push_str(&body);
        out.push_str("\r\n");
    }
    out.push_str("--");
    out.push_str(&boundary);
    out.push_str("--\r\n");
    out.into_bytes()
}

fn write_header(out: &mut String, notification: &Notification<'_>) {
    field(out, "From", &format!("Mail delivery <{}>", notification.from));
    field(out, "To", &format!("<{}>", notification.to));
    field(out, "Subject", "Your message could not be delivered");
    field(out, "Date", &notification.date.to_rfc5322());
    field(out, "Message-ID", &format!("<{}>", encode::printable(notification.message_id, REPLY_MAX)));
    // RFC 3834 §5: nobody is to answer this by a machine.
    field(out, "Auto-Submitted", "auto-replied");
    field(out, "MIME-Version", "1.0");
    let boundary = safe_token(notification.boundary);
    field(out, "Content-Type", &format!("multipart/report; report-type=delivery-status;\r\n boundary=\"{boundary}\""));
    out.push_str("\r\n");
}

/// RFC 3464 §2: a group for the message, then one for each recipient, parted by empty lines.
fn delivery_status(notification: &Notification<'_>) -> String {
    let mut out = String::from("\r\n");
    field(&mut out, "Reporting-MTA", &format!("dns; {}", encode::printable(notification.reporting_mta, REPLY_MAX)));
    field(&mut out, "X-Posthouse-Queue-ID", &encode::printable(notification.original_id, REPLY_MAX));
    field(&mut out, "Arrival-Date", &notification.arrival.to_rfc5322());
    for failure in notification.failures.iter().take(RECIPIENTS_MAX) {
        out.push_str("\r\n");
        recipient_status(&mut out, failure);
    }
    out
}

fn recipient_status(out: &mut String, failure: &Failure<'_>) {
    let refusal = failure.refusal;
    if let Some(original) = failure.original {
        field(out, "Original-Recipient", &format!("rfc822; {original}"));
    }
    field(out, "Final-Recipient", &format!("rfc822; {}", failure.recipient));
    field(out, "Action", "failed");
    field(out, "Status", &status(failure));
    if let Some(host) = host_name(refusal) {
        field(out, "Remote-MTA", &format!("dns; {host}"));
    }
    // RFC 3464 §2.3.6: the diagnostic is the remote server's. What we found ourselves has a type of its own.
    let kind = if refusal.from_peer { "smtp" } else { "x-posthouse" };
    let text = encode::printable(&refusal.reply.to_string(), REPLY_MAX);
    out.push_str(&encode::fold(&format!("Diagnostic-Code: {kind}; {text}")));
}

/// RFC 3464 §2.3.4. The class is 5 for what will not be tried again, also when the last reply was a 4xx.
fn status(failure: &Failure<'_>) -> String {
    if failure.expired {
        // RFC 3463 §3.5: delivery time expired.
        return "5.4.7".into();
    }
    match failure.refusal.reply.enhanced {
        Some(code) if code.class == 5 => code.to_string(),
        Some(code) => format!("5.{}.{}", code.subject, code.detail),
        None if failure.refusal.class == FailureClass::UnknownUser => "5.1.1".into(),
        None => "5.0.0".into(),
    }
}

/// The name in `mx.example.net [192.0.2.1]`.
fn host_name(refusal: &Refusal) -> Option<String> {
    let name = refusal.host.split(' ').next().filter(|name| !name.is_empty())?;
    Some(encode::printable(name, HOST_MAX))
}

/// The header section of the message, at most [`HEADER_MAX`] octets and whole lines.
fn original_header(original: &[u8]) -> &[u8] {
    let start = original.get(..HEADER_MAX).unwrap_or(original);
    let end = Header::parse(start, 0).end;
    let header = start.get(..end).unwrap_or_default();
    let whole_lines = memchr::memrchr(b'\n', header).map_or(0, |newline| newline + 1);
    header.get(..whole_lines).unwrap_or_default()
}

fn original_part(header: &[u8]) -> (&'static str, String) {
    const PLAIN: &str = "text/rfc822-headers; charset=us-ascii";
    // RFC 6532 aside, 8-bit text in a header has no charset. It is kept octet by octet.
    const ENCODED: &str = "text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable";
    match encode::plain_lines(header) {
        Some(lines) => (PLAIN, format!("\r\n{lines}")),
        None => (ENCODED, format!("\r\n{}", encode::quoted_printable(header))),
    }
}

fn field(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(": ");
    out.push_str(value);
    out.push_str("\r\n");
}

/// Characters that a boundary may have without harm (RFC 2046 §5.1.1), at most 70.
fn safe_token(text: &str) -> String {
    text.chars()
        .filter(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '='))
        .take(70)
        .collect()
}

#[cfg(test)]
mod tests;
