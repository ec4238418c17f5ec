//! What a hook answers, and what it means here. Pure. A key that is not known makes the whole answer worthless: what
//! was meant by it would not be done.

use mail::EnhancedCode;
use serde::Deserialize;

use super::super::{
    changes::{Changes, NoField, Which},
    opinion::{Opinion, Trouble, Verdict, clean, reply},
};

/// The answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    action: Action,
    code: Option<u16>,
    enhanced: Option<EnhancedCode>,
    text: Option<String>,
    #[serde(default)]
    add_headers: Vec<Field>,
    #[serde(default)]
    remove_headers: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Accept,
    Reject,
    Tempfail,
    Quarantine,
    Hold,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    name: String,
    value: String,
}

impl Answer {
    /// What it means.
    pub(super) fn into_opinion(self) -> Result<Opinion, Trouble> {
        let verdict = match self.action {
            Action::Accept => Verdict::Accept,
            Action::Quarantine => Verdict::Quarantine,
            Action::Hold => Verdict::Hold,
            Action::Reject => self.refusal(550, EnhancedCode::new(5, 7, 1))?,
            Action::Tempfail => self.refusal(451, EnhancedCode::new(4, 7, 1))?,
        };
        let changes = self.changes().map_err(|error| Trouble::Nonsense(clean(&error.to_string())))?;
        Ok(Opinion { verdict, changes, reason: self.text.as_deref().map(clean).unwrap_or_default() })
    }

    /// The reply with its codes, as far as they fit the action. RFC 5321 §4.2.1 has five kinds of reply in each class;
    /// 421 and its like, which are about the connection, are not among those that a message can have.
    fn refusal(&self, code: u16, enhanced: EnhancedCode) -> Result<Verdict, Trouble> {
        let chosen = self.code.unwrap_or(code);
        if chosen / 10 != code / 10 {
            let decade = code / 10;
            return Err(Trouble::Nonsense(format!("{chosen} is no code for it; {decade}0 to {decade}9 are")));
        }
        let detail = self.enhanced.unwrap_or(enhanced);
        if detail.class != enhanced.class {
            return Err(Trouble::Nonsense(format!("{detail} does not go with {chosen}")));
        }
        Ok(Verdict::Refuse(reply(chosen, detail, self.text.as_deref())))
    }

    fn changes(&self) -> Result<Changes, NoField> {
        let mut changes = Changes::default();
        for name in &self.remove_headers {
            changes.remove(name, Which::All)?;
        }
        for Field { name, value } in &self.add_headers {
            changes.add(name, value)?;
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opinion(answer: &str) -> Result<Opinion, Trouble> {
        let answer: Answer = serde_json::from_str(answer).map_err(|error| Trouble::Nonsense(error.to_string()))?;
        answer.into_opinion()
    }

    fn check(answer: &str, expect: &str) {
        let opinion = opinion(answer).unwrap();
        let found = match &opinion.verdict {
            Verdict::Refuse(reply) => reply.to_string(),
            verdict => format!("{} {}", verdict.word(), String::from_utf8_lossy(opinion.changes.added()).trim_end()),
        };
        assert_eq!(found.trim_end(), expect, "{answer}");
    }

    #[test]
    fn actions() {
        check(r#"{"action": "accept"}"#, "accept");
        check(r#"{"action": "accept", "add_headers": [{"name": "X-A", "value": "1"}]}"#, "accept X-A: 1");
        check(r#"{"action": "quarantine"}"#, "quarantine");
        check(r#"{"action": "hold"}"#, "hold");
        check(r#"{"action": "reject"}"#, "550 5.7.1 The message is not taken: its content was rejected");
        check(r#"{"action": "reject", "code": 554, "enhanced": "5.6.0", "text": "No"}"#, "554 5.6.0 No");
        check(r#"{"action": "tempfail", "code": 452, "text": "a\r\n250 b"}"#, "452 4.7.1 a 250 b");
    }

    #[test]
    fn nonsense() {
        for nonsense in [
            "",
            "{}",
            "[]",
            "accept",
            r#"{"action": "explode"}"#,
            r#"{"action": "accept", "add_header": []}"#,
            r#"{"action": "reject", "code": 250}"#,
            r#"{"action": "reject", "code": 451}"#,
            r#"{"action": "reject", "code": 500}"#,
            r#"{"action": "tempfail", "code": 421}"#,
            r#"{"action": "reject", "enhanced": "4.7.1"}"#,
            r#"{"action": "reject", "code": 99999}"#,
            r#"{"action": "accept", "add_headers": [{"name": "X", "value": "a\nY: b"}]}"#,
            r#"{"action": "accept", "remove_headers": ["X: y"]}"#,
        ] {
            assert!(matches!(opinion(nonsense), Err(Trouble::Nonsense(_))), "{nonsense}");
        }
    }
}
