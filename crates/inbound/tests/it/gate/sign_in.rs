//! Guessers of passwords, and the owners whom they must not keep out (C6, C7).

use std::time::Duration;

use smtp::sasl::encode;
use tokio::time::{advance, pause, resume};

use super::Scene;
use crate::{dialogue::Client, world::PASSWORD};

const OWNER: &str = "198.51.100.9";

async fn scene() -> Scene {
    let scene = Scene::new(|world, settings| {
        *settings = world.submission();
        settings.gate.tarpit = Duration::ZERO;
    })
    .await;
    // Passwords are hashed on threads.
    resume();
    scene
}

async fn jump(by: Duration) {
    pause();
    advance(by).await;
    resume();
}

impl Scene {
    /// One try on a connection of its own: the reply.
    pub(super) async fn sign_in(&self, from: &str, user: &str, password: &str) -> String {
        let mut client = self.connect(from).await;
        let banner = client.line().await;
        if !banner.starts_with("220 ") {
            return banner;
        }
        client.run("C: EHLO client.example\nS: 250").await;
        sign_in(&mut client, user, password).await
    }
}

async fn sign_in(client: &mut Client, user: &str, password: &str) -> String {
    client.say(format!("AUTH PLAIN {}\r\n", encode(format!("\0{user}\0{password}").as_bytes()))).await;
    client.reply().await
}

#[tokio::test]
async fn c6_one_address_that_guesses_is_banned_and_costs_nothing_more() {
    let scene = scene().await;
    let mut replies = Vec::new();
    for number in 0..250 {
        replies.push(scene.sign_in("203.0.113.66", &format!("user{number}@ours.example"), "guess").await);
    }
    assert!(scene.world.inbound.password_hashes() <= 12, "{}", scene.world.inbound.password_hashes());
    assert!(replies[9].starts_with("535 5.7.8 "), "{}", replies[9]);
    assert!(replies[12].starts_with("454 4.7.0 Too many wrong passwords; try again in "), "{}", replies[12]);
    // The right password does not help it, nor does SCRAM; others are served.
    assert!(scene.sign_in("203.0.113.66", "anna@ours.example", PASSWORD).await.starts_with("454 "));
    let mut client = scene.connect("203.0.113.66").await;
    client.run("S: 220\nC: EHLO client.example\nS: 250").await;
    let first = encode(b"n,,n=anna@ours.example,r=abc");
    client.run(&format!("C: AUTH SCRAM-SHA-256 {first}\nS: 454 4.7.0 Too many wrong passwords")).await;
    assert!(scene.sign_in("203.0.113.67", "anna@ours.example", PASSWORD).await.starts_with("235 "));
    jump(Duration::from_secs(2 * 3600)).await;
    assert!(scene.sign_in("203.0.113.66", "anna@ours.example", PASSWORD).await.starts_with("235 "));
}

#[tokio::test]
async fn c6_who_goes_on_guessing_is_cut_off() {
    let scene = scene().await;
    for _ in 0..30 {
        scene.sign_in("203.0.113.66", "anna@ours.example", "guess").await;
        jump(Duration::from_secs(300)).await;
    }
    let mut client = scene.connect("203.0.113.66").await;
    client.run("S: 220\nC: EHLO client.example\nS: 250").await;
    for _ in 0..2 {
        let reply = sign_in(&mut client, "anna@ours.example", "guess").await;
        if reply.starts_with("421 4.7.0 Too many wrong passwords; come again in ") {
            client.run("S: closed").await;
            return;
        }
    }
    panic!("not banned");
}

#[tokio::test]
async fn c6_many_addresses_at_one_account_and_its_owner_still_gets_in() {
    let scene = scene().await;
    assert!(scene.sign_in(OWNER, "anna@ours.example", PASSWORD).await.starts_with("235 "));
    let before = scene.world.inbound.password_hashes();
    for host in 0..200 {
        scene.sign_in(&format!("203.0.{host}.1"), "Anna@ours.example", "guess").await;
    }
    let guesses = scene.world.inbound.password_hashes() - before;
    assert!(guesses <= 23, "{guesses}");
    // Somebody whom the account does not know has to wait with the guessers; its owner has not.
    let stranger = scene.sign_in("203.1.1.1", "anna@ours.example", PASSWORD).await;
    assert!(stranger.starts_with("454 ") || stranger.starts_with("421 "), "{stranger}");
    for _ in 0..3 {
        assert!(scene.sign_in(OWNER, "anna@ours.example", PASSWORD).await.starts_with("235 "));
    }
    // Other accounts are not touched.
    assert!(scene.sign_in("203.1.1.1", "bob@ours.example", PASSWORD).await.starts_with("235 "));
    // An address of the owner that has an old password stored does not lock the owner out for long.
    for _ in 0..60 {
        scene.sign_in(OWNER, "anna@ours.example", "old password").await;
    }
    jump(Duration::from_secs(30)).await;
    assert!(scene.sign_in(OWNER, "anna@ours.example", PASSWORD).await.starts_with("235 "));
}

/// C7, with the back-off: the same tries at a user and at nobody get the same replies and cost the same.
#[tokio::test]
async fn c7_waits_do_not_tell_who_exists() {
    let scene = scene().await;
    let mut seen = Vec::new();
    for user in ["anna@ours.example", "nobody@ours.example"] {
        let (mut replies, before) = (Vec::new(), scene.world.inbound.password_hashes());
        for host in 0..40 {
            let reply = scene.sign_in(&format!("203.{}.{host}.1", user.len()), user, "guess").await;
            replies.push(reply.get(..9).unwrap_or_default().to_owned());
        }
        seen.push((replies, scene.world.inbound.password_hashes() - before));
    }
    assert_eq!(seen[0], seen[1]);
}

/// A webmail on this host signs everybody in from one address.
#[tokio::test]
async fn one_who_guesses_through_a_webmail_keeps_nobody_else_out() {
    let scene = scene().await;
    for _ in 0..40 {
        scene.sign_in("127.0.0.1", "bob@ours.example", "guess").await;
    }
    assert!(scene.sign_in("127.0.0.1", "anna@ours.example", PASSWORD).await.starts_with("235 "));
    let guesses = scene.world.inbound.password_hashes();
    assert!(guesses <= 24, "{guesses}");
}

/// C6, C7: an account is one, however its name is spelt.
#[tokio::test]
async fn c6_another_spelling_is_no_other_account() {
    let scene = scene().await;
    let spelt = |escapes: u8| {
        let spell = |(at, letter)| if escapes >> at & 1 == 1 { format!("\\{letter}") } else { String::from(letter) };
        format!("\"{}\"@ours.example", "anna".chars().enumerate().map(spell).collect::<String>())
    };
    for host in 0..60 {
        scene.sign_in(&format!("203.0.{host}.1"), &spelt(host % 16), "guess").await;
    }
    assert!(scene.world.inbound.password_hashes() <= 23, "{}", scene.world.inbound.password_hashes());
    // Nor does another salt for another spelling show who does not exist.
    let mut client = scene.connect("198.51.100.77").await;
    client.run("S: 220\nC: EHLO client.example\nS: 250").await;
    let mut salts = Vec::new();
    for name in ["nobody@ours.example", "\"nobody\"@ours.example"] {
        client.say(format!("AUTH SCRAM-SHA-256 {}\r\n", encode(format!("n,,n={name},r=abc").as_bytes()))).await;
        let reply = client.reply().await;
        let challenge = smtp::sasl::decode(reply.strip_prefix("334 ").unwrap().as_bytes()).unwrap();
        let challenge = String::from_utf8(challenge.to_vec()).unwrap();
        salts.push(challenge.split(',').nth(1).unwrap().to_owned());
        client.run("C: *\nS: 501").await;
    }
    assert_eq!(salts[0], salts[1]);
}

/// A hundred right passwords at once are no attack.
#[tokio::test]
async fn many_sign_ins_at_once_are_no_guesses() {
    let scene = scene().await;
    let mut clients = Vec::new();
    for _ in 0..90 {
        let mut client = scene.connect("203.0.113.5").await;
        client.run("S: 220\nC: EHLO client.example\nS: 250").await;
        client.say(format!("AUTH PLAIN {}\r\n", encode(format!("\0anna@ours.example\0{PASSWORD}").as_bytes()))).await;
        clients.push(client);
    }
    for client in &mut clients {
        client.run("S: 235").await;
    }
}

/// Whoever signs in for each message, through STARTTLS even, is no idler.
#[tokio::test]
async fn signing_in_makes_up_for_the_greetings_before_it() {
    let scene = Scene::new(|world, settings| {
        *settings = world.submission();
        settings.gate.limits.junk = policy::rate::Rate::per_hour(10);
    })
    .await;
    resume();
    for _ in 0..30 {
        let mut client = scene.connect("203.0.113.5").await;
        client.run("S: 220\nC: EHLO client.example\nS: 250\nC: EHLO client.example\nS: 250").await;
        let reply = sign_in(&mut client, "anna@ours.example", PASSWORD).await;
        assert!(reply.starts_with("235 "), "{reply}");
    }
}

/// C5: what was said once proves nothing in another exchange, and channel binding is not pretended.
#[tokio::test]
async fn c5_a_scram_exchange_cannot_be_replayed() {
    use smtp::sasl::{decode, scram};
    let scene = scene().await;
    let mut client = scene.connect("203.0.113.5").await;
    client.run("S: 220\nC: EHLO client.example\nS: 250").await;
    let start = "n=anna@ours.example,r=abc";
    let first = encode(format!("n,,{start}").as_bytes());
    client.say(format!("AUTH SCRAM-SHA-256 {first}\r\n")).await;
    let reply = client.reply().await;
    let challenge = decode(reply.strip_prefix("334 ").unwrap().as_bytes()).unwrap();
    let challenge = String::from_utf8(challenge.to_vec()).unwrap();
    let parts: Vec<&str> = challenge.split(',').collect();
    let (nonce, salt) = (&parts[0][2..], decode(&parts[1].as_bytes()[2..]).unwrap());
    let rounds: u32 = parts[2][2..].parse().unwrap();
    assert!((scram::ITERATIONS_MIN..=scram::ITERATIONS_MAX).contains(&rounds));
    let without_proof = format!("c=biws,r={nonce}");
    let salted = scram::salted_password(PASSWORD, &salt, rounds);
    let proof = scram::client_proof(&salted, format!("{start},{challenge},{without_proof}").as_bytes());
    let last = encode(format!("{without_proof},p={}", encode(&proof)).as_bytes());
    client.run(&format!("C: {last}\nS: 334\nC: \nS: 235")).await;
    // The very same octets again.
    let mut thief = scene.connect("203.0.113.6").await;
    thief.run("S: 220\nC: EHLO client.example\nS: 250").await;
    thief.run(&format!("C: AUTH SCRAM-SHA-256 {first}\nS: 334\nC: {last}\nS: 535 5.7.8")).await;
    let bound = encode(b"p=tls-unique,,n=anna@ours.example,r=abc");
    thief.run(&format!("C: AUTH SCRAM-SHA-256 {bound}\nS: 501\nC: AUTH SCRAM-SHA-256-PLUS {bound}\nS: 504")).await;
}
