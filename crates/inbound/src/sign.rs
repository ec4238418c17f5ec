//! Signing what our users send (RFC 6376 §5): the header as it will be kept, the body while it streams through.

use std::{fmt, sync::Arc};

use mail::{Domain, Timestamp, header::Header};
use policy::dkim::{BodyHasher, Fields, Signer, Signing};
use spool::{DraftReader, SpoolError};

use crate::stamp::section::{FIELDS_MAX, Progress, Section};

/// Who has the keys of our domains.
pub trait Signers: fmt::Debug + Send + Sync + 'static {
    /// The signer that speaks for mail from `domain`; none when it has no keys.
    fn signer(&self, domain: &Domain) -> Option<Arc<Signer>>;
}

/// Signs one message, if its author's domain is one of ours that has keys.
#[derive(Debug)]
pub(crate) struct Hand {
    signers: Arc<dyn Signers>,
    now: Timestamp,
    work: Option<Work>,
}

#[derive(Debug)]
struct Work {
    signing: Signing,
    body: BodyHasher,
}

impl Hand {
    /// For a message that is accepted now.
    pub(crate) fn new(signers: Arc<dyn Signers>, now: Timestamp) -> Self {
        Self { signers, now, work: None }
    }

    /// The header section as it is kept, with what follows it. What has no From, or one of a domain that is not ours, is
    /// not signed.
    pub(crate) fn begin(&mut self, octets: &[u8]) {
        let header = Header::parse(octets, FIELDS_MAX);
        let (section, rest) = octets.split_at(header.end);
        let author = header.first("From").and_then(|from| mail::header::mailboxes(&from.unfolded(), 1).pop());
        let Some(signer) = author.and_then(|author| self.signers.signer(&author.domain)) else {
            return;
        };
        let mut body = BodyHasher::default();
        match signer.begin(&Fields::parse(section), self.now, &mut body) {
            Ok(signing) => {
                body.update(rest.strip_prefix(b"\r\n").unwrap_or(rest));
                self.work = Some(Work { signing, body });
            }
            Err(error) => tracing::warn!(%error, "a message is not signed"),
        }
    }

    /// A piece of the body.
    pub(crate) fn body(&mut self, piece: &[u8]) {
        if let Some(work) = &mut self.work {
            work.body.update(piece);
        }
    }

    /// Begins again with what a filter has made of the message: fields that it put before it, and what is in the draft.
    pub(crate) async fn read(&mut self, prefix: &[u8], mut draft: DraftReader<'_>) -> Result<(), SpoolError> {
        self.work = None;
        let mut section = Some(Section::default());
        let mut piece = Some(prefix.to_vec());
        while let Some(octets) = piece {
            match &mut section {
                None => self.body(&octets),
                Some(open) => match open.take(octets) {
                    Progress::Open => {}
                    Progress::Complete { gathered, .. } => {
                        section = None;
                        self.begin(&gathered);
                    }
                    Progress::Refused(_) => {
                        tracing::warn!("a message is not signed: with the fields of filters its header is too long");
                        return Ok(());
                    }
                },
            }
            piece = draft.read().await?.map(Vec::from);
        }
        if let Some(Progress::Complete { gathered, .. }) = section.as_mut().map(Section::finish) {
            self.begin(&gathered);
        }
        Ok(())
    }

    /// The DKIM-Signature fields, each with its line end; empty when the message is not signed.
    pub(crate) fn finish(self) -> String {
        let Some(Work { signing, body }) = self.work else {
            return String::new();
        };
        signing.finish(&body.finish()).unwrap_or_else(|error| {
            tracing::error!(%error, "a message could not be signed");
            String::new()
        })
    }
}
