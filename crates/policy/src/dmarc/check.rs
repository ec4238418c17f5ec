//! One message against the policy of its author.
//!
//! ```text
//!  poll ─► evaluate(what is known) ─┬─► Done(verdict)
//!   ▲                               └─► Ask(question)
//!   └────────── answer ◄── the driver ────────┘
//! ```
//!
//! There is no state but the answers so far: after each, the verdict is worked out anew until no question is left. An
//! answer serves all walks of the check. At most 8 questions for the author, 8 for each identifier below the author's
//! organizational domain, and one that asks whether the author's domain exists.

use crate::dns::{Answer, Name, Question};

use super::{
    record::{Alignment, Policy, Record, Testing},
    walk::{Existence, Halt, Known},
};

/// Identifiers of DKIM that are looked at. There are no more signatures verified than this.
const SIGNERS_MAX: usize = 20;

/// The domains that were verified for a message (RFC 9989 §3.2.1). Only those that passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identifiers {
    /// The domain that SPF passed for: of MAIL FROM, or of HELO when that is empty.
    pub spf: Option<Name>,
    /// `d=` of each signature that verified.
    pub dkim: Vec<Name>,
}

/// How an identifier was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By a signature.
    Dkim,
    /// By the address that sent it.
    Spf,
}

/// What DMARC says of a message (RFC 9989 §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An identifier is aligned.
    Pass,
    /// None is.
    Fail,
    /// The author's domain takes no part.
    None,
    /// The DNS failed where it decides. Another attempt may get a result.
    TempError,
}

/// Which tag the policy was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `p`.
    Domain,
    /// `sp`, or `p` in its place.
    Subdomain,
    /// `np`, or `sp` or `p` in its place.
    Nonexistent,
}

/// The record that applies, and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Whose record it is: the author's domain, its organization, or its public suffix.
    pub domain: Name,
    /// The record.
    pub record: Record,
    /// Where the policy is from.
    pub source: Source,
    /// The policy as published.
    pub policy: Policy,
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Pass, fail or neither.
    pub outcome: Outcome,
    /// The author's domain.
    pub author: Name,
    /// The record that applies, if one does and was found.
    pub applied: Option<Applied>,
    /// The identifier that passed, if one did: the first that was found, not all.
    pub aligned: Option<(Method, Name)>,
    /// What the domain wants done with this message: nothing unless it failed; one level milder with `t=y`.
    pub disposition: Policy,
}

/// What a check says when polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Ask this, and hand the answer to [`Check::answer`].
    Ask(Question),
    /// The result.
    Done(Verdict),
}

/// The machine.
#[derive(Debug)]
pub struct Check {
    author: Name,
    /// Without doubles, and only as many as are looked at.
    identifiers: Vec<(Method, Name)>,
    known: Known,
    asked: Option<Question>,
}

impl Check {
    /// Begins a check of a message by that author.
    pub fn new(author: super::Author, identifiers: Identifiers) -> Self {
        let mut list: Vec<(Method, Name)> = Vec::new();
        let dkim = identifiers.dkim.into_iter().take(SIGNERS_MAX).map(|name| (Method::Dkim, name));
        for identifier in dkim.chain(identifiers.spf.map(|name| (Method::Spf, name))) {
            if !list.contains(&identifier) {
                list.push(identifier);
            }
        }
        Self { author: author.domain, identifiers: list, known: Known::default(), asked: None }
    }

    /// The result, or what must be asked first. The same question until it is answered.
    pub fn poll(&mut self) -> Poll {
        match self.evaluate() {
            Ok(verdict) => Poll::Done(verdict),
            Err(question) => {
                self.asked = Some(question.clone());
                Poll::Ask(question)
            }
        }
    }

    /// Takes the answer to the last question. An answer that nobody asked for is dropped.
    pub fn answer(&mut self, answer: Answer) {
        if let Some(question) = self.asked.take() {
            self.known.learn(&question, answer);
        }
    }

    fn evaluate(&self) -> Result<Verdict, Question> {
        let verdict = |outcome| Verdict {
            outcome,
            author: self.author.clone(),
            applied: None,
            aligned: None,
            disposition: Policy::None,
        };
        let (domain, record) = match self.discover() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(verdict(Outcome::None)),
            Err(Halt::Failed) => return Ok(verdict(Outcome::TempError)),
            Err(Halt::Ask(question)) => return Err(question),
        };
        // §4.10.1: no policy can be taken from it, so DMARC does not apply.
        let (Some(own), Some(subdomains), Some(nonexistent)) =
            (record.policy, record.for_subdomains(), record.for_nonexistent())
        else {
            return Ok(verdict(Outcome::None));
        };
        let (outcome, aligned) = match self.aligned(record) {
            Ok(Some(identifier)) => (Outcome::Pass, Some(identifier)),
            Ok(None) => (Outcome::Fail, None),
            // §5.3.6: a message that could not be checked neither passes nor fails.
            Err(Halt::Failed) => (Outcome::TempError, None),
            Err(Halt::Ask(question)) => return Err(question),
        };
        let (source, policy) = if domain == self.author {
            (Source::Domain, own)
        } else if outcome == Outcome::Fail && subdomains != nonexistent {
            self.below(subdomains, nonexistent)?
        } else {
            (Source::Subdomain, subdomains)
        };
        let applied = Applied { domain, record: record.clone(), source, policy };
        let disposition = if outcome == Outcome::Fail { applied.asked_for() } else { Policy::None };
        Ok(Verdict { applied: Some(applied), aligned, disposition, ..verdict(outcome) })
    }

    /// Policy discovery (§4.10.1): the record of the author's domain, of its organization, of its public suffix.
    fn discover(&self) -> Result<Option<(Name, &Record)>, Halt> {
        if let Some(record) = self.known.record(&self.author)? {
            return Ok(Some((self.author.clone(), record)));
        }
        let walk = self.known.walk(&self.author)?;
        let organization = walk.found.iter().find(|(name, _)| *name == walk.organizational);
        // A walk that found records but none of the organization ended at the public suffix.
        Ok(organization.or(walk.found.last()).map(|(name, record)| (name.clone(), *record)))
    }

    /// The policy for a subdomain without a record of its own: `sp` when it exists, `np` when it does not.
    fn below(&self, subdomains: Policy, nonexistent: Policy) -> Result<(Source, Policy), Question> {
        Ok(match self.known.existence(&self.author)? {
            Existence::Exists => (Source::Subdomain, subdomains),
            Existence::Missing => (Source::Nonexistent, nonexistent),
            // The failure is neither the sender's nor the domain's: the milder one.
            Existence::Unknown if nonexistent < subdomains => (Source::Nonexistent, nonexistent),
            Existence::Unknown => (Source::Subdomain, subdomains),
        })
    }

    /// An identifier that is aligned with the author (§4.10.2), first those for which nothing has to be asked.
    fn aligned(&self, record: &Record) -> Result<Option<(Method, Name)>, Halt> {
        if let Some(same) = self.identifiers.iter().find(|(_, name)| *name == self.author) {
            return Ok(Some(same.clone()));
        }
        let mode = |method| match method {
            Method::Dkim => record.dkim,
            Method::Spf => record.spf,
        };
        // An organizational domain is part of both names, so they end alike.
        let last = self.author.labels().next_back();
        let related =
            |(method, name): &&(Method, Name)| mode(*method) == Alignment::Relaxed && name.labels().next_back() == last;
        let mut related = self.identifiers.iter().filter(related).peekable();
        if related.peek().is_none() {
            return Ok(None);
        }
        let organization = self.known.walk(&self.author)?.organizational;
        let mut failed = false;
        for (method, name) in related.filter(|(_, name)| name.is_within(&organization)) {
            match self.known.walk(name) {
                Ok(walk) if walk.organizational == organization => return Ok(Some((*method, name.clone()))),
                Ok(_) => {}
                Err(Halt::Failed) => failed = true,
                Err(ask) => return Err(ask),
            }
        }
        if failed { Err(Halt::Failed) } else { Ok(None) }
    }
}

impl Applied {
    /// What is asked for when a message fails (§4.7, `t`).
    fn asked_for(&self) -> Policy {
        match self.record.testing {
            Testing::No => self.policy,
            Testing::Yes => self.policy.milder(),
        }
    }
}
