//! The real resolver against name servers that answer too much, in circles, wrongly, late or never (E8).

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hickory_server::{
    Server,
    net::runtime::Time,
    proto::{
        op::{Header, HeaderCounts, Metadata, ResponseCode},
        rr::{
            Name, RData, Record, RecordType,
            rdata::{A, AAAA, CNAME, MX, PTR, SOA, TXT},
        },
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use net::{
    ADDRESSES_MAX, Clock, DnsResolver, DnsSettings, Exchange, MX_MAX, MxAnswer, RECORDS_MAX, ResolveError, Resolver,
    TXT_OCTETS_MAX, tasks::Tasks,
};
use policy::dns::{Answer, Kind, Question};
use tokio::net::{TcpListener, UdpSocket};

/// Answers by the first label of the name.
#[derive(Debug, Default)]
struct Hostile {
    questions: Arc<AtomicU64>,
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn mx(preference: u16, host: &str) -> RData {
    RData::MX(MX::new(preference, name(host)))
}

fn soa() -> Record {
    let soa = SOA::new(name("ns.example."), name("root.example."), 1, 2, 3, 4, 30);
    Record::from_rdata(name("example."), 30, RData::SOA(soa))
}

/// The answer, or nothing for silence.
fn answer(asked: &Name, record_type: RecordType) -> Option<(ResponseCode, Vec<Record>)> {
    let text = asked.to_ascii();
    let label = text.split('.').next().unwrap_or_default();
    let found = |ttl, data: Vec<RData>| {
        let records = data.into_iter().map(|data| Record::from_rdata(asked.clone(), ttl, data));
        Some((ResponseCode::NoError, records.collect()))
    };
    let cname = |target: &str| found(60, vec![RData::CNAME(CNAME(name(target)))]);
    let txt = |strings: &[&str]| RData::TXT(TXT::new(strings.iter().map(|text| (*text).to_owned()).collect()));
    match (label, record_type) {
        ("wide", RecordType::A) => found(60, (0..100_u32).map(|number| RData::A(A(number.into()))).collect()),
        ("wide", RecordType::AAAA) => found(60, (0..3_u128).map(|number| RData::AAAA(AAAA(number.into()))).collect()),
        ("good", RecordType::MX) => found(60, vec![mx(20, "MX2.good.example."), mx(10, "mx1.good.example.")]),
        ("null", RecordType::MX) => found(60, vec![mx(0, ".")]),
        ("mx1" | "both", RecordType::A) => found(60, vec![RData::A(A::new(192, 0, 2, 1))]),
        ("both", RecordType::AAAA) => found(60, vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))]),
        ("half", RecordType::A) => found(60, vec![RData::A(A::new(192, 0, 2, 2))]),
        ("half" | "lame", _) => Some((ResponseCode::ServFail, vec![])),
        ("refused", _) => Some((ResponseCode::Refused, vec![])),
        // As many as fit into one answer, and more than fit: those are cut off with the mark of truncation.
        ("many", RecordType::MX) => found(60, (0..1000).map(|number| mx(number, "h.example.")).collect()),
        ("more", RecordType::MX) => found(60, (0..10_000).map(|number| mx(number, "h.example.")).collect()),
        ("many", RecordType::A) => found(60, (0..1000_u32).map(|number| RData::A(A(number.into()))).collect()),
        ("short", RecordType::A) => found(5, vec![RData::A(A::new(192, 0, 2, 3))]),
        ("good", RecordType::TXT) => found(60, vec![txt(&["v=spf1 ", "-all"]), txt(&["other"])]),
        ("good", RecordType::PTR) => found(60, vec![RData::PTR(PTR(name("Mail.Good.example.")))]),
        // No time to keep it at all.
        ("fleeting", RecordType::TXT) => found(0, vec![txt(&["now"])]),
        // As many as fit into one answer by TCP.
        ("many", RecordType::TXT) => found(60, vec![txt(&["x"]); 1500]),
        ("large", RecordType::TXT) => found(60, vec![txt(&["y".repeat(255).as_str(); 4]); 58]),
        ("more", RecordType::TXT) => found(60, vec![txt(&["z"]); 10_000]),
        ("circle", _) => cname("circle.example."),
        ("alias", _) => cname("good.example."),
        // As a recursive server says that the alias's target has no such record.
        ("recursive", _) => cname("empty.example."),
        ("nowhere", _) => cname("empty.example."),
        ("silent", _) => None,
        ("empty" | "good" | "null" | "both" | "mx1" | "many" | "short" | "fleeting" | "large", _) => found(60, vec![]),
        _ => match label.strip_prefix("chain").and_then(|number| number.parse::<u32>().ok()) {
            Some(0) => found(60, vec![RData::A(A::new(192, 0, 2, 4))]),
            Some(number) => cname(&format!("chain{}.example.", number - 1)),
            None => Some((ResponseCode::NXDomain, vec![])),
        },
    }
}

#[async_trait]
impl RequestHandler for Hostile {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut reply: R) -> ResponseInfo {
        self.questions.fetch_add(1, Ordering::Relaxed);
        let asked = request.request_info().unwrap();
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let Some((code, records)) = answer(&asked.query.name().into(), asked.query.query_type()) else {
            return Header { metadata, counts: HeaderCounts::default() }.into();
        };
        metadata.response_code = code;
        metadata.authoritative = true;
        let none = (records.is_empty() || asked.query.name().to_string().starts_with("recursive."))
            && matches!(code, ResponseCode::NoError | ResponseCode::NXDomain);
        let soa = none.then(soa);
        let builder = MessageResponseBuilder::from_message_request(request);
        reply.send_response(builder.build(metadata, records.iter(), [], soa.iter(), [])).await.unwrap()
    }
}

struct Servers {
    resolver: DnsResolver,
    questions: Arc<AtomicU64>,
    _server: Server<Hostile>,
}

impl Servers {
    fn asked(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }
}

async fn servers() -> Servers {
    // A port that is free for both protocols.
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let settings = DnsSettings { servers: vec![udp.local_addr().unwrap()] };
    let handler = Hostile::default();
    let questions = Arc::clone(&handler.questions);
    let mut server = Server::new(handler);
    server.register_socket(udp);
    server.register_listener(tcp, Duration::from_secs(5), 64);
    let resolver = DnsResolver::new(&settings, Clock::system()).unwrap();
    Servers { resolver, questions, _server: server }
}

fn exchange(preference: u16, host: &str) -> Exchange {
    Exchange { preference, host: host.into() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn answers_come_as_published() {
    let servers = servers().await;
    let dns = &servers.resolver;
    let good = vec![exchange(20, "mx2.good.example"), exchange(10, "mx1.good.example")];
    assert_eq!(dns.mx("good.example").await, Ok(MxAnswer::Exchanges(good.clone())));
    assert_eq!(dns.mx("alias.example").await, Ok(MxAnswer::Exchanges(good)));
    assert_eq!(dns.mx("null.example").await, Ok(MxAnswer::Exchanges(vec![exchange(0, ".")])));
    assert_eq!(dns.mx("empty.example").await, Ok(MxAnswer::Exchanges(vec![])));
    assert_eq!(dns.mx("missing.example").await, Ok(MxAnswer::NoSuchDomain));
    assert_eq!(dns.addresses("both.example").await, Ok(vec![ip("192.0.2.1"), ip("2001:db8::1")]));
    assert_eq!(dns.addresses("mx1.good.example").await, Ok(vec![ip("192.0.2.1")]));
    assert_eq!(dns.addresses("empty.example").await, Ok(vec![]));
    let missing = dns.addresses("missing.example").await;
    assert_eq!(missing, Err(ResolveError::NoSuchDomain("missing.example".into())));
}

#[tokio::test]
async fn failures_are_temporary_and_one_family_does_not_hide_the_other() {
    let servers = servers().await;
    let dns = &servers.resolver;
    assert_eq!(dns.addresses("half.example").await, Ok(vec![ip("192.0.2.2")]));
    for name in ["lame.example", "refused.example"] {
        let error = dns.mx(name).await.unwrap_err();
        assert!(error.is_temporary() && error.to_string().contains(name), "{error}");
        assert!(dns.addresses(name).await.unwrap_err().is_temporary());
    }
}

#[tokio::test]
async fn too_many_records_are_cut() {
    let servers = servers().await;
    let MxAnswer::Exchanges(exchanges) = servers.resolver.mx("many.example").await.unwrap() else {
        panic!("no answer")
    };
    assert_eq!(exchanges.len(), MX_MAX);
    let addresses = servers.resolver.addresses("many.example").await.unwrap();
    assert_eq!(addresses.len(), ADDRESSES_MAX);
    let wide = servers.resolver.addresses("wide.example").await.unwrap();
    assert_eq!((wide.len(), wide.iter().filter(|address| address.is_ipv6()).count()), (ADDRESSES_MAX, 3));
    let error = servers.resolver.mx("more.example").await.unwrap_err();
    assert!(error.is_temporary() && error.to_string().contains("truncated"), "{error}");
}

#[tokio::test]
async fn aliases_are_followed_so_far() {
    let servers = servers().await;
    let dns = &servers.resolver;
    assert_eq!(dns.addresses("chain5.example").await, Ok(vec![ip("192.0.2.4")]));
    for endless in ["chain30.example", "circle.example"] {
        let before = servers.asked();
        let answer = dns.addresses(endless).await;
        assert!(answer.is_err() || answer == Ok(vec![]), "{answer:?}");
        assert!(servers.asked() - before < 100, "{endless}: {} questions", servers.asked() - before);
    }
}

#[tokio::test]
async fn what_is_no_name_is_not_asked_for() {
    let servers = servers().await;
    for bad in ["", ".", "a..b", &"x".repeat(64), &"x.".repeat(200), "a b.example\u{0}", "ы.example"] {
        let answer = servers.resolver.mx(bad).await;
        assert!(!matches!(answer, Ok(MxAnswer::Exchanges(_))), "{bad:?}: {answer:?}");
    }
    let error = servers.resolver.addresses("a..b").await.unwrap_err();
    assert_eq!(error, ResolveError::BadName("a..b".into()));
}

#[tokio::test]
async fn answers_are_kept_as_long_as_they_allow() {
    let servers = servers().await;
    let dns = &servers.resolver;
    let ask = async || {
        let before = servers.asked();
        drop(dns.addresses("short.example").await.unwrap());
        drop(dns.mx("missing.example").await.unwrap());
        servers.asked() - before
    };
    assert_eq!(ask().await, 3);
    assert_eq!(ask().await, 0);
    tokio::time::pause();
    // The answer says 5 s, the "there is none" 30 s.
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    assert_eq!(ask().await, 2);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    assert_eq!(ask().await, 3);
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let servers = servers().await;
    tokio::time::pause();
    let clock = Clock::system();
    let begun = clock.instant();
    let error = servers.resolver.mx("silent.example").await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
    assert!(clock.instant() - begun <= Duration::from_secs(21), "{:?}", clock.instant() - begun);
}

#[tokio::test]
async fn garbage_is_not_an_answer() {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server: SocketAddr = udp.local_addr().unwrap();
    let tasks = Tasks::new();
    drop(tasks.spawn("liar", async move {
        let mut packet = [0; 1500];
        loop {
            let (length, from) = udp.recv_from(&mut packet).await.unwrap();
            // The right id, then counts of ten thousand records that are not there.
            let mut lie = packet[..length].to_vec();
            lie[2] |= 0x80;
            lie[6..8].copy_from_slice(&10_000_u16.to_be_bytes());
            udp.send_to(&lie, from).await.unwrap();
            udp.send_to(&[0xff; 3], from).await.unwrap();
        }
    }));
    let resolver = DnsResolver::new(&DnsSettings { servers: vec![server] }, Clock::system()).unwrap();
    tokio::time::pause();
    assert!(resolver.mx("a.example").await.unwrap_err().is_temporary());
}

async fn ask(servers: &Servers, name: &str, kind: Kind) -> Answer {
    servers.resolver.ask(&Question { name: host(name), kind }).await
}

fn host(name: &str) -> policy::dns::Name {
    policy::dns::Name::parse(name).unwrap()
}

#[tokio::test]
async fn strangers_are_asked_about_by_kind() {
    let servers = servers().await;
    let texts = Answer::Txt(vec![b"v=spf1 -all".to_vec(), b"other".to_vec()]);
    let exchanges = vec![(20, host("mx2.good.example")), (10, host("mx1.good.example"))];
    for (name, kind, expect) in [
        ("good.example", Kind::Txt, texts.clone()),
        ("alias.example", Kind::Txt, texts),
        ("good.example", Kind::Ptr, Answer::Ptr(vec![host("mail.good.example")])),
        ("good.example", Kind::Mx, Answer::Mx(exchanges)),
        ("null.example", Kind::Mx, Answer::Mx(vec![])),
        ("both.example", Kind::A, Answer::A(vec!["192.0.2.1".parse().unwrap()])),
        ("both.example", Kind::Aaaa, Answer::Aaaa(vec!["2001:db8::1".parse().unwrap()])),
        ("good.example", Kind::A, Answer::NoData),
        ("missing.example", Kind::Txt, Answer::NoName),
        ("lame.example", Kind::Txt, Answer::Failed),
        ("refused.example", Kind::A, Answer::Failed),
        // Eight aliases are followed; what they lead to then counts as nothing.
        ("circle.example", Kind::Txt, Answer::NoData),
        ("chain30.example", Kind::A, Answer::NoData),
        ("nowhere.example", Kind::Txt, Answer::NoData),
        ("recursive.example", Kind::Txt, Answer::NoData),
    ] {
        let before = servers.asked();
        assert_eq!(ask(&servers, name, kind).await, expect, "{name} {kind:?}");
        assert!(servers.asked() - before < 30, "{name}: {} questions", servers.asked() - before);
    }
}

/// E8: no more is kept of an answer than is of use.
#[tokio::test]
async fn a_strangers_many_records_are_cut() {
    let servers = servers().await;
    let Answer::Txt(texts) = ask(&servers, "many.example", Kind::Txt).await else { panic!("no text") };
    assert_eq!(texts.len(), RECORDS_MAX);
    let Answer::Txt(texts) = ask(&servers, "large.example", Kind::Txt).await else { panic!("no text") };
    let octets: usize = texts.iter().map(Vec::len).sum();
    assert!(octets <= TXT_OCTETS_MAX && octets > TXT_OCTETS_MAX - 1100, "{octets} octets");
    let Answer::A(addresses) = ask(&servers, "many.example", Kind::A).await else { panic!("no addresses") };
    assert_eq!(addresses.len(), RECORDS_MAX);
    assert_eq!(ask(&servers, "more.example", Kind::Txt).await, Answer::Failed);
}

#[tokio::test]
async fn facts_and_failures_are_kept_for_a_while() {
    let servers = servers().await;
    let count = async || {
        let before = servers.asked();
        drop(ask(&servers, "fleeting.example", Kind::Txt).await);
        let fleeting = servers.asked();
        drop(ask(&servers, "lame.example", Kind::Txt).await);
        (fleeting - before, servers.asked() - fleeting)
    };
    let pass = async |seconds| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    };
    let (_, tries) = count().await;
    assert!(tries > 0);
    assert_eq!(count().await, (0, 0));
    pass(6).await;
    assert_eq!(count().await, (1, 0));
    pass(6).await;
    assert_eq!(count().await, (1, tries));
}

#[tokio::test]
async fn silence_about_a_stranger_ends_at_the_deadline() {
    let servers = servers().await;
    tokio::time::pause();
    let clock = Clock::system();
    let begun = clock.instant();
    assert_eq!(ask(&servers, "silent.example", Kind::Txt).await, Answer::Failed);
    assert!(clock.instant() - begun <= Duration::from_secs(21), "{:?}", clock.instant() - begun);
}
