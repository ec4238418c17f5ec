//! From outcomes to settlements: what is tried again and when, what is given up, who is told. Writes the one log line and
//! the counters that each outcome gets.

use std::sync::Arc;

use mail::{Outcome, Refusal, Timestamp, Transcript, for_log};
use spool::{LeasedDelivery, Message, Settlement, Verdict};

use crate::{
    bounce::{Bounce, GivenUp},
    engine::Shared,
    retry::{self, Failed, Next},
    schedule::LaneId,
};

/// Characters of a reply in a log line.
const REPLY_MAX: usize = 500;

/// How an attempt went, apart from its outcomes.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// The lane that the deliveries came from.
    pub(crate) lane: Option<LaneId>,
    /// When it began.
    pub(crate) began: Timestamp,
    /// The local address used.
    pub(crate) source: Option<String>,
    /// The conversation, kept with failures.
    pub(crate) transcript: Option<Transcript>,
}

impl Attempt {
    /// One that needed no destination.
    pub(crate) fn local(now: Timestamp) -> Self {
        Self { lane: None, began: now, source: None, transcript: None }
    }

    fn settlement(&self, message: &Message, leased: &LeasedDelivery, verdict: Verdict, failed: bool) -> Settlement {
        Settlement {
            lease: leased.lease,
            message: message.id,
            recipient: leased.delivery.recipient.clone(),
            verdict,
            source: self.source.clone(),
            transcript: if failed { self.transcript.clone() } else { None },
        }
    }
}

impl Shared {
    /// Settles the outcomes of one attempt at deliveries of one message. Failures for good go by way of a notification.
    pub(crate) fn conclude(&self, message: &Arc<Message>, outcomes: Vec<(LeasedDelivery, Outcome)>, attempt: &Attempt) {
        if outcomes.is_empty() {
            return;
        }
        let now = self.parts.clock.now();
        let mut settled = Vec::with_capacity(outcomes.len());
        let mut given_up = Vec::new();
        for (leased, outcome) in outcomes {
            match outcome {
                Outcome::Delivered { ref host, ref reply } => {
                    log_delivered(message, &leased, host, &reply.to_string(), now);
                    settled.push(attempt.settlement(message, &leased, Verdict::Done(outcome), false));
                }
                Outcome::Deferred(refusal) => match self.next(message, &leased, attempt, now) {
                    Next::At(due) => {
                        log_refused("deferred", message, &leased, &refusal, Some(due));
                        let verdict = Verdict::Retry(Outcome::Deferred(refusal), due);
                        settled.push(attempt.settlement(message, &leased, verdict, true));
                    }
                    Next::Expired => {
                        log_refused("expired", message, &leased, &refusal, None);
                        let verdict = Verdict::Expired(Outcome::Deferred(refusal.clone()));
                        let settlement = attempt.settlement(message, &leased, verdict, true);
                        given_up.push(GivenUp::new(settlement, &leased, refusal, true));
                    }
                },
                Outcome::Bounced(refusal) => {
                    log_refused("bounced", message, &leased, &refusal, None);
                    let verdict = Verdict::Done(Outcome::Bounced(refusal.clone()));
                    let settlement = attempt.settlement(message, &leased, verdict, true);
                    given_up.push(GivenUp::new(settlement, &leased, refusal, false));
                }
            }
        }
        self.give_up(message, given_up, attempt.lane);
        self.settler.push(attempt.lane, settled);
    }

    /// RFC 5321 §4.5.5: nobody is told about mail with the null reverse-path. Others are told first, then it is settled.
    fn give_up(&self, message: &Arc<Message>, given_up: Vec<GivenUp>, lane: Option<LaneId>) {
        if given_up.is_empty() {
            return;
        }
        if message.envelope.reverse_path.mailbox().is_none() {
            self.settler.push(lane, given_up.into_iter().map(|one| one.settlement));
            return;
        }
        let bounce = Bounce { message: Arc::clone(message), lane, given_up };
        if let Some(bounce) = self.bouncer.push(bounce) {
            // So many wait already that these are attempted once more, later.
            let due = self.parts.clock.now() + crate::bouncer::FULL_WAIT;
            for one in bounce.given_up {
                self.settler.push_parked(lane, one.settlement.lease, due);
            }
        }
    }

    fn next(&self, message: &Message, leased: &LeasedDelivery, attempt: &Attempt, now: Timestamp) -> Next {
        let failed = Failed {
            attempts: leased.delivery.attempts.saturating_add(1),
            began: attempt.began,
            now,
            expires: message.expires,
        };
        let frozen = self.clock_guard().is_frozen(self.now());
        retry::next(&self.settings().retry, failed, frozen, self.parts.chance.fraction())
    }

    /// Keeps a message among the captured ones.
    pub(crate) fn capture(&self, message: &Arc<Message>, captured: Vec<(LeasedDelivery, Outcome)>) {
        let attempt = Attempt::local(self.parts.clock.now());
        let settlement = |(leased, outcome): (LeasedDelivery, Outcome)| {
            let delivery = &leased.delivery;
            metrics::counter!("posthouse_outbound_outcomes_total", "outcome" => "captured").increment(1);
            tracing::info!(id = %message.id, delivery = %delivery.id, to = %delivery.recipient, "captured");
            attempt.settlement(message, &leased, Verdict::Captured(outcome), false)
        };
        self.settler.push(None, captured.into_iter().map(settlement));
    }

    /// Leaves a delivery to an operator.
    pub(crate) fn hold(&self, message: &Arc<Message>, leased: LeasedDelivery) {
        let delivery = &leased.delivery;
        metrics::counter!("posthouse_outbound_outcomes_total", "outcome" => "held").increment(1);
        tracing::info!(id = %message.id, delivery = %delivery.id, to = %delivery.recipient, "held, as the route says");
        let attempt = Attempt::local(self.parts.clock.now());
        self.settler.push(None, [attempt.settlement(message, &leased, Verdict::Held, false)]);
    }
}

fn log_delivered(message: &Message, leased: &LeasedDelivery, host: &str, reply: &str, now: Timestamp) {
    let delivery = &leased.delivery;
    let delay = now.since(message.received);
    metrics::counter!("posthouse_outbound_outcomes_total", "outcome" => "delivered").increment(1);
    metrics::histogram!("posthouse_outbound_delivery_seconds").record(delay.as_secs_f64());
    tracing::info!(
        id = %message.id,
        delivery = %delivery.id,
        to = %delivery.recipient,
        host,
        reply = %for_log(reply, REPLY_MAX),
        attempts = delivery.attempts.saturating_add(1),
        delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
        size = message.size,
        "delivered"
    );
}

fn log_refused(
    outcome: &'static str,
    message: &Message,
    leased: &LeasedDelivery,
    refusal: &Refusal,
    next: Option<Timestamp>,
) {
    let delivery = &leased.delivery;
    metrics::counter!("posthouse_outbound_outcomes_total", "outcome" => outcome).increment(1);
    metrics::counter!("posthouse_outbound_refusals_total", "class" => class_name(refusal)).increment(1);
    let (next, reply) = (next.map(|next| next.to_rfc3339()), for_log(&refusal.reply.to_string(), REPLY_MAX));
    tracing::info!(
        id = %message.id,
        delivery = %delivery.id,
        to = %delivery.recipient,
        stage = %refusal.stage,
        host = %for_log(&refusal.host, REPLY_MAX),
        %reply,
        class = class_name(refusal),
        attempts = delivery.attempts.saturating_add(1),
        next,
        "{outcome}"
    );
}

/// The class in the words of the API.
fn class_name(refusal: &Refusal) -> &'static str {
    use mail::FailureClass as Class;
    match refusal.class {
        Class::UnknownUser => "unknown_user",
        Class::InactiveMailbox => "inactive_mailbox",
        Class::BadDomain => "bad_domain",
        Class::MailboxFull => "mailbox_full",
        Class::TooLarge => "too_large",
        Class::Greylisted => "greylisted",
        Class::RateLimited => "rate_limited",
        Class::IpBlocked => "ip_blocked",
        Class::DomainBlocked => "domain_blocked",
        Class::ContentSpam => "content_spam",
        Class::PolicyAuth => "policy_auth",
        Class::TlsRequired => "tls_required",
        Class::Network => "network",
        Class::Protocol => "protocol",
        Class::Expired => "expired",
        Class::Suppressed => "suppressed",
        Class::Loop => "loop",
        Class::Smtputf8 => "smtputf8",
        Class::Virus => "virus",
        Class::SenderRejected => "sender_rejected",
        Class::Account => "account",
        Class::Unknown => "unknown",
    }
}
