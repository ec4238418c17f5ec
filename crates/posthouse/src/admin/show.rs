//! What `queue show` answers: what the spool still has, joined with what the events tell. Pure.

use std::collections::BTreeMap;

use mail::{DeliveryId, Event, EventKind, MessageId, Outcome, Refusal, Reply, Stage, Timestamp, Transcript};
use spool::{State, View};

use super::{DeliveryRow, HistoryView, LineView, MessageView, RecipientView, ReplyView, Rfc3339};

/// One message from its `events` in order and the `views` of what is still in the spool. Nothing when neither knows it.
pub(crate) fn message(id: MessageId, views: &[View], events: &[Event]) -> Option<MessageView> {
    let mut recipients: BTreeMap<DeliveryId, RecipientView> = BTreeMap::new();
    let mut head = None;
    for event in events {
        if let EventKind::Accepted { envelope, size, .. } = &event.kind {
            head = Some((envelope.reverse_path.clone(), *size, event.at, envelope.origin.service.clone()));
        }
        apply(&mut recipients, event);
    }
    if let Some(view) = views.first() {
        head = Some((view.reverse_path.clone(), view.size, view.received, view.service.clone()));
    }
    for view in views {
        // The spool knows best about what it still has.
        recipients.insert(view.delivery, recipient(view));
    }
    let (reverse_path, size, received, service) = head?;
    let mut history: Vec<HistoryView> = events.iter().map(happening).collect();
    add_last_transcripts(&mut history, views);
    Some(MessageView {
        id,
        reverse_path,
        size,
        received_at: Rfc3339(received),
        service,
        recipients: recipients.into_values().collect(),
        history,
    })
}

/// One line of `queue list`.
pub(crate) fn row(view: &View) -> DeliveryRow {
    DeliveryRow {
        id: view.message,
        reverse_path: view.reverse_path.clone(),
        size: view.size,
        received_at: Rfc3339(view.received),
        service: view.service.clone(),
        recipient: recipient(view),
    }
}

/// One line of `queue list` about what has left the spool.
pub(crate) fn finished_row(view: &store::DeliveryView) -> DeliveryRow {
    let mut recipients = BTreeMap::from([(view.delivery, waiting(view.delivery, &view.recipient))]);
    apply(&mut recipients, &view.last);
    let mut recipient = recipients.remove(&view.delivery).unwrap_or_else(|| waiting(view.delivery, &view.recipient));
    recipient.attempts = view.attempts;
    DeliveryRow {
        id: view.message,
        reverse_path: view.reverse_path.clone(),
        size: view.size,
        received_at: Rfc3339(view.received),
        service: view.service.clone(),
        recipient,
    }
}

fn recipient(view: &View) -> RecipientView {
    let refusal = view.last.as_ref().and_then(|(_, outcome)| refusal(outcome));
    RecipientView {
        id: view.delivery,
        address: view.recipient.clone(),
        state: view.state,
        attempts: view.attempts,
        next_due: view.next_due.map(Rfc3339),
        source: view.source.clone(),
        last_reply: view.last.as_ref().map(|(at, outcome)| reply(outcome, *at)),
        class: refusal.map(|refusal| refusal.class),
        kind: refusal.map(|refusal| refusal.kind),
    }
}

fn refusal(outcome: &Outcome) -> Option<&Refusal> {
    match outcome {
        Outcome::Delivered { .. } => None,
        Outcome::Deferred(refusal) | Outcome::Bounced(refusal) => Some(refusal),
    }
}

fn reply(outcome: &Outcome, at: Timestamp) -> ReplyView {
    let view = |stage: Stage, host: &str, reply: &Reply| ReplyView {
        stage,
        host: host.to_owned(),
        code: reply.code,
        enhanced: reply.enhanced,
        text: reply.text(),
        at: Rfc3339(at),
    };
    match outcome {
        Outcome::Delivered { host, reply } => view(Stage::Content, host, reply),
        Outcome::Deferred(refusal) | Outcome::Bounced(refusal) => view(refusal.stage, &refusal.host, &refusal.reply),
    }
}

/// Moves the recipients on by one event.
fn apply(recipients: &mut BTreeMap<DeliveryId, RecipientView>, event: &Event) {
    let mut set = |delivery: &DeliveryId, state: State| {
        if let Some(recipient) = recipients.get_mut(delivery) {
            recipient.state = state;
            recipient.next_due = None;
        }
    };
    match &event.kind {
        EventKind::Accepted { recipients: accepted, .. } => {
            recipients.extend(accepted.iter().map(|(id, address)| (*id, waiting(*id, address))));
        }
        EventKind::Attempted { delivery, recipient, attempt, outcome, next_due, source, .. } => {
            let entry = recipients.entry(*delivery).or_insert_with(|| waiting(*delivery, recipient));
            let refusal = refusal(outcome);
            entry.state = match outcome {
                Outcome::Delivered { .. } => State::Delivered,
                Outcome::Deferred(_) => State::Deferred,
                Outcome::Bounced(_) => State::Bounced,
            };
            entry.attempts = *attempt;
            entry.next_due = next_due.map(Rfc3339);
            entry.source.clone_from(source);
            entry.last_reply = Some(reply(outcome, event.at));
            entry.class = refusal.map(|refusal| refusal.class);
            entry.kind = refusal.map(|refusal| refusal.kind);
        }
        EventKind::Expired { delivery, .. } => set(delivery, State::Expired),
        EventKind::Held { delivery, .. } => set(delivery, State::Held),
        EventKind::Released { delivery, .. } => set(delivery, State::Queued),
        EventKind::Cancelled { delivery, .. } => set(delivery, State::Cancelled),
        // When it is tried next and where is the spool's to say.
        EventKind::Retried { .. } | EventKind::Rerouted { .. } => {}
    }
}

fn waiting(id: DeliveryId, address: &mail::Mailbox) -> RecipientView {
    RecipientView {
        id,
        address: address.clone(),
        state: State::Queued,
        attempts: 0,
        next_due: None,
        source: None,
        last_reply: None,
        class: None,
        kind: None,
    }
}

fn happening(event: &Event) -> HistoryView {
    let mut view = HistoryView {
        at: Rfc3339(event.at),
        event: event.name().to_owned(),
        recipient: event.delivery(),
        address: None,
        attempt: None,
        reply: None,
        next_due: None,
        route: None,
        origin: None,
        transcript: Vec::new(),
    };
    match &event.kind {
        EventKind::Accepted { envelope, .. } => view.origin = Some(envelope.origin.clone()),
        EventKind::Attempted { recipient, attempt, outcome, next_due, transcript, .. } => {
            view.address = Some(recipient.clone());
            view.attempt = Some(*attempt);
            view.reply = Some(reply(outcome, event.at));
            view.next_due = next_due.map(Rfc3339);
            view.transcript = transcript.as_ref().map(lines).unwrap_or_default();
        }
        EventKind::Expired { recipient, .. }
        | EventKind::Held { recipient, .. }
        | EventKind::Released { recipient, .. }
        | EventKind::Cancelled { recipient, .. }
        | EventKind::Retried { recipient, .. } => view.address = Some(recipient.clone()),
        EventKind::Rerouted { recipient, route, .. } => {
            view.address = Some(recipient.clone());
            view.route = Some(route.clone());
        }
    }
    view
}

fn lines(transcript: &Transcript) -> Vec<LineView> {
    let view = |line: &mail::Line| LineView {
        at_ms: u64::try_from(line.at.as_millis()).unwrap_or(u64::MAX),
        stage: line.stage,
        side: line.side,
        text: line.text.clone(),
    };
    let mut lines: Vec<LineView> = transcript.lines.iter().map(view).collect();
    if transcript.dropped > 0
        && let Some(last) = lines.last().cloned()
    {
        let text = format!("{} more lines were not kept", transcript.dropped);
        lines.push(LineView { side: mail::Side::Note, text, ..last });
    }
    lines
}

/// The spool keeps the conversation of the last failure; the event of that attempt may not.
fn add_last_transcripts(history: &mut [HistoryView], views: &[View]) {
    for view in views {
        let Some(transcript) = &view.transcript else {
            continue;
        };
        let last = history
            .iter_mut()
            .rev()
            .find(|happening| happening.recipient == Some(view.delivery) && happening.attempt == Some(view.attempts));
        if let Some(happening) = last.filter(|happening| happening.transcript.is_empty()) {
            happening.transcript = lines(transcript);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mail::{Envelope, FailureClass, FailureKind, Origin, ReversePath, Side};

    use super::*;

    fn id(n: u8) -> DeliveryId {
        DeliveryId::from_bytes([n; 16])
    }

    fn at(secs: i64, kind: EventKind) -> Event {
        Event { at: Timestamp::from_secs(secs), message: MessageId::from_bytes([9; 16]), kind }
    }

    fn address(text: &str) -> mail::Mailbox {
        text.parse().expect("an address")
    }

    fn accepted() -> Event {
        let envelope = Envelope {
            reverse_path: ReversePath::Mailbox(address("a@x.example")),
            body: mail::Body::SevenBit,
            origin: Origin::local(),
        };
        let recipients = vec![(id(1), address("b@y.example")), (id(2), address("c@y.example"))];
        at(1, EventKind::Accepted { envelope, recipients, size: 7 })
    }

    fn attempted(delivery: DeliveryId, attempt: u32, outcome: Outcome) -> Event {
        let recipient = address("b@y.example");
        let mut transcript = Transcript::default();
        transcript.push(Duration::from_millis(5), Stage::Rcpt, Side::Server, "450 later");
        let transcript = refusal(&outcome).map(|_| transcript);
        let next_due = matches!(outcome, Outcome::Deferred(_)).then(|| Timestamp::from_secs(60));
        let source = None;
        at(2, EventKind::Attempted { delivery, recipient, attempt, outcome, next_due, source, transcript })
    }

    fn deferral() -> Outcome {
        Outcome::Deferred(Refusal {
            stage: Stage::Rcpt,
            host: "mx.y.example".into(),
            reply: Reply::with(450, (4, 2, 0), "later"),
            from_peer: true,
            class: FailureClass::Greylisted,
            kind: FailureKind::Soft,
        })
    }

    #[test]
    fn delivered_mail_is_answered_for_from_the_events() {
        let delivered = Outcome::Delivered { host: "mx".into(), reply: Reply::with(250, (2, 0, 0), "ok") };
        let events = [
            accepted(),
            attempted(id(1), 1, deferral()),
            attempted(id(1), 2, delivered),
            at(3, EventKind::Cancelled { delivery: id(2), recipient: address("c@y.example") }),
        ];
        let view = message(events[0].message, &[], &events).expect("it is known");
        let states: Vec<State> = view.recipients.iter().map(|recipient| recipient.state).collect();
        assert_eq!(states, [State::Delivered, State::Cancelled]);
        assert_eq!(view.recipients[0].attempts, 2);
        assert_eq!(view.history.len(), 4);
        assert_eq!(view.history[1].transcript[0].text, "450 later");
        assert!(view.history[2].transcript.is_empty());
    }

    #[test]
    fn the_spool_knows_best() {
        let events = [accepted(), attempted(id(1), 1, deferral())];
        let waiting = View {
            message: events[0].message,
            reverse_path: ReversePath::Null,
            size: 8,
            received: Timestamp::from_secs(1),
            service: "mx".into(),
            delivery: id(1),
            recipient: address("b@y.example"),
            original: None,
            state: State::Active,
            attempts: 1,
            next_due: None,
            source: None,
            last: None,
            transcript: None,
        };
        let view = message(events[0].message, &[waiting], &events).expect("it is known");
        assert_eq!(view.recipients[0].state, State::Active);
        assert_eq!(view.recipients[1].state, State::Queued);
        assert_eq!(view.size, 8);
    }

    #[test]
    fn the_shape_is_the_contract() {
        let events = [accepted(), attempted(id(1), 1, deferral())];
        let view = message(events[0].message, &[], &events).expect("it is known");
        insta::assert_snapshot!(serde_json::to_string_pretty(&view).expect("plain data"));
    }

    #[test]
    fn nobody_knows_it() {
        assert!(message(MessageId::from_bytes([9; 16]), &[], &[]).is_none());
    }
}
