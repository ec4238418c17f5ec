//! Who vouches for a stranger's message: SPF, DKIM, DMARC, ARC and iprev, and what is done about it.
//!
//! ```text
//! RCPT ────► SPF, iprev ──────────────────────────────┐ asked of the DNS while the session goes on
//! header ──► keys, the author's policy ───────────────┤
//! content ─► witness: hashes ─────────────────────────┤
//! dot ────────────────────────────────────────────────┴─► DMARC ─► findings ─► charges ─► sentence
//!                                                                      │                     ├─ refused: 4xx, 5xx
//!                                                                      └─► fields ◄──────────┴─ taken
//! ```
//!
//! The rules are machines of `policy`. Here they are asked ([`asking`]), the message is listened to ([`witness`]), and what
//! came out is written ([`findings`]) and judged by the configuration ([`charge`], [`settings`]). Nothing waits but the
//! reply to the dot, and that not past the deadlines: what is not answered in time has failed.
//!
//! For users who have authenticated, trusted and exempt networks there is no [`Voucher`], and nothing of this happens.

mod asking;
mod chain;
mod charge;
mod findings;
mod sender;
mod settings;
mod witness;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mail::{Reply, ReversePath};
use policy::{arc, dkim, dmarc, iprev};

pub use self::settings::{Action, Actions, DomainPattern, Exception, Verification};
pub(crate) use self::witness::Witness;
use self::{
    asking::{Memory, Pending, Source},
    chain::OfArc,
    charge::{Sentence, judge},
    findings::{Certainty, Findings, OfDmarc, Standard, identifiers},
    sender::{OfSpf, Sender},
    witness::{Inquiry, Testimony},
};
use crate::{Office, service::Current};

/// RFC 7208 §4.6.4: for all questions of SPF together.
const SPF_MAX: Duration = Duration::from_secs(20);
/// For the keys and the author's policy, from the end of the header section.
const LETTER_MAX: Duration = Duration::from_secs(20);
/// The newest keys of a chain, then the others.
const ARC_ROUNDS: usize = 2;
/// For what DMARC still has to ask when the message is complete.
const DMARC_MAX: Duration = Duration::from_secs(10);

/// Who hands a message in.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// What it calls itself.
    pub(crate) helo: Option<String>,
    pub(crate) reverse_path: ReversePath,
}

/// Finds out who vouches for one message.
#[derive(Debug)]
pub(crate) struct Voucher {
    office: Arc<Office>,
    service: Arc<Current>,
    verification: Arc<Verification>,
    client: Client,
    spf: Pending<OfSpf>,
    iprev: Pending<iprev::Outcome>,
    letter: Option<Pending<Letter>>,
}

/// What became of the verification of a message that is taken.
#[derive(Debug, Default)]
pub(crate) struct Conclusion {
    /// The fields to put before it.
    pub(crate) fields: Vec<u8>,
    /// The name of the client's address that leads back to it.
    pub(crate) client_name: Option<String>,
}

/// What the DNS said about the header of a message.
#[derive(Debug)]
struct Letter {
    dkim: dkim::Verify,
    arc: arc::Verify,
    /// What DMARC will ask again.
    memory: Memory,
}

impl Voucher {
    /// A recipient was accepted: what can be asked now is asked. Not at MAIL already: for mail that nobody gets, no
    /// stranger makes us ask anything.
    pub(crate) fn new(
        office: &Arc<Office>,
        service: &Arc<Current>,
        verification: &Arc<Verification>,
        client: Client,
    ) -> Self {
        let deadline = office.clock.instant() + SPF_MAX;
        let spf = {
            let sender = Sender::new(&client, &service.settings.session.hostname, office.clock.now());
            let asker = Arc::clone(office);
            Pending::start(&office.tasks, "spf", async move {
                let verdict = source(&asker, deadline).run(sender.check(), &mut Memory::default()).await;
                sender.describe(verdict)
            })
        };
        let iprev = {
            let (asker, address) = (Arc::clone(office), client.address);
            Pending::start(&office.tasks, "iprev", async move {
                source(&asker, deadline).run(iprev::Check::new(address), &mut Memory::default()).await
            })
        };
        let (office, service) = (Arc::clone(office), Arc::clone(service));
        Self { office, service, verification: Arc::clone(verification), client, spf, iprev, letter: None }
    }

    /// Looks whether the witness has heard the header, and asks what it makes necessary.
    pub(crate) fn listen(&mut self, witness: &mut Witness) {
        let Some(Inquiry { mut dkim, mut arc, author }) = witness.inquiry() else { return };
        let office = Arc::clone(&self.office);
        let deadline = office.clock.instant() + LETTER_MAX;
        self.letter = Some(Pending::start(&self.office.tasks, "dkim", async move {
            let source = source(&office, deadline);
            let mut memory = Memory::default();
            let signatures = async {
                let questions = dkim.questions().cloned().collect();
                for (question, answer) in source.ask_all(questions).await {
                    dkim.answer(&question, &answer);
                }
            };
            let chain = async {
                // The second round is for the older seals, once the newest has proved right.
                for _round in 0..ARC_ROUNDS {
                    for (question, answer) in source.ask_all(arc.questions()).await {
                        arc.answer(&question, &answer);
                    }
                }
            };
            let policy = async {
                // Nobody is verified yet: it asks for the policy, and is run again when the signatures are.
                if let Some(author) = author {
                    let check = dmarc::Check::new(author, dmarc::Identifiers::default());
                    drop(source.run(check, &mut memory).await);
                }
            };
            tokio::join!(signatures, chain, policy);
            Letter { dkim, arc, memory }
        }));
    }

    /// The message is complete: what to put before it, or the reply that refuses it.
    pub(crate) async fn conclude(mut self, mut witness: Witness) -> Result<Conclusion, Reply> {
        self.listen(&mut witness);
        let Self { office, service, verification, client, spf, iprev, letter } = self;
        // A task that broke is a bug, and logged. What it would have said is not known, so nothing is accepted on it.
        let spf = spf.wait().await.ok_or_else(broken)?;
        let iprev = iprev.wait().await.ok_or_else(broken)?;
        let Testimony { author, bodies } = witness.testimony().ok_or_else(broken)?;
        let letter = letter.ok_or_else(broken)?.wait().await.ok_or_else(broken)?;
        let Letter { dkim, arc, mut memory } = letter;
        let dkim = dkim.finish(&bodies);
        let arc = OfArc::new(arc.finish(&bodies), author.as_ref().ok().map(|author| &author.domain), &verification);
        let source = source(&office, office.clock.instant() + DMARC_MAX);
        let dmarc = match author {
            Ok(author) => ask_dmarc(&source, author, &spf, &dkim, &mut memory).await,
            Err(error) => OfDmarc::NoAuthor(error),
        };
        let client_name = match &iprev {
            iprev::Outcome::Pass(name) => Some(name.as_str().to_owned()),
            iprev::Outcome::Fail | iprev::Outcome::TempError | iprev::Outcome::PermError => None,
        };
        let findings = Findings { client: &client, spf, iprev, dkim, arc, dmarc };
        findings.count(&service.meters);
        tracing::debug!(service = service.settings.name, peer = %client.address, from = %client.reverse_path, %findings, "verified");
        let sentence = judge(findings.charges(verification.actions_for(findings.domain())));
        match sentence {
            Sentence::Refused(reply) => Err(reply),
            sentence => {
                let fields = findings.fields(&service.settings.session.hostname, &sentence);
                Ok(Conclusion { fields, client_name })
            }
        }
    }
}

/// We failed.
fn broken() -> Reply {
    Reply::with(451, (4, 3, 0), "The message cannot be verified at the moment; try again later")
}

/// The verdict, and whether it would have been another if the DNS had answered everything.
async fn ask_dmarc(
    source: &Source<'_>,
    author: dmarc::Author,
    spf: &OfSpf,
    dkim: &dkim::Report,
    memory: &mut Memory,
) -> OfDmarc {
    let verified = identifiers(spf, dkim, Standard::Passed);
    let possible = identifiers(spf, dkim, Standard::NotRefuted);
    let same = verified == possible;
    let verdict = source.run(dmarc::Check::new(author.clone(), verified), memory).await;
    if same || verdict.outcome != dmarc::Outcome::Fail {
        return OfDmarc::Verdict { verdict, certainty: Certainty::Sure };
    }
    let better = source.run(dmarc::Check::new(author, possible), memory).await;
    let certainty = if better.outcome == dmarc::Outcome::Fail { Certainty::Sure } else { Certainty::Open };
    OfDmarc::Verdict { verdict, certainty }
}

fn source(office: &Office, deadline: Instant) -> Source<'_> {
    Source { resolver: office.resolver.as_ref(), clock: &office.clock, deadline }
}
