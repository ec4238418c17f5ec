//! TLS towards the next hop.

use std::{sync::Arc, time::Duration};

use outbound::{Relay, RelayTls, Route, Target};

use crate::{
    remote::{Action, Remote, say},
    world::World,
};

const OFFERS: &[&str] = &["PIPELINING", "STARTTLS"];

fn mx(tls: RelayTls) -> Vec<Route> {
    vec![Route { recipients: Vec::new(), senders: Vec::new(), users: Vec::new(), to: Target::Mx { tls } }]
}

fn secure_remote(world: &mut World, name: &str) -> Remote {
    let certificate = world.certificate(name);
    world.zone.add_mx("b.example", 10, "mx.b.example");
    world.host("mx.b.example", "192.0.2.25", OFFERS, Some(certificate))
}

#[tokio::test(start_paused = true)]
async fn tls_is_used_when_offered_whatever_the_certificate() {
    let mut world = World::new();
    let remote = secure_remote(&mut world, "wrong.example");
    world.trust_nobody();
    world.start();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 1).await;
    assert!(remote.received()[0].tls);
    assert_eq!(remote.count("EHLO"), 2, "all is learnt anew under TLS");
}

#[tokio::test(start_paused = true)]
async fn broken_tls_falls_back_to_clear_text_when_it_was_an_opportunity() {
    let mut world = World::new();
    world.zone.add_mx("b.example", 10, "mx.b.example");
    let remote = world.host("mx.b.example", "192.0.2.25", OFFERS, None);
    world.start();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 1).await;
    assert!(!remote.received()[0].tls);
    assert_eq!(remote.connections(), 2);
    remote.on("STARTTLS", 1, say("454 4.7.0 not now"));
    world.clock.sleep(Duration::from_secs(60)).await;
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 2).await;
    assert_eq!(remote.connections(), 3, "a refusal needs no new connection");
}

#[tokio::test(start_paused = true)]
async fn required_tls_takes_any_certificate_and_nothing_less() {
    let mut world = World::new();
    let remote = secure_remote(&mut world, "wrong.example");
    world.trust_nobody();
    world.settings.routes = mx(RelayTls::Required);
    world.start();
    remote.on("STARTTLS", 1, say("454 4.7.0 not now"));
    world.send(&["b@b.example"]).await;
    let deferred = world.wait_for("message.deferred", 1).await;
    assert!(deferred[0].contains("454 4.7.0 not now"), "{deferred:?}");
    world.wait_for("message.delivered", 1).await;
    assert!(remote.received()[0].tls);
    let mut world = World::new();
    let plain = world.remote("b.example", "192.0.2.25", &["PIPELINING"]);
    world.settings.routes = mx(RelayTls::Required);
    world.start();
    world.send(&["b@b.example"]).await;
    let deferred = world.wait_for("message.deferred", 1).await;
    assert!(deferred[0].contains(" 4.7."), "{deferred:?}");
    assert!(plain.received().is_empty() && plain.count("MAIL") == 0);
}

#[tokio::test(start_paused = true)]
async fn verified_tls_wants_the_hosts_name_signed() {
    let mut world = World::new();
    let remote = secure_remote(&mut world, "mx.b.example");
    world.settings.routes = mx(RelayTls::Verified);
    world.start();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 1).await;
    assert!(remote.received()[0].tls);
}

#[tokio::test(start_paused = true)]
async fn verified_tls_refuses_other_names_and_strangers() {
    let check = async |name: &str, trusted: bool| {
        let mut world = World::new();
        let remote = secure_remote(&mut world, name);
        if !trusted {
            world.trust_nobody();
        }
        world.settings.routes = mx(RelayTls::Verified);
        world.start();
        world.send(&["b@b.example"]).await;
        let deferred = world.wait_for("message.deferred", 1).await;
        assert!(deferred[0].contains("deferred tls 451 4.7.5 the certificate is not accepted"), "{deferred:?}");
        assert_eq!(remote.count("MAIL"), 0);
    };
    check("mx.b.example", false).await;
    check("other.example", true).await;
}

#[tokio::test(start_paused = true)]
async fn tls_off_means_off() {
    let mut world = World::new();
    let remote = secure_remote(&mut world, "mx.b.example");
    world.settings.routes = mx(RelayTls::Off);
    world.start();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 1).await;
    assert_eq!((remote.count("STARTTLS"), remote.received()[0].tls), (0, false));
}

#[tokio::test(start_paused = true)]
async fn a_password_does_not_cross_a_clear_connection() {
    let mut world = World::new();
    let remote = world.host("relay.example", "192.0.2.30", &["PIPELINING", "AUTH PLAIN LOGIN"], None);
    let credentials =
        outbound::Credentials { username: "me".into(), password: zeroize::Zeroizing::new("secret".into()) };
    let relay =
        Relay { host: "relay.example".into(), port: 25, tls: RelayTls::Opportunistic, credentials: Some(credentials) };
    let to = Target::Relay(Arc::new(relay));
    world.settings.routes = vec![Route { recipients: Vec::new(), senders: Vec::new(), users: Vec::new(), to }];
    world.start();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.deferred", 1).await;
    assert_eq!((remote.count("AUTH"), remote.count("MAIL")), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_stranger_puts_behind_starttls_is_no_reply() {
    let mut world = World::new();
    let remote = secure_remote(&mut world, "mx.b.example");
    world.settings.routes = mx(RelayTls::Required);
    remote.on("STARTTLS", 1, Action::Say("220 2.0.0 go ahead\r\n250 injected".into()));
    world.start();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.deferred", 1).await;
    assert_eq!(remote.count("MAIL"), 0);
    world.wait_for("message.delivered", 1).await;
}
