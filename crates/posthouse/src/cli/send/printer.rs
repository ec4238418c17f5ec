//! How the conversation is printed: as people read it, or one JSON object a line. Everything is escaped.

use std::process::ExitCode;

use mail::Side;
use serde_json::json;
use smtp::client::{RecipientResult, Report};

use crate::cli::terminal::say;

/// Octets of a line of the conversation that are shown.
const LINE_MAX: usize = 2000;

/// Prints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    pub(super) json: bool,
}

impl Printer {
    /// One line of the conversation.
    pub(super) fn line(self, side: Side, text: &str) {
        let text = mail::for_log(text, LINE_MAX);
        if self.json {
            return say(&json!({ "side": side, "text": text }).to_string());
        }
        let mark = match side {
            Side::Client => "C:",
            Side::Server => "S:",
            Side::Note => "--",
        };
        say(&format!("{mark} {text}"));
    }

    /// A remark of our own.
    pub(super) fn note(self, text: &str) {
        self.line(Side::Note, text);
    }

    /// What became of each recipient; the code says whether all were accepted.
    pub(super) fn report(self, report: &Report) -> ExitCode {
        let mut code = ExitCode::SUCCESS;
        for (recipient, result) in &report.recipients {
            let (word, text) = match result {
                RecipientResult::Accepted { reply } => ("accepted", reply.to_string()),
                RecipientResult::Refused { stage, reply } => ("refused", format!("at {stage}: {reply}")),
                RecipientResult::Lost { stage, text, .. } => ("unknown", format!("lost at {stage}: {text}")),
            };
            if word != "accepted" {
                code = ExitCode::FAILURE;
            }
            if self.json {
                let text = mail::for_log(&text, LINE_MAX);
                say(&json!({ "recipient": recipient.to_string(), "result": word, "text": text }).to_string());
            } else {
                self.note(&format!("{recipient} {word}: {text}"));
            }
        }
        code
    }
}
