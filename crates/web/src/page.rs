//! Pages as text, escaped by construction: [`Html`] is made by [`html!`], which escapes every part that is not a
//! literal of ours.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::words::Words;

/// Markup that is safe to send.
#[derive(Clone, Debug, Default)]
pub(crate) struct Html(String);

impl Html {
    /// A literal of ours.
    pub(crate) fn literal(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// Something that can stand in a page.
pub(crate) trait Part {
    fn write(&self, page: &mut Html);
}

impl Part for Html {
    fn write(&self, page: &mut Html) {
        page.0.push_str(&self.0);
    }
}

impl Part for str {
    /// Text from anywhere: what could be markup, end an attribute or turn the reading direction is escaped. The CR of
    /// a CRLF is left out: browsers end lines at the LF.
    fn write(&self, page: &mut Html) {
        let mut characters = self.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\r' if characters.peek() == Some(&'\n') => {}
                '&' => page.0.push_str("&amp;"),
                '<' => page.0.push_str("&lt;"),
                '>' => page.0.push_str("&gt;"),
                '"' => page.0.push_str("&quot;"),
                '\'' => page.0.push_str("&#39;"),
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => page.0.push('\u{fffd}'),
                other if other.is_control() && !matches!(other, '\n' | '\t') => page.0.push('\u{fffd}'),
                other => page.0.push(other),
            }
        }
    }
}

impl Part for String {
    fn write(&self, page: &mut Html) {
        self.as_str().write(page);
    }
}

impl<T: Part + ?Sized> Part for &T {
    fn write(&self, page: &mut Html) {
        (**self).write(page);
    }
}

/// Joins literals (kept as they are) and expressions (escaped, unless they are [`Html`]).
macro_rules! html {
    (@part $page:ident,) => {};
    (@part $page:ident, $literal:literal $(, $($rest:tt)*)?) => {
        $page.literal($literal);
        $crate::page::html!(@part $page, $($($rest)*)?);
    };
    (@part $page:ident, $value:expr $(, $($rest:tt)*)?) => {
        $crate::page::Part::write(&$value, &mut $page);
        $crate::page::html!(@part $page, $($($rest)*)?);
    };
    ($($parts:tt)*) => {{
        let mut page = $crate::page::Html::default();
        $crate::page::html!(@part page, $($parts)*);
        page
    }};
}
pub(crate) use html;

/// The look: a table for wide windows, whose rows become blocks in narrow ones; nothing that a stranger wrote makes the
/// page wider than the window.
const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--soft:#8881}\
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}\
h1,h2{line-height:1.2;overflow-wrap:anywhere}h1{font-size:1.6rem}h2{font-size:1.1rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid var(--line);\
vertical-align:top;overflow-wrap:anywhere}th,.short{white-space:nowrap}.list td{min-width:9rem}.list .short{min-width:0}\
.number{text-align:right}.fields th{width:1%;padding-right:1.5rem}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--soft);padding:1rem;margin:0}\
iframe{width:100%;height:30rem;border:1px solid var(--line);background:#fff;color-scheme:light;resize:vertical}\
code{background:var(--soft);padding:0 .2rem;overflow-wrap:anywhere}.soft{opacity:.7}\
@media(max-width:45rem){thead{display:none}tr,th,td,.list td{display:block;min-width:0;border:0;padding:0;text-align:left}\
.fields th{width:auto}tr{border-bottom:1px solid var(--line);padding:.6rem 0}.list tr{display:flex;flex-direction:column}\
.list .first{order:-1;font-weight:600}.short{white-space:normal}}";

/// A whole page.
pub(crate) struct Page {
    /// The heading: words of ours, or a subject from outside.
    pub(crate) title: String,
    pub(crate) words: &'static Words,
    pub(crate) body: Html,
}

impl Page {
    pub(crate) fn respond(self, status: StatusCode) -> Response {
        let Self { title, words, body } = self;
        let page = html!(
            "<!doctype html><html lang=\"",
            words.language,
            "\"><head><meta charset=\"utf-8\">",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>",
            &title,
            " · Posthouse</title><style>",
            Html(STYLE.to_owned()),
            "</style></head><body><main><h1>",
            title,
            "</h1>",
            body,
            "</main></body></html>\n"
        );
        (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string()).into_response()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_comes_from_outside_is_text() {
        let hostile = "<script>alert('\"&')</script>\u{202e}\u{1b}";
        assert_eq!(
            html!("<b>", hostile, "</b>").into_string(),
            "<b>&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;\u{fffd}\u{fffd}</b>"
        );
        assert_eq!(html!("a\r\nb\rc\r").into_string(), "a\r\nb\rc\r", "a literal is ours");
        assert_eq!(html!("a\r\nb\rc\r".to_owned()).into_string(), "a\nb\u{fffd}c\u{fffd}");
        let inner = html!("<i>", "x".to_owned(), "</i>");
        assert_eq!(html!(inner, "!").into_string(), "<i>x</i>!");
    }
}
