//! What EHLO offers: the keywords and their parameters (RFC 5321 §4.1.1.1). Which of them hold now is the
//! [`crate::server`]'s to say; what they mean to a client is [`crate::client`]'s.

use std::fmt;

use crate::sasl::Mechanism;

/// One line of the reply to EHLO. `Display` is what stands behind the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension<'a> {
    /// Commands may be sent without waiting (RFC 2920).
    Pipelining,
    /// Octets that a message may have (RFC 1870).
    Size(u64),
    /// 8-bit content (RFC 6152).
    EightBitMime,
    /// BDAT (RFC 3030).
    Chunking,
    /// Replies carry codes of RFC 3463 (RFC 2034).
    EnhancedStatusCodes,
    /// Recipients of a transaction (RFC 9422).
    Limits {
        /// RCPTMAX.
        recipients: usize,
    },
    /// The same in the words of a large provider, whose clients look for it.
    RecipientLimit(usize),
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH and its mechanisms (RFC 4954 §3).
    Auth(&'a [Mechanism]),
    /// The same as some clients of the nineties expect it: with `=`, and without the mechanisms they never heard of.
    AuthOld(&'a [Mechanism]),
    /// A line of its own words: an extension that no RFC has.
    Other(&'a str),
    /// HELP (RFC 5321 §4.1.1.8).
    Help,
}

impl fmt::Display for Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipelining => f.write_str("PIPELINING"),
            Self::Size(octets) => write!(f, "SIZE {octets}"),
            Self::EightBitMime => f.write_str("8BITMIME"),
            Self::Chunking => f.write_str("CHUNKING"),
            Self::EnhancedStatusCodes => f.write_str("ENHANCEDSTATUSCODES"),
            Self::Limits { recipients } => write!(f, "LIMITS RCPTMAX={recipients}"),
            Self::RecipientLimit(recipients) => write!(f, "X-RCPTLIMIT {recipients}"),
            Self::StartTls => f.write_str("STARTTLS"),
            Self::Auth(mechanisms) => {
                f.write_str("AUTH")?;
                mechanisms.iter().try_for_each(|mechanism| write!(f, " {mechanism}"))
            }
            Self::AuthOld(mechanisms) => {
                f.write_str("AUTH")?;
                let old = mechanisms.iter().filter(|mechanism| is_old(**mechanism));
                old.zip(["="].into_iter().chain(std::iter::repeat(" ")))
                    .try_for_each(|(mechanism, before)| write!(f, "{before}{mechanism}"))
            }
            Self::Other(words) => f.write_str(words),
            Self::Help => f.write_str("HELP"),
        }
    }
}

/// Whether a client that wants `AUTH=` can know the mechanism.
pub(crate) fn is_old(mechanism: Mechanism) -> bool {
    matches!(mechanism, Mechanism::Login | Mechanism::Plain)
}

/// Appends the reply to EHLO: a line that names us and a line for each extension.
pub fn write_ehlo<'a>(
    hello: fmt::Arguments<'_>,
    extensions: impl IntoIterator<Item = Extension<'a>>,
    out: &mut Vec<u8>,
) {
    use std::io::Write as _;

    const PROOF: &str = "writing to a Vec does not fail";
    let mut start = out.len();
    write!(out, "250-{hello}\r\n").expect(PROOF);
    for extension in extensions {
        start = out.len();
        write!(out, "250-{extension}\r\n").expect(PROOF);
    }
    // The last line has a space behind its code (RFC 5321 §4.2.1).
    if let Some(mark) = out.get_mut(start + 3) {
        *mark = b' ';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_reply() {
        let mut out = Vec::new();
        let all = Mechanism::ALL;
        let offered =
            [Extension::Size(10), Extension::Limits { recipients: 5 }, Extension::Auth(&all), Extension::AuthOld(&all)];
        write_ehlo(format_args!("mx.example greets you"), offered, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "250-mx.example greets you\r\n250-SIZE 10\r\n250-LIMITS RCPTMAX=5\r\n\
             250-AUTH PLAIN LOGIN SCRAM-SHA-256\r\n250 AUTH=PLAIN LOGIN\r\n"
        );
    }

    #[test]
    fn without_extensions_the_first_line_is_the_last() {
        let mut out = Vec::new();
        write_ehlo(format_args!("mx.example"), [], &mut out);
        assert_eq!(out, b"250 mx.example\r\n");
    }
}
