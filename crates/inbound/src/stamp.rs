//! What is added to a letter and taken from it on its way in. Pure: octets and facts in, octets out.
//!
//! It works on the header section alone, which is gathered whole within bounds ([`section`]); the body streams by
//! untouched. Trace fields follow RFC 5321 §4.4 ([`received`]), repairs of submitted letters RFC 6409 §8 ([`fix_ups`]).
//!
//! | from | removed | added | otherwise |
//! | --- | --- | --- | --- |
//! | the world (mx) | Return-Path, [forged](forged) | Received; the empty line where missing | octet for octet |
//! | our users (submission) | Return-Path, Bcc, Resent-Bcc, [forged](forged) | Received; From, Date, Message-ID and the empty line where missing | octet for octet |

pub(crate) mod fix_ups;
mod forged;
pub(crate) mod received;
pub(crate) mod section;
