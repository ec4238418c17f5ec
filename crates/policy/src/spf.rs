//! SPF (RFC 7208): does a domain let this address send in its name?
//!
//! ```text
//!  Subject ─► Check ──► Ask(question) ──► the driver asks the DNS ──► answer ─┐
//!               ▲  └──► Done(verdict)                                         │
//!               └───────────────────────────────────────────────────────────-─┘
//! ```
//!
//! [`Check`] is the function `check_host()` of the RFC, as a machine without I/O; [`Record`] is what a domain publishes;
//! [`received_spf`] writes the verdict into a header field. What is done about a verdict is not decided here. The
//! 20 seconds of RFC 7208 §4.6.4 are the driver's, who calls [`Check::expire`] when they are over.

mod answers;
mod check;
mod client_names;
mod expand;
mod facts;
mod macros;
mod received;
mod record;
mod verdict;

pub use self::{
    check::Check,
    macros::{DomainSpec, MacroError, MacroString},
    received::received_spf,
    record::{Directive, DualCidr, Mechanism, Qualifier, Record, RecordError, TermError},
    verdict::{Identity, Outcome, Poll, Problem, Subject, Verdict},
};

/// Terms that may ask the DNS in one check: `include`, `a`, `mx`, `ptr`, `exists`, `redirect` (RFC 7208 §4.6.4).
pub const LOOKUPS_MAX: usize = 10;
/// Questions of these terms that may be answered with nothing (RFC 7208 §4.6.4).
pub const VOID_LOOKUPS_MAX: usize = 2;
/// Hosts of one `mx` (RFC 7208 §4.6.4).
pub const MX_HOSTS_MAX: usize = 10;
/// Names of the client's address that are looked at for `ptr` and `%{p}` (RFC 7208 §4.6.4).
pub const CLIENT_NAMES_MAX: usize = 10;
/// Questions that one check can ask at the very most: the record, ten `mx` of ten hosts each, the client's names once,
/// the explanation.
pub const QUESTIONS_MAX: usize = 1 + LOOKUPS_MAX * (1 + MX_HOSTS_MAX) + (1 + CLIENT_NAMES_MAX) + 1;
/// Octets of all records that are open at one moment, one for each `include` that is being followed. RFC 7208 §3.4
/// wants a record to fit in 512.
pub const RECORD_OCTETS_MAX: usize = 64 * 1024;
/// Octets of an explanation; what is longer is cut.
pub const EXPLANATION_OCTETS_MAX: usize = 500;
/// Octets of a HELO name and of a reverse-path that macros can see; SMTP allows about 512.
const SUBJECT_OCTETS_MAX: usize = 1_000;
