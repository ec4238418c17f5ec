//! `posthouse send`: one letter by SMTP, the whole conversation on standard output. A client for trying a server, ours or
//! another: it decides nothing that `smtp::client` decides.

mod letter;
mod printer;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use mail::{Body, ForwardPath, ReversePath};
use net::{Chance, Clock, Connector as _, DnsResolver, DnsSettings, Resolver as _, Stream, TcpConnector, tls};
use smtp::{
    client::{ClearTextAuth, Credentials, Output, Session, Settings, TlsWish, Transaction},
    sasl::Secret,
};

use printer::Printer;

use super::{
    Place,
    arguments::{Letter, SendTls},
    terminal::first_line_of_stdin,
};
use crate::config;

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(30);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// Octets of the message given to the session at a time.
const PIECE: usize = 64 * 1024;
/// The port of submission under TLS (RFC 8314 §3.3).
const TLS_PORT: u16 = 465;

/// Sends the letter; the code says whether every recipient was accepted.
pub(super) fn run(place: &Place, letter: Letter) -> anyhow::Result<ExitCode> {
    let auth = credentials(&letter)?;
    let chance = Chance::system();
    let printer = Printer { json: place.json };
    let hostname = letter.ehlo.clone().unwrap_or_else(config::system_hostname);
    let content = letter::compose(&letter, &hostname, place.clock.now(), &chance)?;
    let reverse_path = match letter.from.as_str() {
        "" | "<>" => ReversePath::Null,
        from => ReversePath::Mailbox(from.parse().with_context(|| format!("--from {from}"))?),
    };
    let transaction = Transaction {
        reverse_path,
        recipients: letter.to.iter().cloned().map(ForwardPath::Mailbox).collect(),
        size: content.len() as u64,
        body: if content.is_ascii() { Body::SevenBit } else { Body::EightBitMime },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (host, stream) = connect(&letter, &place.clock, printer).await?;
        let settings = settings(&letter, hostname, auth, stream.peer_addr().ip());
        let session = Session::new(Arc::new(settings), nonce(&chance), place.clock.instant());
        let client = tls::Client::opportunistic(place.clock.clone())?;
        let mut driver =
            Driver { session, stream: Some(stream), clock: place.clock.clone(), tls: client, host, printer, shown: 0 };
        driver.run(&letter, transaction, &content).await
    })
}

fn credentials(letter: &Letter) -> anyhow::Result<Option<Credentials>> {
    let Some(username) = letter.auth_user.clone() else {
        return Ok(None);
    };
    if !letter.password_stdin {
        bail!("--auth-user needs a password: add --password-stdin, and give it as the first line of standard input");
    }
    let password = first_line_of_stdin()?;
    Ok(Some(Credentials { username, password: Secret::new(password.as_str()) }))
}

fn settings(letter: &Letter, ehlo_name: String, auth: Option<Credentials>, peer: IpAddr) -> Settings {
    let mut settings = Settings::new(ehlo_name);
    settings.tls = match letter.tls {
        SendTls::Off => TlsWish::Off,
        SendTls::Starttls => TlsWish::Required,
        SendTls::Implicit => TlsWish::Established,
    };
    settings.auth = auth;
    // A password goes in clear text to this machine only.
    settings.clear_text_auth = if peer.is_loopback() { ClearTextAuth::Permit } else { ClearTextAuth::Refuse };
    settings
}

fn nonce(chance: &Chance) -> String {
    const NONCE: usize = 18;
    chance.bytes::<NONCE>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Connects to the first address that answers.
async fn connect(letter: &Letter, clock: &Clock, printer: Printer) -> anyhow::Result<(String, Stream)> {
    let (host, mut port) = config::host_and_port(&letter.server).map_err(anyhow::Error::msg).context("--server")?;
    if letter.tls == SendTls::Implicit && !letter.server.ends_with(&format!(":{port}")) {
        port = TLS_PORT;
    }
    let mut last = None;
    for address in addresses(&host, clock).await? {
        let to = SocketAddr::new(address, port);
        match TcpConnector::new().connect(to, None, clock.instant() + CONNECT).await {
            Ok(stream) => {
                printer.note(&format!("connected to {to}"));
                return Ok((host, stream));
            }
            Err(error) => {
                printer.note(&error.to_string());
                last = Some(error);
            }
        }
    }
    match last {
        Some(error) => Err(error).with_context(|| format!("cannot connect to {}", letter.server)),
        None => bail!("{host} has no address"),
    }
}

/// The addresses of a host, by its name.
pub(super) async fn addresses(host: &str, clock: &Clock) -> anyhow::Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    if host == "localhost" {
        // RFC 6761 §6.3: always this machine.
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let resolver = DnsResolver::new(&DnsSettings::default(), clock.clone())?;
    Ok(resolver.addresses(host).await?)
}

/// The dull loop between the session and the socket.
struct Driver {
    session: Session,
    /// Taken while a handshake is under way.
    stream: Option<Stream>,
    clock: Clock,
    tls: tls::Client,
    host: String,
    printer: Printer,
    /// Lines of the conversation that are printed.
    shown: usize,
}

impl Driver {
    async fn run(&mut self, letter: &Letter, transaction: Transaction, content: &[u8]) -> anyhow::Result<ExitCode> {
        let mut transaction = Some(transaction);
        let mut content = content.chunks(PIECE);
        let mut code = ExitCode::FAILURE;
        if letter.tls == SendTls::Implicit {
            self.start_tls().await?;
        }
        loop {
            let output = self.session.poll_output();
            self.show();
            match output {
                None => self.wait().await?,
                Some(Output::Write) => self.write().await?,
                Some(Output::StartTls) => self.start_tls().await?,
                Some(Output::Ready) => match transaction.take() {
                    Some(transaction) => self.session.start(transaction, self.clock.instant()),
                    None => self.session.quit(self.clock.instant()),
                },
                Some(Output::NeedContent) => match content.next() {
                    Some(piece) => self.session.content(piece, self.clock.instant()),
                    None => self.session.content_end(self.clock.instant()),
                },
                Some(Output::Done(report)) => {
                    code = self.printer.report(&report);
                    if report.reusable {
                        self.session.quit(self.clock.instant());
                    }
                }
                Some(Output::Failed(failure)) => {
                    let reply = failure.reply.map(|reply| format!(" ({reply})")).unwrap_or_default();
                    self.printer.note(&format!("nothing was sent: {}{reply}", failure.text));
                }
                Some(Output::Close) => return Ok(code),
            }
        }
    }

    /// Prints what was said since the last time.
    fn show(&mut self) {
        let transcript = self.session.transcript();
        for line in transcript.lines.iter().skip(self.shown) {
            self.printer.line(line.side, &line.text);
        }
        self.shown = transcript.lines.len();
    }

    fn stream(&mut self) -> anyhow::Result<&mut Stream> {
        self.stream.as_mut().context("the connection is gone")
    }

    async fn write(&mut self) -> anyhow::Result<()> {
        let bytes = self.session.take_write();
        if let Err(error) = self.stream()?.write_whole(&bytes).await {
            self.printer.note(&error.to_string());
            self.session.handle_eof(self.clock.instant());
        }
        Ok(())
    }

    async fn wait(&mut self) -> anyhow::Result<()> {
        const READ_SIZE: usize = 16 * 1024;
        let deadline = self.session.poll_timeout();
        let clock = self.clock.clone();
        let readable = self.stream()?.readable();
        let ready = match deadline {
            Some(deadline) => clock.timeout_at(deadline, readable).await,
            None => Ok(readable.await),
        };
        let now = clock.instant();
        if ready.is_err() {
            self.session.handle_timeout(now);
            return Ok(());
        }
        let mut buffer = vec![0; READ_SIZE];
        match self.stream()?.try_read(&mut buffer) {
            Ok(0) => self.session.handle_eof(now),
            Ok(read) => self.session.handle_input(buffer.get(..read).unwrap_or_default(), now),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => self.session.handle_eof(now),
        }
        Ok(())
    }

    async fn start_tls(&mut self) -> anyhow::Result<()> {
        let stream = self.stream.take().context("the connection is gone")?;
        let deadline = self.clock.instant() + HANDSHAKE;
        let handshake = stream.start_tls_client(&self.tls, &self.host);
        let failed = match self.clock.timeout_at(deadline, handshake).await {
            Ok(Ok(stream)) => {
                let summary = stream.tls().context("a handshake ends in TLS")?;
                self.stream = Some(stream);
                self.session.handle_tls(summary, self.clock.instant());
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the handshake took too long".to_owned(),
        };
        self.session.handle_tls_failed(&failed, self.clock.instant());
        Ok(())
    }
}
