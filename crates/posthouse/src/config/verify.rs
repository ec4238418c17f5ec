//! `[verify]` and `[[verify_domain]]`: what is done about SPF, DKIM, DMARC and iprev.

use inbound::{Action, Actions, DomainPattern, Exception, Verification};
use toml::de::DeValue;

use super::{
    Complaint,
    check::{Tables, heading_span},
    keys::{self, Key},
    reader::Reader,
};

/// The words for actions.
const ACTIONS: [(&str, Action); 5] = [
    ("accept", Action::Accept),
    ("tag", Action::Tag),
    ("quarantine", Action::Quarantine),
    ("defer", Action::Defer),
    ("reject", Action::Reject),
];

/// Reads both; nothing when strangers' mail is not verified.
pub(super) fn read(tables: &Tables<'_>, complaints: &mut Vec<Complaint>) -> Option<Verification> {
    let mut noted = Vec::new();
    let mut verification = Verification::default();
    let mut is_on = true;
    if let Some(mut reader) = tables.one(&keys::VERIFY, &mut noted) {
        is_on = reader.flag(&keys::VERIFY_ENABLED).is_none_or(|placed| placed.value);
        verification.actions = actions(&mut reader, Actions::default());
        verification.trusted_sealers = domains(&mut reader, &keys::VERIFY_SEALERS);
    }
    complaints.append(&mut noted);
    let found = tables.many(&keys::VERIFY_DOMAIN, complaints);
    for value in found {
        let DeValue::Table(table) = value.get_ref() else { continue };
        let mut reader = Reader::new(&keys::VERIFY_DOMAIN, table, heading_span(value), complaints);
        let listed = domains(&mut reader, &keys::VERIFY_DOMAINS);
        reader.required(&keys::VERIFY_DOMAINS, Some(&listed).filter(|listed| !listed.is_empty()));
        let actions = actions(&mut reader, verification.actions);
        verification.exceptions.push(Exception { domains: listed, actions });
    }
    is_on.then_some(verification)
}

fn domains(reader: &mut Reader<'_>, key: &'static Key) -> Vec<DomainPattern> {
    let pattern = |text: &str| {
        DomainPattern::parse(text).ok_or_else(|| format!("expected example.net or *.example.net, found `{text}`"))
    };
    let list = reader.list(key, pattern).unwrap_or_default();
    list.into_iter().map(|placed| placed.value).collect()
}

/// The actions of one table over those that hold without it.
fn actions(reader: &mut Reader<'_>, mut actions: Actions) -> Actions {
    let mut read = |key: &'static Key, action: &mut Action| {
        if let Some(placed) = reader.word(key, &ACTIONS) {
            *action = placed.value;
        }
    };
    read(&keys::SPF_FAIL, &mut actions.spf_fail);
    read(&keys::SPF_SOFTFAIL, &mut actions.spf_softfail);
    read(&keys::SPF_PERMERROR, &mut actions.spf_permerror);
    read(&keys::SPF_TEMPERROR, &mut actions.spf_temperror);
    read(&keys::DKIM_FAIL, &mut actions.dkim_fail);
    read(&keys::IPREV_FAIL, &mut actions.iprev_fail);
    read(&keys::DMARC_NONE, &mut actions.dmarc_none);
    read(&keys::DMARC_QUARANTINE, &mut actions.dmarc_quarantine);
    read(&keys::DMARC_REJECT, &mut actions.dmarc_reject);
    read(&keys::DMARC_PERMERROR, &mut actions.dmarc_permerror);
    read(&keys::DMARC_TEMPERROR, &mut actions.dmarc_temperror);
    actions
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Option<Verification>, String> {
        let text = format!("[[listener]]\nservice = \"mx\"\naddress = \"127.0.0.1:25\"\n{text}");
        let parsed = super::super::check::parse(Path::new("posthouse.toml"), &text);
        parsed.map(|config| config.verify).map_err(|complaints| complaints.to_string())
    }

    #[test]
    fn it_is_on_unless_it_is_turned_off() {
        assert_eq!(parse(""), Ok(Some(Verification::default())));
        assert_eq!(parse("[verify]\nenabled = true"), Ok(Some(Verification::default())));
        assert_eq!(parse("[verify]\nenabled = false"), Ok(None));
    }

    #[test]
    fn an_exception_changes_what_it_names() {
        let read = parse(
            "[verify]\nspf_fail = \"reject\"\ntrusted_sealers = [\"lists.example\"]\n\
             [[verify_domain]]\ndomains = [\"*.bank.example\", \"bank.example\"]\ndmarc_none = \"quarantine\"",
        );
        let verification = read.unwrap().unwrap();
        assert_eq!(verification.actions, Actions { spf_fail: Action::Reject, ..Actions::default() });
        let [exception] = verification.exceptions.as_slice() else { panic!("one exception") };
        let expect = Actions { dmarc_none: Action::Quarantine, ..verification.actions };
        assert_eq!((exception.domains.len(), exception.actions), (2, expect));
        assert_eq!(verification.trusted_sealers.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_shown() {
        let check = |text: &str, expect: &str| {
            let complaints = parse(text).unwrap_err();
            assert!(complaints.contains(expect), "{complaints}");
        };
        check("[verify]\nspf_fail = \"bounce\"", "`bounce` is not a value of verify.spf_fail");
        check("[verify]\ndmarc = \"reject\"", "`dmarc` is not a key of [verify]");
        check("[verify]\ntrusted_sealers = \"a b\"", "expected example.net or *.example.net");
        check("[[verify_domain]]\nspf_fail = \"reject\"", "verify_domain.domains is missing");
        check("[verify_domain]\ndomains = \"x\"", "`verify_domain` is written as a table: [[verify_domain]]");
    }
}
