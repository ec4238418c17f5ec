//! Stopping and reloading under many sessions: transactions finish, no 250 is lost (G8).

use std::collections::BTreeSet;

use crate::{
    dialogue::Client,
    world::{PATIENCE, World},
};

/// Sessions at once.
const SESSIONS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_250_before_the_end_is_a_message() {
    let world = World::new().await;
    let (_, address) = world.serve(world.mx());
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        let mut client = Client::connect(address).await;
        client.run("S: 220\nC: EHLO x\nS: 250\nC: MAIL FROM:<x@far.example>\nS: 250").await;
        client.run("C: RCPT TO:<anna@ours.example>\nS: 250\nC: DATA\nS: 354").await;
        client.say("A: b\r\n\r\nhalf").await;
        clients.push(client);
    }
    let mut idle = Client::connect(address).await;
    idle.run("S: 220\nC: EHLO x\nS: 250").await;
    world.tasks.shutdown();
    idle.run("S: 421 4.3.2\nS: closed").await;
    // All of them are in the middle of their content: it is taken, then they are told.
    let mut promised = BTreeSet::new();
    for client in &mut clients {
        client.say(" a letter\r\n.\r\n").await;
        let reply = client.reply().await;
        let id = reply.strip_prefix("250 2.0.0 Ok: queued as ").expect(&reply);
        promised.insert(id.to_owned());
        client.run("S: 421 4.3.2\nS: closed").await;
    }
    world.tasks.wait(world.clock.instant() + PATIENCE).await.expect("everything stops");
    let kept: BTreeSet<String> = world.kept().await.iter().map(|message| message.id.to_string()).collect();
    assert_eq!(promised, kept);
    assert_eq!(kept.len(), SESSIONS);
}

#[tokio::test]
async fn a_reload_is_for_the_connections_that_come() {
    let world = World::new().await;
    let (service, address) = world.serve(world.mx());
    let mut before = Client::connect(address).await;
    before.run("S: 220\nC: EHLO x\nS: 250\nC: MAIL FROM:<x@far.example>\nS: 250").await;
    let mut changed = world.mx();
    changed.session.limits.message_size = 1000;
    changed.session.hostname = "new.ours.example".into();
    service.reload(changed);
    let mut after = Client::connect(address).await;
    after.run("S: 220 new.ours.example\nC: EHLO x\nS: 250\nC: MAIL FROM:<x@far.example> SIZE=2000\nS: 552 5.3.4").await;
    before.run("C: RCPT TO:<anna@ours.example>\nS: 250\nC: DATA\nS: 354\nC: .\nS: 250 2.0.0").await;
    before.run("C: MAIL FROM:<x@far.example> SIZE=2000\nS: 250").await;
}
