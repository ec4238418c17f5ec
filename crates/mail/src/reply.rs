//! Replies (RFC 5321 §4.2) and enhanced status codes (RFC 3463).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Octets of a reply line with its CRLF (RFC 5321 §4.5.3.1.5).
const LINE_MAX: usize = 512;

/// `class.subject.detail` (RFC 3463 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnhancedCode {
    /// 2, 4 or 5.
    pub class: u8,
    /// 0 to 999.
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

impl EnhancedCode {
    /// The code with these numbers.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }
}

/// Why a text is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Not `class.subject.detail`.
    #[error("expected an enhanced status code such as 5.1.1")]
    Enhanced,
}

impl FromStr for EnhancedCode {
    type Err = ReplyError;

    fn from_str(text: &str) -> Result<Self, ReplyError> {
        let number = |part: Option<&str>| {
            part.filter(|part| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|part| part.parse::<u16>().ok())
                .ok_or(ReplyError::Enhanced)
        };
        let mut parts = text.split('.');
        let class = match parts.next() {
            Some("2") => 2,
            Some("4") => 4,
            Some("5") => 5,
            _ => return Err(ReplyError::Enhanced),
        };
        let (subject, detail) = (number(parts.next())?, number(parts.next())?);
        match parts.next() {
            None => Ok(Self { class, subject, detail }),
            Some(_) => Err(ReplyError::Enhanced),
        }
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl Serialize for EnhancedCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EnhancedCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A complete reply: ours to a client, or a server's to us. `Display` joins the lines with a space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// The enhanced status code, when there is one.
    pub enhanced: Option<EnhancedCode>,
    /// The text of each line, without codes. A reply has at least one line, which may be empty.
    pub lines: Vec<String>,
}

impl Reply {
    /// A reply of one line.
    pub fn new(code: u16, enhanced: impl Into<Option<EnhancedCode>>, text: impl Into<String>) -> Self {
        Self { code, enhanced: enhanced.into(), lines: vec![text.into()] }
    }

    /// A reply with an enhanced code given as its three numbers.
    pub fn with(code: u16, (class, subject, detail): (u8, u16, u16), text: impl Into<String>) -> Self {
        Self::new(code, EnhancedCode::new(class, subject, detail), text)
    }

    /// 2xx.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3xx.
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4xx: worth another try.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5xx: not worth another try.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// All lines as one text.
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// Appends the reply as it goes over the wire. The text is made of printable ASCII: whatever else it holds
    /// becomes `?`, so that nothing that came from outside can end the line. Lines are cut at 512 octets.
    pub fn write_wire(&self, out: &mut Vec<u8>) {
        let last = self.lines.len().saturating_sub(1);
        for (index, line) in self.lines.iter().enumerate() {
            let start = out.len();
            out.extend_from_slice(self.code.to_string().as_bytes());
            out.push(if index == last { b' ' } else { b'-' });
            if let Some(enhanced) = self.enhanced {
                out.extend_from_slice(enhanced.to_string().as_bytes());
                out.push(b' ');
            }
            out.extend(line.chars().map(|character| match character {
                ' '..='~' => character as u8,
                _ => b'?',
            }));
            out.truncate(start + LINE_MAX - 2);
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for line in &self.lines {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enhanced_codes() {
        assert_eq!("5.1.1".parse(), Ok(EnhancedCode::new(5, 1, 1)));
        for bad in ["", "5", "5.1", "5.1.1.1", "3.0.0", "5.1.1000", "5.+1.1", "5..1"] {
            assert_eq!(bad.parse::<EnhancedCode>(), Err(ReplyError::Enhanced), "{bad}");
        }
    }

    #[test]
    fn nothing_in_a_text_ends_the_line() {
        let mut wire = Vec::new();
        Reply::with(550, (5, 1, 1), "a\r\n250 b\u{e9}").write_wire(&mut wire);
        assert_eq!(wire, b"550 5.1.1 a??250 b?\r\n");
        let mut wire = Vec::new();
        let long = Reply { code: 214, enhanced: None, lines: vec!["x".into(), "y".repeat(1000)] };
        long.write_wire(&mut wire);
        assert!(wire.starts_with(b"214-x\r\n214 y") && wire.ends_with(b"y\r\n"));
        assert_eq!(wire.len(), 7 + 512);
    }
}
