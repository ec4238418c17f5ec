//! What an operator can ask and change: the requests of the command line, the answers, and who carries them out.
//!
//! A running server answers through the [control socket](crate::control). Requests about domains, users, aliases and
//! keys are carried out by the command itself when no server runs. The shapes here are an interface: what `--json` prints.

pub(crate) mod alone;
pub(crate) mod directory;
pub(crate) mod queue;
pub(crate) mod show;
pub(crate) mod signing;

use mail::{DeliveryId, Mailbox, MessageId, ReversePath, Timestamp};
use serde::{Deserialize, Serialize};
use spool::State;

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// About domains, users, aliases.
    Directory(directory::Request),
    /// About the keys that sign.
    Signing(signing::Request),
    /// About the queue.
    Queue(queue::Request),
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// So many things were changed.
    Changed(u64),
    /// A list of domains.
    Domains(Vec<DomainRow>),
    /// A list of users.
    Users(Vec<UserRow>),
    /// A list of aliases.
    Aliases(Vec<AliasRow>),
    /// A list of catch-alls.
    CatchAlls(Vec<CatchAllRow>),
    /// A list of keys.
    Keys(Vec<signing::KeyRow>),
    /// What a domain publishes.
    Records(Vec<crate::dns::records::Record>),
    /// Numbers of the queue.
    Summary(Summary),
    /// A page of deliveries.
    Deliveries(DeliveryPage),
    /// One message.
    Message(Box<MessageView>),
}

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DomainRow {
    pub(crate) domain: String,
    /// `local` or `relay`.
    pub(crate) kind: String,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserRow {
    pub(crate) address: String,
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AliasRow {
    pub(crate) address: String,
    pub(crate) targets: Vec<String>,
}

/// A catch-all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CatchAllRow {
    pub(crate) domain: String,
    pub(crate) target: String,
}

/// Numbers of the queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// Deliveries per state; only what waits or is being attempted.
    pub(crate) states: Vec<StateCount>,
    /// The largest domains.
    pub(crate) domains: Vec<DomainCount>,
    /// Why the queue is stopped, when it is.
    pub(crate) stopped: Option<String>,
    /// What an operator must look at: damage that was set aside since the start.
    pub(crate) alerts: Vec<String>,
}

/// Deliveries in one state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StateCount {
    pub(crate) state: State,
    pub(crate) count: u64,
}

/// Deliveries to one domain in one state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DomainCount {
    pub(crate) domain: String,
    pub(crate) state: State,
    pub(crate) count: u64,
}

/// A page of deliveries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeliveryPage {
    pub(crate) rows: Vec<DeliveryRow>,
    /// Where the next page begins.
    pub(crate) cursor: Option<String>,
}

/// One delivery in a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeliveryRow {
    /// The message.
    pub(crate) id: MessageId,
    pub(crate) reverse_path: ReversePath,
    pub(crate) size: u64,
    pub(crate) received_at: Rfc3339,
    pub(crate) service: String,
    /// The delivery.
    pub(crate) recipient: RecipientView,
}

/// `queue show --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MessageView {
    pub(crate) id: MessageId,
    pub(crate) reverse_path: ReversePath,
    pub(crate) size: u64,
    pub(crate) received_at: Rfc3339,
    pub(crate) service: String,
    pub(crate) recipients: Vec<RecipientView>,
    pub(crate) history: Vec<HistoryView>,
}

/// One recipient of a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RecipientView {
    pub(crate) id: DeliveryId,
    pub(crate) address: Mailbox,
    pub(crate) state: State,
    pub(crate) attempts: u32,
    pub(crate) next_due: Option<Rfc3339>,
    pub(crate) source: Option<String>,
    pub(crate) last_reply: Option<ReplyView>,
    pub(crate) class: Option<mail::FailureClass>,
    pub(crate) kind: Option<mail::FailureKind>,
}

/// A reply and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplyView {
    pub(crate) stage: mail::Stage,
    pub(crate) host: String,
    pub(crate) code: u16,
    pub(crate) enhanced: Option<mail::EnhancedCode>,
    pub(crate) text: String,
    pub(crate) at: Rfc3339,
}

/// One thing that happened to a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HistoryView {
    pub(crate) at: Rfc3339,
    /// `message.accepted` and so on.
    pub(crate) event: String,
    /// The delivery, when it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) recipient: Option<DeliveryId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) address: Option<Mailbox>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) reply: Option<ReplyView>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) next_due: Option<Rfc3339>,
    /// The way that it was sent instead, when it is about that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) route: Option<String>,
    /// Who handed the message in, when it is about its acceptance.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) origin: Option<mail::Origin>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) transcript: Vec<LineView>,
}

/// One line of a conversation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LineView {
    /// Milliseconds since the attempt began.
    pub(crate) at_ms: u64,
    pub(crate) stage: mail::Stage,
    pub(crate) side: mail::Side,
    pub(crate) text: String,
}

/// A time that is written as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rfc3339(pub(crate) Timestamp);

impl Serialize for Rfc3339 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Rfc3339 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Timestamp::from_rfc3339(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not a time of RFC 3339"))
    }
}

/// Why a request was not carried out: a sentence for whoever asked.
pub(crate) type Refused = String;
