//! A message made readable: fields, text, HTML, names of attachments. Bounded in size and parts.

use mail_parser::{MessageParser, MimeHeaders, PartType};

/// Octets of a message that are read for showing it.
pub(crate) const READ_MAX: usize = 2 * 1024 * 1024;
/// Characters of text that a page shows.
const TEXT_MAX: usize = 256 * 1024;
/// Fields that a page shows.
const FIELDS_MAX: usize = 200;
/// Attachments that a page names.
const ATTACHMENTS_MAX: usize = 100;

/// What a page shows of a message. All of it is text from outside.
#[derive(Debug, Default)]
pub(crate) struct Letter {
    /// The subject, decoded; nothing when there is none or an empty one.
    pub(crate) subject: Option<String>,
    /// Names and values of the header as received, unfolded.
    pub(crate) fields: Vec<(String, String)>,
    /// The first text part, decoded.
    pub(crate) text: Option<String>,
    /// The first HTML part, decoded.
    pub(crate) html: Option<String>,
    /// Name and size of what else is in it.
    pub(crate) attachments: Vec<(String, usize)>,
}

impl Letter {
    /// Reads a message, or the beginning of one.
    pub(crate) fn read(message: &[u8]) -> Self {
        let header = mail::header::Header::parse(message, FIELDS_MAX);
        let fields = header
            .fields
            .iter()
            .map(|field| (String::from_utf8_lossy(field.name).into_owned(), field.unfolded()))
            .collect();
        let Some(parsed) = MessageParser::default().parse(message) else {
            return Self { fields, ..Self::default() };
        };
        let attachments = parsed
            .attachments()
            .take(ATTACHMENTS_MAX)
            .map(|part| (part.attachment_name().unwrap_or("?").to_owned(), part.len()))
            .collect();
        Self {
            subject: parsed.subject().map(str::trim).filter(|subject| !subject.is_empty()).map(str::to_owned),
            fields,
            text: text_of(&parsed),
            html: html_of(&parsed),
            attachments,
        }
    }
}

/// The first part that is text. mail-parser would make text of HTML where there is none; that is shown as HTML here.
fn text_of(parsed: &mail_parser::Message<'_>) -> Option<String> {
    parsed.text_bodies().find_map(|part| match &part.body {
        PartType::Text(text) => Some(cut(text)),
        _ => None,
    })
}

fn html_of(parsed: &mail_parser::Message<'_>) -> Option<String> {
    parsed.html_bodies().find_map(|part| match &part.body {
        PartType::Html(html) => Some(html.clone().into_owned()),
        _ => None,
    })
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_undone() {
        let letter = Letter::read(
            b"Subject: =?utf-8?B?0J/RgNC40LLQtdGC?=\r\nX-Long: a\r\n b\r\nContent-Type: text/plain; charset=koi8-r\r\n\
              Content-Transfer-Encoding: quoted-printable\r\n\r\n=F0=D2=C9=D7=C5=D4\r\n",
        );
        assert_eq!(letter.subject.as_deref(), Some("Привет"));
        assert_eq!(letter.text.as_deref(), Some("Привет\r\n"));
        assert_eq!(letter.html, None);
        assert!(letter.fields.contains(&("X-Long".into(), "a b".into())));
    }

    #[test]
    fn parts_are_told_apart() {
        let letter = Letter::read(
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n--b\r\n\
              Content-Type: application/pdf; name=\"a.pdf\"\r\nContent-Disposition: attachment\r\n\r\nPDF\r\n--b--\r\n",
        );
        assert_eq!(letter.html.as_deref(), Some("<b>x</b>"));
        assert_eq!(letter.attachments, [("a.pdf".to_owned(), 3)]);
    }

    #[test]
    fn nonsense_is_shown_as_it_can_be() {
        for message in [&b""[..], b"\xff\xfe\x00", b"no header at all", &[b'('; 100_000]] {
            let _shown = Letter::read(message);
        }
        let nested = format!("{}x", "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n".repeat(20_000));
        let _shown = Letter::read(nested.as_bytes());
    }
}
