//! HELP (RFC 5321 §4.1.1.8): the list of commands, or one of them with an example.

use mail::Reply;

use super::settings::Settings;
use crate::command::Verb;

/// Verbs on a line of the list.
const PER_LINE: usize = 7;

/// The reply to HELP, or to HELP with a topic.
pub(super) fn help(topic: Option<&str>, settings: &Settings) -> Reply {
    // HELP MAIL FROM asks about MAIL.
    match topic.and_then(|topic| topic.split_ascii_whitespace().next()).map(Verb::of) {
        None => overview(settings),
        Some(Some(verb)) => explain(verb),
        // RFC 5321 §4.2.2: 504, the parameter is not implemented.
        Some(None) => Reply::with(504, (5, 5, 4), "There is no help on that: type HELP for the list"),
    }
}

fn overview(settings: &Settings) -> Reply {
    let mut lines = vec![format!("This is {} at {}. It understands:", settings.banner, settings.hostname)];
    for verbs in Verb::ALL.chunks(PER_LINE) {
        lines.push(format!("  {}", verbs.iter().map(|verb| verb.name()).collect::<Vec<_>>().join(" ")));
    }
    lines.extend(
        [
            "A message is sent like this, each line answered before the next:",
            "  EHLO laptop.example.com",
            "  MAIL FROM:<anna@example.com>",
            "  RCPT TO:<boris@example.net>",
            "  DATA",
            "  the letter, then a line with a single dot",
            "  QUIT",
            "HELP and a command explains it: HELP MAIL",
        ]
        .map(str::to_owned),
    );
    help_reply(lines)
}

fn explain(verb: Verb) -> Reply {
    let mut lines = vec![format!("Type: {}", verb.usage())];
    lines.extend(verb.purpose().iter().map(|&line| line.to_owned()));
    lines.push(format!("Example: {}", verb.example()));
    help_reply(lines)
}

fn help_reply(lines: Vec<String>) -> Reply {
    Reply { lines, ..Reply::with(214, (2, 0, 0), "") }
}
