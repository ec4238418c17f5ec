//! `posthouse check open-relay`: whether a server passes on the mail of strangers. It tries every way of
//! [`policy::relay`] up to the reply to RCPT and takes each back; nothing is ever sent.

mod dialogue;

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Context as _;
use mail::{Domain, Mailbox, Reply};
use net::Chance;
use policy::relay::{Finding, Names, Way, nobody, ways};
use serde_json::json;

use super::{
    Place,
    arguments::OpenRelay,
    send,
    terminal::{say, say_json},
};
use crate::config;
use dialogue::{Dialogue, Lost};

/// Some way could not be judged.
const UNDECIDED: u8 = 3;
/// Ways tried in one session: servers slow down who is refused often.
const WAYS_PER_SESSION: usize = 4;

/// What became of one way.
struct Tried {
    way: Way,
    finding: Finding,
    /// `mail` or `rcpt`: where the last word fell.
    stage: &'static str,
    /// That word: a reply, or why there was none.
    word: String,
    lines: Vec<dialogue::Line>,
}

/// Tries; the code says whether every way is closed.
pub(super) fn run(place: &Place, check: &OpenRelay) -> anyhow::Result<ExitCode> {
    let (host, port) = config::host_and_port(&check.server).map_err(anyhow::Error::msg)?;
    let ehlo = check.ehlo.clone().unwrap_or_else(config::system_hostname);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let addresses = send::addresses(&host, &place.clock).await?;
        let to = *addresses.first().with_context(|| format!("{host} has no address"))?;
        let door = Door { to: SocketAddr::new(to, port), ehlo, place };
        let tried = door.try_all(check).await?;
        report(place, &check.server, &tried)
    })
}

/// The server, and how to reach it.
struct Door<'p> {
    to: SocketAddr,
    ehlo: String,
    place: &'p Place,
}

impl Door<'_> {
    async fn open(&self) -> anyhow::Result<Dialogue> {
        Dialogue::open(self.to, &self.ehlo, self.place.clock.clone(), !self.place.json)
            .await
            .with_context(|| format!("cannot talk to {}", self.to))
    }

    async fn try_all(&self, check: &OpenRelay) -> anyhow::Result<Vec<Tried>> {
        let mut dialogue = self.open().await?;
        let names = names(check, &dialogue, self.to)?;
        let takes_any_name = takes_any_name(&mut dialogue, &names).await;
        dialogue.close().await;
        let ways = ways(&names);
        let mut all = Vec::with_capacity(ways.len());
        for some in ways.chunks(WAYS_PER_SESSION) {
            let mut dialogue = self.open().await?;
            for way in some {
                let mut tried = attempt(&mut dialogue, way, takes_any_name).await;
                if tried.finding == Finding::Undecided && dialogue.is_lost() {
                    // Once more in a session of its own: the last one may have been closed for what came before.
                    dialogue = self.open().await?;
                    tried = attempt(&mut dialogue, way, takes_any_name).await;
                }
                all.push(tried);
                if dialogue.is_lost() {
                    dialogue = self.open().await?;
                }
            }
            dialogue.close().await;
        }
        Ok(all)
    }
}

/// The names to try with: the server's own are what it says of itself, unless we are told better.
fn names(check: &OpenRelay, dialogue: &Dialogue, to: SocketAddr) -> anyhow::Result<Names> {
    let host = dialogue.host_name().unwrap_or_else(|| Domain::from_address(to.ip()));
    let parent = || {
        let (_, parent) = host.name()?.split_once('.')?;
        parent.contains('.').then(|| parent.parse::<Domain>().ok()).flatten()
    };
    let domain = check.domain.clone().or_else(parent).unwrap_or_else(|| host.clone());
    let elsewhere = check.to.clone();
    anyhow::ensure!(
        elsewhere.domain != domain && elsewhere.domain != host,
        "{elsewhere} is in the server's own domain, which is no relaying; name somebody elsewhere with --to"
    );
    let sender = match &check.from {
        Some(sender) => sender.clone(),
        None => Mailbox { local: "posthouse-check".parse()?, domain: elsewhere.domain.clone() },
    };
    Ok(Names { sender, elsewhere, host, domain, address: to.ip() })
}

/// Whether it accepts a name in its domain that nobody has.
async fn takes_any_name(dialogue: &mut Dialogue, names: &Names) -> bool {
    const MARK: usize = 6;
    let mark: String = Chance::system().bytes::<MARK>().iter().map(|octet| format!("{octet:02x}")).collect();
    dialogue.note("does it take any name in its domain?");
    let recipient = nobody(&names.domain, &mark);
    matches!(envelope(dialogue, &format!("<{}>", names.sender), &recipient).await, Ok(("rcpt", reply)) if reply.is_positive())
}

async fn attempt(dialogue: &mut Dialogue, way: &Way, takes_any_name: bool) -> Tried {
    dialogue.note(way.name);
    let from = dialogue.lines().len();
    let (finding, stage, word) = match envelope(dialogue, &way.sender, &way.recipient).await {
        Ok((stage, reply)) => (way.finding(reply.code, takes_any_name), stage, reply.to_string()),
        Err(lost) => (Finding::Undecided, "connection", lost.to_string()),
    };
    let lines = dialogue.lines().get(from..).unwrap_or_default().to_vec();
    Tried { way: way.clone(), finding, stage, word, lines }
}

/// MAIL and RCPT, and all of it taken back. The reply that decided, and where. A sender that is refused decides, too.
async fn envelope(dialogue: &mut Dialogue, sender: &str, recipient: &str) -> Result<(&'static str, Reply), Lost> {
    let reply = dialogue.ask(&format!("MAIL FROM:{sender}")).await?;
    let decided = match reply.is_positive() {
        true => ("rcpt", dialogue.ask(&format!("RCPT TO:{recipient}")).await?),
        false => ("mail", reply),
    };
    // What was accepted is never sent. If this is not heard, the word stands all the same.
    let _lost = dialogue.ask("RSET").await.is_err();
    Ok(decided)
}

fn report(place: &Place, server: &str, all: &[Tried]) -> anyhow::Result<ExitCode> {
    let count = |finding| all.iter().filter(|tried| tried.finding == finding).count();
    let [open, unclear, undecided] = [Finding::Open, Finding::Unclear, Finding::Undecided].map(count);
    if place.json {
        let ways: Vec<_> = all.iter().map(to_json).collect();
        say_json(&json!({ "server": server, "open": open > 0, "ways": ways }))?;
    } else {
        say("");
        for tried in all.iter().filter(|tried| tried.finding != Finding::Closed) {
            let word = mail::for_log(&tried.word, dialogue::LINE_MAX);
            say(&format!(
                "{}: {} ({}), RCPT TO:{} got {word}",
                label(tried.finding),
                tried.way.name,
                tried.stage,
                tried.way.recipient
            ));
        }
        say(&verdict(server, all, [open, unclear, undecided]));
    }
    Ok(match (open, undecided) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(UNDECIDED),
        _ => ExitCode::FAILURE,
    })
}

fn verdict(server: &str, all: &[Tried], [open, unclear, undecided]: [usize; 3]) -> String {
    let tries = all.len();
    let mut text = match (open, undecided) {
        (0, 0) => format!("{server} is no open relay: {tries} ways were tried."),
        (0, some) => format!("{server} gave no clear word on {some} of {tries} ways; try again later."),
        (some, _) => format!("{server} IS AN OPEN RELAY to where this was run: {some} of {tries} ways are open."),
    };
    if open > 0 {
        text.push_str(" If it trusts the network that this was run in, run it from elsewhere.");
    }
    if unclear > 0 {
        text.push_str(&format!(" {unclear} are unclear, for it takes any name in its domain."));
    }
    let at_mail = all.iter().filter(|tried| tried.stage == "mail" && tried.finding == Finding::Closed).count();
    if at_mail * 2 > tries {
        text.push_str(" Most were refused for their sender: give one whose domain exists with --from.");
    }
    text
}

fn label(finding: Finding) -> &'static str {
    match finding {
        Finding::Closed => "closed",
        Finding::Open => "open",
        Finding::Unclear => "unclear",
        Finding::Undecided => "undecided",
    }
}

fn to_json(tried: &Tried) -> serde_json::Value {
    let lines: Vec<_> = tried.lines.iter().map(|line| json!({ "side": line.side, "text": line.text })).collect();
    json!({
        "way": tried.way.name,
        "sender": tried.way.sender,
        "recipient": tried.way.recipient,
        "finding": label(tried.finding),
        "stage": tried.stage,
        "reply": mail::for_log(&tried.word, dialogue::LINE_MAX),
        "conversation": lines,
    })
}
