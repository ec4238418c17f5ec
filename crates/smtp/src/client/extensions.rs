//! What the server offers: its reply to EHLO, read (RFC 5321 §4.1.1.1).

use crate::sasl::Mechanism;

/// The extensions that matter to a sender. Whatever was learnt before STARTTLS is forgotten (RFC 3207 §4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// SIZE (RFC 1870): the most octets of a message. `Some(0)` and a missing number mean that there is no fixed bound.
    pub size: Option<u64>,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// Whether AUTH was offered at all (RFC 4954).
    pub auth: bool,
    /// The mechanisms of AUTH that are known here, in the server's order.
    pub mechanisms: Vec<Mechanism>,
    /// LIMITS RCPTMAX (RFC 9422) or X-RCPTLIMIT: the most recipients of a transaction. The driver keeps to it.
    pub recipients_max: Option<usize>,
    /// LIMITS MAILMAX (RFC 9422): the most transactions of a connection. The session keeps to it.
    pub transactions_max: Option<usize>,
}

impl Extensions {
    /// Reads the lines of a reply to EHLO, without codes. The first line is the greeting. What is unknown or malformed
    /// is passed over, as the RFC asks.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut extensions = Self::default();
        for line in lines.into_iter().skip(1) {
            extensions.learn(line);
        }
        extensions
    }

    fn learn(&mut self, line: &str) {
        let (keyword, rest) = line.split_once([' ', '=']).unwrap_or((line, ""));
        match keyword.to_ascii_uppercase().as_str() {
            "SIZE" => self.size = Some(rest.trim().parse().unwrap_or(0)),
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "CHUNKING" => self.chunking = true,
            "STARTTLS" => self.starttls = true,
            // `AUTH=LOGIN` is how servers said it before RFC 2554.
            "AUTH" => self.learn_mechanisms(rest),
            "LIMITS" => self.learn_limits(rest),
            "X-RCPTLIMIT" => self.recipients_max = self.recipients_max.or(limit(rest.trim())),
            _ => {}
        }
    }

    fn learn_mechanisms(&mut self, names: &str) {
        self.auth = true;
        for mechanism in names.split_ascii_whitespace().filter_map(|name| name.parse().ok()) {
            if !self.mechanisms.contains(&mechanism) {
                self.mechanisms.push(mechanism);
            }
        }
    }

    fn learn_limits(&mut self, limits: &str) {
        for (name, value) in limits.split_ascii_whitespace().filter_map(|limit| limit.split_once('=')) {
            match name.to_ascii_uppercase().as_str() {
                "RCPTMAX" => self.recipients_max = limit(value),
                "MAILMAX" => self.transactions_max = limit(value),
                _ => {}
            }
        }
    }
}

/// RFC 9422 §4: one to six digits, not zero.
fn limit(value: &str) -> Option<usize> {
    value.parse().ok().filter(|number| (1..1_000_000).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_to_ehlo() {
        let read = Extensions::parse([
            "mx.example.net SIZE 5",
            "size 1000",
            "PIPELINING",
            "8bitmime",
            "CHUNKING",
            "STARTTLS",
            "AUTH=LOGIN",
            "AUTH LOGIN PLAIN X-NEW SCRAM-SHA-256",
            "LIMITS MAILMAX=20 RCPTMAX=100 RCPTDOMAINMAX=1",
            "X-RCPTLIMIT 50",
            "NONSENSE",
            "",
        ]);
        let expect = Extensions {
            size: Some(1000),
            pipelining: true,
            eight_bit_mime: true,
            chunking: true,
            starttls: true,
            auth: true,
            mechanisms: vec![Mechanism::Login, Mechanism::Plain, Mechanism::ScramSha256],
            recipients_max: Some(100),
            transactions_max: Some(20),
        };
        assert_eq!(read, expect);
    }

    #[test]
    fn what_is_malformed_is_passed_over() {
        let read = |line| Extensions::parse(["hello", line]);
        assert_eq!(read("SIZE").size, Some(0));
        assert_eq!(read("SIZE 99999999999999999999999").size, Some(0));
        assert_eq!(read("LIMITS RCPTMAX=0 MAILMAX=x").recipients_max, None);
        assert_eq!(read("LIMITS RCPTMAX=99999999").recipients_max, None);
        assert_eq!(read("X-RCPTLIMIT 100").recipients_max, Some(100));
        assert!(read("AUTH").auth && read("AUTH").mechanisms.is_empty());
        assert_eq!(Extensions::parse(["PIPELINING"]), Extensions::default());
    }
}
