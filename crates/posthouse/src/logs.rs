//! The log: one event, one line on standard error, for people or as JSON.
//!
//! Whoever logs a text from outside escapes it (`mail::for_log`). This module is the second fence: whatever a field
//! holds, nothing in it ends the line, moves a cursor or turns the reading direction.

use std::{
    fmt::{self, Write as _},
    io::Write as _,
};

use net::Clock;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::LevelFilter,
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

use crate::config::{Log, LogFormat, LogLevel};

/// Octets of one line; what is longer is cut, with `…`.
const LINE_MAX: usize = 16 * 1024;

/// The name of a field `message` that stands beside the text of the event.
const SECOND_MESSAGE: &str = "message_id";

/// The crates whose events are ours at every level; others speak up from `warn` on, and from `debug` on at `trace`.
const OURS: [&str; 9] = ["posthouse", "web", "inbound", "outbound", "store", "spool", "net", "smtp", "mail"];

/// Starts logging for the rest of the process. A second call changes nothing.
pub(crate) fn start(log: Log, clock: Clock) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let lines = Lines { format: log.format, level, clock };
    let _started_before = tracing_subscriber::registry().with(lines.with_filter(level)).try_init().is_err();
}

/// The layer that prints.
struct Lines {
    format: LogFormat,
    level: LevelFilter,
    clock: Clock,
}

impl Lines {
    fn wants(&self, event: &Event<'_>) -> bool {
        let target = event.metadata().target();
        let owner = target.split("::").next().unwrap_or_default();
        let others = if self.level == LevelFilter::TRACE { Level::DEBUG } else { Level::WARN };
        OURS.contains(&owner) || *event.metadata().level() <= others
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if !self.wants(event) {
            return;
        }
        let time = self.clock.now().to_rfc3339();
        let mut line = match self.format {
            LogFormat::Text => text(&time, event),
            LogFormat::Json => json(&time, event),
        };
        line.push('\n');
        // Nobody can be told that standard error is gone.
        let _gone = std::io::stderr().lock().write_all(line.as_bytes()).is_err();
    }
}

/// `2026-11-24T08:16:09.000000Z info  accepted id=msg_… size=812`.
fn text(time: &str, event: &Event<'_>) -> String {
    const USUAL: usize = 240;
    let mut line = String::with_capacity(USUAL);
    line.push_str(time);
    line.push_str(match *event.metadata().level() {
        Level::ERROR => " error ",
        Level::WARN => " warn  ",
        Level::INFO => " info  ",
        Level::DEBUG => " debug ",
        Level::TRACE => " trace ",
    });
    let mut fields = TextFields { start: line.len(), line };
    event.record(&mut fields);
    fields.line
}

/// One object: `time`, `level`, `target`, `message`, then the fields.
fn json(time: &str, event: &Event<'_>) -> String {
    let mut fields = JsonFields(serde_json::Map::new());
    fields.0.insert("time".into(), time.into());
    fields.0.insert("level".into(), event.metadata().level().as_str().to_ascii_lowercase().into());
    fields.0.insert("target".into(), event.metadata().target().into());
    event.record(&mut fields);
    serde_json::Value::Object(fields.0).to_string()
}

/// Appends what is written to it, with everything escaped that is not plainly readable. A backslash stays as it is: what
/// callers have escaped is not escaped twice. What comes after [`LINE_MAX`] is cut.
struct Safe<'l>(&'l mut String);

impl fmt::Write for Safe<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() <= LINE_MAX && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            self.0.push_str(text);
            return Ok(());
        }
        for character in text.chars() {
            if self.0.len() > LINE_MAX {
                if !self.0.ends_with('…') {
                    self.0.push('…');
                }
                return Ok(());
            }
            match character {
                ' '..='~' => self.0.push(character),
                other => self.0.push_str(&mail::for_log(other.encode_utf8(&mut [0; 4]), 4)),
            }
        }
        Ok(())
    }
}

/// Writes fields as they come: the text of the event first, then `name=value`.
struct TextFields {
    line: String,
    /// Where the text of the event begins.
    start: usize,
}

impl TextFields {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let is_first = self.line.len() == self.start;
        let name = match field.name() {
            "message" if is_first => {
                let _infallible = Safe(&mut self.line).write_fmt(value);
                return;
            }
            "message" => SECOND_MESSAGE,
            name => name,
        };
        if !is_first {
            self.line.push(' ');
        }
        self.line.push_str(name);
        self.line.push('=');
        let before = self.line.len();
        let _infallible = Safe(&mut self.line).write_fmt(value);
        let written = self.line.get(before..).unwrap_or_default();
        if written.is_empty() || (!written.starts_with('"') && written.contains(' ')) {
            self.line.insert(before, '"');
            self.line.push('"');
        }
    }
}

impl Visit for TextFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }
}

struct JsonFields(serde_json::Map<String, serde_json::Value>);

impl JsonFields {
    fn add(&mut self, field: &Field, value: impl Into<serde_json::Value>) {
        let name = match field.name() {
            "message" if self.0.contains_key("message") => SECOND_MESSAGE,
            name => name,
        };
        self.0.insert(name.to_owned(), value.into());
    }

    fn add_text(&mut self, field: &Field, value: &str) {
        // JSON escapes control characters; what it leaves as it is, bidirectional controls for one, is escaped here.
        let mut safe = String::with_capacity(value.len());
        let _infallible = Safe(&mut safe).write_str(value);
        self.add(field, safe);
    }
}

impl Visit for JsonFields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add_text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add_text(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Prints into a list instead of standard error.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            self.0.lock().unwrap().extend([text("T", event), json("T", event)]);
        }
    }

    #[test]
    fn nothing_in_a_field_ends_the_line() {
        let kept = Kept::default();
        let subscriber = tracing_subscriber::registry().with(kept.clone());
        tracing::subscriber::with_default(subscriber, || {
            let hostile = "a\r\nT error forged\x1b[2J\u{202e}b";
            tracing::info!(helo = hostile, display = %hostile, debug = ?hostile, message = "x", size = 7, "said {hostile}");
        });
        let lines = kept.0.lock().unwrap().clone();
        assert_eq!(lines.len(), 2);
        for line in &lines {
            assert!(!line.contains(['\r', '\n', '\x1b', '\u{202e}']), "{line}");
        }
        assert!(lines[0].starts_with("T info  said a\\r\\nT error forged\\u{1b}[2J\\u{202e}b "), "{}", lines[0]);
        let object: serde_json::Value = serde_json::from_str(&lines[1]).expect("one object");
        assert_eq!((&object["size"], &object["level"]), (&7.into(), &"info".into()));
    }

    #[test]
    fn a_line_is_bounded() {
        let mut line = String::new();
        for _ in 0..3 {
            Safe(&mut line).write_str(&"x".repeat(10 * LINE_MAX)).unwrap();
        }
        assert!(line.len() < LINE_MAX + 10);
    }
}
