//! DMARC (RFC 9989): does an identifier that was verified speak for the domain that the reader sees in From, and what
//! does that domain want done when none does?
//!
//! ```text
//!  Header ─► Author ─┐                      ┌─► Pass
//!  SPF pass ─────────┼─► Check ─► Verdict ──┼─► Fail: the policy that applies, and its disposition
//!  DKIM passes ──────┘    │ ▲               ├─► None: the domain takes no part
//!                Question ▼ │ Answer        └─► TempError: a question stayed open
//! ```
//!
//! Organizational domains are found by the tree walk (§4.10), not by a list of public suffixes. Here nothing is
//! rejected and nothing reported: what happens with a verdict is the receiver's decision (§5.4). A message whose author
//! can't be told never becomes a [`Check`]: [`AuthorError`] says why, and whether refusing is the only safe answer.

mod author;
mod check;
mod record;
mod walk;

pub use author::{Author, AuthorError, Remedy};
pub use check::{Applied, Check, Identifiers, Method, Outcome, Poll, Source, Verdict};
pub use record::{Alignment, FailureReports, Policy, Psd, Record, RecordError, Testing};
