//! `[[listener]]`: where clients connect, and that no two listeners want the same port.

use std::net::SocketAddr;

use toml::{Spanned, de::DeValue};

use super::{
    Complaint,
    check::{Tables, heading_span},
    keys,
    reader::{Placed, Reader},
    value::{self, Network},
};

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Service {
    /// Mail for our domains.
    Mx,
    /// Mail from users who authenticate.
    Submission,
    /// Health, metrics, captured messages.
    Http,
}

impl Service {
    /// Its name in the file, in logs and in a message's origin.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mx => "mx",
            Self::Submission => "submission",
            Self::Http => "http",
        }
    }
}

/// TLS on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListenerTls {
    /// None.
    Off,
    /// Offered after a clear beginning.
    StartTls,
    /// From the first byte.
    Implicit,
}

/// What to do with a bare CR or LF in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BareNewline {
    /// Refuse the message.
    Refuse,
    /// Make it CRLF.
    Normalise,
}

impl BareNewline {
    /// Without a word in the file. What our own users send is repaired; between servers a line end that is no line
    /// end is how mail gets smuggled.
    pub(crate) fn default_of(service: Service) -> Self {
        match service {
            Service::Submission => Self::Normalise,
            Service::Mx | Service::Http => Self::Refuse,
        }
    }
}

/// One listener.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    /// What for.
    pub(crate) service: Service,
    /// Where, at least one.
    pub(crate) addresses: Vec<SocketAddr>,
    /// TLS.
    pub(crate) tls: ListenerTls,
    /// Who may relay without authentication.
    pub(crate) trusted_networks: Vec<Network>,
    /// Who speaks for its clients by the PROXY protocol.
    pub(crate) proxy_networks: Vec<Network>,
    /// Who may name its client by XCLIENT.
    pub(crate) xclient_networks: Vec<Network>,
    /// Whether passwords are taken in clear text.
    pub(crate) plaintext_auth: bool,
    /// Bare CR or LF in a message.
    pub(crate) bare_newline: BareNewline,
}

/// The services that this version answers with a sentence.
const LATER: [(&str, &str); 1] = [("lmtp", "LMTP is not in this version; use mx, submission or http")];

/// Reads every listener.
pub(super) fn read(tables: &Tables<'_>, complaints: &mut Vec<Complaint>) -> Vec<Listener> {
    let found = tables.many(&keys::LISTENER, complaints);
    if found.is_empty() && complaints.is_empty() {
        let help = "add [[listener]], service = \"mx\" and address = \"0.0.0.0:25\" on three lines";
        complaints.push(Complaint::whole("there is no [[listener]], so nobody could connect").help(help));
    }
    let mut taken: Vec<Placed<SocketAddr>> = Vec::new();
    found.into_iter().filter_map(|value| read_one(value, &mut taken, complaints)).collect()
}

fn read_one(
    value: &Spanned<DeValue<'_>>,
    taken: &mut Vec<Placed<SocketAddr>>,
    complaints: &mut Vec<Complaint>,
) -> Option<Listener> {
    const TLS: [(&str, ListenerTls); 3] =
        [("off", ListenerTls::Off), ("starttls", ListenerTls::StartTls), ("implicit", ListenerTls::Implicit)];
    const BARE: [(&str, BareNewline); 2] = [("refuse", BareNewline::Refuse), ("normalise", BareNewline::Normalise)];
    let DeValue::Table(table) = value.get_ref() else {
        return None;
    };
    let mut reader = Reader::new(&keys::LISTENER, table, heading_span(value), complaints);
    let service = reader.text(&keys::LISTENER_SERVICE, service);
    let service = reader.required(&keys::LISTENER_SERVICE, service);
    let addresses = reader.list(&keys::LISTENER_ADDRESS, value::socket_address);
    let addresses = reader.required(&keys::LISTENER_ADDRESS, addresses).unwrap_or_default();
    for address in &addresses {
        claim(address, taken, &mut reader);
    }
    let tls = reader.word(&keys::LISTENER_TLS, &TLS);
    let trusted = reader.list(&keys::LISTENER_TRUSTED, value::network_of_ours).unwrap_or_default();
    let proxies = reader.list(&keys::LISTENER_PROXY, value::network_of_ours).unwrap_or_default();
    let xclients = reader.list(&keys::LISTENER_XCLIENT, value::network_of_ours).unwrap_or_default();
    let plaintext = reader.flag(&keys::LISTENER_PLAINTEXT);
    let bare_newline = reader.word(&keys::LISTENER_BARE, &BARE);
    let service = service?.value;
    if service == Service::Http {
        let networks = trusted.first().or(proxies.first()).or(xclients.first());
        refuse_for_http(&mut reader, tls.as_ref(), networks, plaintext.as_ref());
    }
    let default_tls = if service == Service::Http { ListenerTls::Off } else { ListenerTls::StartTls };
    Some(Listener {
        service,
        addresses: addresses.into_iter().map(|placed| placed.value).collect(),
        tls: tls.map_or(default_tls, |placed| placed.value),
        trusted_networks: trusted.into_iter().map(|placed| placed.value).collect(),
        proxy_networks: proxies.into_iter().map(|placed| placed.value).collect(),
        xclient_networks: xclients.into_iter().map(|placed| placed.value).collect(),
        plaintext_auth: plaintext.is_some_and(|placed| placed.value),
        bare_newline: bare_newline.map_or(BareNewline::default_of(service), |placed| placed.value),
    })
}

fn service(text: &str) -> Result<Service, String> {
    if let Some((_, sentence)) = LATER.iter().find(|(later, _)| *later == text) {
        return Err((*sentence).to_owned());
    }
    let services = [Service::Mx, Service::Submission, Service::Http];
    services.into_iter().find(|service| service.name() == text).ok_or_else(|| {
        let names: Vec<&str> = services.iter().map(|service| service.name()).collect();
        format!("`{text}` is not a service; {}", super::complaint::expected_one_of(text, &names))
    })
}

/// What makes no sense on an HTTP listener.
fn refuse_for_http(
    reader: &mut Reader<'_>,
    tls: Option<&Placed<ListenerTls>>,
    networks: Option<&Placed<Network>>,
    plaintext: Option<&Placed<bool>>,
) {
    if let Some(tls) = tls.filter(|tls| tls.value != ListenerTls::Off) {
        let complaint = Complaint::at(tls.span.clone(), "HTTPS is not in this version");
        reader.complain(complaint.help("use off, listen on loopback only, and put a TLS proxy in front"));
    }
    let misplaced = networks.map(|network| &network.span).or(plaintext.map(|flag| &flag.span));
    if let Some(span) = misplaced {
        reader.complain(Complaint::at(span.clone(), "this means nothing on an http listener").help("remove the line"));
    }
}

/// Notes an address, and complains when an earlier listener has it.
fn claim(address: &Placed<SocketAddr>, taken: &mut Vec<Placed<SocketAddr>>, reader: &mut Reader<'_>) {
    // Port 0 lets the system choose: two of them never meet.
    let meets = |other: &&Placed<SocketAddr>| {
        let (left, right) = (address.value, other.value);
        let same_family = left.is_ipv4() == right.is_ipv4();
        let overlap = left.ip() == right.ip() || left.ip().is_unspecified() || right.ip().is_unspecified();
        left.port() != 0 && left.port() == right.port() && same_family && overlap
    };
    match taken.iter().find(meets) {
        Some(other) => {
            let what = format!("port {} is taken by an earlier listener ({})", address.value.port(), other.value);
            reader.complain(Complaint::at(address.span.clone(), what).help("give each address another port"));
        }
        None => taken.push(address.clone()),
    }
}
