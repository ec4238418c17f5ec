//! From an address to the mailboxes that take its mail, and from a user to the addresses it may send as.
//!
//! An address of a local domain is looked up in this order, local parts without regard to case:
//!
//! 1. an alias of exactly that address, which leads on;
//! 2. a user of exactly that address;
//! 3. both again without the `+tag`;
//! 4. for `postmaster` and `abuse`, which every domain must take (RFC 5321 §4.5.1, RFC 2142): the catch-all, the domain's
//!    first user (by creation), the first user of any local domain, and when there is no user at all the mailbox
//!    `postmaster@` of the domain itself, so that the letter is kept until somebody looks;
//! 5. the domain's catch-all.
//!
//! In a relay domain an alias leads on, and every other address is taken as it is. An address of no domain of ours is the
//! end of an alias (a forward), and refused when it stands alone.
//!
//! An alias may name its own address: the user of that address then keeps a copy. Any other way back into an alias that
//! was opened already leads nowhere new; if nothing else is left, that is a loop.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
};

use mail::{Domain, Mailbox};

use super::{Directory, DomainKind, User};

/// Aliases opened one inside the other; more is taken for a loop.
pub const EXPANSION_DEPTH_MAX: usize = 10;
/// Mailboxes that one address may lead to, and targets that are looked at for it.
pub const TARGETS_MAX: usize = 1000;

/// What an address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Its mail goes to these, at least one, each once: mailboxes here, addresses of relay domains, forwards elsewhere.
    Mailboxes(Vec<Mailbox>),
    /// Its domain is none of ours.
    NotOurDomain,
    /// Nobody here has it.
    UnknownUser,
    /// Its aliases lead in a circle, or too deep (5.4.6).
    Loop,
    /// It leads to more than [`TARGETS_MAX`] (5.4.6).
    TooMany,
}

/// What one step makes of an address.
enum Step<'a> {
    Opens(&'a super::Alias),
    Ends(Mailbox),
    Unknown,
}

impl Directory {
    /// Where the mail of an address goes.
    pub fn resolve(&self, address: &Mailbox) -> Resolution {
        if !self.domains.contains_key(&address.domain) {
            return Resolution::NotOurDomain;
        }
        self.expand(address)
    }

    /// Where the mail of `<postmaster>` without a domain goes (RFC 5321 §4.5.1): to the postmaster of the first local
    /// domain by name. [`Resolution::NotOurDomain`] when there is no local domain.
    pub fn resolve_postmaster(&self) -> Resolution {
        let first = self.domains.iter().find(|(_, kind)| **kind == DomainKind::Local);
        first.map_or(Resolution::NotOurDomain, |(domain, _)| self.resolve(&postmaster(domain)))
    }

    /// Whether a user may send as an address: its own, with any +tag, and any alias that leads to it.
    pub fn may_send_as(&self, user: &Mailbox, address: &Mailbox) -> bool {
        let (user, exact) = (user.folded(), address.folded());
        if !self.users.contains_key(&user) {
            return false;
        }
        if exact == user {
            return true;
        }
        if self.users.contains_key(&exact) {
            return false;
        }
        let leads = |address: &Mailbox| match self.expand(address) {
            Resolution::Mailboxes(found) => found.iter().any(|found| found.folded() == user),
            Resolution::NotOurDomain | Resolution::UnknownUser | Resolution::Loop | Resolution::TooMany => false,
        };
        if self.aliases.contains_key(&exact) {
            return leads(address);
        }
        let Some(base) = untagged(address) else { return false };
        base.folded() == user || self.aliases.contains_key(&base.folded()) && leads(address)
    }

    /// The addresses a user may send as, its own first; each with any +tag besides.
    pub fn sender_addresses(&self, user: &Mailbox) -> Vec<Mailbox> {
        let Some(known) = self.user(user) else {
            return Vec::new();
        };
        let aliases = self.aliases().into_iter().map(|alias| alias.address);
        let leading = aliases.filter(|alias| alias.folded() != known.mailbox.folded() && self.may_send_as(user, alias));
        std::iter::once(known.mailbox.clone()).chain(leading).collect()
    }

    /// Opens aliases until only ends are left. Every address is opened once and every end kept once, so it is over after
    /// at most [`TARGETS_MAX`] steps, whatever the aliases are.
    fn expand(&self, address: &Mailbox) -> Resolution {
        let mut waiting = VecDeque::from([(address.clone(), 0)]);
        let mut seen = HashSet::from([address.folded()]);
        let (mut ends, mut kept) = (Vec::new(), HashSet::new());
        let mut circular = false;
        while let Some((next, depth)) = waiting.pop_front() {
            let mut keep = |end: Mailbox| {
                if kept.insert(end.folded()) {
                    ends.push(end);
                }
            };
            let alias = match self.step(&next) {
                Step::Unknown => continue,
                Step::Ends(end) => {
                    keep(end);
                    continue;
                }
                Step::Opens(alias) => alias,
            };
            if depth == EXPANSION_DEPTH_MAX {
                return Resolution::Loop;
            }
            let own = alias.address.folded();
            for target in &alias.targets {
                let folded = target.folded();
                if folded == own
                    && let Some(user) = self.users.get(&own)
                {
                    keep(user.mailbox.clone());
                } else if seen.insert(folded) {
                    waiting.push_back((target.clone(), depth + 1));
                } else {
                    circular = true;
                }
            }
            if seen.len() > TARGETS_MAX + 1 {
                return Resolution::TooMany;
            }
        }
        match (ends.is_empty(), circular) {
            (false, _) => Resolution::Mailboxes(ends),
            (true, true) => Resolution::Loop,
            (true, false) => Resolution::UnknownUser,
        }
    }

    fn step(&self, address: &Mailbox) -> Step<'_> {
        let Some(kind) = self.domains.get(&address.domain) else {
            return Step::Ends(address.clone());
        };
        if let Some(alias) = self.aliases.get(&address.folded()) {
            return Step::Opens(alias);
        }
        if let Some(user) = self.users.get(&address.folded()) {
            return Step::Ends(user.mailbox.clone());
        }
        if let Some(base) = untagged(address).map(|base| base.folded()) {
            if let Some(alias) = self.aliases.get(&base) {
                return Step::Opens(alias);
            }
            if let Some(user) = self.users.get(&base) {
                return Step::Ends(user.mailbox.clone());
            }
        }
        match kind {
            DomainKind::Relay => Step::Ends(address.clone()),
            DomainKind::Local => self.step_unclaimed(address),
        }
    }

    /// An address of a local domain that is neither alias nor user.
    fn step_unclaimed(&self, address: &Mailbox) -> Step<'_> {
        let duty = is_duty(address);
        if let Some(target) = self.catch_alls.get(&address.domain) {
            match self.step_catch_all(target) {
                Step::Unknown if duty => {}
                step => return step,
            }
        }
        if !duty {
            return Step::Unknown;
        }
        let first = self.first_users();
        let user = first.get(&address.domain).or_else(|| first.values().min_by_key(|user| user.id));
        Step::Ends(user.map_or_else(|| postmaster(&address.domain), |user| user.mailbox.clone()))
    }

    /// A catch-all is followed once: one that leads to an unclaimed address leads nowhere.
    fn step_catch_all(&self, target: &Mailbox) -> Step<'_> {
        if self.domain_kind(&target.domain) != Some(DomainKind::Local) {
            return Step::Ends(target.clone());
        }
        let claimed = |address: &Mailbox| {
            let folded = address.folded();
            self.aliases.contains_key(&folded) || self.users.contains_key(&folded)
        };
        if claimed(target) || untagged(target).is_some_and(|base| claimed(&base)) {
            return self.step(target);
        }
        Step::Unknown
    }

    fn first_users(&self) -> &BTreeMap<Domain, Arc<User>> {
        self.first_users.get_or_init(|| {
            let mut first: BTreeMap<Domain, Arc<User>> = BTreeMap::new();
            for user in self.users.values() {
                let held = first.entry(user.mailbox.domain.clone()).or_insert_with(|| Arc::clone(user));
                if user.id < held.id {
                    *held = Arc::clone(user);
                }
            }
            first
        })
    }
}

/// The address without its `+tag`; nothing when it has none.
pub(crate) fn untagged(address: &Mailbox) -> Option<Mailbox> {
    let (base, _) = address.local.unquoted().split_once('+')?;
    Some(Mailbox { local: base.parse().ok()?, domain: address.domain.clone() })
}

fn is_duty(address: &Mailbox) -> bool {
    let local = address.local.unquoted();
    let local = local.split_once('+').map_or(local, |(base, _)| base);
    local.eq_ignore_ascii_case("postmaster") || local.eq_ignore_ascii_case("abuse")
}

fn postmaster(domain: &Domain) -> Mailbox {
    Mailbox { local: "postmaster".parse().expect("a dot-string"), domain: domain.clone() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Alias, ScramVerifier, Verifiers};

    const LOCALS: [&str; 6] = ["a", "b", "c+t", "d", "postmaster", "abuse"];
    const DOMAINS: [&str; 4] = ["local.example", "second.example", "relay.example", "foreign.example"];

    fn address() -> impl Strategy<Value = Mailbox> {
        (prop::sample::select(&LOCALS[..]), prop::sample::select(&DOMAINS[..]))
            .prop_map(|(local, domain)| format!("{local}@{domain}").parse().unwrap())
    }

    fn user((id, mailbox): (usize, Mailbox)) -> (String, Arc<User>) {
        let scram = ScramVerifier { salt: vec![], iterations: 1, stored_key: [0; 32], server_key: [0; 32] };
        let id = i64::try_from(id).unwrap();
        let verifiers = Verifiers { argon2: String::new(), scram };
        (mailbox.folded(), Arc::new(User { id, mailbox, verifiers }))
    }

    /// Any directory that the store could be in, and some that its checks forbid.
    fn directory() -> impl Strategy<Value = Directory> {
        let users = prop::collection::vec(address(), 0..6);
        let aliases = prop::collection::vec((address(), prop::collection::vec(address(), 1..5)), 0..12);
        let catch_all = prop::option::of(address());
        (users, aliases, catch_all).prop_map(|(users, aliases, catch_all)| {
            let kinds = [DomainKind::Local, DomainKind::Local, DomainKind::Relay];
            let domains = DOMAINS.iter().zip(kinds).map(|(name, kind)| (name.parse().unwrap(), kind));
            let local = users.into_iter().filter(|user| user.domain.is_within(&"local.example".parse().unwrap()));
            let alias =
                |(address, targets): (Mailbox, Vec<Mailbox>)| (address.folded(), Arc::new(Alias { address, targets }));
            Directory {
                domains: Arc::new(domains.collect()),
                users: Arc::new(local.enumerate().map(user).collect()),
                aliases: Arc::new(aliases.into_iter().map(alias).collect()),
                catch_alls: Arc::new(
                    catch_all.map(|target| ("local.example".parse().unwrap(), target)).into_iter().collect(),
                ),
                ..Directory::default()
            }
        })
    }

    proptest! {
        #[test]
        fn it_ends_somewhere_and_each_end_is_kept_once(directory in directory(), address in address()) {
            let resolution = directory.resolve(&address);
            prop_assert_eq!(&resolution, &directory.resolve(&address.folded().parse().unwrap()));
            match directory.domain_kind(&address.domain) {
                None => prop_assert_eq!(&resolution, &Resolution::NotOurDomain),
                Some(_) => prop_assert_ne!(&resolution, &Resolution::NotOurDomain),
            }
            if let Resolution::Mailboxes(ends) = resolution {
                prop_assert!(!ends.is_empty() && ends.len() <= TARGETS_MAX);
                let distinct: HashSet<_> = ends.iter().map(Mailbox::folded).collect();
                prop_assert_eq!(distinct.len(), ends.len());
                for end in ends {
                    let local = directory.domain_kind(&end.domain) == Some(DomainKind::Local);
                    prop_assert!(!local || directory.user(&end).is_some() || is_duty(&end), "{}", end);
                }
            }
        }

        #[test]
        fn who_may_send_as_an_address_gets_its_mail(directory in directory(), user in address(), address in address()) {
            if directory.may_send_as(&user, &address) && address.folded() != user.folded() {
                let base = untagged(&address).unwrap_or_else(|| address.clone());
                let own = base.folded() == user.folded();
                let gets = matches!(directory.expand(&address), Resolution::Mailboxes(ends)
                    if ends.iter().any(|end| end.folded() == user.folded()));
                prop_assert!(own || gets);
            }
            let listed = directory.sender_addresses(&user);
            prop_assert!(listed.iter().all(|address| directory.may_send_as(&user, address)));
        }

        #[test]
        fn a_local_domain_always_has_a_postmaster(directory in directory()) {
            if directory.aliases.is_empty() {
                for address in ["postmaster@local.example", "ABUSE@second.example"] {
                    let found = directory.resolve(&address.parse().unwrap());
                    prop_assert!(matches!(found, Resolution::Mailboxes(_)));
                }
            }
        }
    }

    #[test]
    fn a_million_fold_alias_is_given_up_early() {
        let names = |prefix: &str| -> Vec<Mailbox> {
            (0..1000).map(|number| format!("{prefix}{number}@local.example").parse().unwrap()).collect()
        };
        let mut aliases: HashMapOf = names("mid").into_iter().map(|address| alias(address, names("leaf"))).collect();
        aliases.extend([alias("bomb@local.example".parse().unwrap(), names("mid"))]);
        let domains = std::iter::once(("local.example".parse().unwrap(), DomainKind::Local)).collect();
        let directory = Directory { domains: Arc::new(domains), aliases: Arc::new(aliases), ..Directory::default() };
        assert_eq!(directory.resolve(&"bomb@local.example".parse().unwrap()), Resolution::TooMany);
    }

    type HashMapOf = std::collections::HashMap<String, Arc<Alias>>;

    fn alias(address: Mailbox, targets: Vec<Mailbox>) -> (String, Arc<Alias>) {
        (address.folded(), Arc::new(Alias { address, targets }))
    }
}
