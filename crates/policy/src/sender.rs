//! Whether the domain of a reverse-path could take a bounce: asked of the DNS, an ask/answer machine.
//!
//! ```text
//!  MX ── exchanges ─► Sound        MX ── a null MX ─► NullMx (RFC 7505)
//!   │ none
//!   ▼
//!   A ── addresses ─► Sound        no such name, at any step ─► NoMail
//!   │ none
//!   ▼
//!  AAAA ─ addresses ─► Sound       no answer, at any step ─► Unknown
//!   │ none
//!   ▼
//!  TXT ─ an SPF record ─► Sound
//!        └ none ─► NoMail (RFC 5321 §5.1: neither MX nor address)
//! ```
//!
//! Deviation: a domain with neither MX nor address that publishes SPF speaks about its mail, so it is SPF's to judge.

use crate::{
    dns::{Answer, Kind, Name, Question},
    spf::Record,
};

/// What the domain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It takes mail, or may; or it says something about its mail.
    Sound,
    /// It says that it takes none.
    NullMx,
    /// It does not exist, or has neither MX nor address.
    NoMail,
    /// Nobody knows at the moment.
    Unknown,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this, and go on with the answer.
    Ask(Check, Question),
    /// It is decided.
    Done(Verdict),
}

/// The machine, while a question is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    name: Name,
    asked: Kind,
}

impl Check {
    /// Begins with a domain.
    pub fn begin(name: Name) -> Step {
        Self { name, asked: Kind::Mx }.ask(Kind::Mx)
    }

    /// Goes on with the answer to the open question.
    pub fn answer(self, answer: &Answer) -> Step {
        match (self.asked, answer) {
            (_, Answer::Failed) => Step::Done(Verdict::Unknown),
            (_, Answer::NoName) => Step::Done(Verdict::NoMail),
            // A null MX is no host, so the list of hosts is empty.
            (Kind::Mx, Answer::Mx(hosts)) if hosts.is_empty() => Step::Done(Verdict::NullMx),
            (Kind::Mx, Answer::Mx(_)) => Step::Done(Verdict::Sound),
            (Kind::A, Answer::A(addresses)) if !addresses.is_empty() => Step::Done(Verdict::Sound),
            (Kind::Aaaa, Answer::Aaaa(addresses)) if !addresses.is_empty() => Step::Done(Verdict::Sound),
            (Kind::Mx, _) => self.ask(Kind::A),
            (Kind::A, _) => self.ask(Kind::Aaaa),
            (Kind::Aaaa, _) => self.ask(Kind::Txt),
            (Kind::Txt, Answer::Txt(texts)) if texts.iter().any(|text| Record::is_one(text)) => {
                Step::Done(Verdict::Sound)
            }
            (Kind::Txt | Kind::Ptr, _) => Step::Done(Verdict::NoMail),
        }
    }

    fn ask(self, kind: Kind) -> Step {
        let question = Question { name: self.name.clone(), kind };
        Step::Ask(Self { asked: kind, ..self }, question)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answers: &[Answer], expect: Verdict) {
        let mut step = Check::begin(Name::parse("far.example").unwrap());
        for (kind, answer) in [Kind::Mx, Kind::A, Kind::Aaaa, Kind::Txt].into_iter().zip(answers) {
            let Step::Ask(machine, question) = step else { panic!("{step:?} before {answer:?}") };
            assert_eq!((question.name.as_str(), question.kind), ("far.example", kind));
            step = machine.answer(answer);
        }
        assert_eq!(step, Step::Done(expect), "{answers:?}");
    }

    #[test]
    fn every_way() {
        let host = || Name::parse("mx.far.example").unwrap();
        check(&[Answer::Mx(vec![(10, host())])], Verdict::Sound);
        check(&[Answer::Mx(vec![])], Verdict::NullMx);
        check(&[Answer::NoName], Verdict::NoMail);
        check(&[Answer::Failed], Verdict::Unknown);
        check(&[Answer::NoData, Answer::A(vec![[192, 0, 2, 1].into()])], Verdict::Sound);
        check(&[Answer::NoData, Answer::NoData, Answer::Aaaa(vec!["2001:db8::1".parse().unwrap()])], Verdict::Sound);
        let text = |text: &str| Answer::Txt(vec![text.into()]);
        check(&[Answer::NoData, Answer::NoData, Answer::NoData, Answer::NoData], Verdict::NoMail);
        check(&[Answer::NoData, Answer::NoData, Answer::NoData, text("hello")], Verdict::NoMail);
        check(&[Answer::NoData, Answer::NoData, Answer::NoData, text("v=spf1 mx -all")], Verdict::Sound);
        check(&[Answer::NoData, Answer::NoData, Answer::NoData, text("V=SpF1 ~all")], Verdict::Sound);
        check(&[Answer::NoData, Answer::NoData, Answer::NoData, text("v=spf10")], Verdict::NoMail);
        check(&[Answer::NoData, Answer::NoName], Verdict::NoMail);
        check(&[Answer::NoData, Answer::NoData, Answer::Failed], Verdict::Unknown);
        // An answer of another kind is none.
        check(
            &[Answer::A(vec![[192, 0, 2, 1].into()]), Answer::NoData, Answer::NoData, Answer::NoName],
            Verdict::NoMail,
        );
    }
}
