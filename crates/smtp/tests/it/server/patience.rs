//! Clients that do not wait, clients that are watched over several connections, and a server that is short of time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mail::Reply;
use smtp::server::{Answer, Ask, Haste, Output, Service, Session, Settings, Tally};

use super::desk;

/// A greeted session and how to talk to it: `Go` to every question.
struct Talk {
    session: Session,
    now: Instant,
    content: usize,
}

impl Talk {
    fn new(haste: Haste) -> Self {
        let mut settings = Settings::new("mx.example", Service::Mx);
        settings.haste = haste;
        let now = desk::some_instant();
        let mut talk = Self { session: desk::session(&Arc::new(settings), now), now, content: 0 };
        assert!(talk.hear().starts_with("220 "));
        talk
    }

    fn say(&mut self, octets: &str) -> String {
        self.session.handle_input(octets.as_bytes(), self.now);
        self.hear()
    }

    /// The codes of the replies, `closed` last when it is over.
    fn hear(&mut self) -> String {
        let mut said = Vec::new();
        let mut closed = false;
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Write => said.extend(self.session.take_write()),
                Output::Ask(Ask::Commit { .. }) => self.session.answer(Answer::Accepted { id: "x".into() }, self.now),
                Output::Ask(_) => self.session.answer(Answer::Go, self.now),
                Output::Content(octets) => self.content += octets.len(),
                Output::Close => closed = true,
                Output::Discard | Output::StartTls => {}
            }
        }
        let text = String::from_utf8(said).unwrap();
        let lines = text.lines().filter(|line| line.as_bytes().get(3) != Some(&b'-'));
        lines.map(|line| format!("{line} ")).chain(closed.then(|| "closed".into())).collect()
    }
}

#[test]
fn a8_whoever_does_not_wait_is_refused_where_that_is_asked_for() {
    for hasty in ["EHLO x.example\r\nMAIL FROM:<a@x.example>\r\n", "HELO x\r\nM"] {
        assert!(Talk::new(Haste::Obeyed).say(hasty).starts_with("250 "));
        let said = Talk::new(Haste::Refused).say(hasty);
        assert!(said.starts_with("554 5.5.0 You went on") && said.ends_with(" closed"), "{said}");
    }
    let mut talk = Talk::new(Haste::Refused);
    talk.say("EHLO x.example\r\n");
    // RFC 2920 §3.1: these may go together, and DATA may be the last of them.
    let said = talk.say("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n");
    assert!(said.contains("354 ") && !said.contains("554"), "{said}");
    let said = talk.say("hi\r\n.\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\nhi\r\n.\r\n");
    assert!(said.contains("queued") && said.contains("554 5.5.0") && said.ends_with("closed"), "{said}");
    assert_eq!(talk.content, "hi\r\n".len());
}

#[test]
fn a_tally_is_kept_over_the_whole_session() {
    let mut talk = Talk::new(Haste::Obeyed);
    talk.say("EHLO x.example\r\nNOOP\r\nWHAT\r\nRSET\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n");
    talk.say("hi\r\n.\r\nWHAT\r\n");
    assert_eq!(talk.session.tally(), Tally { commands: 8, errors: 2, junk: 3 });
}

#[test]
fn a_dismissal_waits_for_the_end_of_content() {
    let farewell = || Reply::with(421, (4, 7, 0), "enough");
    let mut talk = Talk::new(Haste::Obeyed);
    talk.say("EHLO x.example\r\n");
    talk.say("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n");
    talk.session.dismiss(farewell());
    assert_eq!(talk.hear(), "");
    assert_eq!(talk.say("half"), "");
    let said = talk.say(" a letter\r\n.\r\nNOOP\r\n");
    assert!(
        said.contains("queued") && said.ends_with("421 4.7.0 enough closed") && !said.contains("250 2.0.0 Ok "),
        "{said}"
    );
    let mut idle = Talk::new(Haste::Obeyed);
    idle.session.dismiss(farewell());
    assert_eq!(idle.hear(), "421 4.7.0 enough closed");
}

#[test]
fn patience_is_for_those_who_have_not_begun_a_message() {
    let second = Duration::from_secs(1);
    let mut talk = Talk::new(Haste::Obeyed);
    talk.session.set_patience(Some(30 * second));
    assert_eq!(talk.session.poll_timeout(), Some(talk.now + 30 * second));
    talk.say("EHLO x.example\r\n");
    talk.say("MAIL FROM:<a@x.example>\r\n");
    assert!(talk.session.is_proven());
    assert_eq!(talk.session.poll_timeout(), Some(talk.now + 300 * second));
    let mut idle = Talk::new(Haste::Obeyed);
    idle.session.set_patience(Some(30 * second));
    idle.session.handle_timeout(idle.now + 30 * second);
    assert_eq!(idle.hear(), "421 4.4.2 mx.example waited 30 seconds for a command; closing closed");
}
