//! Who vouches for a stranger's message: over the real driver, on a simulated internet with a zone that the test fills.

mod forged;
mod hostile;
mod results;
mod verdicts;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use inbound::{Actions, Service, Settings, Verification};
use mail::Timestamp;
use net::{
    Connector as _,
    sim::{Internet, Zone},
};
use policy::{
    dkim::{BodyHasher, Fields, PrivateKey, Signer, SigningKey},
    dns::Name,
};

use crate::{
    dialogue::Client,
    world::{PATIENCE, World},
};

const ADDRESS: &str = "192.0.2.25:25";
/// The sending host of `good.example`.
const SENDER: &str = "203.0.113.7";
/// A host that may not send for anybody.
const FORGER: &str = "198.51.100.66";

const LETTER: &str = "From: Gil <gil@good.example>\r\nTo: anna@ours.example\r\nSubject: Hello\r\n\
                      Date: Tue, 24 Nov 2026 08:16:09 +0000\r\nMessage-ID: <1@good.example>\r\n\r\nHi Anna,\r\n\r\nbye.\r\n";

/// A world with one service that verifies, and its internet.
struct Scene {
    world: World,
    internet: Internet,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A scene with other actions than the usual ones.
    async fn with_actions(adjust: impl FnOnce(&mut Actions)) -> Self {
        Self::with(|settings| {
            let mut verification = Verification::default();
            adjust(&mut verification.actions);
            settings.verification = Some(Arc::new(verification));
        })
        .await
    }

    /// A scene with other settings.
    async fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        let world = World::new().await;
        let mut settings = world.mx();
        settings.gate.pregreet_wait = std::time::Duration::ZERO;
        settings.gate.examination = inbound::Examination::none();
        settings.verification = Some(Arc::new(Verification::default()));
        adjust(&mut settings);
        let scene = Self { world, internet: Internet::new() };
        scene.serve(ADDRESS, settings);
        let zone = scene.zone();
        zone.add_txt("good.example", "v=spf1 ip4:203.0.113.7 -all");
        zone.add_txt("_dmarc.good.example", "v=DMARC1; p=reject");
        zone.add_ptr("7.113.0.203.in-addr.arpa", "out.good.example");
        zone.add_addresses("out.good.example", &[SENDER.parse().unwrap()]);
        scene
    }

    fn serve(&self, address: &str, settings: Settings) {
        let address: SocketAddr = address.parse().unwrap();
        self.world.inbound.serve(self.internet.listen(address).unwrap(), &Service::new(settings));
    }

    fn zone(&self) -> &Zone {
        &self.world.zone
    }

    /// A connection from an address, greeted.
    async fn connect(&self, from: &str) -> Client {
        self.connect_to(ADDRESS, from).await
    }

    async fn connect_to(&self, address: &str, from: &str) -> Client {
        let from: IpAddr = from.parse().unwrap();
        let deadline = self.world.clock.instant() + PATIENCE;
        let stream = self.internet.connect(address.parse().unwrap(), Some(from), deadline).await.unwrap();
        let mut client = Client::over(stream);
        client.run("S: 220\nC: EHLO out.good.example\nS: 250").await;
        client
    }

    /// Sends a letter to anna on a connection of its own, and gives the reply to the dot.
    async fn send(&self, from: &str, sender: &str, letter: &[u8]) -> String {
        let mut client = self.connect(from).await;
        send(&mut client, sender, letter).await
    }

    /// The same for one that is taken: gives the header that it has now.
    async fn deliver(&self, from: &str, sender: &str, letter: &[u8]) -> String {
        let reply = self.send(from, sender, letter).await;
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        let content = self.world.kept().await.pop().expect("a message").content;
        assert!(content.ends_with("\r\n\r\nHi Anna,\r\n\r\nbye.\r\n"), "{content}");
        content
    }

    /// Whether a task of that name asks the DNS now.
    fn asks(&self, task: &str) -> bool {
        self.world.tasks.running().iter().any(|(name, _)| *name == task)
    }

    /// Publishes a new key for a domain and gives what signs with it.
    fn signer(&self, selector: &str, domain: &str) -> Signer {
        let key = Arc::new(PrivateKey::generate_ed25519().unwrap());
        self.zone().add_txt(&format!("{selector}._domainkey.{domain}"), key.public_record().unwrap());
        Signer::new(name(domain), vec![SigningKey { selector: name(selector), key }]).unwrap()
    }
}

async fn send(client: &mut Client, sender: &str, letter: &[u8]) -> String {
    client
        .run(&format!("C: MAIL FROM:<{sender}>\nS: 250\nC: RCPT TO:<anna@ours.example>\nS: 250\nC: DATA\nS: 354"))
        .await;
    client.say([letter, b".\r\n"].concat()).await;
    client.reply().await
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// The letter with a signature in front.
fn signed(signer: &Signer, letter: &[u8], now: Timestamp) -> Vec<u8> {
    let end = letter.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap() + 2;
    let mut bodies = BodyHasher::default();
    let signing = signer.begin(&Fields::parse(&letter[..end]), now, &mut bodies).unwrap();
    bodies.update(&letter[end + 2..]);
    let field = signing.finish(&bodies.finish()).unwrap();
    [field.as_bytes(), letter].concat()
}

/// The first field of that name, unfolded.
fn field(content: &str, name: &str) -> Option<String> {
    let header = mail::header::Header::parse(content.as_bytes(), 1000);
    header.first(name).map(|field| field.unfolded().split_whitespace().collect::<Vec<_>>().join(" "))
}

fn results(content: &str) -> String {
    field(content, "Authentication-Results").expect("results")
}
