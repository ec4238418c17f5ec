//! Finding deliveries.

use mail::Outcome;
use store::{Filter, Page, QueryError, State, Store};

use super::{
    Backend,
    events::{accepted, all, at, attempted, delivered, delivery, message, numbered, refusal},
};

async fn mixed(backend: &impl Backend) -> Store {
    let store = backend.open().await;
    let events = [
        accepted(1, "ann@a.example", &["x@y.example", "z@y.example"]),
        accepted(2, "bob@a.example", &["X@Y.example", "x@other.example"]),
        accepted(3, "", &["ann@a.example"]),
        accepted(4, "ann@sub.a.example", &["x@y.example"]),
        attempted(1, 0, "x@y.example", 1, delivered()),
        attempted(2, 0, "x@y.example", 1, Outcome::Bounced(refusal(550))),
        attempted(3, 0, "ann@a.example", 1, delivered()),
    ];
    store.append("node", &numbered(&events)).await.unwrap();
    store
}

pub(super) async fn filters_find_what_they_say(backend: &impl Backend) {
    let store = mixed(backend).await;
    let check = async |filter: Filter, expect: &[(u8, u8)]| {
        let found: Vec<_> = all(&store, &filter).await.iter().map(|view| view.delivery).collect();
        let expect: Vec<_> = expect.iter().map(|(of, number)| delivery(*of, *number)).collect();
        assert_eq!(found, expect, "{filter:?}");
    };
    let none = Filter::default;
    let some = |text: &str| Some(text.to_owned());
    check(none(), &[(4, 0), (3, 0), (2, 1), (2, 0), (1, 1), (1, 0)]).await;
    check(Filter { messages: vec![message(1), message(3)], ..none() }, &[(3, 0), (1, 1), (1, 0)]).await;
    check(Filter { deliveries: vec![delivery(2, 1), delivery(9, 9)], ..none() }, &[(2, 1)]).await;
    check(Filter { to: some("X@y.EXAMPLE"), ..none() }, &[(4, 0), (2, 0), (1, 0)]).await;
    check(Filter { to: some("@Y.example"), ..none() }, &[(4, 0), (2, 0), (1, 1), (1, 0)]).await;
    check(Filter { domain: some("other.example"), ..none() }, &[(2, 1)]).await;
    check(Filter { from: some("ANN@a.example"), ..none() }, &[(1, 1), (1, 0)]).await;
    check(Filter { from: some("@a.example"), ..none() }, &[(2, 1), (2, 0), (1, 1), (1, 0)]).await;
    check(Filter { from: some("<>"), ..none() }, &[(3, 0)]).await;
    check(Filter { states: vec![State::Delivered], ..none() }, &[(3, 0), (1, 0)]).await;
    check(Filter { states: vec![State::Bounced, State::Expired], ..none() }, &[(2, 0)]).await;
    check(Filter { states: vec![State::Queued, State::Bounced], ..none() }, &[(4, 0), (2, 1), (2, 0), (1, 1)]).await;
    check(Filter { older: Some(at(3)), ..none() }, &[(2, 1), (2, 0), (1, 1), (1, 0)]).await;
    let several = Filter { from: some("@a.example"), to: some("x@y.example"), older: Some(at(2)), ..none() };
    check(several, &[(1, 0)]).await;
}

pub(super) async fn pages_join_without_gap_or_double(backend: &impl Backend) {
    let store = mixed(backend).await;
    for filter in [
        Filter::default(),
        Filter { from: Some("@a.example".into()), ..Filter::default() },
        Filter { to: Some("x@y.example".into()), ..Filter::default() },
    ] {
        let whole = all(&store, &filter).await;
        for limit in 1..=7 {
            let (mut joined, mut cursor) = (Vec::new(), None);
            loop {
                let (rows, next) = store.find(&filter, &Page { limit, cursor }).await.unwrap();
                assert!(rows.len() <= limit);
                joined.extend(rows);
                match next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            assert_eq!(joined, whole, "{filter:?} by {limit}");
        }
    }
}

pub(super) async fn nonsense_is_refused(backend: &impl Backend) {
    let store = mixed(backend).await;
    for cursor in ["", ".", "x", "msg_1.rcp_1", &"9".repeat(1_000_000)] {
        let page = Page { limit: 10, cursor: Some(cursor.into()) };
        let error = store.find(&Filter::default(), &page).await.unwrap_err();
        assert!(matches!(error, QueryError::BadCursor(_)) && error.to_string().len() < 300, "{error}");
    }
    let messages = vec![message(1); 1001];
    let error = store.find(&Filter { messages, ..Filter::default() }, &Page { limit: 10, cursor: None }).await;
    assert!(matches!(error, Err(QueryError::BadFilter(_))));
    // A limit out of bounds is brought into them.
    let (rows, _) = store.find(&Filter::default(), &Page { limit: 0, cursor: None }).await.unwrap();
    assert_eq!(rows.len(), 1);
    let (rows, _) = store.find(&Filter::default(), &Page { limit: usize::MAX, cursor: None }).await.unwrap();
    assert_eq!(rows.len(), 6);
}
