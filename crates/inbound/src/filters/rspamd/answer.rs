//! What Rspamd answers, and what it means here. Pure.

use std::collections::HashMap;

use mail::EnhancedCode;
use serde::Deserialize;
use serde_json::Value;

use super::super::{
    changes::{Changes, NoField, Which},
    opinion::{Opinion, Trouble, Verdict, clean, reply},
    settings::Direction,
};

/// The fields that this server writes into incoming mail, so that what a stranger brings under these names must go.
pub(in super::super) const FORGEABLE: [&str; 3] = [SPAM, SCORE, SYMBOLS];
const SPAM: &str = "X-Spam";
const SCORE: &str = "X-Spam-Score";
const SYMBOLS: &str = "X-Spam-Symbols";
/// Symbols that are listed, the weightiest first.
const SYMBOLS_MAX: usize = 50;
/// Octets of a symbol's name; a longer one is not listed.
const SYMBOL_NAME_MAX: usize = 64;

/// The answer, as far as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    action: Action,
    #[serde(default)]
    score: f64,
    #[serde(default)]
    required_score: f64,
    #[serde(default)]
    symbols: HashMap<String, Symbol>,
    #[serde(default)]
    messages: HashMap<String, Value>,
    #[serde(default)]
    milter: Milter,
    #[serde(default, rename = "dkim-signature")]
    dkim_signature: Value,
    subject: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Action {
    #[serde(rename = "no action")]
    Nothing,
    #[serde(rename = "greylist")]
    Greylist,
    #[serde(rename = "add header")]
    AddHeader,
    #[serde(rename = "rewrite subject")]
    RewriteSubject,
    #[serde(rename = "soft reject")]
    SoftReject,
    #[serde(rename = "reject")]
    Reject,
    #[serde(rename = "quarantine")]
    Quarantine,
    #[serde(rename = "discard")]
    Discard,
}

#[derive(Debug, Deserialize)]
struct Symbol {
    #[serde(default)]
    score: f64,
}

#[derive(Debug, Default, Deserialize)]
struct Milter {
    #[serde(default)]
    add_headers: HashMap<String, Value>,
    #[serde(default)]
    remove_headers: HashMap<String, Value>,
    /// What reject means instead.
    #[serde(default)]
    reject: Value,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Nothing => "no action",
            Self::Greylist => "greylist",
            Self::AddHeader => "add header",
            Self::RewriteSubject => "rewrite subject",
            Self::SoftReject => "soft reject",
            Self::Reject => "reject",
            Self::Quarantine => "quarantine",
            Self::Discard => "discard",
        }
    }
}

impl Answer {
    /// Whether the letter's own Subject is needed to make the new one.
    pub(super) fn wants_subject(&self) -> bool {
        self.action == Action::RewriteSubject && self.subject.is_none()
    }

    /// What it means. `subject` is the letter's own, when it was wanted.
    pub(super) fn into_opinion(self, direction: Direction, subject: Option<&str>) -> Result<Opinion, Trouble> {
        let verdict = self.verdict();
        let reason = format!("{} {:.2}/{:.2}", self.action.word(), self.score, self.required_score);
        if matches!(verdict, Verdict::Refuse(_)) {
            return Ok(Opinion::new(verdict, reason));
        }
        let changes = self.changes(direction, subject).map_err(|error| Trouble::Nonsense(clean(&error.to_string())))?;
        Ok(Opinion { verdict, changes, reason })
    }

    fn verdict(&self) -> Verdict {
        let text = self.messages.get("smtp_message").and_then(Value::as_str);
        match self.action {
            // Greylist without soft reject: the sender has waited, or nothing is there to remember who waited.
            Action::Nothing | Action::Greylist | Action::AddHeader | Action::RewriteSubject => Verdict::Accept,
            Action::SoftReject => Verdict::Refuse(reply(451, EnhancedCode::new(4, 7, 1), text)),
            Action::Reject => match self.milter.reject.as_str() {
                Some("quarantine") => Verdict::Quarantine,
                Some("discard") => Verdict::Hold,
                _ => Verdict::Refuse(reply(550, EnhancedCode::new(5, 7, 1), text)),
            },
            Action::Quarantine => Verdict::Quarantine,
            Action::Discard => Verdict::Hold,
        }
    }

    fn changes(&self, direction: Direction, subject: Option<&str>) -> Result<Changes, NoField> {
        let mut changes = Changes::default();
        if !matches!(self.action, Action::Nothing | Action::Greylist) {
            changes.add(SPAM, "Yes")?;
        }
        if direction == Direction::In {
            changes.add(SCORE, &format!("{:.2} / {:.2}", self.score, self.required_score))?;
            changes.add(SYMBOLS, &self.symbols())?;
        }
        if self.action == Action::RewriteSubject {
            changes.remove("Subject", Which::All)?;
            let ours = || format!("*** SPAM *** {}", subject.unwrap_or_default());
            changes.add("Subject", &self.subject.clone().unwrap_or_else(ours))?;
        }
        for signature in each(&self.dkim_signature).filter_map(Value::as_str) {
            changes.add("DKIM-Signature", signature)?;
        }
        self.milter.add_to(&mut changes)?;
        Ok(changes)
    }

    /// `NAME(score), …`, the weightiest first.
    fn symbols(&self) -> String {
        let sound = |name: &str| {
            name.len() <= SYMBOL_NAME_MAX
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        let mut symbols: Vec<_> = self.symbols.iter().filter(|(name, _)| sound(name)).collect();
        symbols.sort_by(|(one, a), (other, b)| b.score.abs().total_cmp(&a.score.abs()).then_with(|| one.cmp(other)));
        let listed = symbols.into_iter().take(SYMBOLS_MAX);
        listed.map(|(name, symbol)| format!("{name}({:.2})", symbol.score)).collect::<Vec<_>>().join(", ")
    }
}

impl Milter {
    fn add_to(&self, changes: &mut Changes) -> Result<(), NoField> {
        for (name, value) in sorted(&self.remove_headers) {
            for place in each(value) {
                changes.remove(name, which(place))?;
            }
        }
        let mut added: Vec<(i64, &str, &str)> = Vec::new();
        for (name, value) in sorted(&self.add_headers) {
            for value in each(value) {
                let order = value.get("order").and_then(Value::as_i64).unwrap_or_default();
                let text = value.get("value").unwrap_or(value).as_str();
                added.push((order, name, text.ok_or_else(|| NoField::Value(name.to_owned()))?));
            }
        }
        added.sort_by_key(|(order, ..)| *order);
        added.into_iter().try_for_each(|(_, name, value)| changes.add(name, value))
    }
}

/// By name: a map has no order, and a message should not differ from run to run.
fn sorted(map: &HashMap<String, Value>) -> Vec<(&str, &Value)> {
    let mut entries: Vec<(&str, &Value)> = map.iter().map(|(name, value)| (name.as_str(), value)).collect();
    entries.sort_by_key(|(name, _)| *name);
    entries
}

/// A value, or each of a list of them; none for null.
fn each(value: &Value) -> impl Iterator<Item = &Value> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        Value::Null => &[],
        one => std::slice::from_ref(one),
    };
    list.iter()
}

/// 0 is all, 1 the first from the top, -1 the first from the bottom.
fn which(place: &Value) -> Which {
    let index = |number: u64| usize::try_from(number - 1).unwrap_or(usize::MAX);
    match place.as_i64() {
        Some(number) if number > 0 => Which::FromTop(index(number.unsigned_abs())),
        Some(number) if number < 0 => Which::FromBottom(index(number.unsigned_abs())),
        _ => Which::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opinion(answer: &str, direction: Direction) -> Result<Opinion, Trouble> {
        let answer: Answer = serde_json::from_str(answer).map_err(|error| Trouble::Nonsense(error.to_string()))?;
        answer.into_opinion(direction, Some("Hi"))
    }

    fn check(answer: &str, expect: &str) {
        let opinion = opinion(answer, Direction::Out).unwrap();
        let added = String::from_utf8_lossy(opinion.changes.added()).replace("\r\n", "|");
        let what = match &opinion.verdict {
            Verdict::Refuse(reply) => reply.to_string(),
            verdict => verdict.word().to_owned(),
        };
        assert_eq!(format!("{what} {added}").trim_end(), expect, "{answer}");
    }

    #[test]
    fn actions() {
        check(r#"{"action": "no action", "score": 1.5, "unknown": [1]}"#, "accept");
        check(r#"{"action": "greylist", "score": 5}"#, "accept");
        check(r#"{"action": "add header"}"#, "accept X-Spam: Yes|");
        check(r#"{"action": "rewrite subject", "subject": "[spam] Hi"}"#, "accept X-Spam: Yes|Subject: [spam] Hi|");
        check(r#"{"action": "rewrite subject"}"#, "accept X-Spam: Yes|Subject: *** SPAM *** Hi|");
        check(r#"{"action": "soft reject", "messages": {"smtp_message": "Try\r\nlater"}}"#, "451 4.7.1 Try later");
        check(r#"{"action": "reject"}"#, "550 5.7.1 The message is not taken: its content was rejected");
        check(r#"{"action": "reject", "milter": {"reject": "quarantine"}}"#, "quarantine X-Spam: Yes|");
        check(r#"{"action": "quarantine"}"#, "quarantine X-Spam: Yes|");
        check(r#"{"action": "discard"}"#, "hold X-Spam: Yes|");
    }

    #[test]
    fn header_fields() {
        check(
            r#"{"action": "no action", "milter": {"add_headers": {"X-B": {"value": "2", "order": 1}, "X-A": "1",
                "X-C": [{"value": "3"}, "4"]}, "remove_headers": {"X-D": 0}}, "dkim-signature": "v=1;\r\n\ta=x"}"#,
            "accept DKIM-Signature: v=1;|\ta=x|X-A: 1|X-C: 3|X-C: 4|X-B: 2|",
        );
    }

    #[test]
    fn incoming_mail_is_told_the_symbols() {
        let answer = r#"{"action": "no action", "score": 3.25, "required_score": 15,
            "symbols": {"LIGHT": {"score": 0.5}, "HEAVY": {"score": -4}, "A,B": {"score": 9}, "EVIL\r\nX: y": {"score": 9}}}"#;
        let opinion = opinion(answer, Direction::In).unwrap();
        assert_eq!(
            String::from_utf8_lossy(opinion.changes.added()),
            "X-Spam-Score: 3.25 / 15.00\r\nX-Spam-Symbols: HEAVY(-4.00), LIGHT(0.50)\r\n"
        );
        assert_eq!(opinion.reason, "no action 3.25/15.00");
    }

    #[test]
    fn nonsense() {
        for nonsense in [
            "",
            "{}",
            r#"{"action": "explode"}"#,
            r#"{"action": 5}"#,
            r#"{"action": "no action", "score": "high"}"#,
            r#"{"action": "no action", "milter": {"add_headers": {"X: y\r\nZ": "1"}}}"#,
            r#"{"action": "no action", "milter": {"add_headers": {"X": "1\r\n\r\nbody"}}}"#,
            r#"{"action": "no action", "milter": {"add_headers": {"X": 5}}}"#,
            r#"{"action": "no action", "milter": {"remove_headers": {"": 0}}}"#,
            r#"{"action": "no action", "dkim-signature": "v=1\r\nX: y"}"#,
        ] {
            assert!(matches!(opinion(nonsense, Direction::In), Err(Trouble::Nonsense(_))), "{nonsense}");
        }
    }

    #[test]
    fn places_of_removed_fields() {
        let place = |text: &str| which(&serde_json::from_str(text).unwrap());
        assert_eq!(place("0"), Which::All);
        assert_eq!(place("1"), Which::FromTop(0));
        assert_eq!(place("-2"), Which::FromBottom(1));
        assert_eq!(place("-9223372036854775808"), Which::FromBottom(9_223_372_036_854_775_807));
    }

    /// Whatever is answered: nothing panics, and what is added is whole fields.
    #[test]
    fn any_answer() {
        use proptest::prelude::*;
        let value =
            "(\"(a|:|\\\\r\\\\n|\\\\t| |X-A|\u{416}){0,6}\"|-?[0-9]{1,20}|null|\\[\"a\"\\]|\\{\"value\": \"b\"\\})";
        let actions = "(no action|greylist|add header|rewrite subject|reject|discard|other)";
        proptest!(|(action in actions, name in value, one in value, two in value, three in value)| {
            let name = if name.starts_with('"') { name } else { "\"X\"".into() };
            let answer = format!(
                r#"{{"action": "{action}", "subject": {one}, "dkim-signature": {two}, "symbols": {{{name}: {{"score": 1}}}},
                "milter": {{"add_headers": {{{name}: {three}}}, "remove_headers": {{{name}: {two}}}}}}}"#
            );
            if let Ok(opinion) = opinion(&answer, Direction::In) {
                let added = [opinion.changes.added(), b"\r\n"].concat();
                prop_assert_eq!(mail::header::Header::parse(&added, 100).end, added.len() - 2);
                prop_assert!(added.is_ascii());
            }
        });
    }
}
