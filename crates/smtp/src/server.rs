//! The receiving end of the conversation (RFC 5321 §3, §4).
//!
//! A [`Session`] keeps the order of commands, words the replies, finds the content and minds the bounds. It does not
//! know who may send what to whom, nor where mail is kept: that it asks its driver ([`Ask`]), which answers
//! ([`Answer`]). Nothing is processed while a question is open; what arrives meanwhile is held.
//!
//! ```text
//!              Connect ── refused ─────────────────────────────┐
//!                 │ 220                                        │
//!                 ▼          handle_tls                        │
//!   ┌──────────► Greet ◄──────────────────── Handshake         │
//!   │             │ EHLO, HELO 250              ▲              │
//!   │             ▼        AUTH 334             │ STARTTLS 220 │
//!   │    ┌─────► Ready ─────────────────► Auth  │ (from Ready, │
//!   │    │        │  ▲                     │    │  Mail,       │
//!   │    │        │  └──── 235, 5xx ───────┘    │  Chunks)     │
//!   │    │        │ MAIL 250                                   │
//!   │    │        ▼                                            │
//!   │    │◄───── Mail ───── DATA 354 ─────► Data ──┐           │
//!   │    │ RSET,  │ ▲ └ RCPT 250                   │ dot       │
//!   │    │ EHLO   │ │ BDAT                         ▼           │
//!   │    │        ▼              LAST       commit 250, 4xx, 5xx
//!   │    │      Chunk ◄──► Chunks ────────► (back to Ready)    │
//!   │    │        │                                            │
//!   └────┴──── Skip: the octets of a BDAT that was refused     │
//!                                                              ▼
//!     from everywhere: QUIT 221, 421, end of input ─────────► Closed
//! ```
//!
//! The table of every command in every state is kept as a snapshot in this crate's tests.
//!
//! Decisions that no page of an RFC makes:
//!
//! - A client that speaks before the banner gets 554 5.5.0, if its driver reads before it answers `Ask::Connect` and
//!   hands the bytes in. They are not kept.
//! - Commands that follow EHLO without waiting are obeyed in order, although RFC 2920 §3.1 forbids to send them; a
//!   service may refuse such a client instead ([`Haste`]).
//! - Whoever keeps count over several connections reads [`Session::tally`], and ends a session that is too much by
//!   [`Session::dismiss`].
//! - A refused recipient counts as an error until one of the same message has been accepted; from then on as many
//!   refusals are forgiven as a message may have recipients. A list with some dead addresses gets through, a guesser
//!   does not.
//! - A BDAT that is refused is answered at once; its octets are thrown away when they come, and the transaction is
//!   gone (RFC 3030 §2). One whose size can't be read has no octets.

mod ask;
mod authentication;
mod commands;
mod content;
mod help;
mod introduction;
mod lines;
mod message;
mod phase;
mod session;
mod settings;
mod wait;
mod words;

pub use ask::{Answer, Ask, Output, Proof};
pub use session::{Session, Tally};
pub use settings::{AuthOffer, Deadlines, Haste, Introduction, Limits, Service, Settings, TlsOffer};
pub use words::vrfy_unsure;
