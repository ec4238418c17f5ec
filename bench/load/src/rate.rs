//! A steady rate: messages are sent on schedule whether or not the server keeps up, so that a pause of the server shows.

use std::{
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use crate::{
    Failure, Letter, Peer,
    client::{self, Client, Origin},
};

/// A steady rate over kept connections.
#[derive(Args)]
pub(crate) struct Pace {
    /// Messages a second, in all
    #[arg(long, default_value_t = 50)]
    pub(crate) rate: u32,
    /// For so long
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u32,
    /// Connections, which take turns
    #[arg(long, default_value_t = 4)]
    pub(crate) sessions: u32,
}

#[derive(Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    letter: Letter,
    #[command(flatten)]
    pace: Pace,
}

pub(crate) fn run(plan: &Plan) -> Result<(), Failure> {
    let tls = client::tls(&plan.peer)?;
    let content = plan.letter.content("load");
    let open = |_| {
        let mut client = Client::connect(plan.peer.address, Origin::Any, tls.as_ref())?;
        client.ehlo()?;
        Ok(client)
    };
    let clients = (0..plan.pace.sessions).map(open).collect::<Result<Vec<_>, Failure>>()?;
    let start = Instant::now();
    let mut waits = thread::scope(|scope| {
        let content = &content;
        let turn = |(number, client)| scope.spawn(move || session(plan, client, number, content, start));
        let sessions: Vec<_> = (0..).zip(clients).map(turn).collect();
        let mut waits = Vec::new();
        for session in sessions {
            waits.extend(session.join().map_err(|_| "a session panicked")??);
        }
        Ok::<_, Failure>(waits)
    })?;
    report(&mut waits);
    Ok(())
}

/// Prints what half of them, nearly all and all of them stayed below.
pub(crate) fn report(waits: &mut [Duration]) {
    waits.sort();
    let quantile = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    println!("p50 {:.2} p99 {:.2} max {:.2} ms", quantile(0.5), quantile(0.99), quantile(1.0));
}

/// Every message whose turn is this session's; returns how long each waited for its reply.
fn session(
    plan: &Plan,
    mut client: Client,
    number: u32,
    content: &[u8],
    start: Instant,
) -> Result<Vec<Duration>, Failure> {
    let mut waits = Vec::new();
    for count in (number..plan.pace.rate * plan.pace.seconds).step_by(plan.pace.sessions as usize) {
        let due = start + Duration::from_secs(1) * count / plan.pace.rate;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        client.envelope(&plan.letter)?;
        let sent = Instant::now();
        client.content(content)?;
        waits.push(sent.elapsed());
    }
    client.quit()?;
    Ok(waits)
}
