//! What a person sees: lines, tables, times in words, a spinner while it takes long; and what a person types.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use mail::Timestamp;
use rustix::termios;
use zeroize::Zeroizing;

/// Octets of a password.
const PASSWORD_MAX: u64 = 1024;
/// Letters of a text from outside in a table.
const CELL_MAX: usize = 100;

/// Prints to standard output. Nobody reading any more is no error.
pub(crate) fn say(text: &str) {
    let mut out = io::stdout().lock();
    let line_end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    let _gone = out.write_all(text.as_bytes()).and_then(|()| out.write_all(line_end.as_bytes())).is_err();
    let _gone = out.flush().is_err();
}

/// Prints a sentence to standard error.
pub(crate) fn warn(text: &str) {
    let _gone = writeln!(io::stderr().lock(), "{text}").is_err();
}

/// Prints a value as JSON.
pub(crate) fn say_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints rows under headings, columns aligned. Everything is escaped.
pub(crate) fn say_table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) {
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| mail::for_log(cell, CELL_MAX))).collect();
    let mut widths = headings.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = line(headings.iter().copied(), &widths);
    for row in &rows {
        text.push_str(&line(row.iter().map(String::as_str), &widths));
    }
    say(&text);
}

fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

/// `2026-11-24 08:16:09 UTC (3 min ago)`.
pub(crate) fn when(at: Timestamp, now: Timestamp) -> String {
    let text = at.to_rfc3339();
    let seconds = text.split('.').next().unwrap_or(&text).replace('T', " ");
    format!("{seconds} UTC ({})", from_now(at, now))
}

/// `3 min ago`, `in 2 h`, `now`.
pub(crate) fn from_now(at: Timestamp, now: Timestamp) -> String {
    let (ahead, behind) = (at.since(now), now.since(at));
    match (ahead.as_secs(), behind.as_secs()) {
        (0, 0) => "now".to_owned(),
        (0, _) => format!("{} ago", span(behind)),
        _ => format!("in {}", span(ahead)),
    }
}

fn span(length: Duration) -> String {
    let secs = length.as_secs();
    match secs {
        0..120 => format!("{secs} s"),
        120..7_200 => format!("{} min", secs / 60),
        7_200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} days", secs / 86_400),
    }
}

/// `812 B`, `4 KB`, `50 MB`.
pub(crate) fn size(octets: u64) -> String {
    match octets {
        0..10_000 => format!("{octets} B"),
        10_000..10_000_000 => format!("{} KB", octets / 1000),
        _ => format!("{} MB", octets / 1_000_000),
    }
}

/// A sign of life on a terminal while something takes long; nothing elsewhere.
pub(crate) fn spinner(what: &'static str) -> ProgressBar {
    const TICK: Duration = Duration::from_millis(120);
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("a valid template");
    // indicatif draws on standard error, and only when it is a terminal.
    let bar = ProgressBar::new_spinner().with_style(style).with_message(what);
    bar.enable_steady_tick(TICK);
    bar
}

/// A password: the first line of standard input, or typed twice unseen at a terminal.
pub(crate) fn password(from_stdin: bool) -> anyhow::Result<Zeroizing<String>> {
    let password = if from_stdin {
        first_line_of_stdin()?
    } else {
        anyhow::ensure!(
            io::stdin().is_terminal(),
            "there is no terminal to ask for the password at; use --password-stdin and give it as the first line of standard \
             input"
        );
        let first = ask_unseen("Password: ")?;
        let second = ask_unseen("Once more: ")?;
        anyhow::ensure!(*first == *second, "the two passwords are not the same");
        first
    };
    anyhow::ensure!(!password.is_empty(), "the password is empty");
    anyhow::ensure!(!password.contains(char::is_control), "the password has control characters");
    Ok(password)
}

pub(crate) fn first_line_of_stdin() -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    io::Read::take(io::stdin().lock(), PASSWORD_MAX)
        .read_line(&mut line)
        .context("reading the password from standard input")?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}

fn ask_unseen(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let stdin = io::stdin();
    let before = termios::tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(termios::LocalModes::ECHO);
    let mut err = io::stderr().lock();
    write!(err, "{prompt}").and_then(|()| err.flush())?;
    termios::tcsetattr(&stdin, termios::OptionalActions::Flush, &silent)?;
    let line = first_line_of_stdin();
    termios::tcsetattr(&stdin, termios::OptionalActions::Flush, &before)?;
    writeln!(err)?;
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        let now = Timestamp::from_secs(1_795_508_169);
        let at = |secs: i64| Timestamp::from_secs(1_795_508_169 + secs);
        assert_eq!(when(at(-180), now), "2026-11-24 08:13:09 UTC (3 min ago)");
        assert_eq!(from_now(at(0), now), "now");
        assert_eq!(from_now(at(60), now), "in 60 s");
        assert_eq!(from_now(at(7200), now), "in 2 h");
        assert_eq!(from_now(at(-200_000), now), "2 days ago");
    }
}
