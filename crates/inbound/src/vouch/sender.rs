//! What SPF says of a client, with the facts that its fields need. Pure.

use std::net::IpAddr;

use mail::Timestamp;
use policy::{
    authres::{self, Entry, Method, PropertyKind},
    dns::Name,
    spf,
};

use super::Client;

/// The result of SPF.
#[derive(Debug)]
pub(super) struct OfSpf {
    pub(super) outcome: spf::Outcome,
    pub(super) identity: spf::Identity,
    /// The domain that was checked.
    pub(super) domain: Option<Name>,
    /// The domain's own words about a fail.
    pub(super) explanation: Option<String>,
    problem: Option<String>,
    /// What the client gave: a reverse-path or a name.
    given: String,
    /// The whole field Received-SPF.
    pub(super) field: String,
}

/// The facts of one check, owned: it outlives the moment in which it begins.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    address: IpAddr,
    helo: String,
    mail_from: String,
    receiver: String,
    now: Timestamp,
}

impl Sender {
    /// The client as it presents itself, to us.
    pub(super) fn new(client: &Client, receiver: &str, now: Timestamp) -> Self {
        let mail_from = client.reverse_path.mailbox().map(ToString::to_string).unwrap_or_default();
        let helo = client.helo.clone().unwrap_or_default();
        Self { address: client.address, helo, mail_from, receiver: receiver.to_owned(), now }
    }

    fn subject(&self) -> spf::Subject<'_> {
        let Self { address, helo, mail_from, receiver, now } = self;
        spf::Subject { address: *address, helo, mail_from, receiver, now: *now }
    }

    /// The machine that finds out.
    pub(super) fn check(&self) -> spf::Check {
        spf::Check::new(&self.subject())
    }

    /// The verdict with what its fields need.
    pub(super) fn describe(&self, verdict: spf::Verdict) -> OfSpf {
        let field = format!("Received-SPF: {}\r\n", spf::received_spf(&self.subject(), &verdict));
        let spf::Verdict { outcome, identity, domain, explanation, problem, .. } = verdict;
        let given = match identity {
            spf::Identity::MailFrom => self.mail_from.clone(),
            spf::Identity::Helo => self.helo.clone(),
        };
        OfSpf {
            outcome,
            identity,
            domain,
            explanation,
            problem: problem.map(|problem| problem.to_string()),
            given,
            field,
        }
    }
}

impl OfSpf {
    /// For sentences.
    pub(super) fn shown_domain(&self) -> &str {
        self.domain.as_ref().map_or(self.given.as_str(), Name::as_str)
    }

    /// `smtp.mailfrom` or `smtp.helo` (RFC 8601 §2.7.2).
    pub(super) fn property(&self) -> &'static str {
        match self.identity {
            spf::Identity::MailFrom => "mailfrom",
            spf::Identity::Helo => "helo",
        }
    }

    pub(super) fn entry(&self) -> Entry {
        let mut entry = Entry::new(Method::Spf, self.result());
        if let Some(problem) = &self.problem {
            entry = entry.reason(problem);
        }
        entry.property(PropertyKind::Smtp, self.property(), &self.given)
    }

    fn result(&self) -> authres::Outcome {
        match self.outcome {
            spf::Outcome::None => authres::Outcome::None,
            spf::Outcome::Neutral => authres::Outcome::Neutral,
            spf::Outcome::Pass => authres::Outcome::Pass,
            spf::Outcome::Fail => authres::Outcome::Fail,
            spf::Outcome::SoftFail => authres::Outcome::SoftFail,
            spf::Outcome::TempError => authres::Outcome::TempError,
            spf::Outcome::PermError => authres::Outcome::PermError,
        }
    }
}
