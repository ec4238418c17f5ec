//! What is done about what was found out: an action for each result, with exceptions for some domains.

use policy::dns::Name;

/// What becomes of a message for one result. The gravest that applies is done: they are in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It is taken; only Authentication-Results tells of the result.
    Accept,
    /// It is taken, with a field `X-Posthouse-Suspect` that says why.
    Tag,
    /// It is taken, with a field `X-Posthouse-Quarantine` that says why; a Maildir has it in the folder Junk.
    Quarantine,
    /// Later, perhaps: 4xx.
    Defer,
    /// 5xx.
    Reject,
}

/// An action for each result. The others (pass, none, neutral) are always accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    /// SPF: the domain says that the client may not send its mail (`-all`).
    pub spf_fail: Action,
    /// SPF: the domain says that it probably may not (`~all`).
    pub spf_softfail: Action,
    /// SPF: what the domain publishes can't be understood.
    pub spf_permerror: Action,
    /// SPF: the DNS did not answer.
    pub spf_temperror: Action,
    /// DKIM: there are signatures, and none is right. While a key can't be had, nothing harder than [`Action::Defer`].
    pub dkim_fail: Action,
    /// The client's address has no name that leads back to it.
    pub iprev_fail: Action,
    /// DMARC: nobody vouches for the author's domain, which asks for nothing (`p=none`).
    pub dmarc_none: Action,
    /// The same; it asks for quarantine.
    pub dmarc_quarantine: Action,
    /// The same; it asks for rejection.
    pub dmarc_reject: Action,
    /// DMARC: there is no one author.
    pub dmarc_permerror: Action,
    /// DMARC: nobody vouches, but the DNS did not answer all questions.
    pub dmarc_temperror: Action,
}

impl Default for Actions {
    /// What the domain of the author asks for is done; SPF and DKIM alone decide nothing (RFC 9989 §8.1), because
    /// mail that was forwarded or went through a list fails them without anybody's fault.
    fn default() -> Self {
        Self {
            spf_fail: Action::Tag,
            spf_softfail: Action::Accept,
            spf_permerror: Action::Accept,
            spf_temperror: Action::Accept,
            dkim_fail: Action::Accept,
            iprev_fail: Action::Accept,
            dmarc_none: Action::Accept,
            dmarc_quarantine: Action::Quarantine,
            dmarc_reject: Action::Reject,
            dmarc_permerror: Action::Quarantine,
            dmarc_temperror: Action::Defer,
        }
    }
}

/// Other actions for the mail of some domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Whose mail.
    pub domains: Vec<DomainPattern>,
    /// What is done with it.
    pub actions: Actions,
}

/// A domain, or all domains below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainPattern {
    /// `example.net`.
    Exactly(Name),
    /// `*.example.net`.
    Below(Name),
}

impl DomainPattern {
    /// Reads `example.net` or `*.example.net`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("*.") {
            Some(parent) => Name::parse(parent).ok().map(Self::Below),
            None => Name::parse(text).ok().filter(|name| !name.as_str().contains('*')).map(Self::Exactly),
        }
    }

    fn fits(&self, domain: &Name) -> bool {
        match self {
            Self::Exactly(name) => name == domain,
            Self::Below(parent) => domain != parent && domain.is_within(parent),
        }
    }
}

/// How strangers' mail is verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// What is done.
    pub actions: Actions,
    /// Exceptions; the first that fits the domain in From, or that of the reverse-path when there is none, counts.
    pub exceptions: Vec<Exception>,
    /// Whose ARC seals are believed: when one of these says that the message passed DMARC where it came in, a failure
    /// here is taken for the work of a list or a forwarder.
    pub trusted_sealers: Vec<DomainPattern>,
}

impl Verification {
    /// The actions for mail of this domain.
    pub(super) fn actions_for(&self, domain: Option<&Name>) -> &Actions {
        let fits = |exception: &&Exception| {
            domain.is_some_and(|domain| exception.domains.iter().any(|pattern| pattern.fits(domain)))
        };
        self.exceptions.iter().find(fits).map_or(&self.actions, |exception| &exception.actions)
    }

    /// Whether this domain's ARC seals are believed.
    pub(super) fn trusts(&self, sealer: &Name) -> bool {
        self.trusted_sealers.iter().any(|pattern| pattern.fits(sealer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn patterns() {
        let check = |pattern: &str, domain: &str, expect: bool| {
            assert_eq!(DomainPattern::parse(pattern).unwrap().fits(&name(domain)), expect, "{pattern} {domain}");
        };
        check("Example.net", "example.NET", true);
        check("example.net", "a.example.net", false);
        check("*.example.net", "a.example.net", true);
        check("*.example.net", "a.b.example.net", true);
        check("*.example.net", "example.net", false);
        check("*.example.net", "badexample.net", false);
        for bad in ["", "*", "*.", "a.*.b", "a b"] {
            assert_eq!(DomainPattern::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_first_exception_that_fits_counts() {
        let exception = |pattern: &str, spf_fail| Exception {
            domains: vec![DomainPattern::parse(pattern).unwrap()],
            actions: Actions { spf_fail, ..Actions::default() },
        };
        let exceptions = vec![
            exception("a.example", Action::Reject),
            exception("*.example", Action::Quarantine),
            exception("b.example", Action::Accept),
        ];
        let verification = Verification { exceptions, ..Verification::default() };
        let spf_fail = |domain: &str| verification.actions_for(Some(&name(domain))).spf_fail;
        assert_eq!(spf_fail("a.example"), Action::Reject);
        assert_eq!(spf_fail("b.example"), Action::Quarantine);
        assert_eq!(spf_fail("elsewhere.test"), Action::Tag);
        assert_eq!(verification.actions_for(None).spf_fail, Action::Tag);
    }
}
