//! How much memory idle connections take: `cargo run --profile release -p net --example idle -- 10000 tls`.
//!
//! The process listens and starts itself again as the client, so that only the server's memory is counted (PSS). Every
//! connection is held as a driver would hold it: a task, a timer, no buffer.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{io::Read, net::SocketAddr, process::Stdio, time::Duration};

use net::{
    Clock, Connector, Listener, Stream, TcpConnector,
    tasks::Tasks,
    tls::{Client, Server, Source},
};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> Outcome<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["client", to, count, mode] => connect(to.parse()?, count.parse()?, *mode == "tls").await,
            [count, mode] => serve(count.parse()?, mode).await,
            _ => Err("usage: idle COUNT plain|tls".into()),
        }
    })
}

async fn serve(count: usize, mode: &str) -> Outcome<()> {
    let (clock, tasks) = (Clock::system(), Tasks::new());
    let directory = std::env::temp_dir().join(format!("posthouse-idle-{}", std::process::id()));
    let source = Source::SelfSigned { directory: directory.clone(), hostname: "localhost".into() };
    let tls = (mode == "tls").then(|| Server::new(source, clock.clone())).transpose()?;
    let mut listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let before = memory()?;
    let (to, number) = (listener.local_addr().to_string(), count.to_string());
    let mut child = Command::new(std::env::current_exe()?)
        .args(["client", &to, &number, mode])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    for _ in 0..count {
        let (stream, _) = listener.accept().await;
        drop(tasks.spawn("connection", hold(stream, tls.clone(), clock.clone())));
    }
    let output = child.stdout.take().ok_or("no output")?;
    let _all_connected = BufReader::new(output).lines().next_line().await?;
    let after = memory()?;
    let each = (after - before) * 1024 / u64::try_from(count)?;
    println!("{count} {mode}: {} MiB in all, {} MiB before, {each} bytes each", after / 1024, before / 1024);
    drop(child.stdin.take());
    child.wait().await?;
    std::fs::remove_dir_all(directory).or_else(|error| if tls.is_none() { Ok(()) } else { Err(error) })?;
    Ok(())
}

async fn hold(stream: Stream, tls: Option<Server>, clock: Clock) -> Outcome<()> {
    let mut timer = clock.timer();
    let mut stream = match tls {
        Some(server) => stream.start_tls_server(&server).await?,
        None => stream,
    };
    stream.write_whole(b"220 welcome\r\n").await?;
    loop {
        timer.set(Some(clock.instant() + PATIENCE));
        tokio::select! {
            readable = stream.readable() => readable?,
            () = timer.fired() => return Ok(()),
        }
        let mut buffer = [0; 512];
        match stream.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Err(error.into()),
            _ => {}
        }
    }
}

async fn connect(to: SocketAddr, count: usize, tls: bool) -> Outcome<()> {
    let clock = Clock::system();
    let client = Client::opportunistic(clock.clone())?;
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = TcpConnector::new().connect(to, None, clock.instant() + PATIENCE).await?;
        if tls {
            stream = stream.start_tls_client(&client, "localhost").await?;
        }
        stream.read_exact(&mut [0; 13]).await?;
        streams.push(stream);
    }
    println!("connected");
    // Until the server lets go of our input; this process has nothing else to do.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(streams);
    Ok(())
}

/// The proportional set size of this process, in KiB.
fn memory() -> Outcome<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).ok_or("no Pss")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
