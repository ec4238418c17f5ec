//! From a queued message to an outcome.

pub mod classify;
mod engine;
pub mod maildir;
pub mod mx;
pub mod retry;
pub mod route;
pub mod schedule;
mod settings;

pub use engine::{Engine, LocalDomains, Parts, TlsClients};
pub use settings::{
    Credentials, Deadlines, Limits, Own, Pattern, PatternError, Relay, RelayTls, Route, SMTP_PORT, Settings, Target,
};
