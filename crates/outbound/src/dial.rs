//! From a destination to a connection that is ready for transactions: look up, connect, greet, in order, until one works.
//!
//! Hosts of equal preference are tried address by address; when one is slow to answer, the next is tried beside it
//! (RFC 8305). A host that cannot do TLS properly is tried again in clear text when TLS was only an opportunity.

use std::{collections::VecDeque, future::poll_fn, net::IpAddr, pin::Pin, sync::Arc, task::Poll, time::Duration};

use mail::{Domain, Outcome, Refusal, Stage, Transcript};
use net::{ConnectError, ResolveError, Stream};
use smtp::{
    client::{self, Cause, ClearTextAuth, Failure, Session, TlsWish, Use},
    sasl::Secret,
};

use crate::{
    Relay, RelayTls, Settings, classify,
    converse::{Conversation, Handshake, Reached, words},
    engine::Shared,
    mx::{self, Hop, Ladder},
    route::Destination,
    schedule::Blame,
};

/// The port where TLS comes before the banner (RFC 8314 §3.3).
const IMPLICIT_TLS_PORT: u16 = 465;
/// How long an address may take before the next is tried beside it.
const STAGGER: Duration = Duration::from_secs(1);
/// Connections that are tried at a time.
const RACERS: usize = 3;

/// A connection that is ready for transactions.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) conversation: Conversation,
    /// `mx.example.net [192.0.2.1]`
    pub(crate) host: String,
    pub(crate) source: Option<String>,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) struct Unreachable {
    pub(crate) refusal: Refusal,
    pub(crate) blame: Blame,
    pub(crate) transcript: Option<Transcript>,
}

impl Unreachable {
    fn new(refusal: Refusal, transcript: Option<Transcript>) -> Box<Self> {
        let blame = if refusal.reply.is_permanent() && !refusal.from_peer { Blame::Judged } else { Blame::Suspend };
        Box::new(Self { refusal, blame, transcript })
    }
}

/// How a destination wants to be spoken to.
struct Manner<'a> {
    tls: RelayTls,
    relay: Option<&'a Relay>,
    settings: &'a Settings,
}

/// Opens a connection to a destination.
pub(crate) async fn dial(shared: &Shared, destination: &Destination) -> Result<Connection, Box<Unreachable>> {
    let settings = shared.settings();
    let settings = settings.as_ref();
    match destination {
        Destination::Mx { domain, tls } => {
            let manner = Manner { tls: *tls, relay: None, settings };
            match domain.literal() {
                Some(address) => {
                    let hop = mx::literal(address, settings.mx_port, &settings.own);
                    let hop = hop.map_err(|refusal| Unreachable::new(refusal, None))?;
                    climb(shared, vec![hop], &manner).await
                }
                None => dial_mx(shared, domain, &manner).await,
            }
        }
        Destination::Relay(relay) => {
            let manner = Manner { tls: relay.tls, relay: Some(relay), settings };
            let addresses = addresses(shared, &relay.host).await;
            let hops = mx::relay(&relay.host, relay.port, addresses);
            climb(shared, hops.map_err(|refusal| Unreachable::new(refusal, None))?, &manner).await
        }
        Destination::Maildir => {
            let refusal = classify::lost(Stage::Local, "", "mailboxes of our own have no connection");
            Err(Unreachable::new(refusal, None))
        }
    }
}

async fn dial_mx(shared: &Shared, domain: &Domain, manner: &Manner<'_>) -> Result<Connection, Box<Unreachable>> {
    let settings = manner.settings;
    let answer = shared.parts.resolver.mx(&domain.to_string()).await;
    let ladder = Ladder::new(domain, answer, &settings.own, &shared.parts.chance);
    let mut ladder = ladder.map_err(|refusal| Unreachable::new(refusal, None))?;
    let mut last = None;
    while let Some(hosts) = ladder.next_hosts() {
        let mut answers = Vec::with_capacity(hosts.len());
        for host in hosts {
            let answer = addresses(shared, &host).await;
            answers.push((host, answer));
        }
        let hops = ladder.hops(answers, settings.mx_port, &settings.own);
        if hops.is_empty() {
            continue;
        }
        match climb(shared, hops, manner).await {
            Ok(connection) => return Ok(connection),
            Err(unreachable) => last = Some(unreachable),
        }
    }
    Err(last.unwrap_or_else(|| Unreachable::new(ladder.refusal(), None)))
}

/// The addresses of a host, which may be an address itself.
async fn addresses(shared: &Shared, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
    match host.parse::<IpAddr>() {
        Ok(address) => Ok(vec![address]),
        Err(_) => shared.parts.resolver.addresses(host).await,
    }
}

/// Tries hops until one greets properly.
async fn climb(shared: &Shared, hops: Vec<Hop>, manner: &Manner<'_>) -> Result<Connection, Box<Unreachable>> {
    let mut hops = VecDeque::from(hops);
    let mut last = None;
    while !hops.is_empty() {
        let (hop, stream) = match race(shared, &mut hops, manner.settings).await {
            Ok(connected) => connected,
            Err((hop, error)) => {
                metrics::counter!("posthouse_outbound_connect_failures_total").increment(1);
                let refusal = classify::lost(Stage::Connect, &hop.to_string(), error.to_string());
                last = Some(Unreachable::new(refusal, None));
                continue;
            }
        };
        match greet(shared, &hop, stream, manner).await {
            Ok(connection) => return Ok(connection),
            Err(unreachable) => last = Some(unreachable),
        }
    }
    Err(last.unwrap_or_else(|| {
        Unreachable::new(classify::lost(Stage::Connect, "", "there is no address to connect to"), None)
    }))
}

type Racer<'a> = (Hop, Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send + 'a>>);

/// Connects to the first of the hops that answers. The hops that were tried are taken out; those still being tried when
/// another answers go back to the front.
async fn race(
    shared: &Shared,
    hops: &mut VecDeque<Hop>,
    settings: &Settings,
) -> Result<(Hop, Stream), (Hop, ConnectError)> {
    let clock = &shared.parts.clock;
    let mut racers: Vec<Racer<'_>> = Vec::new();
    loop {
        if racers.len() < RACERS
            && let Some(hop) = hops.pop_front()
        {
            let deadline = clock.instant() + settings.deadlines.connect;
            let connect = shared.parts.connector.connect(hop.address, None, deadline);
            racers.push((hop, connect));
        }
        let may_add = !hops.is_empty() && racers.len() < RACERS;
        let first = poll_fn(|cx| {
            let ended = racers.iter_mut().enumerate().find_map(|(place, (_, racer))| match racer.as_mut().poll(cx) {
                Poll::Ready(result) => Some((place, result)),
                Poll::Pending => None,
            });
            ended.map_or(Poll::Pending, Poll::Ready)
        });
        let ended = tokio::select! {
            ended = first => ended,
            () = clock.sleep(STAGGER), if may_add => continue,
        };
        let (place, result) = ended;
        let (hop, _) = racers.swap_remove(place);
        match result {
            Ok(stream) => {
                for (slow, _) in racers.into_iter().rev() {
                    hops.push_front(slow);
                }
                return Ok((hop, stream));
            }
            Err(error) if racers.is_empty() && hops.is_empty() => return Err((hop, error)),
            Err(error) => {
                metrics::counter!("posthouse_outbound_connect_failures_total").increment(1);
                tracing::debug!(host = %hop, %error, "no connection; the next address is tried");
            }
        }
    }
}

/// Greets a host that has answered; once more in clear text when its TLS is broken and was only an opportunity.
async fn greet(
    shared: &Shared,
    hop: &Hop,
    stream: Stream,
    manner: &Manner<'_>,
) -> Result<Connection, Box<Unreachable>> {
    metrics::counter!("posthouse_outbound_connections_total").increment(1);
    let (failure, transcript) = match greet_once(shared, hop, stream, manner, manner.tls).await {
        Ok(connection) => return Ok(connection),
        Err(failed) => failed,
    };
    let may_fall_back = manner.tls == RelayTls::Opportunistic && failure.cause == Cause::Tls && !is_implicit(manner);
    if !may_fall_back {
        return Err(unreachable_after(hop, failure, transcript));
    }
    metrics::counter!("posthouse_outbound_tls_fallbacks_total").increment(1);
    tracing::info!(host = %hop, error = %mail::for_log(&failure.text, 200), "TLS failed; the mail goes in clear text");
    let deadline = shared.now() + manner.settings.deadlines.connect;
    let stream = shared.parts.connector.connect(hop.address, None, deadline).await.map_err(|error| {
        Unreachable::new(classify::lost(Stage::Connect, &hop.to_string(), error.to_string()), Some(transcript))
    })?;
    let again = greet_once(shared, hop, stream, manner, RelayTls::Off).await;
    again.map_err(|(failure, transcript)| unreachable_after(hop, failure, transcript))
}

fn unreachable_after(hop: &Hop, failure: Failure, transcript: Transcript) -> Box<Unreachable> {
    let host = hop.to_string();
    let refusal = match failure.reply {
        Some(reply) => match classify::refused(failure.stage, &host, reply) {
            Outcome::Deferred(refusal) | Outcome::Bounced(refusal) => refusal,
            Outcome::Delivered { reply, .. } => classify::lost(failure.stage, &host, reply.to_string()),
        },
        None => {
            let (stage, text) = words(&failure);
            classify::lost(stage, &host, text)
        }
    };
    Unreachable::new(refusal, Some(transcript))
}

fn is_implicit(manner: &Manner<'_>) -> bool {
    manner.tls != RelayTls::Off && manner.relay.is_some_and(|relay| relay.port == IMPLICIT_TLS_PORT)
}

async fn greet_once(
    shared: &Shared,
    hop: &Hop,
    stream: Stream,
    manner: &Manner<'_>,
    tls: RelayTls,
) -> Result<Connection, (Failure, Transcript)> {
    let clock = shared.parts.clock.clone();
    let settings = session_settings(shared, hop, manner, tls);
    let nonce = format!("{:032x}", u128::from_be_bytes(shared.parts.chance.bytes()));
    let session = Session::new(Arc::new(settings), nonce, clock.instant());
    let mut conversation = Conversation::new(stream, session, clock);
    let verified = tls == RelayTls::Verified;
    let handshake = Handshake {
        client: if verified { &shared.parts.tls.verified } else { &shared.parts.tls.opportunistic },
        name: &hop.host,
        wait: manner.settings.deadlines.handshake,
    };
    if is_implicit(manner) && tls != RelayTls::Off {
        conversation.protect(handshake).await;
    }
    match conversation.greet(handshake).await {
        Reached::Ready => {
            let source = conversation.source();
            Ok(Connection { conversation, host: hop.to_string(), source })
        }
        Reached::Failed(failure) => {
            let transcript = conversation.transcript();
            conversation.quit().await;
            Err((failure, transcript))
        }
        Reached::Done(_) | Reached::Closed => {
            let failure = Failure {
                stage: Stage::Banner,
                cause: Cause::Closed,
                reply: None,
                text: "the connection ended before anything could be said".into(),
            };
            Err((failure, conversation.transcript()))
        }
    }
}

fn session_settings(shared: &Shared, hop: &Hop, manner: &Manner<'_>, tls: RelayTls) -> client::Settings {
    let mut settings = client::Settings::new(manner.settings.hostname.clone());
    settings.deadlines = manner.settings.deadlines.session;
    settings.tls = match tls {
        RelayTls::Off => TlsWish::Off,
        _ if is_implicit(manner) => TlsWish::Established,
        RelayTls::Opportunistic => TlsWish::Opportunistic,
        RelayTls::Required | RelayTls::Verified => TlsWish::Required,
    };
    if !shared.may_chunk(&hop.to_string()) {
        settings.chunking = Use::Never;
    }
    let credentials = manner.relay.and_then(|relay| relay.credentials.as_ref());
    settings.auth = credentials.map(|credentials| client::Credentials {
        username: credentials.username.clone(),
        password: Secret::new(credentials.password.as_str()),
    });
    // An operator who says `tls = "off"` beside a password means it; nobody listens on loopback.
    if manner.tls == RelayTls::Off || hop.address.ip().is_loopback() {
        settings.clear_text_auth = ClearTextAuth::Permit;
    }
    settings
}
