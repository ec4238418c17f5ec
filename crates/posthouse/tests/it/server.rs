//! Starting the binary in a folder of its own, and reading its log.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test fails: far more than it needs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_posthouse");

/// A folder with a configuration.
pub(crate) struct Node {
    pub(crate) folder: TempDir,
}

/// A configuration with every service on ports that the system chooses, and what a test adds.
pub(crate) fn configuration(extra: &str) -> String {
    format!(
        "hostname = \"mx.test.example\"\n\
         data_dir = \"data\"\n\
         [[listener]]\nservice = \"mx\"\naddress = \"127.0.0.1:0\"\n\
         [[listener]]\nservice = \"submission\"\naddress = \"127.0.0.1:0\"\ntls = \"implicit\"\n\
         [[listener]]\nservice = \"http\"\naddress = \"127.0.0.1:0\"\n\
         [limits]\ndisk_reserve = \"1 MB\"\n\
         [log]\nformat = \"json\"\n{extra}"
    )
}

impl Node {
    pub(crate) fn new(configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let node = Self { folder };
        node.configure(configuration);
        node
    }

    pub(crate) fn configure(&self, configuration: &str) {
        std::fs::write(self.config(), configuration).expect("the configuration is written");
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("posthouse.toml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs a command on this node to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_input(arguments, "")
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut all = arguments.to_vec();
        let config = self.config();
        all.extend(["--config", config.to_str().expect("a plain path")]);
        run(self.folder.path(), &all, input)
    }

    /// Runs a command that must succeed; returns what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        succeeded(arguments, &self.run(arguments))
    }

    /// Runs a command that must fail; returns its complaint.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        failed(arguments, &self.run(arguments))
    }

    /// Runs a command with `--json` that must succeed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        serde_json::from_str(&self.ok(&all)).expect("the output is JSON")
    }

    pub(crate) fn serve(&self) -> Server {
        let server = self.spawn();
        server.wait_for("ready");
        server
    }

    /// Starts the server without waiting until it is ready.
    pub(crate) fn spawn(&self) -> Server {
        Server::spawn(self.folder.path(), &["serve", "--config", self.config().to_str().expect("a plain path")])
    }

    pub(crate) fn add_user(&self, address: &str, password: &str) {
        let arguments = ["user", "add", address, "--password-stdin"];
        succeeded(&arguments, &self.run_with_input(&arguments, &format!("{password}\n")));
    }
}

/// Runs the binary to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that fails early does not read its input.
    let _closed_early = stdin.write_all(input.as_bytes()).is_err();
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

pub(crate) fn succeeded(arguments: &[&str], output: &Output) -> String {
    let (out, err) = texts(output);
    assert!(output.status.success(), "{arguments:?} failed\nstdout: {out}\nstderr: {err}");
    out
}

pub(crate) fn failed(arguments: &[&str], output: &Output) -> String {
    let (out, err) = texts(output);
    assert!(!output.status.success(), "{arguments:?} should have failed\nstdout: {out}\nstderr: {err}");
    err
}

fn texts(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    log: Receiver<String>,
    seen: std::cell::RefCell<Vec<String>>,
}

impl Server {
    pub(crate) fn spawn(folder: &Path, arguments: &[&str]) -> Self {
        Self::start(Command::new(BINARY).args(arguments).stdin(Stdio::null()), folder)
    }

    /// Starts what becomes a server.
    pub(crate) fn start(command: &mut Command, folder: &Path) -> Self {
        let mut child =
            command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let stderr = child.stderr.take().expect("it is piped");
        let (sender, log) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, log, seen: Vec::new().into() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of the log with that text; returns it.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        if let Some(line) = self.seen.borrow().iter().find(|line| line.contains(text)) {
            return line.clone();
        }
        self.wait_for_new(text)
    }

    /// The same for a line that was not read yet.
    pub(crate) fn wait_for_new(&self, text: &str) -> String {
        loop {
            let Ok(line) = self.log.recv_timeout(DEADLINE) else {
                panic!("the log never said {text:?}; it said:\n{}", self.seen.borrow().join("\n"));
            };
            self.seen.borrow_mut().push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Where a service listens, from the log.
    pub(crate) fn address(&self, service: &str) -> SocketAddr {
        let address_in = |line: &String| {
            let line: Value = serde_json::from_str(line).ok()?;
            let wanted = line["message"] == "listening" && line["service"] == service;
            wanted.then(|| line["address"].as_str().expect("a text").parse().expect("an address"))
        };
        let known = self.seen.borrow().iter().find_map(address_in);
        known.unwrap_or_else(|| {
            loop {
                if let Some(address) = address_in(&self.wait_for_new("listening")) {
                    return address;
                }
            }
        })
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Kills it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is running");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop and waits until it has; returns whether it ended well.
    pub(crate) fn stop(mut self) -> bool {
        self.signal("TERM");
        self.child.wait().expect("it ends").success()
    }

    /// Waits until it ends by itself; returns its code and its log.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("it ends");
        let mut lines = self.seen.take();
        lines.extend(self.log.try_iter());
        while let Ok(line) = self.log.recv_timeout(Duration::from_secs(1)) {
            lines.push(line);
        }
        (status.code(), lines.join("\n"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill().is_err();
        let _gone = self.child.wait().is_err();
    }
}

/// Asks `found` again and again until it answers: for what happens beside a test, such as a delivery. There is no event to
/// wait for outside the process, so the waiting is the question itself.
pub(crate) fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    const TRIES: usize = 600;
    for _ in 0..TRIES {
        if let Some(answer) = found() {
            return answer;
        }
        thread::park_timeout(Duration::from_millis(50));
    }
    panic!("{what} never came");
}

/// How many rounds of something long: from the environment, for the long runs.
#[expect(clippy::disallowed_methods, reason = "tests take their length from the environment")]
pub(crate) fn rounds(usual: usize) -> usize {
    std::env::var("POSTHOUSE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}
