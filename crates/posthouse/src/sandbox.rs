//! The sandbox: `posthouse serve` without a configuration. Loopback only, everything captured, nothing leaves.

use std::{
    fs, io,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use net::Chance;
use zeroize::Zeroizing;

use crate::config::{
    BareNewline, Config, DEFAULT_DATA_DIR, DEFAULT_STORE_URL, Delivery, Gate, Limits, Listener, ListenerTls, Log,
    LogLevel, Route, Service, Target, system_hostname,
};

/// The port of mail between servers.
pub(crate) const MX_PORT: u16 = 2525;
/// The port of submission with STARTTLS.
pub(crate) const SUBMISSION_PORT: u16 = 2587;
/// The port of submission under TLS.
pub(crate) const TLS_PORT: u16 = 2465;
/// The port of HTTP.
pub(crate) const HTTP_PORT: u16 = 8025;

/// The user whose password is made on the first start.
pub(crate) const USER: &str = "demo@sandbox.example";
/// The domain of that user.
pub(crate) const DOMAIN: &str = "sandbox.example";

/// How long a person may stop in the middle of a letter.
const TYPING: Duration = Duration::from_secs(15 * 60);

/// The file of its password, in data_dir.
const PASSWORD_FILE: &str = "sandbox-password";
/// Letters of a generated password: 16 of 32 are 80 bits.
const PASSWORD_LETTERS: usize = 16;
/// Letters that nobody mistakes for another, and that need no quotes anywhere.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The configuration that holds without a file.
pub(crate) fn config() -> Config {
    let listener = |service, port, tls| Listener {
        service,
        addresses: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)],
        tls,
        trusted_networks: Vec::new(),
        proxy_networks: Vec::new(),
        xclient_networks: Vec::new(),
        plaintext_auth: service != Service::Http,
        bare_newline: BareNewline::default_of(service),
    };
    Config {
        hostname: system_hostname(),
        data_dir: PathBuf::from(DEFAULT_DATA_DIR),
        user: None,
        group: None,
        public_url: None,
        listeners: vec![
            listener(Service::Mx, MX_PORT, ListenerTls::StartTls),
            listener(Service::Submission, SUBMISSION_PORT, ListenerTls::StartTls),
            listener(Service::Submission, TLS_PORT, ListenerTls::Implicit),
            listener(Service::Http, HTTP_PORT, ListenerTls::Off),
        ],
        tls: None,
        authorities: None,
        dns_servers: Vec::new(),
        limits: Limits {
            // A laptop is often nearly full; the sandbox should work all the same.
            disk_reserve: 100_000_000,
            // People type letters into it, and stop to think.
            data: TYPING,
            data_rate: 0,
            ..Limits::default()
        },
        // Nothing is looked up here: it works without a network.
        gate: Gate::without_network(),
        verify: None,
        filters: Vec::new(),
        privacy: inbound::Privacy::default(),
        routes: vec![Route { recipients: Vec::new(), senders: Vec::new(), users: Vec::new(), target: Target::Capture }],
        delivery: Delivery::default(),
        store_url: DEFAULT_STORE_URL.to_owned(),
        log: Log { level: LogLevel::Info, ..Log::default() },
    }
}

/// Since when a password holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// It was made now.
    Now,
    /// It was there.
    Before,
}

/// The demo user's password: made once, then the same on every start.
pub(crate) fn password(data_dir: &Path, chance: &Chance) -> io::Result<(Zeroizing<String>, Made)> {
    let path = data_dir.join(PASSWORD_FILE);
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok((Zeroizing::new(text.trim().to_owned()), Made::Before)),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io::Error::new(error.kind(), format!("reading {}: {error}", path.display()))),
    }
    let password: String = chance
        .bytes::<PASSWORD_LETTERS>()
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)))
        .map(|letter| char::from(*letter))
        .collect();
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    writeln!(file, "{password}")?;
    file.sync_all()?;
    Ok((Zeroizing::new(password), Made::Now))
}

/// What a person needs, printed at the start.
pub(crate) fn greeting(data_dir: &Path, password: &str) -> String {
    let data_dir = data_dir.display();
    format!(
        "\
Posthouse sandbox: every message is captured, nothing leaves this machine.

  mail        127.0.0.1:{MX_PORT}   any sender, any recipient
  submission  127.0.0.1:{SUBMISSION_PORT}   STARTTLS, AUTH
              127.0.0.1:{TLS_PORT}   TLS from the first byte, AUTH
  user        {USER}   password {password}
  look        http://127.0.0.1:{HTTP_PORT}/   captured messages, /healthz, /metrics
  data        {data_dir}   delete it to begin anew

Try it by hand (what you type is after >):

  telnet 127.0.0.1 {MX_PORT}
  > EHLO me.example
  > MAIL FROM: me@example.net
  > RCPT TO: you@example.org
  > DATA
  > Subject: Hello
  >
  > It works.
  > .
  > QUIT

or with a program:

  swaks --server 127.0.0.1:{SUBMISSION_PORT} --tls --auth LOGIN --auth-user {USER} --auth-password {password} \\
        --from {USER} --to you@example.org

HELP explains every command. `posthouse queue show ID` tells what became of a message. Ctrl-C stops the server.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_stays_the_same() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (first, made) = password(folder.path(), &Chance::seeded(1)).unwrap();
        assert_eq!((first.len(), made), (PASSWORD_LETTERS, Made::Now));
        let (second, made) = password(folder.path(), &Chance::seeded(2)).unwrap();
        assert_eq!((second.as_str(), made), (first.as_str(), Made::Before));
        let mode = fs::metadata(folder.path().join(PASSWORD_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(greeting(folder.path(), &first).contains(first.as_str()));
    }
}
