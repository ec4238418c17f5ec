//! The stored forms inside the tables: small records with a version byte before their JSON, and the base states.

use bytes::Bytes;
use mail::{DeliveryId, Mailbox};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::State;

/// The version of every record written now.
const VERSION: u8 = 1;

/// A delivery as the row of its message lists it, while nothing has happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredDelivery {
    pub(super) id: DeliveryId,
    pub(super) recipient: Mailbox,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) original: Option<Mailbox>,
}

/// The form of a record on the disk.
pub(super) fn encode<T: Serialize + ?Sized>(record: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, record).expect("plain data always has a JSON form");
    bytes
}

/// Reads a record; the error says what is wrong with it.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice(json).map_err(|error| error.to_string()),
        Some((version, _)) => Err(format!("a record of format {version}, {VERSION} is known")),
        None => Err("an empty record".into()),
    }
}

/// The state a delivery has on the disk. Active is not among them: a lease is a column of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Base {
    Queued = 0,
    Deferred = 1,
    Scheduled = 2,
    Held = 3,
}

impl Base {
    pub(super) const ALL: [Self; 4] = [Self::Queued, Self::Deferred, Self::Scheduled, Self::Held];

    pub(super) fn from_column(value: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i64 == value)
    }

    pub(super) fn shown(self) -> State {
        match self {
            Self::Queued => State::Queued,
            Self::Deferred => State::Deferred,
            Self::Scheduled => State::Scheduled,
            Self::Held => State::Held,
        }
    }

    /// The word for it in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Deferred => "deferred",
            Self::Scheduled => "scheduled",
            Self::Held => "held",
        }
    }

    /// What a state asked for is on the disk; nothing for those that are not.
    pub(super) fn of(state: State) -> Option<Self> {
        Self::ALL.into_iter().find(|base| base.shown() == state)
    }
}

/// What an operator asked for while a delivery was being attempted: done when the attempt ends without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Wish {
    Hold = 1,
    Cancel = 2,
}

impl Wish {
    pub(super) fn from_column(value: Option<i64>) -> Option<Self> {
        match value {
            Some(1) => Some(Self::Hold),
            Some(2) => Some(Self::Cancel),
            _ => None,
        }
    }
}

/// Numbers per base state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally([i64; 4]);

impl Tally {
    pub(super) fn get(&self, state: Base) -> i64 {
        self.0.get(state as usize).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, state: Base, n: i64) {
        if let Some(place) = self.0.get_mut(state as usize) {
            *place += n;
        }
    }

    pub(super) fn total(&self) -> i64 {
        self.0.iter().sum()
    }
}

/// The events of one transaction as one record: a version byte, then each event after its length (four bytes, big end
/// first).
pub(super) fn pack_events(events: &[Vec<u8>]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(1 + events.iter().map(|event| event.len() + 4).sum::<usize>());
    packed.push(VERSION);
    for event in events {
        let length = u32::try_from(event.len()).expect("an event is smaller than 4 GB");
        packed.extend_from_slice(&length.to_be_bytes());
        packed.extend_from_slice(event);
    }
    packed
}

/// The events of a record, in order.
pub(super) fn unpack_events(packed: Vec<u8>) -> Result<Vec<Bytes>, String> {
    let mut rest = Bytes::from(packed);
    if rest.first() != Some(&VERSION) {
        return Err(format!("a batch of events of format {:?}, {VERSION} is known", rest.first()));
    }
    let _version = rest.split_to(1);
    let mut events = Vec::new();
    while !rest.is_empty() {
        let length: [u8; 4] =
            rest.get(..4).and_then(|bytes| bytes.try_into().ok()).ok_or("a batch of events is cut")?;
        let end = 4 + usize::try_from(u32::from_be_bytes(length)).map_err(|error| error.to_string())?;
        if rest.len() < end {
            return Err("a batch of events is cut".into());
        }
        events.push(rest.split_to(end).slice(4..));
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_unpack_to_what_was_packed() {
        let events = vec![vec![1, 2, 3], vec![], vec![9; 300]];
        assert_eq!(unpack_events(pack_events(&events)).unwrap(), events);
        assert_eq!(unpack_events(pack_events(&[])).unwrap(), Vec::<Bytes>::new());
        assert!(unpack_events(vec![]).is_err());
        assert!(unpack_events(vec![1, 0, 0, 0, 9, 1]).is_err());
        assert!(unpack_events(vec![1, 0, 0]).is_err());
        assert!(unpack_events(vec![7]).is_err());
    }

    #[test]
    fn a_record_of_another_version_is_refused_with_its_number() {
        assert_eq!(decode::<Vec<u8>>(&encode(&vec![1u8, 2])), Ok(vec![1, 2]));
        assert_eq!(decode::<Vec<u8>>(&[9, b'[', b']']), Err("a record of format 9, 1 is known".into()));
        assert!(decode::<Vec<u8>>(&[]).is_err());
    }
}
