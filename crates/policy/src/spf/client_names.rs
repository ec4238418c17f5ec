//! The names of the client's address, for `ptr` and `%{p}` (RFC 7208 §5.5, §7.3). A name counts when it leads back to the
//! address. The names are asked for once in a check, and only those are followed back that can decide something.

use crate::dns::Name;

use super::CLIENT_NAMES_MAX;

/// What is known of the names.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientNames(Option<Vec<Candidate>>);

#[derive(Clone, Debug)]
struct Candidate {
    name: Name,
    /// Whether it leads back, once that was asked.
    valid: Option<bool>,
}

/// What came out of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sought {
    /// The names of the address must be asked for first.
    AskNames,
    /// The addresses of this name must be asked for first, and given to [`ClientNames::settle`] with this number.
    AskAddresses(usize, Name),
    /// The best name, or that there is none.
    Settled(Option<Name>),
}

impl ClientNames {
    /// Takes the PTR records; RFC 7208 §4.6.4: those past the tenth are ignored.
    pub(super) fn learn(&mut self, names: Vec<Name>) {
        let candidate = |name| Candidate { name, valid: None };
        self.0 = Some(names.into_iter().take(CLIENT_NAMES_MAX).map(candidate).collect());
    }

    /// Whether the name of this number leads back.
    pub(super) fn settle(&mut self, number: usize, valid: bool) {
        if let Some(candidate) = self.0.as_mut().and_then(|names| names.get_mut(number)) {
            candidate.valid = Some(valid);
        }
    }

    /// A valid name that lies within `target`.
    pub(super) fn within(&self, target: &Name) -> Sought {
        self.seek(1, |name| usize::from(!name.is_within(target)))
    }

    /// The name that `%{p}` stands for: best the domain itself, else one below it, else any (RFC 7208 §7.3).
    pub(super) fn best_for(&self, domain: &Name) -> Sought {
        self.seek(3, |name| match (name == domain, name.is_within(domain)) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        })
    }

    /// The first valid name of the lowest rank below `ranks`.
    fn seek(&self, ranks: usize, rank: impl Fn(&Name) -> usize) -> Sought {
        let Some(names) = &self.0 else { return Sought::AskNames };
        for wanted in 0..ranks {
            for (number, candidate) in names.iter().enumerate().filter(|(_, candidate)| rank(&candidate.name) == wanted)
            {
                match candidate.valid {
                    None => return Sought::AskAddresses(number, candidate.name.clone()),
                    Some(true) => return Sought::Settled(Some(candidate.name.clone())),
                    Some(false) => {}
                }
            }
        }
        Sought::Settled(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn only_names_that_matter_are_followed_back() {
        let mut names = ClientNames::default();
        let domain = name("example.net");
        assert_eq!(names.within(&domain), Sought::AskNames);
        names.learn(vec![name("other.example"), name("mx.example.net"), name("example.net")]);
        assert_eq!(names.within(&domain), Sought::AskAddresses(1, name("mx.example.net")));
        names.settle(1, true);
        assert_eq!(names.within(&domain), Sought::Settled(Some(name("mx.example.net"))));
        assert_eq!(
            names.best_for(&domain),
            Sought::AskAddresses(2, name("example.net")),
            "the domain itself is better"
        );
        names.settle(2, false);
        assert_eq!(names.best_for(&domain), Sought::Settled(Some(name("mx.example.net"))));
        assert_eq!(names.within(&name("nowhere.example")), Sought::Settled(None));
    }

    #[test]
    fn the_eleventh_name_is_ignored() {
        let mut names = ClientNames::default();
        names.learn((0..11).map(|number| name(&format!("h{number}.example.net"))).collect());
        assert_eq!(names.within(&name("h10.example.net")), Sought::Settled(None));
        assert_eq!(names.within(&name("h9.example.net")), Sought::AskAddresses(9, name("h9.example.net")));
    }
}
