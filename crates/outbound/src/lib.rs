//! From a queued message to an outcome.
//!
//! Pure, each a function of (state, event, now) with chance passed in:
//!
//! - [`route`]: where a recipient's mail goes;
//! - [`schedule`]: who is served next, and how many connections a destination gets;
//! - [`mx`]: in which order hosts are tried;
//! - `forward`: under whose address mail goes on that we pass on;
//! - [`classify`]: what a refusal means;
//! - [`retry`]: when it is tried again, and when it is given up.
//!
//! Dull drivers, which ask the pure parts and decide nothing: `feed` (from the spool into the schedule), `pool` (a worker
//! for each connection), `dial` (from a destination to a connection), `converse` (bytes between the connection and
//! `smtp::client`), `local` and [`maildir`] (mailboxes of our own), `conclude` (from outcomes to settlements), `settler`
//! (settlements in batches), `bouncer` and `bounce` (the sender is told). [`Engine`] puts them together.

mod bounce;
mod bouncer;
pub mod classify;
mod conclude;
mod converse;
mod dial;
mod engine;
mod feed;
mod forward;
mod hand;
mod local;
pub mod maildir;
mod meters;
pub mod mx;
mod pool;
pub mod retry;
pub mod route;
pub mod schedule;
mod settings;
mod settler;

pub use engine::{Engine, LocalDomains, Parts, Status, TlsClients};
pub use settings::{
    Credentials, Deadlines, Limits, Own, Pattern, PatternError, Relay, RelayTls, Route, SMTP_PORT, Settings, Target,
};
