//! What is wrong in a configuration file, said so that nobody has to look anything up: file, line, a caret under the
//! place, and what would be right there.

use std::{fmt, ops::Range, path::PathBuf};

/// Characters of a line that are shown around the caret.
const SHOWN_MAX: usize = 120;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// Where, in bytes of the text; nothing when something is missing as a whole.
    pub(crate) span: Option<Range<usize>>,
    /// What is wrong.
    pub(crate) what: String,
    /// What would be right, or what to do.
    pub(crate) help: Option<String>,
}

impl Complaint {
    /// A complaint about the text in `span`.
    pub(crate) fn at(span: Range<usize>, what: impl Into<String>) -> Self {
        Self { span: Some(span), what: what.into(), help: None }
    }

    /// A complaint about the file as a whole.
    pub(crate) fn whole(what: impl Into<String>) -> Self {
        Self { span: None, what: what.into(), help: None }
    }

    /// The same complaint with a word on what would be right.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All that is wrong with one file. `Display` is what a person reads.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) struct Complaints {
    /// The file's name as it was given.
    pub(crate) file: PathBuf,
    /// The file's text.
    pub(crate) text: String,
    /// The complaints in order of place, at least one.
    pub(crate) list: Vec<Complaint>,
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for complaint in &self.list {
            self.show(complaint, f)?;
        }
        let file = self.file.display();
        match self.list.len() {
            1 => write!(f, "{file}: 1 problem"),
            several => write!(f, "{file}: {several} problems"),
        }
    }
}

impl Complaints {
    /// The complaints for programs: `{line, column, what, help}`.
    pub(crate) fn to_json(&self) -> Vec<serde_json::Value> {
        let place = |complaint: &Complaint| {
            complaint.span.as_ref().map(|span| Place::of(&self.text, span)).map(|place| (place.line, place.column))
        };
        let object = |complaint: &Complaint| {
            let (line, column) = place(complaint).unzip();
            serde_json::json!({ "line": line, "column": column, "what": complaint.what, "help": complaint.help })
        };
        self.list.iter().map(object).collect()
    }

    fn show(&self, complaint: &Complaint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &complaint.span {
            None => {
                writeln!(f, "{file}: {}", complaint.what)?;
                if let Some(help) = &complaint.help {
                    writeln!(f, "    {help}")?;
                }
            }
            Some(span) => {
                let place = Place::of(&self.text, span);
                writeln!(f, "{file}:{}:{}: {}", place.line, place.column, complaint.what)?;
                let number = place.line.to_string();
                let margin = " ".repeat(number.len());
                writeln!(f, " {margin} |")?;
                writeln!(f, " {number} | {}", place.text)?;
                write!(f, " {margin} | {}{}", " ".repeat(place.indent), "^".repeat(place.width))?;
                match &complaint.help {
                    Some(help) => writeln!(f, " {help}")?,
                    None => writeln!(f)?,
                }
            }
        }
        writeln!(f)
    }
}

/// A place as people count: lines and columns from 1.
struct Place<'t> {
    line: usize,
    column: usize,
    text: &'t str,
    indent: usize,
    width: usize,
}

impl<'t> Place<'t> {
    fn of(text: &'t str, span: &Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = text.get(start..).unwrap_or_default();
        let whole = rest.lines().next().unwrap_or_default();
        let indent = before.get(start..).unwrap_or_default().chars().count();
        let inside = text.get(span.clone()).unwrap_or_default();
        let width = inside.lines().next().unwrap_or_default().chars().count();
        let text = whole.char_indices().nth(SHOWN_MAX).and_then(|(cut, _)| whole.get(..cut)).unwrap_or(whole);
        let room = text.chars().count().saturating_sub(indent);
        Self { line, column: indent + 1, text, indent: indent.min(SHOWN_MAX), width: width.min(room).max(1) }
    }
}

/// The word of `allowed` that `word` was most likely meant to be. Brackets of a table's heading do not count.
pub(crate) fn nearest<'a>(word: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const PREFIX_MIN: usize = 3;
    let word = word.to_lowercase();
    allowed
        .into_iter()
        .map(|candidate| {
            let plain = candidate.trim_matches(['[', ']']);
            let begins = word.len() >= PREFIX_MIN && plain.starts_with(&word);
            (if begins { 0 } else { distance(&word, plain) }, candidate)
        })
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The words of `allowed` joined for a sentence, with the likely one first when there is one.
pub(crate) fn expected_one_of(word: &str, allowed: &[&str]) -> String {
    let list = allowed.join(", ");
    match nearest(word, allowed.iter().copied()) {
        Some(likely) => format!("did you mean `{likely}`? Allowed here: {list}"),
        None => format!("allowed here: {list}"),
    }
}

/// Letters to insert, delete, change or swap (optimal string alignment). Words past 64 letters are far from all.
fn distance(left: &str, right: &str) -> usize {
    const WORD_MAX: usize = 64;
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len() > WORD_MAX || right.len() > WORD_MAX {
        return usize::MAX;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let cell = |back: usize, at: usize| {
                rows.get(rows.len() - back).and_then(|row| row.get(at)).copied().unwrap_or(usize::MAX - 1)
            };
            let change = cell(1, j) + usize::from(l != r);
            let mut best = change.min(cell(1, j + 1) + 1).min(row.last().copied().unwrap_or(0) + 1);
            let swapped = i > 0 && j > 0 && left.get(i - 1) == Some(r) && right.get(j - 1) == Some(l);
            if swapped {
                best = best.min(cell(2, j - 1) + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses() {
        let keys = ["hostname", "data_dir", "service", "tls"];
        assert_eq!(nearest("hostnmae", keys), Some("hostname"));
        assert_eq!(nearest("datadir", keys), Some("data_dir"));
        assert_eq!(nearest("Service", keys), Some("service"));
        assert_eq!(nearest("start", ["off", "starttls"]), Some("starttls"));
        assert_eq!(nearest("logs", ["[log]", "[dns]"]), Some("[log]"));
        assert_eq!(nearest("banana", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(nearest(&"x".repeat(10_000), keys), None);
    }

    #[test]
    fn a_place_in_a_text_of_many_bytes_per_letter() {
        let text = "a = 1\nимя = \"жук\"\n";
        let start = text.find("\"жук").expect("it is there");
        let complaints = Complaints {
            file: "x.toml".into(),
            text: text.into(),
            list: vec![Complaint::at(start..start + "\"жук\"".len(), "no")],
        };
        let shown = complaints.to_string();
        assert!(shown.contains("x.toml:2:7: no\n   |\n 2 | имя = \"жук\"\n   |       ^^^^^\n"), "{shown}");
    }
}
