//! The header section, indexed for signatures: which field is the one that `h=` means (RFC 6376 §5.4.2).

use std::cmp::Ordering;

use mail::header::{Ending, Field, Header};

use super::canon::{self, Canon};

/// Why nothing can be said about signatures of a header section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It has more than [`FIELDS_MAX`] fields.
    TooMany,
    /// A line in it is no field. Others may read on behind it and find fields that no signature would cover.
    Broken,
}

/// Fields that are looked at. A header section with more is not verified: a signature could mean a field beyond.
pub const FIELDS_MAX: usize = 20_000;

/// The fields of a header section, found once for all signatures. Linear in its length, but for the sorting of names.
#[derive(Debug)]
pub struct Fields<'a> {
    text: &'a [u8],
    list: Vec<Field<'a>>,
    /// Indices of `list` by name, and among the same names from the top down.
    by_name: Vec<u32>,
    unfit: Option<Unfit>,
}

impl<'a> Fields<'a> {
    /// Finds the fields of a header section. The empty line and what follows it may be there, too. When the body begins
    /// without one, only what is before it may be given; otherwise no signature is verified or made.
    pub fn parse(header: &'a [u8]) -> Self {
        let Header { fields: mut list, ending, .. } = Header::parse(header, FIELDS_MAX + 1);
        let unfit = match ending {
            _ if list.len() > FIELDS_MAX => Some(Unfit::TooMany),
            Ending::NoField => Some(Unfit::Broken),
            Ending::EmptyLine | Ending::Message => None,
        };
        list.truncate(FIELDS_MAX);
        let mut by_name: Vec<u32> = (0..list.len() as u32).collect();
        let name = |index: &u32| list.get(*index as usize).map_or(&b""[..], |field| field.name);
        by_name.sort_by(|left, right| by_case(name(left), name(right)));
        Self { text: header, list, by_name, unfit }
    }

    /// Whether they can be signed and verified.
    pub(crate) fn is_whole(&self) -> bool {
        self.unfit.is_none()
    }

    /// Why they can't be signed or verified, if so.
    pub(crate) fn unfit(&self) -> Option<Unfit> {
        self.unfit
    }

    /// The fields of a name, from the top down, each with its index.
    pub(crate) fn named<'s>(&'s self, name: &str) -> impl DoubleEndedIterator<Item = (usize, &'s Field<'a>)> + 's {
        let (_, indices) = self.run(name.as_bytes());
        indices.iter().filter_map(|index| self.list.get(*index as usize).map(|field| (*index as usize, field)))
    }

    /// How many fields have a name.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.run(name.as_bytes()).1.len()
    }

    /// Where the indices of a name begin in `by_name`, and they.
    fn run(&self, name: &[u8]) -> (usize, &[u32]) {
        let compare =
            |index: &u32| self.list.get(*index as usize).map_or(Ordering::Less, |field| by_case(field.name, name));
        let start = self.by_name.partition_point(|index| compare(index).is_lt());
        let rest = self.by_name.get(start..).unwrap_or_default();
        let length = rest.partition_point(|index| compare(index).is_le());
        (start, rest.get(..length).unwrap_or_default())
    }

    /// Appends the canonical form of what `names` mean: the lowest field of a name, then the next above, then nothing
    /// (RFC 6376 §5.4.2). The signature's own field, at index `own`, is never meant (§3.5, `h=`).
    pub(crate) fn select<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
        own: Option<usize>,
        form: Canon,
        out: &mut Vec<u8>,
    ) {
        // How many fields of a name are taken, kept where the name's run begins.
        let mut taken = vec![0_u32; self.list.len()];
        for name in names {
            let (start, run) = self.run(name.as_bytes());
            let Some(taken) = taken.get_mut(start) else { continue };
            let mut above = run.iter().rev().skip(*taken as usize).inspect(|_| *taken += 1);
            let meant = above.find(|index| Some(**index as usize) != own);
            if let Some(field) = meant.and_then(|index| self.list.get(*index as usize)) {
                self.canonical(field, form, out);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Appends the canonical form of a field without a line end.
    fn canonical(&self, field: &Field<'_>, form: Canon, out: &mut Vec<u8>) {
        let whole = self.text.get(field.range.clone()).unwrap_or_default();
        canon::field(form, field.name, field.value, whole, out);
    }

    /// Appends the canonical form of a signature's own field, in which `blank`, a range of its value, is left out
    /// (RFC 6376 §3.7: `b=` is hashed as if empty). No line end.
    pub(crate) fn canonical_without(
        &self,
        index: usize,
        blank: std::ops::Range<usize>,
        form: Canon,
        out: &mut Vec<u8>,
    ) {
        let Some(field) = self.list.get(index) else { return };
        let whole = self.text.get(field.range.clone()).unwrap_or_default();
        let before = whole.len() - field.value.len();
        let without = |text: &[u8], shift: usize| {
            let (start, end) = (blank.start + shift, blank.end + shift);
            [text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default()].concat()
        };
        canon::field(form, field.name, &without(field.value, 0), &without(whole, before), out);
    }
}

/// Names are compared without regard to case.
fn by_case(left: &[u8], right: &[u8]) -> Ordering {
    left.iter().map(u8::to_ascii_lowercase).cmp(right.iter().map(u8::to_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(header: &str, names: &str, own: Option<usize>) -> String {
        let mut out = Vec::new();
        Fields::parse(header.as_bytes()).select(names.split(':'), own, Canon::Relaxed, &mut out);
        String::from_utf8(out).unwrap().replace("\r\n", "|")
    }

    #[test]
    fn the_lowest_field_of_a_name_is_meant_first() {
        let header = "A: 1\r\nB: 2\r\nb : 3\r\nAb: 4\r\n\r\n";
        assert_eq!(selected(header, "b:a", None), "b:3|a:1|");
        assert_eq!(selected(header, "B:b:b:ab:c", None), "b:3|b:2|ab:4|");
        assert_eq!(selected(header, "b:b", Some(2)), "b:2|");
        assert_eq!(selected(header, "b:b", Some(1)), "b:3|");
        assert_eq!(selected("", "a", None), "");
    }

    #[test]
    fn a_field_without_a_line_end_gets_one() {
        assert_eq!(selected("A: 1", "a", None), "a:1|");
    }

    #[test]
    fn the_own_field_is_hashed_without_its_signature() {
        let header = "X: y\r\nDKIM-Signature: v=1; b =\r\n abc; d=x\r\n";
        let fields = Fields::parse(header.as_bytes());
        let value = fields.list[1].value;
        let tags = crate::tags::Tags::parse(value).unwrap();
        let check = |form, expect: &str| {
            let mut out = Vec::new();
            fields.canonical_without(1, tags.tag("b").unwrap().range.clone(), form, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expect);
        };
        check(Canon::Simple, "DKIM-Signature: v=1; b =; d=x");
        check(Canon::Relaxed, "dkim-signature:v=1; b =; d=x");
    }
}
