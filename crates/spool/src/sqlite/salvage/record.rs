//! The rows on one page of a database, as far as they can be read (<https://www.sqlite.org/fileformat2.html> §1.6, §2).

use rusqlite::types::Value;

use super::pages::{PAGE, Pages, u32_at};

/// Octets of a row: more than any of ours has. No row is longer than the file either.
const ROW_MAX: usize = 256 * 1024 * 1024;
/// Columns of a row: more than any of our tables has.
const COLUMNS_MAX: usize = 64;
/// Types of a page: the first octet of its header.
const INDEX_INSIDE: u8 = 2;
const TABLE_INSIDE: u8 = 5;
const INDEX_LEAF: u8 = 10;
const TABLE_LEAF: u8 = 13;

/// One row: its number, when its table has numbers, and its values.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) number: Option<i64>,
    pub(super) values: Vec<Value>,
}

/// How the rows of a page are stored.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Where the places of the rows are listed.
    list: usize,
    /// Octets before a row's length: the number of the page below, on the inside of an index.
    below: usize,
    /// Whether rows have numbers: those of tables have, those of indexes and tables without row numbers have not.
    numbered: bool,
    /// Octets of a row up to which it stands whole on its page.
    whole: usize,
}

impl Layout {
    /// That of a page by its first octets. An octet that says nothing known is taken for a damaged leaf of a table; unless
    /// the page may be one that a long row goes on on: such a page begins with the number of the next, and what follows
    /// was written by the sender of a message.
    fn of(page: &[u8; PAGE], last: u32) -> Option<Self> {
        let index = Self { list: 8, below: 0, numbered: false, whole: (PAGE - 12) * 64 / 255 - 23 };
        match page.first().copied().unwrap_or_default() {
            INDEX_LEAF => Some(index),
            INDEX_INSIDE => Some(Self { list: 12, below: 4, ..index }),
            // One flipped bit makes this of a leaf; what is inside of a table in truth reads as no row of ours.
            TABLE_LEAF | TABLE_INSIDE => Some(Self { list: 8, below: 0, numbered: true, whole: PAGE - 35 }),
            _ if u32_at(page, 0) > last => Some(Self { list: 8, below: 0, numbered: true, whole: PAGE - 35 }),
            _ => None,
        }
    }
}

/// Every row on the page that can be read, one at a time: each may be large, and a damaged page may name one often.
pub(super) fn rows<'p>(page: &'p [u8; PAGE], pages: &'p Pages) -> impl Iterator<Item = Row> + 'p {
    let layout = Layout::of(page, pages.last());
    let places = layout.map(|layout| places(page, layout).into_iter().map(move |place| (place, layout)));
    places.into_iter().flatten().filter_map(|(place, layout)| row(page, place, layout, pages))
}

/// Where the page says that rows stand, each once.
fn places(page: &[u8; PAGE], layout: Layout) -> Vec<usize> {
    let count = usize::from(u16_at(page, 3)).min((PAGE - layout.list) / 2);
    let mut places: Vec<usize> = (0..count).map(|n| usize::from(u16_at(page, layout.list + 2 * n))).collect();
    places.sort_unstable();
    places.dedup();
    places
}

fn row(page: &[u8; PAGE], place: usize, layout: Layout, pages: &Pages) -> Option<Row> {
    let mut reader = Reader(page.get(place + layout.below..)?);
    let most = (pages.last() as usize).saturating_mul(PAGE).min(ROW_MAX);
    let length = usize::try_from(reader.varint()?).ok().filter(|length| *length <= most)?;
    let number = if layout.numbered { Some(reader.varint()?.cast_signed()) } else { None };
    let payload = payload(reader, length, layout.whole, pages)?;
    Some(Row { number, values: values(&payload)? })
}

/// The octets of a row, gathered from its page and those that it goes on on.
fn payload(mut reader: Reader<'_>, length: usize, whole: usize, pages: &Pages) -> Option<Vec<u8>> {
    if length <= whole {
        return reader.take(length).map(<[u8]>::to_vec);
    }
    let least = (PAGE - 12) * 32 / 255 - 23;
    let fitting = least + (length - least) % (PAGE - 4);
    let mut payload = reader.take(if fitting <= whole { fitting } else { least })?.to_vec();
    let mut next = u32_at(reader.take(4)?, 0);
    let mut page = [0; PAGE];
    while payload.len() < length {
        if !pages.read(next, &mut page) {
            return None;
        }
        let (link, octets) = page.split_at(4);
        next = u32_at(link, 0);
        payload.extend(octets.iter().take(length - payload.len()));
    }
    Some(payload)
}

/// The values of a row: a header with their types, then the values.
fn values(payload: &[u8]) -> Option<Vec<Value>> {
    let mut whole = Reader(payload);
    let header = usize::try_from(whole.varint()?).ok()?;
    let mut types = Reader(payload.get(payload.len() - whole.0.len()..header)?);
    let mut body = Reader(payload.get(header..)?);
    let mut values = Vec::new();
    while !types.0.is_empty() {
        if values.len() == COLUMNS_MAX {
            return None;
        }
        values.push(body.value(types.varint()?)?);
    }
    Some(values)
}

fn u16_at(octets: &[u8], at: usize) -> u16 {
    octets.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |two| u16::from_be_bytes(*two))
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of one to nine octets: seven bits of each, eight of the ninth.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for at in 0..9 {
            let [octet] = *self.take(1)?.first_chunk()?;
            if at == 8 {
                return Some(number << 8 | u64::from(octet));
            }
            number = number << 7 | u64::from(octet & 0x7f);
            if octet < 0x80 {
                break;
            }
        }
        Some(number)
    }

    /// A value of that serial type. Our tables hold no fractions.
    fn value(&mut self, serial: u64) -> Option<Value> {
        let octets = match serial {
            0 => return Some(Value::Null),
            8 => return Some(Value::Integer(0)),
            9 => return Some(Value::Integer(1)),
            1..=4 => serial,
            5 => 6,
            6 => 8,
            12.. => (serial - 12) / 2,
            _ => return None,
        };
        let octets = self.take(usize::try_from(octets).ok()?)?;
        Some(match serial {
            ..=6 => Value::Integer(integer(octets)),
            _ if serial.is_multiple_of(2) => Value::Blob(octets.to_vec()),
            _ => Value::Text(String::from_utf8(octets.to_vec()).ok()?),
        })
    }
}

/// A number in two's complement, the largest octet first.
fn integer(octets: &[u8]) -> i64 {
    let sign = if octets.first().is_some_and(|octet| *octet >= 0x80) { -1 } else { 0 };
    octets.iter().fold(sign, |number, octet| number << 8 | i64::from(*octet))
}
