//! AUTH against the store: who gets in, and what it costs.

use inbound::{Settings, Tls, hash_password};
use net::{Chance, Connector as _};
use smtp::sasl::encode;

use crate::{
    dialogue::Client,
    world::{CHEAP, PASSWORD, World},
};

pub(crate) fn plain(authzid: &str, user: &str, password: &str) -> String {
    encode(format!("{authzid}\0{user}\0{password}").as_bytes())
}

async fn try_plain(client: &mut Client, user: &str, password: &str) -> String {
    client.say(format!("AUTH PLAIN {}\r\n", plain("", user, password))).await;
    client.reply().await
}

#[tokio::test]
async fn plain_and_login_with_the_right_password() {
    let world = World::new().await;
    let mut client = world.client(world.submission()).await;
    assert!(try_plain(&mut client, "Anna@OURS.example", PASSWORD).await.starts_with("235 2.7.0"));
    let mut client = world.client(world.submission()).await;
    let (user, password) = (encode(b"bob@ours.example"), encode(PASSWORD.as_bytes()));
    client
        .run(&format!("C: auth login\nS: 334 VXNlcm5hbWU6\nC: {user}\nS: 334 UGFzc3dvcmQ6\nC: {password}\nS: 235"))
        .await;
}

/// C1: nobody acts as another.
#[tokio::test]
async fn an_authorization_identity_must_be_ones_own() {
    let world = World::new().await;
    let mut client = world.client(world.submission()).await;
    let other = plain("bob@ours.example", "anna@ours.example", PASSWORD);
    client.run(&format!("C: AUTH PLAIN {other}\nS: 535")).await;
    client.run("C: MAIL FROM:<bob@ours.example>\nS: 530").await;
}

/// C2: no password in clear text.
#[tokio::test]
async fn clear_text_is_not_offered_and_refused() {
    let world = World::new().await;
    let mut settings = world.submission();
    settings.session.auth = smtp::server::AuthOffer::OverTls;
    settings.tls = Tls::StartTls(world.certificate());
    let (_, address) = world.serve(settings);
    let mut client = Client::connect(address).await;
    client.run("S: 220\nC: EHLO client.example").await;
    loop {
        let line = client.line().await;
        assert!(!line.contains("AUTH"), "{line}");
        if !line.starts_with("250-") {
            break;
        }
    }
    client.run(&format!("C: AUTH PLAIN {}\nS: 538", plain("", "anna@ours.example", PASSWORD))).await;
    client.run("C: STARTTLS\nS: 220").await;
    let mut client = client.start_tls(&world.clock).await;
    client.run("C: MAIL FROM:<anna@ours.example>\nS: 503\nC: EHLO client.example\nS: 250").await;
    assert!(try_plain(&mut client, "anna@ours.example", PASSWORD).await.starts_with("235"));
}

/// C3: what is no credential is refused, and the session goes on.
#[tokio::test]
async fn garbage_is_answered() {
    let world = World::new().await;
    let mut client = world.client(world.submission()).await;
    let no_nul = encode(b"anna");
    let three_nuls = encode(b"\0a\0b\0c");
    client
        .run(&format!(
            "C: AUTH PLAIN !!!!
S: 501
C: AUTH PLAIN =
S: 501
C: AUTH PLAIN {no_nul}
S: 501
C: AUTH PLAIN {three_nuls}
S: 501
C: AUTH PLAIN
S: 334
C: *
S: 501
C: AUTH LOGIN
S: 334
C: *
S: 501
C: NOOP
S: 250"
        ))
        .await;
    assert_eq!(world.inbound.password_hashes(), 0);
}

/// C4: a name is data.
#[tokio::test]
async fn names_are_data() {
    let world = World::new().await;
    let long = "x".repeat(4000);
    for name in ["' OR 1=1 --", "*)(uid=*", "anna@ours.example\n", "../x", "anna", "%00", "", &long] {
        let mut client = world.client(world.submission()).await;
        let reply = try_plain(&mut client, name, PASSWORD).await;
        assert!(reply.starts_with("535") || reply.starts_with("501"), "{name}: {reply}");
        client.run("C: NOOP\nS: 250").await;
    }
}

/// C7: a user that does not exist costs and sounds like a wrong password.
#[tokio::test]
async fn nobody_learns_who_exists() {
    let world = World::new().await;
    let mut client = world.client(world.submission()).await;
    let cost = |before: u64| world.inbound.password_hashes() - before;
    let before = world.inbound.password_hashes();
    let wrong = try_plain(&mut client, "anna@ours.example", "wrong").await;
    assert_eq!(cost(before), 1);
    let unknown = try_plain(&mut client, "nobody@ours.example", "wrong").await;
    assert_eq!(cost(before), 2);
    let nonsense = try_plain(&mut client, "no address", "wrong").await;
    assert_eq!(cost(before), 3);
    assert_eq!((&wrong, &wrong), (&unknown, &nonsense));
    // And again: neither is remembered.
    assert_eq!(try_plain(&mut client, "nobody@ours.example", "wrong").await, wrong);
    assert_eq!(try_plain(&mut client, "anna@ours.example", "wrong").await, wrong);
    assert_eq!(cost(before), 5);
}

#[tokio::test]
async fn scram_challenges_strangers_like_users() {
    let world = World::new().await;
    let mut challenges = Vec::new();
    for name in ["anna@ours.example", "nobody@ours.example", "nobody@ours.example", "no address"] {
        let mut client = world.client(world.submission()).await;
        client.say(format!("AUTH SCRAM-SHA-256 {}\r\n", encode(format!("n,,n={name},r=abc").as_bytes()))).await;
        let reply = client.reply().await;
        let challenge = smtp::sasl::decode(reply.strip_prefix("334 ").expect(&reply).as_bytes()).unwrap();
        let challenge = String::from_utf8(challenge.to_vec()).unwrap();
        let (nonce, rest) = challenge.split_once(",s=").unwrap();
        challenges.push((nonce.len(), rest.len(), rest.split_once(",i=").unwrap().1.to_owned(), rest.to_owned()));
    }
    let shape = |at: usize| (challenges[at].0, challenges[at].1, challenges[at].2.clone());
    assert_eq!(shape(0), shape(1));
    assert_eq!(challenges[1].3, challenges[2].3, "the same invention each time");
    assert_ne!(challenges[1].3, challenges[3].3);
    assert_eq!(world.inbound.password_hashes(), 0);
}

#[tokio::test]
async fn a_verified_password_is_believed_until_the_user_changes() {
    let world = World::new().await;
    let login = async |password: &str| {
        let mut client = world.client(world.submission()).await;
        let reply = try_plain(&mut client, "anna@ours.example", password).await;
        (reply[..3].to_owned(), world.inbound.password_hashes())
    };
    assert_eq!(login(PASSWORD).await, ("235".into(), 1));
    assert_eq!(login(PASSWORD).await, ("235".into(), 1));
    assert_eq!(login("wrong").await, ("535".into(), 2));
    assert_eq!(login(PASSWORD).await, ("235".into(), 2));
    let user = "anna@ours.example".parse().unwrap();
    let changed = hash_password("another", CHEAP, &Chance::seeded(9)).unwrap();
    world.store.user_password(&user, &changed).await.unwrap();
    assert_eq!(login(PASSWORD).await, ("535".into(), 3));
    assert_eq!(login("another").await, ("235".into(), 4));
    world.store.alias_remove(&"sales@ours.example".parse().unwrap()).await.unwrap();
    world.store.user_remove(&user).await.unwrap();
    assert_eq!(login("another").await, ("535".into(), 5));
}

/// Everybody who can wait does; the others hear it at once.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_at_once_are_told_so() {
    let world = World::new().await;
    // Hashes that take a while, so that the queue fills. A guesser would wait for other reasons: so each client comes from
    // elsewhere, and each name is tried a few times only.
    const NAMES: usize = 60;
    let slow = inbound::Cost { memory: 64 * 1024, passes: 3, rounds: 4096 };
    let verifiers = hash_password(PASSWORD, slow, &Chance::seeded(3)).unwrap();
    for number in 0..NAMES {
        world.store.user_add(&format!("u{number}@ours.example").parse().unwrap(), &verifiers).await.unwrap();
    }
    let (internet, address) = (net::sim::Internet::new(), "192.0.2.25:587".parse().unwrap());
    world.inbound.serve(internet.listen(address).unwrap(), &inbound::Service::new(world.submission()));
    let room = 257 * std::thread::available_parallelism().unwrap().get();
    let mut clients = Vec::new();
    for number in 0..room + 20 {
        let from =
            std::net::IpAddr::from([10, u8::try_from(number / 250).unwrap(), u8::try_from(number % 250).unwrap(), 1]);
        let deadline = world.clock.instant() + crate::world::PATIENCE;
        let mut client = Client::over(internet.connect(address, Some(from), deadline).await.unwrap());
        client.run("S: 220\nC: EHLO x\nS: 250").await;
        let user = format!("u{}@ours.example", number % NAMES);
        client.say(format!("AUTH PLAIN {}\r\n", plain("", &user, "wrong"))).await;
        clients.push(client);
    }
    // The last to come find no room; nobody waits for the first.
    let mut last = clients.pop().unwrap();
    assert!(last.reply().await.starts_with("454 4.7.0 Too many are authenticating"));
}

#[tokio::test]
async fn one_may_not_send_as_another() {
    let world = World::new().await;
    let submission = || -> Settings { world.submission() };
    let mut client = world.client(submission()).await;
    try_plain(&mut client, "anna@ours.example", PASSWORD).await;
    client
        .run(
            "C: MAIL FROM:<bob@ours.example>
S: 550 5.7.1 MAIL FROM: anna@ours.example may not send as bob@ours.example
C: MAIL FROM:<x@far.example>
S: 550 5.7.1
C: MAIL FROM:<sales@ours.example>
S: 250
C: RSET
S: 250
C: MAIL FROM:<Anna+news@ours.example>
S: 250
C: RSET
S: 250
C: MAIL FROM:<>
S: 250",
        )
        .await;
    for (header, expect) in [
        ("From: bob@ours.example", "550 5.7.1 From: anna@ours.example may not send as bob@ours.example"),
        ("From: anna@ours.example\r\nFrom: bob@ours.example", "550 5.7.1 The message has more than one From"),
        ("From: anna@ours.example\r\nSender: bob@ours.example", "550 5.7.1 Sender: "),
        ("From: anna@ours.example, bob@ours.example", "550 5.7.1 From: "),
        ("From: <bob@ours.example> <anna@ours.example>", "550 5.7.1 The From field"),
        ("Subject: x\r\nfrom :\r\n bob@ours.example", "550 5.7.1 From: "),
        ("From: Sales <sales@ours.example>\r\nSender: anna@ours.example", "250 2.0.0"),
    ] {
        client
            .run("C: RSET\nS: 250\nC: MAIL FROM:<anna@ours.example>\nS: 250\nC: RCPT TO:<x@far.example>\nS: 250\nC: DATA\nS: 354")
            .await;
        client.run(&format!("C: {header}\nC:\nC: hi\nC: .\nS: {expect}").replace("\r\n", "\nC: ")).await;
    }
    assert_eq!(world.kept().await.len(), 1);
}
