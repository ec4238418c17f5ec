//! The list of captured messages, one message, and its parts.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use mail::MessageId;
use serde::Deserialize;
use spool::{CaptureView, SpoolError};

use crate::{
    face::Face,
    letter::{Letter, READ_MAX},
    page::{Html, Page, html},
    words::Words,
};

/// Messages on one page of the list.
const PAGE_ROWS: usize = 50;
/// Octets read of each message for its subject in the list.
const SUBJECT_READ_MAX: usize = 64 * 1024;
/// Rows read at once to find one message.
const FIND_ROWS: usize = 1000;
/// Such pages: more rows than the spool keeps.
const FIND_PAGES_MAX: usize = 20;
/// Recipients named in the list.
const RECIPIENTS_SHOWN: usize = 3;
/// Characters of a subject that the list and a heading show.
const SUBJECT_SHOWN: usize = 120;

/// Where in the list.
#[derive(Deserialize)]
pub(crate) struct Before {
    before: Option<String>,
}

/// `GET /`: the newest captured messages, or those before one.
pub(crate) async fn list(State(face): State<Face>, Query(place): Query<Before>, headers: HeaderMap) -> Response {
    let words = Words::of(&headers);
    let before = match place.before.map(|text| text.parse::<MessageId>()).transpose() {
        Ok(before) => before,
        Err(_) => return missing(words),
    };
    let rows = match face.spool.captured(before, PAGE_ROWS).await {
        Ok(rows) => rows,
        Err(error) => return unavailable(words, &error),
    };
    let mut body = html!("<p>", words.captured_about, "</p>");
    if rows.is_empty() {
        body = html!(
            body,
            "<p>",
            words.nothing_captured,
            " ",
            words.how_to_send,
            "</p><pre>swaks --server 127.0.0.1:2525 --from me@example.net --to you@example.org</pre>"
        );
    } else {
        body = html!(body, table(&face, &rows, words).await);
    }
    if let Some(last) = rows.last().filter(|_| rows.len() == PAGE_ROWS) {
        body = html!(body, "<p><a href=\"/?before=", last.id.to_string(), "\">", words.older, "</a></p>");
    }
    Page { title: words.captured_mail.to_owned(), words, body }.respond(StatusCode::OK)
}

async fn table(face: &Face, rows: &[CaptureView], words: &'static Words) -> Html {
    let mut lines = Html::default();
    for row in rows {
        let subject = subject(face, row.id, words).await;
        lines = html!(
            lines,
            "<tr><td class=\"short\">",
            shown_time(row),
            "</td><td>",
            row.reverse_path.to_string(),
            "</td><td>",
            recipients(row),
            "</td><td class=\"first\"><a href=\"/captured/",
            row.id.to_string(),
            "\">",
            subject,
            "</a></td><td class=\"short number\">",
            words.size_of(row.size),
            "</td></tr>"
        );
    }
    html!(
        "<table class=\"list\"><thead><tr><th>",
        words.when,
        "</th><th>",
        words.from,
        "</th><th>",
        words.to,
        "</th><th>",
        words.subject,
        "</th><th class=\"number\">",
        words.size,
        "</th></tr></thead><tbody>",
        lines,
        "</tbody></table>"
    )
}

fn shown_time(row: &CaptureView) -> String {
    let seconds: String = row.at.to_rfc3339().chars().take("2026-11-24T08:16:09".len()).collect();
    format!("{} UTC", seconds.replace('T', " "))
}

fn recipients(row: &CaptureView) -> String {
    let mut text = row.recipients.iter().take(RECIPIENTS_SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if let more @ 1.. = row.recipients.len().saturating_sub(RECIPIENTS_SHOWN) {
        text.push_str(&format!(" + {more}"));
    }
    text
}

async fn subject(face: &Face, id: MessageId, words: &'static Words) -> String {
    match read(face, id, SUBJECT_READ_MAX).await {
        Ok((beginning, _)) => title(&Letter::read(&beginning), words),
        Err(error) => {
            tracing::warn!(%id, %error, "a captured message cannot be read");
            words.unreadable.to_owned()
        }
    }
}

/// What a message is called on the pages.
fn title(letter: &Letter, words: &'static Words) -> String {
    let Some(subject) = &letter.subject else {
        return words.no_subject.to_owned();
    };
    match subject.char_indices().nth(SUBJECT_SHOWN) {
        Some((end, _)) => format!("{}…", subject.get(..end).unwrap_or(subject)),
        None => subject.clone(),
    }
}

/// The content's first `max` octets, and whether there are more.
async fn read(face: &Face, id: MessageId, max: usize) -> Result<(Vec<u8>, bool), SpoolError> {
    let mut content = face.spool.content(id).await?;
    let mut beginning = Vec::new();
    while let Some(chunk) = content.read().await? {
        let room = max - beginning.len();
        beginning.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            return Ok((beginning, true));
        }
    }
    Ok((beginning, false))
}

/// The captured message of that id. What still waits in the queue is not shown here: it is not captured.
async fn find(face: &Face, id: &str) -> Result<Option<CaptureView>, SpoolError> {
    let Ok(id) = id.parse::<MessageId>() else {
        return Ok(None);
    };
    // The spool lists captures in order of their capture, by pages; nothing is said about single ones.
    let mut before = None;
    for _ in 0..FIND_PAGES_MAX {
        let rows = face.spool.captured(before, FIND_ROWS).await?;
        before = rows.last().map(|row| row.id);
        if let Some(row) = rows.into_iter().find(|row| row.id == id) {
            return Ok(Some(row));
        }
        if before.is_none() {
            break;
        }
    }
    Ok(None)
}

/// `GET /captured/ID`.
pub(crate) async fn view(State(face): State<Face>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let words = Words::of(&headers);
    let row = match find(&face, &id).await {
        Ok(Some(row)) => row,
        Ok(None) => return missing(words),
        Err(error) => return unavailable(words, &error),
    };
    let (message, cut) = match read(&face, row.id, READ_MAX).await {
        Ok(read) => read,
        Err(error) => return unreadable(words, row.id, &error),
    };
    let letter = Letter::read(&message);
    let body = describe(&row, &letter, cut, words);
    Page { title: title(&letter, words), words, body }.respond(StatusCode::OK)
}

fn describe(row: &CaptureView, letter: &Letter, cut: bool, words: &'static Words) -> Html {
    let id = row.id.to_string();
    let mut body = html!(
        "<p><a href=\"/\">",
        words.captured_mail,
        "</a> · <code>",
        &id,
        "</code> · ",
        words.size_of(row.size),
        " · <a href=\"/captured/",
        &id,
        "/raw\">",
        words.download,
        "</a></p>"
    );
    if cut {
        body = html!(body, "<p><strong>", words.cut, "</strong></p>");
    }
    html!(body, envelope(row, words), header(letter, words), parts(&id, letter, words), attachments(letter, words))
}

fn envelope(row: &CaptureView, words: &'static Words) -> Html {
    let mut to = Html::default();
    for recipient in &row.recipients {
        to = html!(to, recipient.to_string(), "<br>");
    }
    html!(
        "<h2>",
        words.envelope,
        "</h2><table class=\"fields\"><tr><th>",
        words.when,
        "</th><td>",
        shown_time(row),
        "</td></tr><tr><th>",
        words.from,
        "</th><td>",
        row.reverse_path.to_string(),
        "</td></tr><tr><th>",
        words.to,
        "</th><td>",
        to,
        "</td></tr></table>"
    )
}

fn header(letter: &Letter, words: &'static Words) -> Html {
    let mut rows = Html::default();
    for (name, value) in &letter.fields {
        rows = html!(rows, "<tr><th>", name, "</th><td>", value, "</td></tr>");
    }
    html!("<h2>", words.header, "</h2><table class=\"fields\">", rows, "</table>")
}

/// The text, and the HTML in a frame of its own.
fn parts(id: &str, letter: &Letter, words: &'static Words) -> Html {
    let mut body = Html::default();
    if let Some(text) = &letter.text {
        body = html!(body, "<h2>", words.text, "</h2><pre>", text, "</pre>");
    }
    if letter.html.is_some() {
        body = html!(
            body,
            "<h2>",
            words.html,
            "</h2><p>",
            words.html_about,
            "</p><iframe sandbox title=\"",
            words.html,
            "\" src=\"/captured/",
            id,
            "/html\"></iframe>"
        );
    }
    if letter.text.is_none() && letter.html.is_none() {
        body = html!(body, "<p>", words.no_text, "</p>");
    }
    body
}

fn attachments(letter: &Letter, words: &'static Words) -> Html {
    if letter.attachments.is_empty() {
        return Html::default();
    }
    let mut items = Html::default();
    for (name, size) in &letter.attachments {
        items = html!(items, "<li>", name, " <span class=\"soft\">", words.size_of(*size as u64), "</span></li>");
    }
    html!("<h2>", words.attachments, "</h2><ul>", items, "</ul>")
}

/// `GET /captured/ID/html`: the HTML part as it came, in a sandbox that runs and fetches nothing.
pub(crate) async fn html_part(State(face): State<Face>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let words = Words::of(&headers);
    let row = match find(&face, &id).await {
        Ok(Some(row)) => row,
        Ok(None) => return missing(words),
        Err(error) => return unavailable(words, &error),
    };
    let html = match read(&face, row.id, READ_MAX).await {
        Ok((message, _)) => Letter::read(&message).html,
        Err(error) => return unreadable(words, row.id, &error),
    };
    let policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'";
    let kind = "text/html; charset=utf-8";
    ([(header::CONTENT_SECURITY_POLICY, policy), (header::CONTENT_TYPE, kind)], html.unwrap_or_default())
        .into_response()
}

/// `GET /captured/ID/raw`: the message as received, as a file.
pub(crate) async fn raw(State(face): State<Face>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let words = Words::of(&headers);
    let row = match find(&face, &id).await {
        Ok(Some(row)) => row,
        Ok(None) => return missing(words),
        Err(error) => return unavailable(words, &error),
    };
    let content = match face.spool.content(row.id).await {
        Ok(content) => content,
        Err(error) => return unreadable(words, row.id, &error),
    };
    let name = format!("attachment; filename=\"{}.eml\"", row.id);
    let stream = Chunks(content).into_body();
    ([(header::CONTENT_TYPE, "message/rfc822".to_owned()), (header::CONTENT_DISPOSITION, name)], stream).into_response()
}

/// A content as the body of an answer, read as the client takes it.
struct Chunks(spool::Content);

impl Chunks {
    fn into_body(self) -> axum::body::Body {
        axum::body::Body::from_stream(futures_util::stream::unfold(Some(self.0), |content| async {
            let mut content = content?;
            match content.read().await {
                Ok(Some(chunk)) => Some((Ok::<Bytes, SpoolError>(chunk), Some(content))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

fn missing(words: &'static Words) -> Response {
    let body = html!("<p>", words.no_such_message, " <a href=\"/\">", words.captured_mail, "</a></p>");
    Page { title: words.not_found.to_owned(), words, body }.respond(StatusCode::NOT_FOUND)
}

/// The spool as a whole does not answer.
fn unavailable(words: &'static Words, error: &SpoolError) -> Response {
    tracing::error!(%error, "a page could not be made");
    excuse(words, words.unavailable, words.unavailable_about)
}

/// One content cannot be read, or the spool as a whole.
fn unreadable(words: &'static Words, id: MessageId, error: &SpoolError) -> Response {
    if matches!(error, SpoolError::Poisoned(_) | SpoolError::Closed) {
        return unavailable(words, error);
    }
    tracing::error!(%id, %error, "a captured message cannot be read");
    excuse(words, words.unreadable, words.unreadable_about)
}

fn excuse(words: &'static Words, title: &str, about: &'static str) -> Response {
    let body = html!("<p>", about, " <a href=\"/\">", words.captured_mail, "</a></p>");
    Page { title: title.to_owned(), words, body }.respond(StatusCode::SERVICE_UNAVAILABLE)
}
