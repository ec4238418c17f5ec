//! The internet in memory.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use mail::Timestamp;
use net::{
    BindError, Clock, ConnectError, Connector, Exchange, MxAnswer, ResolveError, Resolver,
    sim::{Internet, Reach, Zone},
    tasks::Tasks,
};
use policy::dns::{self, Answer, Kind, Question};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn clock() -> Clock {
    Clock::simulated(Timestamp::from_secs(1_700_000_000))
}

#[tokio::test(start_paused = true)]
async fn a_connection_carries_more_than_its_buffer_and_ends() {
    let (internet, clock, tasks) = (Internet::new(), clock(), Tasks::new());
    let mut listener = internet.listen(address("198.51.100.1:25")).unwrap();
    let server = tasks.spawn("server", async move {
        let (mut stream, peer) = listener.accept().await;
        assert_eq!(peer.ip(), address("203.0.113.5:0").ip());
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap();
        stream.write_whole(b"done").await.unwrap();
        received.len()
    });
    let from: IpAddr = "203.0.113.5".parse().unwrap();
    let deadline = clock.instant() + Duration::from_secs(30);
    let mut client = internet.connect(address("198.51.100.1:25"), Some(from), deadline).await.unwrap();
    client.write_whole(&vec![7; 1_000_000]).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!((answer.as_str(), server.await), ("done", Ok(1_000_000)));
}

#[tokio::test(start_paused = true)]
async fn hosts_fail_as_real_ones_do() {
    let (internet, clock) = (Internet::new(), clock());
    let (to, host) = (address("198.51.100.1:25"), "198.51.100.1".parse().unwrap());
    let begun = clock.instant();
    let deadline = begun + Duration::from_secs(30);
    assert_eq!(internet.connect(to, None, deadline).await.unwrap_err(), ConnectError::Refused { to });

    let _listener = internet.listen(to).unwrap();
    assert_eq!(internet.listen(to).unwrap_err(), BindError::InUse { address: to });
    internet.set_latency(host, Duration::from_secs(2));
    internet.connect(to, None, deadline).await.unwrap();
    assert_eq!(clock.instant() - begun, Duration::from_secs(2));

    internet.set_reach(host, Reach::Unreachable);
    let error = internet.connect(to, None, deadline).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }));
    internet.set_reach(host, Reach::Silent);
    assert_eq!(internet.connect(to, None, deadline).await.unwrap_err(), ConnectError::Deadline { to });
    assert_eq!(clock.instant(), deadline);
}

#[tokio::test(start_paused = true)]
async fn a_cut_breaks_both_ends() {
    let (internet, clock) = (Internet::new(), clock());
    let to = address("[2001:db8::25]:25");
    let mut listener = internet.listen(to).unwrap();
    let mut client = internet.connect(to, None, clock.instant()).await.unwrap();
    let (mut server, _) = listener.accept().await;
    assert_eq!(internet.connections(to), 1);
    client.write_whole(b"lost").await.unwrap();
    internet.cut(to.ip());
    assert_eq!(internet.connections(to), 0);
    server.readable().await.unwrap();
    assert_eq!(server.try_read(&mut [0; 10]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(client.read(&mut [0; 10]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(client.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_end_is_noticed_by_reader_and_writer() {
    let (internet, clock) = (Internet::new(), clock());
    let to = address("198.51.100.1:25");
    let mut listener = internet.listen(to).unwrap();
    let mut client = internet.connect(to, None, clock.instant()).await.unwrap();
    let (server, _) = listener.accept().await;
    drop(server);
    client.readable().await.unwrap();
    assert_eq!(client.try_read(&mut [0; 10]).unwrap(), 0);
    assert_eq!(client.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    drop(client);
    assert_eq!(internet.connections(to), 0);
    drop(listener);
    assert_eq!(internet.connect(to, None, clock.instant()).await.unwrap_err(), ConnectError::Refused { to });
    internet.listen(to).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_zone_answers_as_the_real_dns_does() {
    let (zone, clock) = (Zone::new(), clock());
    let host: IpAddr = "198.51.100.1".parse().unwrap();
    zone.add_mx("A.example", 10, "MX.a.example");
    zone.add_mx("null.example", 0, ".");
    zone.add_addresses("mx.a.example", &[host]);
    zone.add_empty("empty.example");
    zone.add_alias("www.example", "a.example");
    zone.add_alias("round.example", "round.example");

    let one = |preference, host: &str| MxAnswer::Exchanges(vec![Exchange { preference, host: host.into() }]);
    assert_eq!(zone.mx("a.EXAMPLE.").await, Ok(one(10, "mx.a.example")));
    assert_eq!(zone.mx("www.example").await, Ok(one(10, "mx.a.example")));
    assert_eq!(zone.mx("null.example").await, Ok(one(0, ".")));
    assert_eq!(zone.mx("empty.example").await, Ok(MxAnswer::Exchanges(vec![])));
    assert_eq!(zone.mx("missing.example").await, Ok(MxAnswer::NoSuchDomain));
    assert!(zone.mx("round.example").await.unwrap_err().is_temporary());
    assert_eq!(zone.addresses("mx.a.example").await, Ok(vec![host]));
    assert_eq!(zone.addresses("a.example").await, Ok(vec![]));
    zone.add_txt("a.example", "v=spf1 -all");
    zone.add_ptr("1.100.51.198.in-addr.arpa", "MX.a.example");
    let name = |text: &str| dns::Name::parse(text).unwrap();
    for (asked, kind, expect) in [
        ("www.example", Kind::Txt, Answer::Txt(vec![b"v=spf1 -all".to_vec()])),
        ("1.100.51.198.in-addr.arpa", Kind::Ptr, Answer::Ptr(vec![name("mx.a.example")])),
        ("a.example", Kind::Mx, Answer::Mx(vec![(10, name("mx.a.example"))])),
        ("null.example", Kind::Mx, Answer::Mx(vec![])),
        ("mx.a.example", Kind::A, Answer::A(vec!["198.51.100.1".parse().unwrap()])),
        ("mx.a.example", Kind::Aaaa, Answer::NoData),
        ("mx.a.example", Kind::Txt, Answer::NoData),
        ("missing.example", Kind::Txt, Answer::NoName),
        ("round.example", Kind::Txt, Answer::Failed),
    ] {
        assert_eq!(zone.ask(&Question { name: name(asked), kind }).await, expect, "{asked} {kind:?}");
    }
    assert_eq!(zone.addresses("b.example").await, Err(ResolveError::NoSuchDomain("b.example".into())));

    zone.set_delay("a.example", Duration::from_secs(3));
    zone.set_failing("a.example", true);
    let begun = clock.instant();
    assert!(zone.mx("a.example").await.unwrap_err().is_temporary());
    assert_eq!(clock.instant() - begun, Duration::from_secs(3));
    zone.set_failing("a.example", false);
    assert_eq!(zone.mx("a.example").await, Ok(one(10, "mx.a.example")));
    assert_eq!(zone.questions("a.example"), 7);
    zone.remove("a.example");
    assert_eq!(zone.mx("a.example").await, Ok(MxAnswer::NoSuchDomain));
}
