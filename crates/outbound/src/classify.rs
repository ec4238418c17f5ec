//! What a refusal means. Pure: a reply and the stage it came at in, an outcome out.
//!
//! The enhanced code decides where there is one, then a few words of the text, then the stage. Whether the delivery is
//! tried again is decided by the first digit alone (RFC 5321 §4.2.1), and by whom the reply is about: a server that will
//! not talk to us at all has not judged the recipient.

use mail::{EnhancedCode, FailureClass, FailureKind, Outcome, Refusal, Reply, Stage};

/// Words that name a class, lower case, with the class they name. The first that is found counts.
const WORDS: &[(&str, FailureClass)] = &[
    ("greylist", FailureClass::Greylisted),
    ("graylist", FailureClass::Greylisted),
    ("grey list", FailureClass::Greylisted),
    ("user unknown", FailureClass::UnknownUser),
    ("unknown user", FailureClass::UnknownUser),
    ("no such user", FailureClass::UnknownUser),
    ("does not exist", FailureClass::UnknownUser),
    ("mailbox unavailable", FailureClass::UnknownUser),
    ("recipient rejected", FailureClass::UnknownUser),
    ("over quota", FailureClass::MailboxFull),
    ("quota exceeded", FailureClass::MailboxFull),
    ("mailbox full", FailureClass::MailboxFull),
    ("mailbox is full", FailureClass::MailboxFull),
    ("account is disabled", FailureClass::InactiveMailbox),
    ("mailbox disabled", FailureClass::InactiveMailbox),
    ("inactive", FailureClass::InactiveMailbox),
    ("virus", FailureClass::Virus),
    ("malware", FailureClass::Virus),
    ("spamhaus", FailureClass::IpBlocked),
    ("blacklist", FailureClass::IpBlocked),
    ("blocklist", FailureClass::IpBlocked),
    ("block list", FailureClass::IpBlocked),
    ("dnsbl", FailureClass::IpBlocked),
    ("rate limit", FailureClass::RateLimited),
    ("too many connections", FailureClass::RateLimited),
    ("too many messages", FailureClass::RateLimited),
    ("dmarc", FailureClass::PolicyAuth),
    ("spam", FailureClass::ContentSpam),
    ("too large", FailureClass::TooLarge),
    ("message size", FailureClass::TooLarge),
];

/// What became of a recipient that a server's reply refused. `host` is who said it.
pub fn refused(stage: Stage, host: &str, reply: Reply) -> Outcome {
    let class = class(stage, &reply);
    let is_final = reply.is_permanent() && is_about_the_mail(stage) && !is_busy(stage, &reply);
    let kind = kind(class, is_final);
    let refusal = Refusal { stage, host: host.to_owned(), reply, from_peer: true, class, kind };
    if is_final { Outcome::Bounced(refusal) } else { Outcome::Deferred(refusal) }
}

/// A failure without a reply: no connection, no answer in time, a connection that broke. Worth another try.
pub fn lost(stage: Stage, host: &str, text: impl Into<String>) -> Refusal {
    let (detail, class) = match stage {
        Stage::Tls | Stage::StartTls => ((4, 7, 5), FailureClass::TlsRequired),
        Stage::Connect => ((4, 4, 1), FailureClass::Network),
        Stage::Dns => ((4, 4, 3), FailureClass::Network),
        Stage::Local => ((4, 3, 0), FailureClass::Unknown),
        _ => ((4, 4, 2), FailureClass::Network),
    };
    Refusal {
        stage,
        host: host.to_owned(),
        reply: Reply::with(451, detail, text),
        from_peer: false,
        class,
        kind: FailureKind::Soft,
    }
}

/// Whether a server at this stage judges the mail, and not us or the connection.
fn is_about_the_mail(stage: Stage) -> bool {
    matches!(stage, Stage::Mail | Stage::Rcpt | Stage::Data | Stage::Content | Stage::Local | Stage::Route)
}

/// RFC 5321 §4.5.3.1.10: an old server says 552 where it means "too many recipients for now".
fn is_busy(stage: Stage, reply: &Reply) -> bool {
    stage == Stage::Rcpt && reply.code == 552 && reply.enhanced.is_none_or(|code| (code.subject, code.detail) == (5, 3))
}

/// Whether a reply to RCPT says that this transaction has recipients enough, and the rest may come in the next one.
pub fn is_too_many_recipients(reply: &Reply) -> bool {
    let enhanced = reply.enhanced.map(|code| (code.subject, code.detail));
    is_busy(Stage::Rcpt, reply)
        || (reply.code == 452 && (enhanced == Some((5, 3)) || text_of(reply).contains("too many recipients")))
}

fn text_of(reply: &Reply) -> String {
    reply.text().to_ascii_lowercase()
}

fn class(stage: Stage, reply: &Reply) -> FailureClass {
    if stage == Stage::Auth {
        return FailureClass::Account;
    }
    let text = text_of(reply);
    let by_words = || WORDS.iter().find(|(words, _)| text.contains(words)).map(|(_, class)| *class);
    // 4.7.1 and 5.7.1 say only "policy": words say more.
    reply.enhanced.and_then(|code| by_enhanced(stage, code)).or_else(by_words).unwrap_or_else(|| by_stage(stage, reply))
}

fn by_enhanced(stage: Stage, code: EnhancedCode) -> Option<FailureClass> {
    Some(match (code.subject, code.detail) {
        (1, 1 | 3 | 6) => FailureClass::UnknownUser,
        (1, 2 | 10) => FailureClass::BadDomain,
        (1, 7 | 8) => FailureClass::SenderRejected,
        (2, 1) => FailureClass::InactiveMailbox,
        (2, 2) => FailureClass::MailboxFull,
        (2 | 3, 3 | 4) => FailureClass::TooLarge,
        (4, 6) => FailureClass::Loop,
        (4, 7) => FailureClass::Expired,
        (4, 1..=4) => FailureClass::Network,
        (5, _) => FailureClass::Protocol,
        (6, 7) => FailureClass::Smtputf8,
        (7, 4 | 10 | 11) => FailureClass::TlsRequired,
        (7, 8 | 9) => FailureClass::Account,
        (7, 20..=29) => FailureClass::PolicyAuth,
        (7, 0 | 1) if matches!(stage, Stage::Connect | Stage::Banner) => FailureClass::IpBlocked,
        _ => return None,
    })
}

fn by_stage(stage: Stage, reply: &Reply) -> FailureClass {
    match (stage, reply.code) {
        (_, 421) => FailureClass::Network,
        (Stage::Connect | Stage::Banner | Stage::Ehlo, 500..) => FailureClass::IpBlocked,
        (Stage::Tls | Stage::StartTls, _) => FailureClass::TlsRequired,
        (_, 530) => FailureClass::Account,
        (_, 500..=504 | 555) => FailureClass::Protocol,
        (Stage::Rcpt, 450) => FailureClass::Greylisted,
        (Stage::Rcpt, 550 | 551 | 553) => FailureClass::UnknownUser,
        (_, 552) => FailureClass::TooLarge,
        (Stage::Content, 554) => FailureClass::ContentSpam,
        _ => FailureClass::Unknown,
    }
}

fn kind(class: FailureClass, is_final: bool) -> FailureKind {
    match class {
        FailureClass::IpBlocked
        | FailureClass::DomainBlocked
        | FailureClass::ContentSpam
        | FailureClass::PolicyAuth
        | FailureClass::SenderRejected
        | FailureClass::Virus
        | FailureClass::Account => FailureKind::Block,
        _ if is_final => FailureKind::Hard,
        _ => FailureKind::Soft,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stage: Stage, reply: &str, expect: &str) {
        let mut words = reply.split(' ');
        let code = words.next().unwrap().parse().unwrap();
        let mut text: Vec<&str> = words.collect();
        let enhanced = text.first().and_then(|word| word.parse().ok());
        if enhanced.is_some() {
            text.remove(0);
        }
        let outcome = refused(stage, "mx", Reply { code, enhanced, lines: vec![text.join(" ")] });
        let got = match &outcome {
            Outcome::Delivered { .. } => unreachable!("a refusal"),
            Outcome::Deferred(refusal) => format!("deferred {:?} {:?}", refusal.class, refusal.kind),
            Outcome::Bounced(refusal) => format!("bounced {:?} {:?}", refusal.class, refusal.kind),
        };
        assert_eq!(got, expect, "{stage} {reply}");
    }

    #[test]
    fn refusals() {
        check(Stage::Rcpt, "550 5.1.1 <x@y>: Recipient address rejected", "bounced UnknownUser Hard");
        check(Stage::Rcpt, "550 No such user here", "bounced UnknownUser Hard");
        check(Stage::Rcpt, "450 4.2.0 <x@y>: Greylisted, see http", "deferred Greylisted Soft");
        check(Stage::Rcpt, "451 4.7.1 Greylisting in action, please come back later", "deferred Greylisted Soft");
        check(Stage::Rcpt, "552 5.2.2 Over quota", "bounced MailboxFull Hard");
        check(Stage::Rcpt, "452 4.2.2 The email account is over quota", "deferred MailboxFull Soft");
        check(Stage::Rcpt, "552 too many recipients", "deferred TooLarge Soft");
        check(Stage::Rcpt, "554 5.7.1 blocked using zen.spamhaus.org", "bounced IpBlocked Block");
        check(Stage::Mail, "552 5.3.4 Message size exceeds fixed limit", "bounced TooLarge Hard");
        check(Stage::Mail, "530 5.7.0 Must issue a STARTTLS command first", "bounced Account Block");
        check(Stage::Content, "550 5.7.26 This mail is unauthenticated (DMARC)", "bounced PolicyAuth Block");
        check(Stage::Content, "554 5.7.1 looks like spam", "bounced ContentSpam Block");
        check(Stage::Content, "554 rejected", "bounced ContentSpam Block");
        check(Stage::Content, "554 5.6.0 virus found", "bounced Virus Block");
        check(Stage::Data, "503 5.5.1 need RCPT", "bounced Protocol Hard");
    }

    #[test]
    fn a_server_that_will_not_talk_to_us_has_not_judged_the_recipient() {
        check(Stage::Banner, "554 5.7.1 no access from your network", "deferred IpBlocked Block");
        check(Stage::Banner, "421 4.3.2 too busy", "deferred Network Soft");
        check(Stage::Ehlo, "550 go away", "deferred IpBlocked Block");
        check(Stage::Auth, "535 5.7.8 bad credentials", "deferred Account Block");
        check(Stage::StartTls, "454 4.7.0 TLS not available", "deferred TlsRequired Soft");
        check(Stage::Content, "421 4.4.2 timeout", "deferred Network Soft");
    }

    #[test]
    fn too_many_recipients_is_no_refusal_of_the_recipient() {
        assert!(is_too_many_recipients(&Reply::with(452, (4, 5, 3), "x")));
        assert!(is_too_many_recipients(&Reply::new(452, None, "Too many recipients")));
        assert!(is_too_many_recipients(&Reply::new(552, None, "x")));
        assert!(!is_too_many_recipients(&Reply::with(452, (4, 2, 2), "full")));
        assert!(!is_too_many_recipients(&Reply::with(552, (5, 2, 2), "full")));
    }
}
