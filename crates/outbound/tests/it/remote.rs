//! A mail server at the other end that does what a test tells it, and remembers what it was told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use net::{Stream, sim::Internet, tasks::Tasks, tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What is done instead of the usual answer.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// These lines are said (CRLF added).
    Say(String),
    /// The same, and the connection is closed.
    SayAndClose(String),
    /// The connection is closed without a word.
    Close,
    /// Nothing is said any more.
    Silence,
    /// So many octets without a line end are said.
    Babble(usize),
}

pub(crate) fn say(text: &str) -> Action {
    Action::Say(text.to_owned())
}

#[derive(Debug)]
struct Rule {
    /// How the command line begins; "BANNER", or "." for the end of the content.
    command: String,
    action: Action,
    times: usize,
}

/// A message that was taken with 250.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Which connection, from 1.
    pub(crate) connection: usize,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) content: String,
    pub(crate) tls: bool,
}

#[derive(Debug, Default)]
struct State {
    offers: Vec<String>,
    rules: Vec<Rule>,
    received: Vec<Received>,
    commands: Vec<String>,
    connections: usize,
    open: usize,
    most_open: usize,
}

/// The server. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    state: Arc<Mutex<State>>,
    tls: Option<tls::Server>,
}

impl Remote {
    /// Listens on `address` with the extensions `offers`.
    pub(crate) fn start(
        internet: &Internet,
        tasks: &Tasks,
        address: &str,
        offers: &[&str],
        tls: Option<tls::Server>,
    ) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        let mut listener = internet.listen(address).unwrap();
        let state = State { offers: offers.iter().map(|offer| (*offer).to_owned()).collect(), ..State::default() };
        let remote = Self { state: Arc::new(Mutex::new(state)), tls };
        let (serving, spawner) = (remote.clone(), tasks.clone());
        drop(tasks.spawn("remote", async move {
            loop {
                let (stream, _) = listener.accept().await;
                let serving = serving.clone();
                drop(spawner.spawn("remote-connection", async move { serving.serve(stream).await }));
            }
        }));
        remote
    }

    /// Does something else when a command begins so, the next `times` times.
    pub(crate) fn on(&self, command: &str, times: usize, action: Action) {
        self.state().rules.push(Rule { command: command.to_owned(), action, times });
    }

    /// Answers as usual again.
    pub(crate) fn behave(&self) {
        self.state().rules.clear();
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state().received.clone()
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.state().commands.clone()
    }

    pub(crate) fn count(&self, command: &str) -> usize {
        self.state().commands.iter().filter(|line| line.starts_with(command)).count()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state().connections
    }

    /// The most connections that were open at a time.
    pub(crate) fn most_open(&self) -> usize {
        self.state().most_open
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn serve(self, stream: Stream) {
        let connection = {
            let mut state = self.state();
            state.connections += 1;
            state.open += 1;
            state.most_open = state.most_open.max(state.open);
            state.connections
        };
        let mut talk =
            Talk { remote: self.clone(), stream: Some(stream), input: Vec::new(), connection, secure: false };
        let _ended = talk.run().await;
        self.state().open -= 1;
    }

    fn action(&self, command: &str) -> Option<Action> {
        let mut state = self.state();
        let rule = state.rules.iter_mut().find(|rule| rule.times > 0 && command.starts_with(&rule.command))?;
        rule.times -= 1;
        Some(rule.action.clone())
    }
}

/// One connection.
struct Talk {
    remote: Remote,
    stream: Option<Stream>,
    input: Vec<u8>,
    connection: usize,
    secure: bool,
}

/// The connection is over.
struct Over;

impl Talk {
    async fn run(&mut self) -> Result<(), Over> {
        self.answer("BANNER", "220 remote.example ESMTP").await?;
        let (mut from, mut to, mut chunks) = (String::new(), Vec::new(), Vec::new());
        loop {
            let line = self.line().await?;
            self.remote.state().commands.push(line.clone());
            let verb = line.split(' ').next().unwrap().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    let reply = self.greeting();
                    self.answer(&line, &reply).await?;
                }
                "STARTTLS" => self.start_tls(&line).await?,
                "MAIL" => {
                    if self.answer(&line, "250 2.1.0 sender ok").await? {
                        from = line["MAIL FROM:".len()..].split('>').next().unwrap().to_owned() + ">";
                        to.clear();
                    }
                }
                "RCPT" => {
                    if self.answer(&line, "250 2.1.5 recipient ok").await? {
                        to.push(line["RCPT TO:".len()..].split('>').next().unwrap().to_owned() + ">");
                    }
                }
                "DATA" => {
                    let usual = if to.is_empty() { "554 5.5.1 no recipients" } else { "354 go on" };
                    if !self.answer(&line, usual).await? || to.is_empty() {
                        continue;
                    }
                    let content = self.data().await?;
                    if self.answer(".", "250 2.0.0 taken").await? {
                        self.take(&from, &to, content);
                    }
                }
                "BDAT" => {
                    let mut words = line.split(' ').skip(1);
                    let size = words.next().unwrap().parse().unwrap();
                    chunks.extend(self.octets(size).await?);
                    if to.is_empty() {
                        self.answer(&line, "503 5.5.1 no recipients").await?;
                    } else if words.next().is_none() {
                        self.answer(&line, "250 2.0.0 chunk taken").await?;
                    } else {
                        let content = std::mem::take(&mut chunks);
                        let is_taken = self.answer(&line, ". 250 2.0.0 taken").await?;
                        if is_taken {
                            self.take(&from, &to, content);
                        }
                    }
                }
                "QUIT" => {
                    self.answer(&line, "221 2.0.0 bye").await?;
                    return Err(Over);
                }
                _ => {
                    self.answer(&line, "250 2.0.0 ok").await?;
                }
            }
        }
    }

    fn greeting(&self) -> String {
        let offers = self.remote.state().offers.clone();
        let secure = self.secure;
        let offers: Vec<String> = offers.into_iter().filter(|offer| !(secure && offer == "STARTTLS")).collect();
        let mut lines = vec!["remote.example".to_owned()];
        lines.extend(offers);
        let last = lines.len() - 1;
        let lines =
            lines.iter().enumerate().map(|(index, line)| format!("250{}{line}", if index == last { ' ' } else { '-' }));
        lines.collect::<Vec<_>>().join("\r\n")
    }

    fn take(&self, from: &str, to: &[String], content: Vec<u8>) {
        let received = Received {
            connection: self.connection,
            from: from.to_owned(),
            to: to.to_vec(),
            content: String::from_utf8(content).unwrap(),
            tls: self.secure,
        };
        self.remote.state().received.push(received);
    }

    /// Says the usual, or does what a rule says. Returns whether the usual, or another positive answer, was said. An usual
    /// answer that begins with a dot follows the rules for the end of the content, too.
    async fn answer(&mut self, command: &str, usual: &str) -> Result<bool, Over> {
        let (usual, ends) = match usual.strip_prefix(". ") {
            Some(usual) => (usual, true),
            None => (usual, false),
        };
        let mut action = self.remote.action(command);
        if action.is_none() && ends {
            action = self.remote.action(".");
        }
        let action = action.unwrap_or_else(|| say(usual));
        let text = match &action {
            Action::Say(text) | Action::SayAndClose(text) => format!("{text}\r\n"),
            Action::Babble(octets) => "x".repeat(*octets),
            Action::Close => return Err(Over),
            Action::Silence => std::future::pending().await,
        };
        let stream = self.stream.as_mut().ok_or(Over)?;
        stream.write_all(text.as_bytes()).await.map_err(|_| Over)?;
        stream.flush().await.map_err(|_| Over)?;
        if matches!(action, Action::SayAndClose(_)) {
            return Err(Over);
        }
        Ok(text.starts_with(['2', '3']))
    }

    async fn start_tls(&mut self, line: &str) -> Result<(), Over> {
        if !self.answer(line, "220 2.0.0 go ahead").await? {
            return Ok(());
        }
        // Without a certificate it says 220 and answers the handshake with nonsense.
        let Some(server) = self.remote.tls.clone() else {
            self.fill().await?;
            let stream = self.stream.as_mut().ok_or(Over)?;
            stream.write_all(b"220 what handshake?\r\n").await.map_err(|_| Over)?;
            return Err(Over);
        };
        let stream = self.stream.take().ok_or(Over)?.start_tls_server(&server).await.map_err(|_| Over)?;
        (self.stream, self.secure) = (Some(stream), true);
        self.input.clear();
        Ok(())
    }

    async fn fill(&mut self) -> Result<(), Over> {
        let mut buffer = [0; 8192];
        let stream = self.stream.as_mut().ok_or(Over)?;
        match stream.read(&mut buffer).await {
            Ok(count @ 1..) => {
                self.input.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            _ => Err(Over),
        }
    }

    async fn line(&mut self) -> Result<String, Over> {
        loop {
            if let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.input.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8(line).unwrap());
            }
            self.fill().await?;
        }
    }

    async fn octets(&mut self, count: usize) -> Result<Vec<u8>, Over> {
        while self.input.len() < count {
            self.fill().await?;
        }
        Ok(self.input.drain(..count).collect())
    }

    /// The content up to the dot, dots taken off.
    async fn data(&mut self) -> Result<Vec<u8>, Over> {
        let mut content = Vec::new();
        loop {
            let line = self.line().await?;
            if line == "." {
                return Ok(content);
            }
            content.extend_from_slice(line.strip_prefix('.').unwrap_or(&line).as_bytes());
            content.extend_from_slice(b"\r\n");
        }
    }
}
