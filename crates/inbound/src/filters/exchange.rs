//! One question over HTTP: the body is fed from the draft while it is sent, the answer is JSON with status 200.

use std::{pin::pin, time::Instant};

use net::{
    Dialer, Endpoint,
    http::{self, Body, Pieces, Post},
};
use serde::de::DeserializeOwned;
use spool::SpoolError;

use super::{
    letter::Letter,
    opinion::{Trouble, clean},
};

/// Octets of an answer. Rspamd lists the links of a message in it.
const ANSWER_MAX: usize = 1024 * 1024;
/// Octets of an answer that is an error, as far as it is read for the log.
const SHOWN: usize = 300;

/// Sends the request with the body that `feed` gives, and reads the answer.
pub(super) async fn ask<A: DeserializeOwned>(
    dialer: &Dialer,
    endpoint: &Endpoint,
    deadline: Instant,
    (post, body): (Post, Body),
    feed: impl Future<Output = Result<(), SpoolError>>,
) -> Result<A, Trouble> {
    let channel = dialer.dial(endpoint, deadline).await?;
    let (mut answered, feed) = (pin!(http::post(channel, post, body, ANSWER_MAX)), pin!(feed));
    let answer = tokio::select! {
        biased;
        answer = &mut answered => answer?,
        fed = feed => {
            fed?;
            answered.await?
        }
    };
    if answer.status != 200 {
        let words = answer.body.get(..SHOWN).unwrap_or(&answer.body);
        return Err(Trouble::Failed(format!("{} {}", answer.status, clean(&String::from_utf8_lossy(words)))));
    }
    serde_json::from_slice(&answer.body).map_err(|error| Trouble::Nonsense(clean(&error.to_string())))
}

/// Feeds the letter as it is.
pub(super) async fn feed(mut pieces: Pieces, letter: &Letter<'_>) -> Result<(), SpoolError> {
    let mut source = letter.pieces();
    while let Some(piece) = source.next().await? {
        if !pieces.send(piece).await {
            break;
        }
    }
    Ok(())
}
