use mail::{Domain, Timestamp};
use policy::dkim::{BodyHasher, Fields};
use store::DomainKind;

use super::*;

const MESSAGE: &[u8] = b"From: ann@news.example.net\r\nSubject: hello\r\n\r\n";

struct World {
    folder: tempfile::TempDir,
    store: Store,
    chance: Chance,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open("sqlite:posthouse.db", folder.path()).await.unwrap();
        let world = Self { folder, store, chance: Chance::seeded(1) };
        world.store.domain_add(&domain("example.net"), DomainKind::Local).await.unwrap();
        world
    }

    fn keyring(&self) -> Keyring {
        Keyring::new(self.store.clone(), Secret::load(self.folder.path(), &self.chance).unwrap())
    }

    async fn add(&self, keyring: &Keyring, state: KeyState) -> Vec<DkimKey> {
        let keys = keyring.make(&domain("example.net"), state, noon(), &self.chance).unwrap();
        self.store.dkim_add(&domain("example.net"), &keys).await.unwrap();
        keys
    }
}

fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

/// 2026-11-24.
fn noon() -> Timestamp {
    Timestamp::from_secs(1_795_521_600)
}

fn fields(signer: &Signer) -> String {
    let mut bodies = BodyHasher::default();
    let signing = signer.begin(&Fields::parse(MESSAGE), noon(), &mut bodies).unwrap();
    signing.finish(&bodies.finish()).unwrap()
}

#[tokio::test]
async fn keys_are_made_kept_sealed_and_sign() {
    let world = World::new().await;
    let keyring = world.keyring();
    assert!(keyring.signer(&domain("example.net")).is_none());
    let keys = world.add(&keyring, KeyState::Active).await;
    assert_eq!(keys.iter().map(|key| key.selector.as_str()).collect::<Vec<_>>(), ["r20261124", "e20261124"]);
    assert!(
        keys[0].record.starts_with("v=DKIM1; k=rsa; p=MII") && keys[1].record.starts_with("v=DKIM1; k=ed25519; p=")
    );
    let fields = fields(&keyring.signer(&domain("example.net")).unwrap());
    assert!(
        fields.contains("a=rsa-sha256") && fields.contains("a=ed25519-sha256") && fields.contains("d=example.net"),
        "{fields}"
    );
    // A second server on the same directory opens them, too.
    assert!(world.keyring().signer(&domain("example.net")).is_some());
}

#[tokio::test]
async fn the_nearest_domain_above_signs() {
    let world = World::new().await;
    let keyring = world.keyring();
    world.add(&keyring, KeyState::Active).await;
    let signer = keyring.signer(&domain("news.mail.example.net")).unwrap();
    assert!(fields(&signer).contains("d=example.net"));
    for other in ["badexample.net", "net", "example.org", "[192.0.2.1]"] {
        assert!(keyring.signer(&domain(other)).is_none(), "{other}");
    }
}

#[tokio::test]
async fn a_rotation_is_seen_by_the_next_message() {
    let world = World::new().await;
    let keyring = world.keyring();
    world.add(&keyring, KeyState::Active).await;
    let before = fields(&keyring.signer(&domain("example.net")).unwrap());
    let waiting = world.add(&keyring, KeyState::Waiting).await;
    assert_eq!(waiting[0].selector, "r20261124b");
    assert_eq!(fields(&keyring.signer(&domain("example.net")).unwrap()), before);
    world.store.dkim_turn(&domain("example.net"), noon()).await.unwrap();
    let after = fields(&keyring.signer(&domain("example.net")).unwrap());
    assert!(after.contains("s=r20261124b;") && !after.contains("s=r20261124;"), "{after}");
}

/// Keys that were made again and again before they were put to use.
#[tokio::test]
async fn of_many_active_keys_the_newest_of_each_kind_sign() {
    let world = World::new().await;
    let keyring = world.keyring();
    world.add(&keyring, KeyState::Active).await;
    for _ in 0..3 {
        world.add(&keyring, KeyState::Waiting).await;
    }
    world.store.dkim_turn(&domain("example.net"), noon()).await.unwrap();
    let fields = fields(&keyring.signer(&domain("example.net")).unwrap());
    assert_eq!(fields.matches("DKIM-Signature:").count(), 4);
    for selector in ["r20261124c", "r20261124d", "e20261124c", "e20261124d"] {
        assert!(fields.contains(&format!("s={selector};")), "{fields}");
    }
}

#[tokio::test]
async fn keys_of_another_secret_sign_nothing() {
    let world = World::new().await;
    world.add(&world.keyring(), KeyState::Active).await;
    std::fs::remove_file(crate::secret::path(world.folder.path())).unwrap();
    let other = Keyring::new(world.store.clone(), Secret::load(world.folder.path(), &Chance::seeded(9)).unwrap());
    assert!(other.signer(&domain("example.net")).is_none());
}
