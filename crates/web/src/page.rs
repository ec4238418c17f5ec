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
    /// Text from anywhere: what could be markup, end an attribute or turn the reading direction is escaped.
    fn write(&self, page: &mut Html) {
        for character in self.chars() {
            match character {
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

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #ddd;vertical-align:top;\
overflow-wrap:anywhere}pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f5f5f5;padding:1rem}iframe{width:100%;height:30rem;\
border:1px solid #ccc}code{background:#f5f5f5;padding:0 .2rem}a{color:#0b57d0}";

/// A whole page.
pub(crate) struct Page {
    pub(crate) title: &'static str,
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
            title,
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
        let inner = html!("<i>", "x".to_owned(), "</i>");
        assert_eq!(html!(inner, "!").into_string(), "<i>x</i>!");
    }
}
