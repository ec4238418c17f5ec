//! Listens to a message while it streams by: its author, its signatures, the hashes of its body. Pure.
//!
//! ```text
//! Waiting ── header section complete ─► Listening ── body, piece by piece ─► testimony
//!                                          │
//!                                          └─► what must be asked of the DNS, once
//! ```
//! It hears the message as it came, before anything is taken from it or added.

use mail::{
    Timestamp,
    header::{Ending, Header},
};
use policy::{
    arc,
    dkim::{self, BodyHasher, BodyHashes, Fields},
    dmarc::{Author, AuthorError},
};

/// The machine.
#[derive(Debug)]
pub(crate) struct Witness {
    now: Timestamp,
    heard: Option<Heard>,
}

#[derive(Debug)]
struct Heard {
    author: Result<Author, AuthorError>,
    bodies: BodyHasher,
    inquiry: Option<Inquiry>,
}

/// What the header makes it necessary to ask, and who knows the questions.
#[derive(Debug)]
pub(super) struct Inquiry {
    pub(super) dkim: dkim::Verify,
    pub(super) arc: arc::Verify,
    /// Whose policy will be wanted.
    pub(super) author: Option<Author>,
}

/// What was heard in the end.
#[derive(Debug)]
pub(super) struct Testimony {
    pub(super) author: Result<Author, AuthorError>,
    pub(super) bodies: BodyHashes,
}

impl Witness {
    /// Before the first octet. `now` is for signatures that expire.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { now, heard: None }
    }

    /// The header section is complete: `gathered` begins with it, and may have some of the body.
    pub(crate) fn header(&mut self, gathered: &[u8], header: &Header<'_>) {
        let fields = Fields::parse(gathered.get(..header.end).unwrap_or_default());
        let mut bodies = BodyHasher::default();
        let dkim = dkim::Verify::new(&fields, self.now, &mut bodies);
        let arc = arc::Verify::new(&fields, self.now, &mut bodies);
        let author = Author::from_header(header);
        let inquiry = Some(Inquiry { dkim, arc, author: author.clone().ok() });
        let rest = gathered.get(header.end..).unwrap_or_default();
        let body = match header.ending {
            Ending::EmptyLine => rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n")).unwrap_or(rest),
            Ending::NoField | Ending::Message => rest,
        };
        bodies.update(body);
        self.heard = Some(Heard { author, bodies, inquiry });
    }

    /// A piece of the body.
    pub(crate) fn body(&mut self, piece: &[u8]) {
        if let Some(heard) = &mut self.heard {
            heard.bodies.update(piece);
        }
    }

    /// What must be asked, once it is known.
    pub(super) fn inquiry(&mut self) -> Option<Inquiry> {
        self.heard.as_mut()?.inquiry.take()
    }

    /// The message is complete. Nothing when its header never was.
    pub(super) fn testimony(self) -> Option<Testimony> {
        let Heard { author, bodies, .. } = self.heard?;
        Some(Testimony { author, bodies: bodies.finish() })
    }
}
