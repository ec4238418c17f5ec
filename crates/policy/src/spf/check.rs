//! `check_host()` of RFC 7208 §4 as a machine: a stack of records that are open, never recursion.
//!
//! ```text
//!            TXT of the domain
//!                   │ record                          include: push, its pass is a match below
//!                   ▼                                 redirect: replace the top
//!   ┌────────► Evaluating ──(term needs the DNS)──► ask ──► answer ─┐
//!   │               │ a match, or the last term                     │
//!   └───────────────┼───────────────────────────────────────────────┘
//!                   ├─ fail, and exp ─► Explaining ──► ask ──► answer ─► Done
//!                   └─ anything else ─────────────────────────────────► Done
//! ```
//!
//! A term is evaluated anew after each answer it needed; what was learnt stands in its [`Frame`] or in the
//! [`ClientNames`]. Everything is bounded: terms that ask and empty answers by RFC 7208 §4.6.4, so also the depth of the
//! stack; the records that are open by [`RECORD_OCTETS_MAX`]; all questions by [`super::QUESTIONS_MAX`].

use std::sync::Arc;

use crate::{
    dns::{Answer, Kind, Name, Question},
    iprev,
};

use super::{
    LOOKUPS_MAX, MX_HOSTS_MAX, RECORD_OCTETS_MAX, VOID_LOOKUPS_MAX,
    answers::{fitting, in_v4, in_v6, is_near},
    client_names::{ClientNames, Sought},
    expand::Values,
    facts::{Facts, bounded, checkable},
    macros::{DomainSpec, MacroString, Place},
    record::{DualCidr, Mechanism, Record},
    verdict::{Identity, Outcome, Poll, Problem, Subject, Verdict},
};

/// Octets of the deciding mechanism that a verdict shows.
const MECHANISM_SHOWN: usize = 200;

/// One check of one name.
#[derive(Clone, Debug)]
pub struct Check {
    facts: Facts,
    /// The records that are open, the first of them at the bottom. Each but the last is at an `include`.
    frames: Vec<Frame>,
    client_names: ClientNames,
    lookups: usize,
    void_lookups: usize,
    phase: Phase,
    asked: Option<(Question, Purpose)>,
    verdict: Verdict,
}

/// One record being evaluated.
#[derive(Clone, Debug)]
struct Frame {
    domain: Name,
    record: Arc<Record>,
    octets: usize,
    /// The directive that is being evaluated.
    at: usize,
    /// Whether it was counted among the lookups.
    counted: bool,
    /// The hosts of an `mx` that are still to be asked for, the next one last.
    hosts: Option<Vec<Name>>,
}

#[derive(Clone, Debug)]
enum Phase {
    Evaluating,
    /// The outcome is known; the text of the explanation, once it is there.
    Explaining(Option<MacroString>),
    Done,
}

/// What an answer is for.
#[derive(Clone, Debug)]
enum Purpose {
    Record(Via),
    Addresses(DualCidr),
    Hosts,
    HostAddresses(DualCidr),
    Exists,
    ClientNames,
    ClientName(usize),
    Explanation,
}

/// How a record came to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    Start,
    Include,
    Redirect,
}

/// The name that a term is about.
enum Target {
    Name(Name),
    /// Its macros make no name that exists.
    Unusable,
    /// Something must be asked first.
    Pending,
}

impl Check {
    /// Checks MAIL FROM; when that is empty, the name in HELO (RFC 7208 §2.4).
    pub fn new(subject: &Subject<'_>) -> Self {
        if subject.mail_from.is_empty() {
            return Self::helo(subject);
        }
        let mail_from = bounded(subject.mail_from);
        let (local_part, domain) = mail_from.rsplit_once('@').unwrap_or(("", mail_from));
        Self::begin(subject, Identity::MailFrom, local_part, domain)
    }

    /// Checks the name in HELO (RFC 7208 §2.3).
    pub fn helo(subject: &Subject<'_>) -> Self {
        Self::begin(subject, Identity::Helo, "", bounded(subject.helo))
    }

    fn begin(subject: &Subject<'_>, identity: Identity, local_part: &str, domain: &str) -> Self {
        let domain = checkable(domain);
        let facts = Facts::new(subject, local_part, domain.as_ref());
        let verdict = Verdict {
            outcome: Outcome::None,
            identity,
            domain: domain.clone(),
            mechanism: None,
            decided_by: None,
            explanation: None,
            problem: None,
        };
        let mut check = Self {
            facts,
            frames: Vec::new(),
            client_names: ClientNames::default(),
            lookups: 0,
            void_lookups: 0,
            phase: Phase::Evaluating,
            asked: None,
            verdict,
        };
        match domain {
            Some(domain) => check.ask(domain, Kind::Txt, Purpose::Record(Via::Start)),
            None => check.stop(Outcome::None, Problem::NoDomain),
        }
        check
    }

    /// The result, or what must be asked first. The same question until it is answered.
    pub fn poll(&self) -> Poll {
        match &self.asked {
            Some((question, _)) => Poll::Ask(question.clone()),
            None => Poll::Done(self.verdict.clone()),
        }
    }

    /// Takes the answer to the last question. An answer that nobody asked for is dropped.
    pub fn answer(&mut self, answer: Answer) {
        let Some((question, purpose)) = self.asked.take() else { return };
        let answer = fitting(question.kind, answer);
        match self.phase {
            Phase::Evaluating => self.learn(question, purpose, answer),
            Phase::Explaining(_) => self.learn_for_explanation(&purpose, answer),
            Phase::Done => {}
        }
        self.run();
    }

    /// Ends the check: the time of RFC 7208 §4.6.4 is over. A fail whose explanation is missing stays a fail.
    pub fn expire(&mut self) {
        match self.phase {
            Phase::Evaluating => self.stop(Outcome::TempError, Problem::Expired),
            Phase::Explaining(_) => self.finish(),
            Phase::Done => {}
        }
    }

    fn run(&mut self) {
        while self.asked.is_none() {
            match self.phase {
                Phase::Evaluating => self.evaluate(),
                Phase::Explaining(_) => self.explain(),
                Phase::Done => return,
            }
        }
    }

    fn ask(&mut self, name: Name, kind: Kind, purpose: Purpose) {
        self.asked = Some((Question { name, kind }, purpose));
    }

    /// Ends without an answer of the domain.
    fn stop(&mut self, outcome: Outcome, problem: Problem) {
        self.verdict.outcome = outcome;
        self.verdict.problem = Some(problem);
        self.finish();
    }

    fn finish(&mut self) {
        self.phase = Phase::Done;
        self.asked = None;
        self.frames = Vec::new();
    }
}

/// The records: terms in their order, matches, and what follows from them.
impl Check {
    /// One step with the term that is at the top.
    fn evaluate(&mut self) {
        let Some(frame) = self.frames.last() else { return self.finish() };
        let record = Arc::clone(&frame.record);
        let Some(directive) = record.directives.get(frame.at) else {
            return self.end_of_record(&record);
        };
        match &directive.mechanism {
            Mechanism::All => self.matched(),
            Mechanism::Ip4(network, bits) => self.decide(in_v4(self.facts.address, *network, *bits)),
            Mechanism::Ip6(network, bits) => self.decide(in_v6(self.facts.address, *network, *bits)),
            Mechanism::Include(spec) => self.open(spec, Via::Include),
            Mechanism::A(spec, cidr) => self.look_up(spec.as_ref(), self.family(), Purpose::Addresses(*cidr)),
            Mechanism::Mx(spec, cidr) => match self.next_host() {
                NextHost::NotAsked => self.look_up(spec.as_ref(), Kind::Mx, Purpose::Hosts),
                NextHost::Host(host) => self.ask(host, self.family(), Purpose::HostAddresses(*cidr)),
                NextHost::NoMore => self.next(),
            },
            Mechanism::Exists(spec) => self.look_up(Some(spec), Kind::A, Purpose::Exists),
            Mechanism::Ptr(spec) => self.compare_names(spec.as_ref()),
        }
    }

    /// RFC 7208 §4.7, §6.1: nothing matched.
    fn end_of_record(&mut self, record: &Record) {
        match &record.redirect {
            Some(spec) => self.open(spec, Via::Redirect),
            None => self.conclude(Outcome::Neutral),
        }
    }

    fn decide(&mut self, matches: bool) {
        if matches { self.matched() } else { self.next() }
    }

    fn next(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.at += 1;
            frame.counted = false;
            frame.hosts = None;
        }
    }

    fn matched(&mut self) {
        if let Some(outcome) = self.frames.last().and_then(Frame::outcome) {
            self.conclude(outcome);
        }
    }

    /// The record at the top has its outcome. RFC 7208 §5.2: below it, a pass is a match and nothing else is.
    fn conclude(&mut self, outcome: Outcome) {
        let mut outcome = outcome;
        while self.frames.len() > 1 {
            self.frames.pop();
            match self.frames.last().and_then(Frame::outcome) {
                Some(matched) if outcome == Outcome::Pass => outcome = matched,
                _ => return self.next(),
            }
        }
        self.verdict.outcome = outcome;
        let Some(frame) = self.frames.first() else { return self.finish() };
        self.verdict.decided_by = Some(frame.domain.clone());
        self.verdict.mechanism = frame
            .record
            .directives
            .get(frame.at)
            .map(|directive| mail::for_log(&directive.mechanism.to_string(), MECHANISM_SHOWN));
        // RFC 7208 §6.2: of a fail only, and only from the record that decided.
        if outcome == Outcome::Fail && frame.record.explanation.is_some() {
            self.phase = Phase::Explaining(None);
        } else {
            self.finish();
        }
    }

    /// RFC 7208 §4.6.4: counts a term once, before anything is asked for it. False: that was one too many.
    fn count(&mut self) -> bool {
        let Some(frame) = self.frames.last_mut() else { return false };
        if !frame.counted {
            frame.counted = true;
            self.lookups += 1;
        }
        if self.lookups > LOOKUPS_MAX {
            self.stop(Outcome::PermError, Problem::Lookups);
            return false;
        }
        true
    }

    /// Asks for what an `a`, `mx` or `exists` needs.
    fn look_up(&mut self, spec: Option<&DomainSpec>, kind: Kind, purpose: Purpose) {
        if !self.count() {
            return;
        }
        match self.target(spec) {
            Target::Name(name) => self.ask(name, kind, purpose),
            // RFC 7208 §4.8 leaves it open; like a name that does not exist, it does not match.
            Target::Unusable => self.next(),
            Target::Pending => {}
        }
    }

    /// Begins the record of an `include` or `redirect`.
    fn open(&mut self, spec: &DomainSpec, via: Via) {
        if !self.count() {
            return;
        }
        match self.target(Some(spec)) {
            Target::Name(name) => self.ask(name, Kind::Txt, Purpose::Record(via)),
            // RFC 7208 §5.2, §6.1: the check of a malformed domain is "none", and that is a permerror here.
            Target::Unusable => {
                if let Some(frame) = self.frames.last() {
                    let problem = Problem::BadTarget(frame.domain.clone());
                    self.stop(Outcome::PermError, problem);
                }
            }
            Target::Pending => {}
        }
    }

    /// The `ptr` mechanism (RFC 7208 §5.5).
    fn compare_names(&mut self, spec: Option<&DomainSpec>) {
        if !self.count() {
            return;
        }
        match self.target(spec) {
            Target::Name(name) => match self.client_names.within(&name) {
                Sought::Settled(found) => self.decide(found.is_some()),
                open => self.ask_client(open),
            },
            Target::Unusable => self.next(),
            Target::Pending => {}
        }
    }

    /// The name of a term: its own, or the domain of the record.
    fn target(&mut self, spec: Option<&DomainSpec>) -> Target {
        let Some(frame) = self.frames.last() else { return Target::Unusable };
        let domain = frame.domain.clone();
        let Some(spec) = spec else { return Target::Name(domain) };
        match self.values_for(&domain, spec.as_macros(), |values| values.name(spec)) {
            Some(Some(name)) => Target::Name(name),
            Some(None) => Target::Unusable,
            None => Target::Pending,
        }
    }

    /// Expands a text; nothing when the client's name must be asked for first, and that is being asked then.
    fn values_for<T>(&mut self, domain: &Name, text: &MacroString, expand: impl FnOnce(Values<'_>) -> T) -> Option<T> {
        let client_name = if text.needs_client_name() {
            match self.client_names.best_for(domain) {
                Sought::Settled(name) => name,
                open => {
                    self.ask_client(open);
                    return None;
                }
            }
        } else {
            None
        };
        Some(expand(self.facts.values(domain, client_name.as_ref())))
    }

    fn ask_client(&mut self, open: Sought) {
        match open {
            Sought::AskNames => {
                self.ask(iprev::reverse_name(self.facts.address), Kind::Ptr, Purpose::ClientNames);
            }
            Sought::AskAddresses(number, name) => self.ask(name, self.family(), Purpose::ClientName(number)),
            Sought::Settled(_) => {}
        }
    }

    fn next_host(&mut self) -> NextHost {
        match self.frames.last_mut().and_then(|frame| frame.hosts.as_mut()) {
            None => NextHost::NotAsked,
            Some(hosts) => hosts.pop().map_or(NextHost::NoMore, NextHost::Host),
        }
    }

    /// RFC 7208 §5.3: A for a client with an IPv4 address, AAAA for one with IPv6.
    fn family(&self) -> Kind {
        if self.facts.address.is_ipv4() { Kind::A } else { Kind::Aaaa }
    }
}

enum NextHost {
    NotAsked,
    Host(Name),
    NoMore,
}

impl Frame {
    /// What a match of its directive means.
    fn outcome(&self) -> Option<Outcome> {
        self.record.directives.get(self.at).map(|directive| directive.qualifier.into())
    }
}

/// The answers.
impl Check {
    fn learn(&mut self, question: Question, purpose: Purpose, answer: Answer) {
        match purpose {
            // RFC 7208 §5.5: what fails here matches nothing.
            Purpose::ClientName(number) => return self.client_names.settle(number, self.is_client(&answer)),
            Purpose::ClientNames if answer == Answer::Failed => return self.client_names.learn(Vec::new()),
            // RFC 7208 §5: any other failure ends the check.
            _ if answer == Answer::Failed => return self.stop(Outcome::TempError, Problem::Dns(question)),
            _ => {}
        }
        if is_void(&purpose, &answer) {
            self.void_lookups += 1;
            if self.void_lookups > VOID_LOOKUPS_MAX {
                return self.stop(Outcome::PermError, Problem::VoidLookups);
            }
        }
        match purpose {
            Purpose::Record(via) => self.learn_record(question.name, via, answer),
            Purpose::Addresses(cidr) => {
                let matches = is_near(self.facts.address, &answer, cidr);
                self.decide(matches);
            }
            Purpose::HostAddresses(cidr) => {
                if is_near(self.facts.address, &answer, cidr) {
                    self.matched();
                }
            }
            Purpose::Hosts => self.learn_hosts(question.name, answer),
            Purpose::Exists => self.decide(matches!(answer, Answer::A(_))),
            Purpose::ClientNames => self.learn_client_names(answer),
            Purpose::ClientName(_) | Purpose::Explanation => {}
        }
    }

    /// RFC 7208 §4.5: chooses the one record among the TXT records and begins with it.
    fn learn_record(&mut self, domain: Name, via: Via, answer: Answer) {
        let texts = if let Answer::Txt(texts) = answer { texts } else { Vec::new() };
        let mut records = texts.iter().filter(|text| Record::is_one(text));
        match (records.next(), records.next(), via) {
            (None, _, Via::Start) => self.stop(Outcome::None, Problem::NoRecord(domain)),
            // RFC 7208 §5.2, §6.1: none is a permerror for who relied on it.
            (None, _, _) => self.stop(Outcome::PermError, Problem::NoRecord(domain)),
            (Some(_), Some(_), _) => self.stop(Outcome::PermError, Problem::SeveralRecords(domain)),
            (Some(text), None, via) => self.push(domain, text, via),
        }
    }

    fn push(&mut self, domain: Name, text: &[u8], via: Via) {
        if via == Via::Redirect {
            self.frames.pop();
        }
        let open: usize = self.frames.iter().map(|frame| frame.octets).sum();
        if open + text.len() > RECORD_OCTETS_MAX {
            return self.stop(Outcome::PermError, Problem::TooLong);
        }
        match Record::parse(text) {
            Ok(record) => self.frames.push(Frame {
                domain,
                record: Arc::new(record),
                octets: text.len(),
                at: 0,
                counted: false,
                hosts: None,
            }),
            Err(error) => self.stop(Outcome::PermError, Problem::Record { domain, error }),
        }
    }

    /// RFC 7208 §4.6.4: whether a host of the first ten would match can't depend on the order of the answer, so more than
    /// ten are an error before any is asked for.
    fn learn_hosts(&mut self, domain: Name, answer: Answer) {
        let mut hosts = if let Answer::Mx(hosts) = answer { hosts } else { Vec::new() };
        if hosts.len() > MX_HOSTS_MAX {
            return self.stop(Outcome::PermError, Problem::MxHosts(domain));
        }
        hosts.sort_by_key(|(preference, _)| *preference);
        if let Some(frame) = self.frames.last_mut() {
            frame.hosts = Some(hosts.into_iter().rev().map(|(_, host)| host).collect());
        }
    }

    fn learn_client_names(&mut self, answer: Answer) {
        self.client_names.learn(if let Answer::Ptr(names) = answer { names } else { Vec::new() });
    }

    fn is_client(&self, answer: &Answer) -> bool {
        is_near(self.facts.address, answer, DualCidr::WHOLE)
    }
}

/// The explanation (RFC 7208 §6.2). Whatever goes wrong, the verdict is a fail without one.
impl Check {
    fn explain(&mut self) {
        let Some(frame) = self.frames.first() else { return self.finish() };
        let (record, domain) = (Arc::clone(&frame.record), frame.domain.clone());
        let Phase::Explaining(text) = &mut self.phase else { return };
        if let Some(text) = text.take() {
            match self.values_for(&domain, &text, |values| values.explanation(&text)) {
                Some(line) => {
                    self.verdict.explanation = Some(line).filter(|line| !line.is_empty());
                    self.finish();
                }
                None => self.phase = Phase::Explaining(Some(text)),
            }
            return;
        }
        match self.target(record.explanation.as_ref()) {
            Target::Name(name) => self.ask(name, Kind::Txt, Purpose::Explanation),
            Target::Unusable => self.finish(),
            Target::Pending => {}
        }
    }

    /// RFC 7208 §4.6.4: nothing is counted here.
    fn learn_for_explanation(&mut self, purpose: &Purpose, answer: Answer) {
        match purpose {
            Purpose::ClientNames => self.learn_client_names(answer),
            Purpose::ClientName(number) => self.client_names.settle(*number, self.is_client(&answer)),
            _ => match explanation_of(answer) {
                Some(text) => self.phase = Phase::Explaining(Some(text)),
                None => self.finish(),
            },
        }
    }
}

/// RFC 7208 §6.2: exactly one record, of ASCII, without an error.
fn explanation_of(answer: Answer) -> Option<MacroString> {
    let Answer::Txt(texts) = answer else { return None };
    let [text] = texts.as_slice() else { return None };
    MacroString::parse(std::str::from_utf8(text).ok()?, Place::Explanation).ok()
}

/// RFC 7208 §4.6.4: a question that found nothing. Of the hosts of an `mx`, one that has no address of the client's
/// family exists all the same and does no harm; a domain with three IPv4 mail exchangers would else fail on IPv6. The
/// client's own names are not the publisher's doing beyond the first question.
fn is_void(purpose: &Purpose, answer: &Answer) -> bool {
    match purpose {
        Purpose::Addresses(_) | Purpose::Hosts | Purpose::Exists | Purpose::ClientNames => {
            matches!(answer, Answer::NoData | Answer::NoName)
        }
        Purpose::HostAddresses(_) => *answer == Answer::NoName,
        // A record that is not there ends the check by itself.
        Purpose::Record(_) | Purpose::ClientName(_) | Purpose::Explanation => false,
    }
}
