//! What is found out about a stranger that begins a message: the name in EHLO, the domain of the reverse-path, and what
//! the lists say of its address.
//!
//! ```text
//!  MAIL ─► greeting ─► sender's domain ─► lists ─► Opinion
//!             │ refuse, defer │              RCPT: defer or refuse by the sum; postmaster is always reached
//!             ▼               ▼              end of data: the field X-Posthouse-Suspect
//!          550, 450        550, 450
//! ```
//!
//! Facts come from the resolver, which caches them; each kind of question has its deadline, and what is not answered in
//! time speaks neither for nor against. Verdicts are `policy`'s.

use std::{
    future::{Future, poll_fn},
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use mail::{Domain, Reply, ReversePath};
use policy::{
    dns::{Answer, Kind, Name, Question},
    dnsbl,
    greeting::{self, Greeting},
    score::{Consequence, Score, Thresholds},
    sender::{self, Check, Step},
};

use crate::{Network, Office, service::Current};

/// For all that is asked about the sender's domain.
const SENDER_WAIT: Duration = Duration::from_secs(10);
/// For all lists together.
const LISTS_WAIT: Duration = Duration::from_secs(5);
/// What our own name in EHLO weighs where it is scored.
const OWN_NAME_WEIGHT: i32 = 5;
/// What a name that is none weighs.
const UNQUALIFIED_WEIGHT: i32 = 2;
/// What a sender weighs whose domain takes no mail.
const SENDER_WEIGHT: i32 = 5;
/// Octets of a name that are repeated.
const SHOWN_MAX: usize = 80;

/// What is done about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nothing.
    Accept,
    /// It counts in the sum.
    Score,
    /// 450.
    Defer,
    /// 550.
    Refuse,
}

/// A list of addresses in the DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its name: what is asked is the address under it.
    pub zone: String,
    /// What a listing counts; less than zero when it speaks for the client.
    pub weight: i32,
    /// The answers that count; all within 127/8 when none is named.
    pub answers: Vec<Network>,
}

/// What is asked about strangers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// Our own name, or one of our domains, in EHLO.
    pub own_name: Measure,
    /// A name in EHLO that is none.
    pub unqualified_name: Measure,
    /// A reverse-path whose domain takes no mail.
    pub sender_domain: Measure,
    /// Lists, and what each counts.
    pub lists: Vec<List>,
    /// From which sums on what is done.
    pub thresholds: Thresholds,
}

impl Examination {
    /// Nothing is asked.
    pub fn none() -> Self {
        Self {
            own_name: Measure::Accept,
            unqualified_name: Measure::Accept,
            sender_domain: Measure::Accept,
            lists: Vec::new(),
            thresholds: Thresholds::default(),
        }
    }
}

impl Default for Examination {
    /// What no server of a sound configuration does is refused; nothing else is.
    fn default() -> Self {
        Self {
            own_name: Measure::Refuse,
            unqualified_name: Measure::Score,
            sender_domain: Measure::Refuse,
            ..Self::none()
        }
    }
}

/// What is thought of a stranger's message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opinion {
    score: Score,
    consequence: Consequence,
}

impl Opinion {
    /// Why a recipient is not taken; nothing when it is.
    pub(crate) fn refusal(&self, peer: IpAddr) -> Option<Reply> {
        let why = || format!("Mail from {} is not taken: {}", peer.to_canonical(), self.score.against().join(", "));
        match self.consequence {
            Consequence::Accept | Consequence::Tag => None,
            Consequence::Defer => Some(Reply::with(450, (4, 7, 1), format!("{}; try again later", why()))),
            Consequence::Refuse => Some(Reply::with(550, (5, 7, 1), why())),
        }
    }

    /// Whether more speaks for the client than against it.
    pub(crate) fn is_favourable(&self) -> bool {
        self.score.total() < 0
    }

    /// What stands in the field of a message that is marked.
    pub(crate) fn mark(&self) -> Option<String> {
        // Folded, because there may be many lists (RFC 5322 §2.1.1).
        let why = || format!("gate score {}", self.score.describe()).replace(", ", ",\r\n\t");
        (self.consequence == Consequence::Tag).then(why)
    }
}

/// Finds out about a stranger and its message, or refuses it.
pub(crate) async fn examine(
    office: &Office,
    service: &Current,
    peer: IpAddr,
    helo: Option<&str>,
    reverse_path: &ReversePath,
) -> Result<Opinion, Reply> {
    let rules = &service.settings.gate.examination;
    let mut score = Score::default();
    judge_greeting(office, service, helo, &mut score)?;
    judge_sender(office, rules, reverse_path, &mut score).await?;
    for (list, verdict) in rules.lists.iter().zip(ask_lists(office, &rules.lists, peer).await) {
        if verdict == dnsbl::Verdict::Listed {
            score.add("listed by", list.zone.as_str(), list.weight);
        }
    }
    let consequence = score.consequence(&rules.thresholds);
    if !score.is_empty() {
        tracing::debug!(service = service.settings.name, %peer, score = score.describe(), ?consequence, "examined");
    }
    Ok(Opinion { score, consequence })
}

fn judge_greeting(office: &Office, service: &Current, helo: Option<&str>, score: &mut Score) -> Result<(), Reply> {
    let rules = &service.settings.gate.examination;
    let name = helo.unwrap_or_default();
    let directory = office.store.directory();
    let hostname = &service.settings.session.hostname;
    let is_ours =
        |domain: &Domain| domain.to_string().eq_ignore_ascii_case(hostname) || directory.domain_kind(domain).is_some();
    let shown: String = name.chars().take(SHOWN_MAX).collect();
    let (measure, weight, why) = match greeting::judge(name, None, is_ours) {
        Greeting::Sound => return Ok(()),
        Greeting::Ours => (rules.own_name, OWN_NAME_WEIGHT, "a name of this server: say your own"),
        Greeting::Unqualified => {
            (rules.unqualified_name, UNQUALIFIED_WEIGHT, "no whole host name: say EHLO your.host.name")
        }
    };
    apply(measure, (7, 1), format!("EHLO {shown} is {why}"), || score.add("EHLO", shown.as_str(), weight))
}

async fn judge_sender(
    office: &Office,
    rules: &Examination,
    reverse_path: &ReversePath,
    score: &mut Score,
) -> Result<(), Reply> {
    let Some(domain) = reverse_path.mailbox().map(|mailbox| &mailbox.domain) else { return Ok(()) };
    // A domain of ours is ours, whatever the DNS says of it on this side of a firewall.
    if rules.sender_domain == Measure::Accept || office.store.directory().domain_kind(domain).is_some() {
        return Ok(());
    }
    let Some(name) = domain.name().and_then(|name| Name::parse(name).ok()) else { return Ok(()) };
    let (enhanced, why) = match office.clock.timeout(SENDER_WAIT, ask_sender(office, name)).await {
        Ok(sender::Verdict::Sound) => return Ok(()),
        Ok(sender::Verdict::NullMx) => ((7, 27), "says that it takes no mail (null MX), so it sends none"),
        Ok(sender::Verdict::NoMail) => {
            ((1, 8), "does not exist or has neither MX nor address, so no bounce would reach it")
        }
        Ok(sender::Verdict::Unknown) | Err(_) if rules.sender_domain == Measure::Score => return Ok(()),
        Ok(sender::Verdict::Unknown) | Err(_) => {
            let text = format!("The name servers of the sender's domain {domain} do not answer; try again later");
            return Err(Reply::with(450, (4, 1, 8), text));
        }
    };
    let text = format!("The sender's domain {domain} {why}");
    apply(rules.sender_domain, enhanced, text, || score.add("sender", domain.to_string(), SENDER_WEIGHT))
}

fn apply(measure: Measure, (subject, detail): (u16, u16), text: String, score: impl FnOnce()) -> Result<(), Reply> {
    match measure {
        Measure::Accept => Ok(()),
        Measure::Score => {
            score();
            Ok(())
        }
        Measure::Defer => Err(Reply::with(450, (4, subject, detail), text)),
        Measure::Refuse => Err(Reply::with(550, (5, subject, detail), text)),
    }
}

async fn ask_sender(office: &Office, name: Name) -> sender::Verdict {
    let mut step = Check::begin(name);
    loop {
        match step {
            Step::Ask(machine, question) => step = machine.answer(&office.resolver.ask(&question).await),
            Step::Done(verdict) => return verdict,
        }
    }
}

/// Asks all lists at the same time. One that does not answer says nothing.
async fn ask_lists(office: &Office, lists: &[List], peer: IpAddr) -> Vec<dnsbl::Verdict> {
    let mut verdicts = vec![dnsbl::Verdict::Unknown; lists.len()];
    if lists.is_empty() {
        return verdicts;
    }
    let mut open: Vec<_> = lists.iter().map(|list| Some(Box::pin(ask_list(office, list, peer)))).collect();
    let all = poll_fn(|cx| {
        let mut waiting = false;
        for (slot, verdict) in open.iter_mut().zip(verdicts.iter_mut()) {
            let Some(question) = slot else { continue };
            match Pin::new(question).poll(cx) {
                Poll::Ready(answer) => {
                    *verdict = answer;
                    *slot = None;
                }
                Poll::Pending => waiting = true,
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    });
    // Past the deadline those that have not answered stay unknown.
    let _in_time = office.clock.timeout(LISTS_WAIT, all).await.is_ok();
    verdicts
}

async fn ask_list(office: &Office, list: &List, peer: IpAddr) -> dnsbl::Verdict {
    let Ok(name) = Name::parse(&dnsbl::question(peer, &list.zone)) else {
        return dnsbl::Verdict::Unknown;
    };
    let counts = |answer: Ipv4Addr| {
        list.answers.is_empty() || list.answers.iter().any(|network| network.contains(IpAddr::V4(answer)))
    };
    match office.resolver.ask(&Question { name, kind: Kind::A }).await {
        Answer::A(answers) => {
            let answers: Vec<IpAddr> = answers.into_iter().map(IpAddr::V4).collect();
            let verdict = dnsbl::verdict(&answers, counts);
            if verdict == dnsbl::Verdict::Unknown {
                tracing::warn!(zone = list.zone, ?answers, "a list answers with an error; it is not counted");
            }
            verdict
        }
        Answer::NoData | Answer::NoName => dnsbl::Verdict::Clear,
        _ => dnsbl::Verdict::Unknown,
    }
}
