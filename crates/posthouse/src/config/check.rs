//! From text to a [`Config`] that holds together: each table through its own function, then what concerns several.

use std::path::{Path, PathBuf};

use inbound::{ClientIn, Privacy};
use net::{
    Clock,
    tls::{self, TlsError},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    CertificateFiles, Complaint, Complaints, Config, DEFAULT_DATA_DIR, Delivery, Limits, Log, LogFormat, LogLevel,
    filter, gate,
    keys::{self, Section},
    listener,
    reader::{Placed, Reader},
    route, value, verify,
};

/// The bounds of sizes: a message, a reserve.
const MESSAGE_SIZE_MIN: u64 = 1000;
/// Past this a single message would fill the disk's cache; RFC 1870 would allow more.
const MESSAGE_SIZE_MAX: u64 = 2_000_000_000;
/// RFC 5321 §4.5.3.1.8: a server takes at least a hundred recipients.
const RECIPIENTS_MIN: u64 = 100;
const RECIPIENTS_MAX: u64 = 100_000;
const CONNECTIONS_MAX: u64 = 1_000_000;
/// Of anything in a minute or an hour.
const RATE_MAX: u64 = 1_000_000_000;
/// Waits of a retry schedule.
const RETRY_MAX: usize = 100;

/// Reads `text` as the configuration file `file`, whose folder is where relative paths begin.
pub(super) fn parse(file: &Path, text: &str) -> Result<Config, Complaints> {
    let mut complaints = Vec::new();
    let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        complaints.push(Complaint::at(span, format!("this is not TOML: {}", one_line(error.message()))));
    }
    if !complaints.is_empty() {
        complaints.sort_by_key(place);
        // What was recovered from broken syntax is a guess: complaints about it would mislead.
        return Err(Complaints { file: file.to_owned(), text: text.to_owned(), list: complaints });
    }
    let config = check(document.get_ref(), &folder, &mut complaints);
    complaints.sort_by_key(place);
    complaints.dedup();
    if complaints.is_empty() {
        return Ok(config);
    }
    Err(Complaints { file: file.to_owned(), text: text.to_owned(), list: complaints })
}

fn check(document: &DeTable<'_>, folder: &Path, complaints: &mut Vec<Complaint>) -> Config {
    let tables = Tables { document, folder };

    let mut top = Reader::new(&keys::TOP, document, 0..0, complaints);
    let hostname = top.text(&keys::HOSTNAME, value::hostname).map(|placed| placed.value);
    let data_dir = top.text(&keys::DATA_DIR, path).map(|placed| placed.value);
    let public_url = top.text(&keys::PUBLIC_URL, url).map(|placed| placed.value);
    let user = top.text(&keys::USER, account).map(|placed| placed.value);
    let group = top.text(&keys::GROUP, account).map(|placed| placed.value);

    let listeners = listener::read(&tables, complaints);
    let (tls, authorities) = read_tls(&tables, complaints);
    let data_dir = folder.join(data_dir.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR)));
    Config {
        hostname: hostname.unwrap_or_else(super::system_hostname),
        data_dir,
        user,
        group,
        public_url,
        listeners,
        tls,
        authorities,
        dns_servers: read_dns(&tables, complaints),
        limits: read_limits(&tables, complaints),
        gate: gate::read(&tables, complaints),
        verify: verify::read(&tables, complaints),
        filters: filter::read(&tables, complaints),
        privacy: read_privacy(&tables, complaints),
        routes: route::read(&tables, complaints),
        delivery: read_delivery(&tables, complaints),
        store_url: read_store(&tables, complaints),
        log: read_log(&tables, complaints),
    }
}

/// Where a complaint points, for sorting: what is about the whole file comes last.
fn place(complaint: &Complaint) -> usize {
    complaint.span.as_ref().map_or(usize::MAX, |span| span.start)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The tables of the file.
pub(super) struct Tables<'t> {
    document: &'t DeTable<'t>,
    folder: &'t Path,
}

impl<'t> Tables<'t> {
    /// A path as the file means it.
    pub(super) fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// The one table of a section, when it is there.
    pub(super) fn one(&self, section: &'static Section, complaints: &'t mut Vec<Complaint>) -> Option<Reader<'t>> {
        let value = self.document.get(section.name())?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Reader::new(section, table, heading_span(value), complaints)),
            _ => {
                complaints.push(wrong_heading(section, value));
                None
            }
        }
    }

    /// The tables of a section that may be there several times.
    pub(super) fn many(
        &self,
        section: &'static Section,
        complaints: &mut Vec<Complaint>,
    ) -> Vec<&'t Spanned<DeValue<'t>>> {
        let Some(value) = self.document.get(section.name()) else {
            return Vec::new();
        };
        match value.get_ref() {
            DeValue::Array(array) if array.iter().all(|element| element.get_ref().is_table()) => array.iter().collect(),
            _ => {
                complaints.push(wrong_heading(section, value));
                Vec::new()
            }
        }
    }
}

/// The first line of a table: its heading.
pub(super) fn heading_span(value: &Spanned<DeValue<'_>>) -> std::ops::Range<usize> {
    value.span()
}

fn wrong_heading(section: &Section, value: &Spanned<DeValue<'_>>) -> Complaint {
    let what = format!("`{}` is written as a table: {}", section.name(), section.heading);
    Complaint::at(value.span(), what).help(format!("put {} on a line of its own, its keys below", section.heading))
}

/// A path, in the parser's form.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') { Err("expected a path".to_owned()) } else { Ok(PathBuf::from(text)) }
}

/// The name of a user or a group, or its number. Whether there is one is looked up where it is used.
fn account(text: &str) -> Result<String, String> {
    let sound = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte));
    match sound && !text.is_empty() {
        true => Ok(text.to_owned()),
        false => Err(format!("expected a name such as posthouse, or a number, found `{text}`")),
    }
}

fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let sound = rest.is_some_and(|rest| !rest.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()));
    if sound {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(format!("expected a URL such as https://mail.example.net, found `{text}`"))
    }
}

fn read_tls<'t>(
    tables: &Tables<'t>,
    complaints: &'t mut Vec<Complaint>,
) -> (Option<CertificateFiles>, Option<PathBuf>) {
    let Some(mut reader) = tables.one(&keys::TLS, complaints) else {
        return (None, None);
    };
    let certificate = reader.text(&keys::TLS_CERTIFICATE, path);
    let key = reader.text(&keys::TLS_KEY, path);
    let authorities = reader.text(&keys::TLS_AUTHORITIES, path).map(|placed| {
        let path = tables.path(&placed.value);
        if let Err(error) = tls::Client::verified(Some(&path), Clock::system()) {
            reader.complain(Complaint::at(placed.span, error.to_string()));
        }
        path
    });
    let lone = match (certificate, key) {
        (Some(certificate), Some(key)) => {
            return (Some(read_certificate(&mut reader, tables, &certificate, &key)), authorities);
        }
        (Some(lone), None) => Some((lone, "a certificate without its key", "add key = \"…\" below it")),
        (None, Some(lone)) => Some((lone, "a key without its certificate", "add certificate = \"…\" above it")),
        (None, None) => None,
    };
    if let Some((lone, what, help)) = lone {
        reader.complain(Complaint::at(lone.span, what).help(help));
    }
    (None, authorities)
}

/// Loads certificate and key as the server will, and puts what is wrong under the file that is at fault.
fn read_certificate(
    reader: &mut Reader<'_>,
    tables: &Tables<'_>,
    certificate: &Placed<PathBuf>,
    key: &Placed<PathBuf>,
) -> CertificateFiles {
    let files = CertificateFiles { certificate: tables.path(&certificate.value), key: tables.path(&key.value) };
    let source = tls::Source::Files { certificate: files.certificate.clone(), key: files.key.clone() };
    if let Err(error) = tls::Server::new(source, Clock::system()) {
        let at_key = match &error {
            TlsError::NoKey { .. } | TlsError::EncryptedKey { .. } | TlsError::BadKey { .. } => true,
            TlsError::Mismatch { .. } => true,
            TlsError::Unreadable { path, .. } | TlsError::BrokenPem { path, .. } => *path == files.key,
            TlsError::Unwritable { .. }
            | TlsError::NoCertificate { .. }
            | TlsError::BadCertificate { .. }
            | TlsError::SelfSigned { .. }
            | TlsError::Setup(_) => false,
        };
        let span = if at_key { key.span.clone() } else { certificate.span.clone() };
        reader.complain(Complaint::at(span, error.to_string()));
    }
    files
}

fn read_dns<'t>(tables: &Tables<'t>, complaints: &'t mut Vec<Complaint>) -> Vec<std::net::SocketAddr> {
    let Some(mut reader) = tables.one(&keys::DNS, complaints) else {
        return Vec::new();
    };
    let servers = reader.list(&keys::DNS_SERVERS, value::name_server).unwrap_or_default();
    servers.into_iter().map(|placed| placed.value).collect()
}

fn read_limits<'t>(tables: &Tables<'t>, complaints: &'t mut Vec<Complaint>) -> Limits {
    let defaults = Limits::default();
    let Some(mut reader) = tables.one(&keys::LIMITS, complaints) else {
        return defaults;
    };
    let deadline = |text: &str| match value::duration(text) {
        Ok(zero) if zero.is_zero() => Err("a deadline of nothing would close every connection".to_owned()),
        other => other,
    };
    let message_size = |text: &str| match value::size(text)? {
        size @ MESSAGE_SIZE_MIN..=MESSAGE_SIZE_MAX => Ok(size),
        _ => Err("expected a size from 1 KB to 2 GB".to_owned()),
    };
    macro_rules! or_default {
        ($read:expr, $default:expr) => {
            $read.map_or($default, |placed| placed.value)
        };
    }
    macro_rules! rate {
        ($key:expr, $field:ident) => {
            reader
                .number($key, 0..=RATE_MAX)
                .and_then(|placed| u32::try_from(placed.value).ok())
                .unwrap_or(defaults.$field)
        };
    }
    Limits {
        message_size: or_default!(reader.text(&keys::MESSAGE_SIZE, message_size), defaults.message_size),
        recipients: or_default!(reader.number(&keys::RECIPIENTS, RECIPIENTS_MIN..=RECIPIENTS_MAX), defaults.recipients),
        disk_reserve: or_default!(reader.text(&keys::DISK_RESERVE, value::size), defaults.disk_reserve),
        connections_per_address: or_default!(
            reader.number(&keys::CONNECTIONS, 1..=CONNECTIONS_MAX),
            defaults.connections_per_address
        ),
        connections_per_minute: rate!(&keys::CONNECTION_RATE, connections_per_minute),
        messages_per_minute: rate!(&keys::MESSAGE_RATE, messages_per_minute),
        recipients_per_minute: rate!(&keys::RECIPIENT_RATE, recipients_per_minute),
        commands_per_minute: rate!(&keys::COMMAND_RATE, commands_per_minute),
        errors_per_hour: rate!(&keys::ERROR_RATE, errors_per_hour),
        junk_per_hour: rate!(&keys::JUNK_RATE, junk_per_hour),
        errors: or_default!(reader.number(&keys::ERRORS, 1..=1_000_000), defaults.errors),
        junk: or_default!(reader.number(&keys::JUNK, 1..=1_000_000), defaults.junk),
        handshake: or_default!(reader.text(&keys::HANDSHAKE, deadline), defaults.handshake),
        command: or_default!(reader.text(&keys::COMMAND, deadline), defaults.command),
        data: or_default!(reader.text(&keys::DATA, deadline), defaults.data),
        data_rate: or_default!(reader.text(&keys::DATA_RATE, value::size), defaults.data_rate),
        connect: or_default!(reader.text(&keys::CONNECT, deadline), defaults.connect),
        banner: or_default!(reader.text(&keys::BANNER, deadline), defaults.banner),
        dot: or_default!(reader.text(&keys::DOT, deadline), defaults.dot),
        shutdown: or_default!(reader.text(&keys::SHUTDOWN, deadline), defaults.shutdown),
    }
}

/// Fields without which a letter is none, or that are written here.
const KEPT_FIELDS: [&str; 8] = ["From", "Sender", "To", "Cc", "Date", "Message-ID", "Subject", "Received"];

fn read_privacy<'t>(tables: &Tables<'t>, complaints: &'t mut Vec<Complaint>) -> Privacy {
    let defaults = Privacy::default();
    let Some(mut reader) = tables.one(&keys::PRIVACY, complaints) else {
        return defaults;
    };
    let field = |text: &str| {
        // RFC 5322 §3.6.8: printable, without the colon.
        let sound = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        match sound && !KEPT_FIELDS.iter().any(|kept| kept.eq_ignore_ascii_case(text)) {
            true => Ok(text.to_owned()),
            false => Err(format!("expected the name of a field that a letter can do without, found `{text}`")),
        }
    };
    let client = reader.flag(&keys::HIDE_CLIENT).map(|placed| match placed.value {
        true => ClientIn::Nothing,
        false => ClientIn::Received,
    });
    let removed = reader.list(&keys::REMOVE_FIELDS, field);
    Privacy {
        client: client.unwrap_or(defaults.client),
        removed_fields: removed
            .map_or(defaults.removed_fields, |list| list.into_iter().map(|placed| placed.value).collect()),
    }
}

fn read_delivery<'t>(tables: &Tables<'t>, complaints: &'t mut Vec<Complaint>) -> Delivery {
    let defaults = Delivery::default();
    let Some(mut reader) = tables.one(&keys::DELIVERY, complaints) else {
        return defaults;
    };
    let wait = |text: &str| match value::duration(text) {
        Ok(zero) if zero.is_zero() => Err("expected a wait of some length".to_owned()),
        other => other,
    };
    let retry = reader.list(&keys::RETRY, wait);
    let retry = match retry {
        None => defaults.retry,
        Some(list) => {
            if list.is_empty() || list.len() > RETRY_MAX {
                let span = reader.span.clone();
                reader.complain(Complaint::at(span, format!("`retry` takes from 1 to {RETRY_MAX} durations")));
            }
            list.into_iter().map(|placed| placed.value).collect()
        }
    };
    Delivery {
        retry,
        expire: reader.text(&keys::EXPIRE, wait).map_or(defaults.expire, |placed| placed.value),
        connections: reader
            .number(&keys::DELIVERY_CONNECTIONS, 1..=1000)
            .map_or(defaults.connections, |placed| placed.value),
        srs: reader.flag(&keys::SRS).map_or(defaults.srs, |placed| placed.value),
    }
}

/// The store when nothing says otherwise.
pub(crate) const DEFAULT_STORE_URL: &str = "sqlite:posthouse.db";

fn read_store<'t>(tables: &Tables<'t>, complaints: &'t mut Vec<Complaint>) -> String {
    let url = |text: &str| match text.split_once(':') {
        Some(("sqlite", file)) if !file.is_empty() => Ok(text.to_owned()),
        Some(("postgres" | "postgresql", _)) => Err("PostgreSQL is not in this version; use sqlite:FILE".to_owned()),
        _ => Err(format!("expected sqlite:FILE, found `{text}`")),
    };
    tables
        .one(&keys::STORE, complaints)
        .and_then(|mut reader| reader.text(&keys::STORE_URL, url))
        .map_or_else(|| DEFAULT_STORE_URL.to_owned(), |placed| placed.value)
}

fn read_log<'t>(tables: &Tables<'t>, complaints: &'t mut Vec<Complaint>) -> Log {
    const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    const LEVELS: [(&str, LogLevel); 5] = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let Some(mut reader) = tables.one(&keys::LOG, complaints) else {
        return Log::default();
    };
    Log {
        format: reader.word(&keys::LOG_FORMAT, &FORMATS).map(|placed| placed.value).unwrap_or_default(),
        level: reader.word(&keys::LOG_LEVEL, &LEVELS).map(|placed| placed.value).unwrap_or_default(),
    }
}
