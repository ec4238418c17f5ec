//! Canonicalisation (RFC 6376 §3.4): the forms of header and body that are hashed, so that small changes on the way
//! do no harm.
//!
//! Lines end in CRLF. A CR or LF alone is an octet like any other: the content that we accept has none.

pub(crate) mod body;

/// How much may change on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Canon {
    /// Nothing, but empty lines at the end of the body.
    Simple,
    /// Blanks: their number, folds, and those at the ends of lines; and the case of field names.
    Relaxed,
}

impl Canon {
    /// The word in `c=`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Relaxed => "relaxed",
        }
    }

    /// Reads one word, in any case.
    fn parse(word: &str) -> Option<Self> {
        [Self::Simple, Self::Relaxed].into_iter().find(|canon| word.eq_ignore_ascii_case(canon.as_str()))
    }

    /// Reads the value of `c=`: header, then body; the body is simple when only one is named (RFC 6376 §3.5).
    pub(crate) fn parse_pair(value: &str) -> Option<(Self, Self)> {
        let (header, body) = value.split_once('/').unwrap_or((value, "simple"));
        Some((Self::parse(header)?, Self::parse(body)?))
    }
}

/// Appends one field to what is hashed, without a line end. `field` is the whole of it, `value` what follows its colon.
pub(crate) fn field(canon: Canon, name: &[u8], value: &[u8], field: &[u8], out: &mut Vec<u8>) {
    match canon {
        // RFC 6376 §3.4.1: not changed in any way.
        Canon::Simple => out.extend_from_slice(without_line_end(field)),
        Canon::Relaxed => relaxed_field(name, value, out),
    }
}

/// RFC 6376 §3.4.2: the name in lower case, the value on one line, each run of blanks one blank, none at the ends.
fn relaxed_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend(name.iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let start = out.len();
    let mut blank = false;
    for (at, octet) in value.iter().enumerate() {
        match octet {
            b' ' | b'\t' => blank = true,
            b'\n' => {}
            b'\r' if value.get(at + 1) == Some(&b'\n') => {}
            octet => {
                if blank && out.len() > start {
                    out.push(b' ');
                }
                blank = false;
                out.push(*octet);
            }
        }
    }
}

fn without_line_end(field: &[u8]) -> &[u8] {
    let field = field.strip_suffix(b"\n").unwrap_or(field);
    field.strip_suffix(b"\r").unwrap_or(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let check = |text: &str, simple: &str, relaxed: &str| {
            let (name, value) = text.split_once(':').unwrap();
            for (canon, expect) in [(Canon::Simple, simple), (Canon::Relaxed, relaxed)] {
                let mut out = Vec::new();
                field(canon, name.trim_end().as_bytes(), value.as_bytes(), text.as_bytes(), &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), expect, "{canon:?}");
            }
        };
        // RFC 6376 §3.4.5.
        check("A: X\r\n", "A: X", "a:X");
        check("B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  ", "b:Y Z");
        check("C:\r\n", "C:", "c:");
        check("C: \t\r\n \r\n", "C: \t\r\n ", "c:");
        check("D:x\r y", "D:x\r y", "d:x\r y");
    }

    #[test]
    fn pairs_of_words() {
        assert_eq!(Canon::parse_pair("relaxed/relaxed"), Some((Canon::Relaxed, Canon::Relaxed)));
        assert_eq!(Canon::parse_pair("Relaxed"), Some((Canon::Relaxed, Canon::Simple)));
        assert_eq!(Canon::parse_pair("simple/relaxed"), Some((Canon::Simple, Canon::Relaxed)));
        assert_eq!(Canon::parse_pair("nofws"), None);
        assert_eq!(Canon::parse_pair("simple/simple/simple"), None);
    }
}
