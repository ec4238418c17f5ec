//! What speaks against a client, added up, and what follows from the sum.

/// The sums from which on something is done. Nothing is, when there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// The message is marked.
    pub tag: Option<i32>,
    /// The recipient is deferred.
    pub defer: Option<i32>,
    /// The recipient is refused.
    pub refuse: Option<i32>,
}

/// What follows. Ordered by how hard it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consequence {
    /// Nothing.
    #[default]
    Accept,
    /// The message is marked.
    Tag,
    /// 450: come again later.
    Defer,
    /// 550.
    Refuse,
}

/// The sum, and what it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    total: i32,
    reasons: Vec<(&'static str, String, i32)>,
}

impl Score {
    /// Adds a reason: its kind in one word, and what it is about. A weight below zero speaks for the client.
    pub fn add(&mut self, kind: &'static str, about: impl Into<String>, weight: i32) {
        self.total = self.total.saturating_add(weight);
        self.reasons.push((kind, about.into(), weight));
    }

    /// The sum.
    pub fn total(&self) -> i32 {
        self.total
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// What follows.
    pub fn consequence(&self, thresholds: &Thresholds) -> Consequence {
        let reached = |threshold: Option<i32>| threshold.is_some_and(|threshold| self.total >= threshold);
        if reached(thresholds.refuse) {
            Consequence::Refuse
        } else if reached(thresholds.defer) {
            Consequence::Defer
        } else if reached(thresholds.tag) {
            Consequence::Tag
        } else {
            Consequence::Accept
        }
    }

    /// What speaks against the client, the heaviest first: `listed bl.example.net`.
    pub fn against(&self) -> Vec<String> {
        let mut against: Vec<_> = self.reasons.iter().filter(|(.., weight)| *weight > 0).collect();
        against.sort_by_key(|(.., weight)| std::cmp::Reverse(*weight));
        against.into_iter().map(|(kind, about, _)| format!("{kind} {about}").trim_end().to_owned()).collect()
    }

    /// All of it for a header field or a log line: `7 (listed bl.example.net 5, greeting localhost 2)`.
    pub fn describe(&self) -> String {
        let reasons: Vec<_> =
            self.reasons.iter().map(|(kind, about, weight)| format!("{kind} {about} {weight}")).collect();
        format!("{} ({})", self.total, reasons.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_consequences() {
        let thresholds = Thresholds { tag: Some(3), defer: None, refuse: Some(8) };
        let mut score = Score::default();
        assert_eq!((score.consequence(&thresholds), score.is_empty()), (Consequence::Accept, true));
        score.add("greeting", "localhost", 3);
        assert_eq!(score.consequence(&thresholds), Consequence::Tag);
        score.add("listed", "bl.example.net", 5);
        assert_eq!(score.consequence(&thresholds), Consequence::Refuse);
        score.add("listed", "wl.example.net", -6);
        assert_eq!((score.consequence(&thresholds), score.total()), (Consequence::Accept, 2));
        assert_eq!(score.against(), ["listed bl.example.net", "greeting localhost"]);
        assert_eq!(score.describe(), "2 (greeting localhost 3, listed bl.example.net 5, listed wl.example.net -6)");
        assert_eq!(score.consequence(&Thresholds::default()), Consequence::Accept);
    }
}
