//! `[[route]]`: where accepted mail goes.

use std::path::PathBuf;

use toml::{Spanned, de::DeValue};
use zeroize::Zeroizing;

use super::{
    Complaint,
    check::{self, Tables, heading_span},
    keys,
    reader::{Placed, Reader},
    value,
};

/// Bytes of a password file.
const PASSWORD_FILE_MAX: usize = 4096;

/// One route: for whom, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Patterns of recipients; empty for all.
    pub(crate) recipients: Vec<String>,
    /// Patterns of senders; empty for all.
    pub(crate) senders: Vec<String>,
    /// Patterns of users; empty for all, and for mail without a user.
    pub(crate) users: Vec<String>,
    /// Where to.
    pub(crate) target: Target,
}

/// Where a route leads.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// To the MX of the recipient's domain.
    Mx {
        /// TLS towards it.
        tls: RelayTls,
    },
    /// To one named host.
    Relay {
        /// A name or an address.
        host: String,
        /// Its port.
        port: u16,
        /// TLS towards it.
        tls: RelayTls,
        /// Whom to be there.
        credentials: Option<Credentials>,
    },
    /// Into a Maildir.
    Maildir,
    /// Among the captured messages.
    Capture,
    /// Nowhere, until an operator says more.
    Hold,
    /// Back.
    Reject,
}

/// TLS towards a next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RelayTls {
    /// None.
    Off,
    /// When offered, whatever the certificate.
    #[default]
    Opportunistic,
    /// Always, whatever the certificate.
    Required,
    /// Always, with a valid certificate.
    Verified,
}

/// A user of the next hop.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// The name.
    pub(crate) username: String,
    /// The password.
    pub(crate) password: Zeroizing<String>,
    /// Where it was read.
    pub(crate) file: PathBuf,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, <redacted>)", self.username)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Mx,
    Relay,
    Maildir,
    Capture,
    Hold,
    Reject,
}

const WORDS: [(&str, To); 6] = [
    ("mx", To::Mx),
    ("relay", To::Relay),
    ("maildir", To::Maildir),
    ("capture", To::Capture),
    ("hold", To::Hold),
    ("reject", To::Reject),
];

/// Reads every route.
pub(super) fn read(tables: &Tables<'_>, complaints: &mut Vec<Complaint>) -> Vec<Route> {
    let found = tables.many(&keys::ROUTE, complaints);
    found.into_iter().filter_map(|value| read_one(value, tables, complaints)).collect()
}

fn read_one(value: &Spanned<DeValue<'_>>, tables: &Tables<'_>, complaints: &mut Vec<Complaint>) -> Option<Route> {
    const TLS: [(&str, RelayTls); 4] = [
        ("off", RelayTls::Off),
        ("opportunistic", RelayTls::Opportunistic),
        ("required", RelayTls::Required),
        ("verified", RelayTls::Verified),
    ];
    let DeValue::Table(table) = value.get_ref() else {
        return None;
    };
    let mut reader = Reader::new(&keys::ROUTE, table, heading_span(value), complaints);
    let patterns = |placed: Option<Vec<Placed<String>>>| {
        placed.unwrap_or_default().into_iter().map(|placed| placed.value).collect::<Vec<_>>()
    };
    let recipients = patterns(reader.list(&keys::ROUTE_RECIPIENTS, value::address_pattern));
    let senders = patterns(reader.list(&keys::ROUTE_SENDERS, value::address_pattern));
    let users = patterns(reader.list(&keys::ROUTE_USERS, value::address_pattern));
    let to = reader.text(&keys::ROUTE_TO, to);
    let to = reader.required(&keys::ROUTE_TO, to);
    let host = reader.text(&keys::ROUTE_HOST, host);
    let tls = reader.word(&keys::ROUTE_TLS, &TLS);
    let username = reader.text(&keys::ROUTE_USERNAME, username);
    let password = reader.text(&keys::ROUTE_PASSWORD, check::path);
    let to = to?;
    refuse_misplaced(&mut reader, to.value, host.as_ref(), tls.as_ref(), username.as_ref());
    let tls = tls.map(|placed| placed.value).unwrap_or_default();
    let target = match to.value {
        To::Mx => Target::Mx { tls },
        To::Maildir => Target::Maildir,
        To::Capture => Target::Capture,
        To::Hold => Target::Hold,
        To::Reject => Target::Reject,
        To::Relay => {
            let credentials = credentials(&mut reader, tables, username, password);
            let (host, port) = reader.required(&keys::ROUTE_HOST, host)?.value;
            Target::Relay { host, port, tls, credentials }
        }
    };
    Some(Route { recipients, senders, users, target })
}

fn to(text: &str) -> Result<To, String> {
    if text == "lmtp" {
        return Err("LMTP is not in this version; use maildir, or relay to a server that speaks SMTP".to_owned());
    }
    WORDS.iter().find(|(word, _)| *word == text).map(|(_, to)| *to).ok_or_else(|| {
        let allowed: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        format!("`{text}` is no place to send to; {}", super::complaint::expected_one_of(text, &allowed))
    })
}

fn host(text: &str) -> Result<(String, u16), String> {
    if text.starts_with("unix:") {
        return Err("sockets of the file system are not in this version; give a host and a port".to_owned());
    }
    value::host_and_port(text)
}

fn username(text: &str) -> Result<String, String> {
    let sound = !text.is_empty() && !text.contains(char::is_control);
    if sound { Ok(text.to_owned()) } else { Err("expected a name without control characters".to_owned()) }
}

/// Keys that mean nothing for where the route leads.
fn refuse_misplaced(
    reader: &mut Reader<'_>,
    to: To,
    host: Option<&Placed<(String, u16)>>,
    tls: Option<&Placed<RelayTls>>,
    username: Option<&Placed<String>>,
) {
    if to == To::Relay {
        return;
    }
    let tls = tls.filter(|_| to != To::Mx);
    let spans = [host.map(|host| &host.span), tls.map(|tls| &tls.span), username.map(|name| &name.span)];
    for span in spans.into_iter().flatten() {
        let complaint = Complaint::at(span.clone(), "this means nothing for where the route leads");
        reader.complain(complaint.help("use it with to = \"relay\", or remove the line"));
    }
}

fn credentials(
    reader: &mut Reader<'_>,
    tables: &Tables<'_>,
    username: Option<Placed<String>>,
    password: Option<Placed<PathBuf>>,
) -> Option<Credentials> {
    match (username, password) {
        (None, None) => None,
        (Some(lone), None) => {
            let complaint = Complaint::at(lone.span, "a user name without a password");
            reader.complain(complaint.help("add password_file = \"…\", a file whose first line is the password"));
            None
        }
        (None, Some(lone)) => {
            let complaint = Complaint::at(lone.span, "a password without a user name");
            reader.complain(complaint.help("add username = \"…\""));
            None
        }
        (Some(username), Some(placed)) => {
            let file = tables.path(&placed.value);
            match read_password(&file) {
                Ok(password) => Some(Credentials { username: username.value, password, file }),
                Err(what) => {
                    reader.complain(Complaint::at(placed.span, what));
                    None
                }
            }
        }
    }
}

fn read_password(file: &std::path::Path) -> Result<Zeroizing<String>, String> {
    let shown = file.display();
    let text = std::fs::read(file).map_err(|error| format!("cannot read the password file {shown}: {error}"))?;
    let text = Zeroizing::new(text);
    if text.len() > PASSWORD_FILE_MAX {
        return Err(format!("the password file {shown} has more than {PASSWORD_FILE_MAX} bytes"));
    }
    let text = std::str::from_utf8(&text).map_err(|_| format!("the password file {shown} is not UTF-8 text"))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Zeroizing::new(line.to_owned())),
        _ => Err(format!("the first line of the password file {shown} is empty")),
    }
}
