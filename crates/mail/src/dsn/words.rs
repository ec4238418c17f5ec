//! The part for people: what happened, who said so, what to do.

use super::{Failure, Notification, RECIPIENTS_MAX, REPLY_MAX, encode};
use crate::{FailureClass, Stage};

/// The text part.
pub(super) fn explain(notification: &Notification<'_>) -> String {
    let host = encode::printable(notification.reporting_mta, REPLY_MAX);
    let mut out = String::from("\r\n");
    paragraph(&mut out, &format!("This is the mail server {host}."));
    let whom = if notification.failures.len() == 1 { "this recipient" } else { "these recipients" };
    paragraph(
        &mut out,
        &format!(
            "Your message of {} could not be delivered to {whom}. It will not be tried again.",
            notification.arrival.to_rfc5322()
        ),
    );
    for failure in notification.failures.iter().take(RECIPIENTS_MAX) {
        explain_one(&mut out, failure);
    }
    let id = encode::printable(notification.original_id, REPLY_MAX);
    paragraph(&mut out, &format!("When you ask for help, name this message as {id}."));
    out
}

fn explain_one(out: &mut String, failure: &Failure<'_>) {
    out.push_str(&format!("  <{}>\r\n", failure.recipient));
    if let Some(original) = failure.original {
        out.push_str(&encode::wrap(&format!("(your message went to {original}, which leads there)"), "    ", "    "));
    }
    out.push_str(&encode::wrap(&what_happened(failure), "    ", "    "));
    let reply = encode::printable(&failure.refusal.reply.to_string(), REPLY_MAX);
    out.push_str(&encode::wrap(&reply, "      ", "      "));
    out.push_str(&encode::wrap(&format!("What to do: {}", what_to_do(failure)), "    ", "    "));
    out.push_str("\r\n");
}

fn what_happened(failure: &Failure<'_>) -> String {
    let refusal = failure.refusal;
    let host = encode::printable(&refusal.host, REPLY_MAX);
    let who = if host.is_empty() { "this server".to_owned() } else { host };
    let last = if failure.expired {
        let attempts = match failure.attempts {
            1 => "one attempt".to_owned(),
            attempts => format!("{attempts} attempts"),
        };
        format!("It was given up after {attempts}, because its time was over. The last time, ")
    } else {
        String::new()
    };
    let event = if refusal.from_peer {
        format!("the server {who} refused it {}, with these words:", when(refusal.stage))
    } else {
        format!("{} failed:", step(refusal.stage, &who))
    };
    if last.is_empty() { capitalised(&event) } else { last + &event }
}

/// When in the conversation a server refused.
fn when(stage: Stage) -> &'static str {
    match stage {
        Stage::Mail => "when it heard your address",
        Stage::Rcpt => "when it heard the recipient's address",
        Stage::Data | Stage::Content => "after it got the message",
        Stage::Auth => "when this server logged in",
        _ => "before it heard of your message",
    }
}

/// What this server was doing, with whom.
fn step(stage: Stage, who: &str) -> String {
    match stage {
        Stage::Route => "choosing where to send it".into(),
        Stage::Dns => "looking up where to send it".into(),
        Stage::Connect => format!("the connection to {who}"),
        Stage::Tls | Stage::StartTls => format!("protecting the connection to {who} by TLS"),
        Stage::Local => "writing it to the mailbox".into(),
        _ => format!("the conversation with {who}"),
    }
}

fn what_to_do(failure: &Failure<'_>) -> &'static str {
    match failure.refusal.class {
        FailureClass::UnknownUser => "check the address for typing errors, and ask the recipient for the right one.",
        FailureClass::InactiveMailbox => "the mailbox is not in use any more; reach the recipient by another way.",
        FailureClass::BadDomain => "check the part after the @ for typing errors: it takes no mail as it is.",
        FailureClass::MailboxFull => {
            "the recipient's mailbox is full; tell them by another way, or send it again later."
        }
        FailureClass::TooLarge => "send a smaller message, or put what is large where the recipient can fetch it.",
        FailureClass::ContentSpam | FailureClass::Virus => {
            "the other side takes the message for spam or harmful; change it, or ask its postmaster."
        }
        FailureClass::Loop => "forwardings of the recipient lead in a circle; tell the recipient or the postmaster.",
        FailureClass::SenderRejected => "check that your own address is spelled right and allowed to send.",
        FailureClass::IpBlocked
        | FailureClass::DomainBlocked
        | FailureClass::PolicyAuth
        | FailureClass::TlsRequired
        | FailureClass::Account
        | FailureClass::RateLimited => {
            "the other side does not take mail from this server; forward this notification to your postmaster."
        }
        FailureClass::Network | FailureClass::Greylisted | FailureClass::Expired => {
            "the other side could not be reached or was not ready; send it again later, or reach the recipient by another way."
        }
        FailureClass::Protocol | FailureClass::Suppressed | FailureClass::Smtputf8 | FailureClass::Unknown => {
            "read the words above; if they do not help, forward this notification to your postmaster."
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_ascii_uppercase().to_string() + characters.as_str()).unwrap_or_default()
}

fn paragraph(out: &mut String, text: &str) {
    out.push_str(&encode::wrap(text, "", ""));
    out.push_str("\r\n");
}
