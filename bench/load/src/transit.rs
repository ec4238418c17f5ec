//! How long a message takes through a relay: sent on schedule, awaited in a sink of our own, told apart by its subject.
//! One clock is read on both sides.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use crate::{
    Failure, Letter, Peer,
    client::{self, Client, Origin},
    rate, sink,
};

#[derive(Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    letter: Letter,
    /// Where the relay sends them on: the sink listens here
    #[arg(long)]
    sink: SocketAddr,
    #[command(flatten)]
    pace: rate::Pace,
    /// How long the last message may be under way, in seconds
    #[arg(long, default_value_t = 120)]
    patience: u64,
}

/// When the dot of each message was written, by its subject.
type Sent = Vec<(String, Instant)>;

pub(crate) fn run(plan: &Plan) -> Result<(), Failure> {
    let (arrivals, arrived) = mpsc::channel();
    sink::run(TcpListener::bind(plan.sink)?, arrivals);
    let sent: HashMap<String, Instant> = send(plan)?.into_iter().collect();
    let mut waits = HashMap::new();
    while waits.len() < sent.len() {
        let missing = |_| format!("{} of {} messages did not arrive", sent.len() - waits.len(), sent.len());
        let (subject, at) = arrived.recv_timeout(Duration::from_secs(plan.patience)).map_err(missing)?;
        if let Some(dot) = sent.get(&subject) {
            // A message that comes twice has arrived when it came first.
            waits.entry(subject).or_insert(at - *dot);
        }
    }
    rate::report(&mut waits.into_values().collect::<Vec<_>>());
    Ok(())
}

fn send(plan: &Plan) -> Result<Sent, Failure> {
    let tls = client::tls(&plan.peer)?;
    let open = |_| {
        let mut client = Client::connect(plan.peer.address, Origin::Any, tls.as_ref())?;
        client.ehlo()?;
        Ok(client)
    };
    let clients = (0..plan.pace.sessions).map(open).collect::<Result<Vec<_>, Failure>>()?;
    let start = Instant::now();
    thread::scope(|scope| {
        let turn = |(number, client)| scope.spawn(move || session(plan, client, number, start));
        let sessions: Vec<_> = (0..).zip(clients).map(turn).collect();
        let mut sent = Sent::new();
        for session in sessions {
            sent.extend(session.join().map_err(|_| "a session panicked")??);
        }
        Ok(sent)
    })
}

/// Every message whose turn is this session's.
fn session(plan: &Plan, mut client: Client, number: u32, start: Instant) -> Result<Sent, Failure> {
    let mut sent = Sent::new();
    for count in (number..plan.pace.rate * plan.pace.seconds).step_by(plan.pace.sessions as usize) {
        let due = start + Duration::from_secs(1) * count / plan.pace.rate;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // The process tells our messages from those of an earlier run that are still under way.
        let subject = format!("transit {} {count}", std::process::id());
        let content = plan.letter.content(&subject);
        client.envelope(&plan.letter)?;
        let dot = Instant::now();
        client.content(&content)?;
        sent.push((subject, dot));
    }
    client.quit()?;
    Ok(sent)
}
