//! A process without file descriptors (E12). The listener lives in a child process, whose limit is lowered; the clients
//! are here.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use net::{Clock, Listener, tasks::Tasks};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::AsyncReadExt;

/// Connections that the child can hold, or a few more when it has inherited descriptors of high numbers.
const ROOM: u64 = 4;

/// The child's part: listens, says where, keeps every connection until its client leaves. Ends with its standard input.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn child_with_few_descriptors() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        listener.set_farewell("421 4.3.2 too many connections\r\n");
        let tasks = Tasks::new();
        let input = tasks.run_blocking("input", || std::io::stdin().read_to_end(&mut Vec::new()));
        let serve = async {
            let open = u64::try_from(std::fs::read_dir("/proc/self/fd").unwrap().count() - 1).unwrap();
            setrlimit(Resource::Nofile, Rlimit { current: Some(open + ROOM), maximum: Some(open + ROOM) }).unwrap();
            println!("\nlistening on {}", listener.local_addr());
            std::io::stdout().flush().unwrap();
            loop {
                let (mut stream, _) = listener.accept().await;
                drop(tasks.spawn("connection", async move {
                    stream.write_whole(b"220 welcome\r\n").await.unwrap();
                    stream.read(&mut [0; 10]).await
                }));
            }
        };
        tokio::select! {
            _ = input => {}
            () = serve => {}
        }
    });
}

fn connect(to: SocketAddr) -> (TcpStream, String) {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut greeting = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut greeting).unwrap();
    (stream, greeting)
}

#[test]
fn without_descriptors_clients_are_turned_away_and_later_served_again() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--nocapture", "--exact", "exhaustion::child_with_few_descriptors"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.find_map(|line| line.unwrap().strip_prefix("listening on ").map(str::to_owned)).unwrap();
    let to: SocketAddr = address.parse().unwrap();

    let mut served = Vec::new();
    let mut refused = 0;
    for _ in 0..30 {
        let (stream, greeting) = connect(to);
        match greeting.as_str() {
            "220 welcome\r\n" => served.push(stream),
            "421 4.3.2 too many connections\r\n" => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(!served.is_empty() && refused > 0, "{} served", served.len());
    assert_eq!(refused, 30 - served.len());

    // One leaves, and as soon as the child has noticed, the next is served.
    drop(served.pop());
    let deadline = Clock::system().instant() + Duration::from_secs(20);
    loop {
        let (_stream, greeting) = connect(to);
        if greeting.starts_with("220") {
            break;
        }
        assert!(Clock::system().instant() < deadline, "still refused");
    }
    drop(child.stdin.take());
    let _to_the_end = lines.count();
    assert!(child.wait().unwrap().success());
}
