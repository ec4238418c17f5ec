//! From an accepted socket to a committed message.
//!
//! ```text
//! accept ─► driver ◄─► smtp::server::Session          (moves octets; decides nothing)
//!   │          │ asks            ▲ answers
//!  gate        ▼                 │
//!            desk ── admission · auth · store          (who may send what to whom)
//!              │
//!         transaction ── intake ── stamp · loops · lengths   (what becomes of the content)
//!              │            ╰──── vouch                        (whose the content is)
//!              ▼
//!            spool
//! ```
//!
//! Read in this order: `settings`, `accept`, `gate`, `driver`, `desk`, `admission`, `auth`, `transaction`, `intake`, `stamp`,
//! `vouch`; then `submit`, the same way for mail made inside. `admission`, `intake`, `stamp`, `loops` and `lengths` are pure.
//!
//! What it is not: the conversation (that is `smtp::server`), sockets (`net`), durability (`spool`).

mod accept;
mod admission;
mod auth;
mod desk;
mod driver;
mod expand;
mod filters;
mod gate;
mod intake;
mod lengths;
mod loops;
mod meters;
mod network;
mod office;
mod privacy;
mod service;
mod settings;
mod sign;
mod stamp;
mod submit;
#[cfg(test)]
mod testing;
mod transaction;
mod vouch;

pub use auth::{Cost, HashError, hash_password};
pub use filters::{
    Directions, FILTER_CONCURRENCY, FILTER_SIZE_LIMIT, FILTER_TIMEOUT, FILTERS_MAX, FilterKind, FilterSettings,
    Filters, Hook, OnFailure, OnFound, OnLarger, SCREENING_MAX, Shown,
};
pub use gate::{Examination, GateSettings, List, Load, Measure};
pub use network::{Network, NetworkError};
pub(crate) use office::Office;
pub use office::{Inbound, Parts};
pub use policy::{account::Limits, rate::Rate, score::Thresholds};
pub use privacy::{ClientIn, Privacy, REMOVED_FIELDS};
pub use service::Service;
pub use settings::{
    CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS, EXPIRE, FixUps, Recipients, Settings, SubmitSettings, Tls,
};
pub use sign::Signers;
pub use vouch::{Action, Actions, DomainPattern, Exception, Verification};
