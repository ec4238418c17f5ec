//! DMARC (RFC 9989): who the author is, what is published, what follows from it.

#[path = "dmarc/author.rs"]
mod author;
#[path = "dmarc/record.rs"]
mod record;
#[path = "dmarc/walk.rs"]
mod walk;
