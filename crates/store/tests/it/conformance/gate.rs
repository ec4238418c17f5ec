//! What the gate remembers is there after a restart, once and for as long as it should be.

use mail::Timestamp;
use store::{AcquaintanceRow, GreylistRow};

use super::Backend;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + seconds)
}

fn grey(key: u8, latest: i64, passes: u32) -> GreylistRow {
    GreylistRow { key: [key; 16], first: at(0), latest: at(latest), passes }
}

pub(crate) async fn the_greylist_is_kept_and_forgotten(backend: &impl Backend) {
    let store = backend.open().await;
    store.greylist_keep(&[grey(1, 10, 0), grey(2, 20, 1), grey(3, 30, 0)]).await.unwrap();
    store.greylist_keep(&[grey(1, 40, 1), grey(4, 5, 7)]).await.unwrap();
    store.greylist_keep(&[]).await.unwrap();
    store.close().await;
    let store = backend.open().await;
    let all = [grey(4, 5, 7), grey(2, 20, 1), grey(3, 30, 0), grey(1, 40, 1)];
    assert_eq!(store.greylist(100).await.unwrap(), all);
    assert_eq!(store.greylist(2).await.unwrap(), [grey(2, 20, 1), grey(3, 30, 0), grey(1, 40, 1)]);
    // A flood of tries does not push out those who have passed.
    assert_eq!(store.greylist(1).await.unwrap(), [grey(3, 30, 0), grey(1, 40, 1)]);
    assert_eq!(store.greylist_forget(at(35), at(10), 100).await.unwrap(), 2);
    let passes = [grey(2, 20, 1), grey(1, 40, 1)];
    assert_eq!(store.greylist(100).await.unwrap(), passes);
    // A flood of tries is cut, however young they are.
    store.greylist_keep(&(10..20).map(|key| grey(key, 100 + i64::from(key), 0)).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(store.greylist_forget(at(35), at(10), 3).await.unwrap(), 7);
    let left = [&passes[..], &[17, 18, 19].map(|key| grey(key, 100 + i64::from(key), 0))].concat();
    assert_eq!(store.greylist(100).await.unwrap(), left);
}

pub(crate) async fn acquaintances_are_kept_and_forgotten(backend: &impl Backend) {
    let row = |client: &str, account: u8, latest: i64| AcquaintanceRow {
        client: client.parse().unwrap(),
        account: [account; 16],
        latest: at(latest),
    };
    let store = backend.open().await;
    store
        .acquaintances_keep(&[row("192.0.2.1", 1, 10), row("192.0.2.1", 2, 20), row("2001:db8::", 1, 30)])
        .await
        .unwrap();
    store.acquaintances_keep(&[row("192.0.2.1", 1, 40)]).await.unwrap();
    store.close().await;
    let store = backend.open().await;
    let all = [row("192.0.2.1", 2, 20), row("2001:db8::", 1, 30), row("192.0.2.1", 1, 40)];
    assert_eq!(store.acquaintances(100).await.unwrap(), all);
    assert_eq!(store.acquaintances_forget(at(30)).await.unwrap(), 1);
    assert_eq!(store.acquaintances(1).await.unwrap(), all[2..]);
}
