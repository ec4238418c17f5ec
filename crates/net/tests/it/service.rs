//! Services at an address of the operator's: dialled within a deadline, asked over HTTP without being believed.

use std::{sync::Arc, time::Duration};

use net::{
    Channel, Clock, DialError, Dialer, Endpoint, LocalListener, Stream,
    http::{self, Answer, HttpError, Post},
    sim::{Internet, Reach, Zone},
    tasks::{Task, Tasks},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PORT: u16 = 8080;

struct Net {
    internet: Internet,
    zone: Zone,
    dialer: Dialer,
    tasks: Tasks,
    clock: Clock,
}

impl Net {
    fn new() -> Self {
        let (internet, zone, clock) = (Internet::new(), Zone::new(), Clock::system());
        let dialer = Dialer::new(Arc::new(internet.clone()), Arc::new(zone.clone()), clock.clone());
        Self { internet, zone, dialer, tasks: Tasks::new(), clock }
    }

    async fn dial(&self, endpoint: &str) -> Result<Channel, DialError> {
        let deadline = self.clock.instant() + Duration::from_secs(10);
        self.dialer.dial(&endpoint.parse().unwrap(), deadline).await
    }

    /// A server that reads the request to its end and answers with these octets. Returns the request.
    fn serve(&self, answer: &'static [u8]) -> Task<String> {
        let mut listener = self.internet.listen(format!("192.0.2.7:{PORT}").parse().unwrap()).unwrap();
        self.tasks.spawn("server", async move {
            let (mut stream, _) = listener.accept().await;
            let request = read_request(&mut stream).await;
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
            request
        })
    }

    /// Asks that server.
    async fn ask(&self, body: &'static [u8], max: usize) -> Result<Answer, HttpError> {
        let channel = self.dial(&format!("192.0.2.7:{PORT}")).await.unwrap();
        let mut post = Post::new("filter.example", "/check?a=b").unwrap();
        post.field("helo", b"client\r\nevil: 1");
        post.field("user", b"anna");
        let (mut pieces, stream) = http::body(body.len() as u64);
        let feeding = self.tasks.spawn("feeder", async move {
            for piece in body.chunks(3) {
                pieces.send(piece.to_vec().into()).await;
            }
        });
        let answer = http::post(channel, post, stream, max).await;
        feeding.await.unwrap();
        answer
    }
}

async fn read_request(stream: &mut Stream) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).ends_with("0123456789") {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_post_and_its_answer() {
    let net = Net::new();
    let server = net.serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let answer = net.ask(b"0123456789", 100).await.unwrap();
    assert_eq!(answer, Answer { status: 200, body: b"hello".to_vec() });
    let request = server.await.unwrap();
    assert_eq!(
        request,
        "POST /check?a=b HTTP/1.1\r\nhost: filter.example\r\nconnection: close\r\nuser: anna\r\ncontent-length: \
         10\r\n\r\n0123456789"
    );
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_an_answer_and_an_answer_has_a_bound() {
    let net = Net::new();
    net.serve(b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!(net.ask(b"0123456789", 2).await.unwrap().status, 302);
    let net = Net::new();
    net.serve(b"HTTP/1.1 200 OK\r\n\r\nhello");
    assert!(matches!(net.ask(b"0123456789", 4).await, Err(HttpError::TooLarge(4))));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_http_is_an_error() {
    for nonsense in
        [&b""[..], b"220 hello\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"HTTP/1.1 200 OK\r\n"]
    {
        let net = Net::new();
        net.serve(nonsense);
        let answer = net.ask(b"0123456789", 100).await;
        assert!(matches!(answer, Err(HttpError::Peer(_))), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_agrees_to_what_it_has_not_heard() {
    for (answer, early) in
        [(&b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..], true), (b"HTTP/1.1 413 No\r\n\r\n", false)]
    {
        let net = Net::new();
        let mut listener = net.internet.listen(format!("192.0.2.7:{PORT}").parse().unwrap()).unwrap();
        let channel = net.dial(&format!("192.0.2.7:{PORT}")).await.unwrap();
        let (mut server, _) = listener.accept().await;
        let hasty = async move {
            // The head has come, and nothing of the body.
            let mut read = Vec::new();
            while !read.ends_with(b"\r\n\r\n") {
                assert_ne!(server.read_buf(&mut read).await.unwrap(), 0);
            }
            server.write_all(answer).await.unwrap();
            server.shutdown().await.unwrap();
        };
        let (_pieces, stream) = http::body(10);
        let (answer, ()) = tokio::join!(http::post(channel, Post::new("x", "/").unwrap(), stream, 100), hasty);
        assert_eq!(matches!(answer, Err(HttpError::Early)), early, "{answer:?}");
        assert_eq!(matches!(answer, Ok(Answer { status: 413, .. })), !early, "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_cut_short_is_no_request() {
    let net = Net::new();
    let mut listener = net.internet.listen(format!("192.0.2.7:{PORT}").parse().unwrap()).unwrap();
    let channel = net.dial(&format!("192.0.2.7:{PORT}")).await.unwrap();
    let (mut pieces, stream) = http::body(10);
    let feeding = async move { pieces.send(b"012"[..].into()).await };
    let (answer, fed) = tokio::join!(http::post(channel, Post::new("x", "/").unwrap(), stream, 100), feeding);
    assert!(fed && matches!(answer, Err(HttpError::Peer(_))), "{answer:?}");
    let (mut server, _) = listener.accept().await;
    let mut read = Vec::new();
    // The connection is gone before the ten octets came: nobody can take it for a whole request.
    let ended = server.read_to_end(&mut read).await;
    assert!(ended.is_err() || !String::from_utf8_lossy(&read).ends_with("0123456789"));
}

#[test]
fn no_request_is_made_of_what_is_no_target() {
    for (host, path) in [("a\r\nb", "/"), ("x", ""), ("x", "a"), ("x", "/ a"), ("x", "http://y/"), ("x", "/\r\n")] {
        assert!(Post::new(host, path).is_err(), "{host}{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_looked_up_and_their_addresses_tried_in_turn() {
    let net = Net::new();
    assert!(matches!(net.dial("filter.example:8080").await, Err(DialError::Name(..))));
    let addresses = ["192.0.2.5", "192.0.2.6", "192.0.2.7"].map(|address| address.parse().unwrap());
    net.zone.add_addresses("filter.example", &addresses);
    assert!(matches!(net.dial("filter.example:8080").await, Err(DialError::Connect(_))));
    // The first never answers, the second refuses.
    net.internet.set_reach(addresses[0], Reach::Silent);
    let _listener = net.internet.listen("192.0.2.7:8080".parse().unwrap()).unwrap();
    assert!(matches!(net.dial("filter.example:8080").await, Ok(Channel::Network(_))));
    net.zone.add_empty("nowhere.example");
    assert!(matches!(net.dial("nowhere.example:8080").await, Err(DialError::NoAddress(_))));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_past_the_deadline() {
    let net = Net::new();
    net.internet.set_reach("192.0.2.5".parse().unwrap(), Reach::Silent);
    let began = net.clock.instant();
    assert!(net.dial("192.0.2.5:8080").await.is_err());
    assert_eq!(net.clock.instant() - began, Duration::from_secs(10));
    net.zone.set_delay("slow.example", Duration::from_secs(3600));
    assert!(matches!(net.dial("slow.example:8080").await, Err(DialError::Deadline(Endpoint::Name(..)))));
}

#[tokio::test]
async fn a_socket_of_the_file_system() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("filter.sock");
    let endpoint = format!("unix:{}", path.display());
    assert!(matches!(Net::new().dial(&endpoint).await, Err(DialError::Local { .. })));
    let listener = LocalListener::bind(&path).unwrap();
    let mut channel = Net::new().dial(&endpoint).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    channel.write_all(b"x").await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
}
