//! What speaks against a message, and what is done about it. Pure.

use mail::Reply;

use super::settings::Action;

/// Characters of a reason in a field or a reply.
const REASON_MAX: usize = 300;

/// One thing that speaks against a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    /// What the configuration says about it.
    pub(super) action: Action,
    /// Subject and detail of the enhanced code (RFC 7372).
    pub(super) code: (u16, u16),
    /// For the header field: `dmarc=fail (p=reject) header.from=example.net`. Printable ASCII.
    pub(super) finding: String,
    /// For the client: a sentence.
    pub(super) sentence: String,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sentence {
    /// It is taken as it is.
    Accepted,
    /// It is taken, with the finding in a field.
    Tagged(String),
    /// It is taken under quarantine, with the finding in a field.
    Quarantined(String),
    /// It is not taken.
    Refused(Reply),
}

/// The gravest charge decides; among equals the first.
pub(super) fn judge(charges: Vec<Charge>) -> Sentence {
    let mut gravest: Option<Charge> = None;
    for charge in charges {
        if gravest.as_ref().is_none_or(|other| charge.action > other.action) {
            gravest = Some(charge);
        }
    }
    let Some(charge) = gravest else { return Sentence::Accepted };
    match charge.action {
        Action::Accept => Sentence::Accepted,
        Action::Tag => Sentence::Tagged(plain(&charge.finding)),
        Action::Quarantine => Sentence::Quarantined(plain(&charge.finding)),
        Action::Defer => Sentence::Refused(charge.reply(451, 4)),
        Action::Reject => Sentence::Refused(charge.reply(550, 5)),
    }
}

impl Charge {
    fn reply(&self, code: u16, class: u8) -> Reply {
        Reply::with(code, (class, self.code.0, self.code.1), plain(&self.sentence))
    }
}

/// Printable ASCII of bounded length: texts of strangers are in it.
fn plain(text: &str) -> String {
    let printable = |character: char| if matches!(character, ' '..='~') { character } else { '?' };
    text.chars().take(REASON_MAX).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(action: Action, finding: &str) -> Charge {
        Charge { action, code: (7, 23), finding: finding.into(), sentence: format!("because of {finding}") }
    }

    #[test]
    fn the_gravest_charge_decides() {
        let check = |charges: &[(Action, &str)], expect: Sentence| {
            let charges = charges.iter().map(|(action, finding)| charge(*action, finding)).collect();
            assert_eq!(judge(charges), expect);
        };
        check(&[], Sentence::Accepted);
        check(&[(Action::Accept, "a")], Sentence::Accepted);
        check(&[(Action::Accept, "a"), (Action::Tag, "b"), (Action::Tag, "c")], Sentence::Tagged("b".into()));
        check(&[(Action::Quarantine, "a"), (Action::Tag, "b")], Sentence::Quarantined("a".into()));
        let refused = |code, class, text: &str| Sentence::Refused(Reply::with(code, (class, 7, 23), text));
        check(&[(Action::Quarantine, "a"), (Action::Defer, "b")], refused(451, 4, "because of b"));
        check(&[(Action::Reject, "a"), (Action::Defer, "b")], refused(550, 5, "because of a"));
    }

    #[test]
    fn texts_of_strangers_are_made_harmless() {
        let hostile = charge(Action::Reject, &format!("a\r\n250 Ok\u{1b}[31m\u{202e}{}", "x".repeat(1000)));
        let Sentence::Refused(reply) = judge(vec![hostile.clone()]) else { panic!("refused") };
        let text = reply.text();
        assert!(text.len() == REASON_MAX && text.bytes().all(|octet| matches!(octet, b' '..=b'~')), "{text}");
        let Sentence::Tagged(finding) = judge(vec![Charge { action: Action::Tag, ..hostile }]) else {
            panic!("tagged")
        };
        assert!(finding.starts_with("a??250 Ok?[31m?xxx"), "{finding}");
    }
}
