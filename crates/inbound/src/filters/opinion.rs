//! What a filter says of a message, or why it says nothing.

use mail::{EnhancedCode, Reply};
use net::{DialError, http::HttpError};
use spool::SpoolError;

use super::changes::Changes;

/// Characters of a filter's text that reach a reply, a header or the log.
pub(crate) const TEXT_MAX: usize = 200;

/// What a filter says of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opinion {
    pub(crate) verdict: Verdict,
    /// What is to change in the header when the message is taken.
    pub(crate) changes: Changes,
    /// Why, for the log and the operator: clean text.
    pub(crate) reason: String,
}

/// What is to become of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    Accept,
    /// It is taken as suspect.
    Quarantine,
    /// It is taken and waits for an operator.
    Hold,
    /// It is not taken: 4xx or 5xx.
    Refuse(Reply),
}

impl Verdict {
    /// Its word in logs and metrics.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Quarantine => "quarantine",
            Self::Hold => "hold",
            Self::Refuse(reply) if reply.is_transient() => "tempfail",
            Self::Refuse(_) => "reject",
        }
    }
}

impl Opinion {
    /// An opinion without changes.
    pub(crate) fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, changes: Changes::default(), reason: reason.into() }
    }
}

/// Why there is no opinion.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The filter is not shown messages of that size.
    #[error("the message has {size} octets, the filter takes {limit}")]
    Larger {
        /// Octets of the message.
        size: u64,
        /// Octets that the filter takes.
        limit: u64,
    },
    /// The filter's own bound is lower than the one we know.
    #[error("the message is larger than the filter takes")]
    LargerThere,
    /// No answer in time.
    #[error("no answer in time")]
    Deadline,
    /// Not reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The exchange broke off.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The conversation broke off.
    #[error("{0}")]
    Broken(String),
    /// The filter says that it failed.
    #[error("it says: {0}")]
    Failed(String),
    /// The answer makes no sense.
    #[error("its answer makes no sense: {0}")]
    Nonsense(String),
    /// Our own draft cannot be read: nobody's fault but ours.
    #[error(transparent)]
    Ours(#[from] SpoolError),
}

/// A filter's text as one line of printable ASCII within [`TEXT_MAX`].
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_ascii_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().map(|character| if character.is_ascii_graphic() { character } else { '?' }));
        if out.len() > TEXT_MAX {
            break;
        }
    }
    out.truncate(TEXT_MAX);
    out
}

/// A reply in a filter's words; ours where it has none.
pub(crate) fn reply(code: u16, enhanced: EnhancedCode, text: Option<&str>) -> Reply {
    const REJECTED: &str = "The message is not taken: its content was rejected";
    const LATER: &str = "The message is not taken now; try again later";
    let ours = if code / 100 == 4 { LATER } else { REJECTED };
    let text = text.map(clean).filter(|text| !text.is_empty());
    Reply::new(code, enhanced, text.unwrap_or_else(|| ours.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_text_is_one_bounded_line() {
        assert_eq!(
            clean("  no\r\n250 ok\tthere \u{202e}é\u{1b}[1m "),
            "no 250 ok there ?? ?[1m".replace("?? ?", "???")
        );
        assert_eq!(clean(&"x".repeat(1000)).len(), TEXT_MAX);
        assert_eq!(clean(&"x ".repeat(1000)).len(), TEXT_MAX);
        assert_eq!(clean("\r\n"), "");
    }

    #[test]
    fn a_reply_always_says_something() {
        let code = EnhancedCode::new(5, 7, 1);
        assert_eq!(reply(550, code, Some("Spam")).to_string(), "550 5.7.1 Spam");
        for nothing in [None, Some(""), Some(" \r\n")] {
            assert!(reply(550, code, nothing).to_string().ends_with("rejected"));
            assert!(reply(451, EnhancedCode::new(4, 7, 1), nothing).to_string().ends_with("later"));
        }
    }
}
