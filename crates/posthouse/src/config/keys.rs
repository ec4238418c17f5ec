//! Every key of the configuration file: what it takes, what it is without it, and what it is for. The reader takes
//! its allowed keys from here, and the manual's reference and the sample file are printed from here.

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it takes, in words.
    pub(crate) takes: &'static str,
    /// What holds without it, in words.
    pub(crate) default: &'static str,
    /// A value as it would be written.
    pub(crate) example: &'static str,
    /// What it is for.
    pub(crate) about: &'static str,
}

/// One table of the file.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its heading as written: empty for the top of the file.
    pub(crate) heading: &'static str,
    /// What it is for.
    pub(crate) about: &'static str,
    /// Its keys in the order of the manual.
    pub(crate) keys: &'static [&'static Key],
    /// Keys and what to say about them, which a later version will have.
    pub(crate) later: &'static [(&'static str, &'static str)],
}

impl Section {
    /// The name of the table in the file.
    pub(crate) fn name(&self) -> &'static str {
        self.heading.trim_matches(['[', ']'])
    }
}

macro_rules! keys {
    ($($(#[doc = $about:literal])+ $constant:ident = $name:literal, $takes:literal, $default:literal, $example:literal;)*) => {
        $(
            $(#[doc = $about])+
            pub(crate) const $constant: Key = Key {
                name: $name, takes: $takes, default: $default, example: $example, about: concat!($($about),+).trim_ascii(),
            };
        )*
    };
}

keys! {
    /// The name that the server gives itself: in its banner, in EHLO, in Received fields and as the sender of bounces.
    HOSTNAME = "hostname", "a host name", "the system's name", r#""mx.example.net""#;
    /// Where the queue, the database and the mailboxes are. A relative path counts from the folder of this file.
    DATA_DIR = "data_dir", "a path", "posthouse-data", r#""/var/lib/posthouse""#;
    /// Whose rights the server has when root starts it: it binds its ports and becomes this user for good. `root` keeps
    /// root, which is for trials.
    USER = "user", "a user of /etc/passwd, or a number", "posthouse if there is such a user; else root, with a warning", r#""posthouse""#;
    /// The group to go with `user`; all other groups are given up.
    GROUP = "group", "a group of /etc/group, or a number", "the user's own", r#""posthouse""#;
    /// The address under which people reach this server's pages.
    PUBLIC_URL = "public_url", "a URL", "none", r#""https://mail.example.net""#;

    /// What the listener is for. `mx` takes mail for the domains of this server, `submission` takes mail from users
    /// who authenticate, `http` serves `/healthz`, `/metrics` and the captured messages.
    LISTENER_SERVICE = "service", "mx, submission or http", "required", r#""mx""#;
    /// Where to listen: one address or several.
    LISTENER_ADDRESS = "address", "addresses with ports", "required", r#"["0.0.0.0:25", "[::]:25"]"#;
    /// `starttls` offers TLS on a connection that begins in clear text, `implicit` begins with the handshake.
    LISTENER_TLS = "tls", "off, starttls or implicit", "starttls; off for http", r#""starttls""#;
    /// Networks whose clients may relay without authentication.
    LISTENER_TRUSTED = "trusted_networks", "networks", "none", r#"["192.0.2.0/24"]"#;
    /// Networks of proxies: each of their connections must begin with a PROXY header, version 1 or 2, that says who the
    /// client is. From anybody else such a header is a wrong command.
    LISTENER_PROXY = "proxy_networks", "networks", "none", r#"["10.0.0.0/8"]"#;
    /// Networks whose clients may say for whom they speak by XCLIENT; what they say decides about trust and limits.
    LISTENER_XCLIENT = "xclient_networks", "networks", "none", r#"["10.0.0.0/8"]"#;
    /// Whether passwords are taken over a connection without TLS.
    LISTENER_PLAINTEXT = "plaintext_auth", "true or false", "false", "false";
    /// What to do with a message that holds a bare CR or LF: `refuse` it, or `normalise` it (an LF becomes CRLF, a CR
    /// a space). Neither ever ends the message.
    LISTENER_BARE = "bare_newline", "refuse or normalise", "refuse; normalise for submission", r#""refuse""#;

    /// The certificate chain, in PEM, the server's own first. Reloaded on SIGHUP.
    TLS_CERTIFICATE = "certificate", "a path", "a self-signed certificate made in data_dir", r#""fullchain.pem""#;
    /// The certificate's private key, in PEM.
    TLS_KEY = "key", "a path", "made with the certificate", r#""privkey.pem""#;
    /// Certificates of authorities that are trusted beside the public ones when a route says `verified`.
    TLS_AUTHORITIES = "authorities", "a path", "the public ones only", r#""ca.pem""#;

    /// The name servers to ask.
    DNS_SERVERS = "servers", "addresses, port 53 unless given", "the system's", r#"["127.0.0.1:5353"]"#;

    /// The largest message that is taken. Announced as SIZE.
    MESSAGE_SIZE = "message_size", "a size", "50 MB", r#""50 MB""#;
    /// Recipients that one message may have. Announced as LIMITS RCPTMAX and X-RCPTLIMIT.
    RECIPIENTS = "recipients_per_message", "a number, at least 100", "1000", "1000";
    /// Free space below which no new mail is taken (452 4.3.1).
    DISK_RESERVE = "disk_reserve", "a size", "1 GB", r#""1 GB""#;
    /// Connections of one client to one service at a time; the next one is told 421 and closed. A client is an IPv4
    /// address or an IPv6 /64; its network (/24, /48) may have four times as many, here and below. Networks in
    /// `gate.exempt_networks` and trusted networks are not counted. All services together take 20,000.
    CONNECTIONS = "connections_per_address", "a number", "100", "100";
    /// Connections of one client in a minute: 421 past it. `0` for no limit, here and below.
    CONNECTION_RATE = "connections_per_minute", "a number", "300", "300";
    /// Messages that one client begins in a minute: 450 past it. Users who have authenticated are not counted, here and
    /// below.
    MESSAGE_RATE = "messages_per_minute", "a number", "600", "600";
    /// Recipients that one client names in a minute: 450 past it.
    RECIPIENT_RATE = "recipients_per_minute", "a number", "6000", "6000";
    /// Commands of one client in a minute: 421 past it.
    COMMAND_RATE = "commands_per_minute", "a number", "6000", "6000";
    /// Errors of one client in an hour, over all its sessions: 421 past it. An accepted message makes up for ten.
    ERROR_RATE = "errors_per_hour", "a number", "200", "200";
    /// The same for commands that lead to no message.
    JUNK_RATE = "junk_per_hour", "a number", "2000", "2000";
    /// Wrong commands and refused recipients in one session before it is closed with 421.
    ERRORS = "errors_per_session", "a number", "20", "20";
    /// Commands that lead to no message (NOOP, RSET, VRFY and the like) in one session before it is closed with 421.
    JUNK = "junk_per_session", "a number", "100", "100";
    /// How long a client may take for the TLS handshake, and the server for its banner.
    HANDSHAKE = "handshake_deadline", "a duration", "30s", r#""30s""#;
    /// How long the server waits for a command.
    COMMAND = "command_deadline", "a duration", "5m", r#""5m""#;
    /// How long the server waits for each block of a message.
    DATA = "data_deadline", "a duration", "3m", r#""3m""#;
    /// The least rate of a message's content, per second, after its first ten minutes; `0 B` for none.
    DATA_RATE = "data_rate", "a size", "256 B", r#""256 B""#;
    /// How long opening a connection to another server may take.
    CONNECT = "connect_deadline", "a duration", "30s", r#""30s""#;
    /// How long another server may take for its banner and for the reply to a command.
    BANNER = "banner_deadline", "a duration", "5m", r#""5m""#;
    /// How long another server may take to reply to the end of a message (RFC 5321 §4.5.3.2.6).
    DOT = "dot_deadline", "a duration", "10m", r#""10m""#;
    /// How long a stopping server waits for the transactions in flight.
    SHUTDOWN = "shutdown_deadline", "a duration", "30s", r#""30s""#;

    /// Clients that are not examined, beside the trusted networks of a listener.
    GATE_EXEMPT = "exempt_networks", "networks", "127.0.0.0/8 and ::1", r#"["127.0.0.0/8", "::1"]"#;
    /// How long service mx makes a stranger wait for the banner; who speaks first is told 554 and closed. A client that
    /// has waited is known for a day. `0s` for no wait; it shrinks when the server is busy.
    GATE_PREGREET = "pregreet_wait", "a duration, at most 30s", "400ms", r#""400ms""#;
    /// Whether service mx obeys strangers that go on behind EHLO, HELO or DATA without waiting for the reply (RFC 2920
    /// §3.1). Otherwise they are told 554 and closed.
    GATE_PIPELINING = "early_pipelining", "true or false", "false", "false";
    /// How much longer the reply to each further error of a stranger takes, from the fourth in a session on.
    GATE_TARPIT = "tarpit", "a duration, at most 20s", "1s", r#""1s""#;
    /// What is done on service mx when EHLO says our own name or a domain of ours.
    GATE_OWN_NAME = "own_name", "accept, score, defer or refuse", "refuse", r#""refuse""#;
    /// What is done on service mx when EHLO says a name without a dot, or none.
    GATE_UNQUALIFIED = "unqualified_name", "accept, score, defer or refuse", "score", r#""score""#;
    /// What is done on service mx about a sender whose domain has neither MX nor address (550 5.1.8), or says that it
    /// takes no mail (550 5.7.27). Unless it is `accept` or `score`, a failure of the DNS is 450 4.1.8. A domain that
    /// publishes SPF is left to that.
    GATE_SENDER = "sender_domain", "accept, score, defer or refuse", "refuse", r#""refuse""#;
    /// The sum from which on a message gets a field X-Posthouse-Suspect. Our own name in EHLO counts 5, a name that is
    /// none 2, a sender's domain without mail 5, where they are scored; lists count their weight.
    GATE_TAG = "tag_score", "a number", "none", "5";
    /// The sum from which on recipients are told 450. `postmaster` never is.
    GATE_DEFER = "defer_score", "a number", "none", "8";
    /// The sum from which on recipients are told 550.
    GATE_REFUSE = "refuse_score", "a number", "none", "10";
    /// Whether strangers on service mx are asked to come again after five minutes. Who has is known for 36 days.
    GATE_GREYLISTING = "greylisting", "true or false", "false", "true";
    /// Deliveries in the queue at which strangers find the least patience: half of it makes no difference.
    GATE_BUSY_QUEUE = "busy_queue", "a number", "1000000", "1000000";

    /// The name of the list in the DNS.
    BLOCKLIST_ZONE = "zone", "a domain", "required", r#""bl.example.net""#;
    /// What a listing counts in the sum.
    BLOCKLIST_WEIGHT = "weight", "a number", "required", "5";
    /// Whether a listing speaks for the client: its weight is subtracted, and who has less than nothing is not greylisted.
    BLOCKLIST_ALLOW = "allow", "true or false", "false", "false";
    /// Which answers count. Answers outside 127.0.0.0/8 and in 127.255.255.0/24 are errors and never do.
    BLOCKLIST_ANSWERS = "answers", "networks within 127.0.0.0/8", "all", r#"["127.0.0.2", "127.0.1.0/24"]"#;

    /// Whether mail of strangers on service mx is verified. Clients in `trusted_networks`, users who authenticate and
    /// the sandbox never are.
    VERIFY_ENABLED = "enabled", "true or false", "true", "true";
    /// Whose ARC seals are believed: when one of these domains says that a message passed DMARC where it came in, a
    /// failure here counts as the work of a list or a forwarder, and the message is accepted.
    VERIFY_SEALERS = "trusted_sealers", "domains, *.domain", "none", r#"["lists.example.org"]"#;
    /// Whose mail it is about: the domain of the address in From, or of the reverse-path when there is none.
    VERIFY_DOMAINS = "domains", "domains, *.domain", "required", r#"["example.org", "*.example.org"]"#;
    /// SPF `fail`: the domain says that this client may not send its mail (`-all`). Forwarded mail fails, too.
    SPF_FAIL = "spf_fail", "accept, tag, quarantine, defer or reject", "tag; in [[verify_domain]] what [verify] says", r#""tag""#;
    /// SPF `softfail`: the domain says that the client probably may not (`~all`).
    SPF_SOFTFAIL = "spf_softfail", "accept, tag, quarantine, defer or reject", "accept; in [[verify_domain]] what [verify] says", r#""accept""#;
    /// SPF `permerror`: what the domain publishes cannot be understood.
    SPF_PERMERROR = "spf_permerror", "accept, tag, quarantine, defer or reject", "accept; in [[verify_domain]] what [verify] says", r#""accept""#;
    /// SPF `temperror`: the DNS did not answer.
    SPF_TEMPERROR = "spf_temperror", "accept, tag, quarantine, defer or reject", "accept; in [[verify_domain]] what [verify] says", r#""accept""#;
    /// DKIM: the message has signatures, and none is right. Lists that change a message do this.
    DKIM_FAIL = "dkim_fail", "accept, tag, quarantine, defer or reject", "accept; in [[verify_domain]] what [verify] says", r#""accept""#;
    /// The client's address has no name that leads back to it.
    IPREV_FAIL = "iprev_fail", "accept, tag, quarantine, defer or reject", "accept; in [[verify_domain]] what [verify] says", r#""accept""#;
    /// DMARC `fail`, and the domain in From asks for nothing (`p=none`).
    DMARC_NONE = "dmarc_none", "accept, tag, quarantine, defer or reject", "accept; in [[verify_domain]] what [verify] says", r#""accept""#;
    /// DMARC `fail`, and the domain asks for quarantine.
    DMARC_QUARANTINE = "dmarc_quarantine", "accept, tag, quarantine, defer or reject", "quarantine; in [[verify_domain]] what [verify] says", r#""quarantine""#;
    /// DMARC `fail`, and the domain asks for rejection.
    DMARC_REJECT = "dmarc_reject", "accept, tag, quarantine, defer or reject", "reject; in [[verify_domain]] what [verify] says", r#""reject""#;
    /// DMARC `permerror`: From has no address with a domain, or addresses of several domains. A message with two From
    /// fields, or one that cannot be read, is refused in any case.
    DMARC_PERMERROR = "dmarc_permerror", "accept, tag, quarantine, defer or reject", "quarantine; in [[verify_domain]] what [verify] says", r#""quarantine""#;
    /// DMARC `temperror`: nobody vouches for the domain in From so far, but the DNS did not answer every question.
    DMARC_TEMPERROR = "dmarc_temperror", "accept, tag, quarantine, defer or reject", "defer; in [[verify_domain]] what [verify] says", r#""defer""#;

    /// What the filter is called in logs and metrics.
    FILTER_NAME = "name", "letters, digits, - and _", "required", r#""spam""#;
    /// What the filter speaks: `rspamd` is its HTTP protocol, `clamav` is clamd's INSTREAM, `http` is a program of your
    /// own that is asked with JSON.
    FILTER_KIND = "kind", "rspamd, clamav or http", "required", r#""rspamd""#;
    /// Where Rspamd (its normal worker) or clamd listens.
    FILTER_ADDRESS = "address", "a host with a port, or unix:/path", "required for rspamd and clamav", r#""127.0.0.1:11333""#;
    /// Where your own program is asked.
    FILTER_URL = "url", "a URL of http", "required for http", r#""http://127.0.0.1:8080/filter""#;
    /// Whose mail the filter judges.
    FILTER_DIRECTION = "direction", "in, out or both", "both", r#""in""#;
    /// How long the filter may take for a message, the wait for its turn included. All filters of a message together
    /// never take more than 5 minutes.
    FILTER_TIMEOUT = "timeout", "a duration up to 5m", "30s", r#""30s""#;
    /// What becomes of a message when the filter is dead, late, or answers nonsense: `tempfail` says 451, so that the
    /// client tries again; `accept` goes on without it.
    FILTER_FAILURE = "on_failure", "tempfail or accept", "tempfail", r#""tempfail""#;
    /// The size of the largest message that the filter is shown.
    FILTER_SIZE = "size_limit", "a size", "25 MB", r#""25 MB""#;
    /// What becomes of a larger message: `accept` goes on without the filter, `tempfail` says 451, `reject` says 552.
    FILTER_LARGER = "on_larger", "accept, tempfail or reject", "accept", r#""accept""#;
    /// What becomes of a message in which ClamAV finds something: `reject` says 550 with the signature's name,
    /// `quarantine` takes it for the folder Junk (an outgoing one is held), `hold` keeps it until an operator releases it.
    FILTER_FOUND = "on_found", "reject, quarantine or hold", "reject", r#""reject""#;
    /// What your own program is shown: the `whole` message, or the `header` fields and the size.
    FILTER_CONTENT = "content", "whole or header", "whole", r#""header""#;
    /// Messages that the filter has at a time; more wait for their turn.
    FILTER_CONCURRENCY = "concurrency", "a number from 1 to 1000", "20", "20";

    /// Whether Received leaves out the address of an authenticated user's client, and the name that it gave in EHLO. The
    /// log and the queue have both.
    HIDE_CLIENT = "hide_client", "true or false", "true", "true";
    /// Fields that are taken out of letters that users submit: those that say where, or with what, they write.
    REMOVE_FIELDS = "remove_fields", "names of header fields", "X-Originating-IP, X-Sender-IP, X-Client-IP, X-Forwarded-For", r#"["X-Originating-IP", "User-Agent", "X-Mailer"]"#;

    /// Which recipients the route is for: `*`, a domain, `*.domain` or an address.
    ROUTE_RECIPIENTS = "recipients", "patterns", "all", r#"["*"]"#;
    /// Which senders the route is for.
    ROUTE_SENDERS = "senders", "patterns", "all", r#"["*.example.net"]"#;
    /// Which authenticated users the route is for.
    ROUTE_USERS = "users", "patterns", "all, and mail without a user", r#"["ann@example.net"]"#;
    /// Where the mail goes: to its domain's `mx`, to a `relay`, to a `maildir` under data_dir, among the `capture`d
    /// messages, on `hold` until an operator says more, or back (`reject`).
    ROUTE_TO = "to", "mx, relay, maildir, capture, hold or reject", "required", r#""relay""#;
    /// The next hop of a `relay`.
    ROUTE_HOST = "host", "a host, port 25 unless given", "required for relay", r#""127.0.0.1:2526""#;
    /// TLS towards the next hop: `off`, `opportunistic` (when offered, whatever the certificate), `required`
    /// (whatever the certificate), `verified` (with a certificate that is valid for the host).
    ROUTE_TLS = "tls", "off, opportunistic, required or verified", "opportunistic", r#""opportunistic""#;
    /// The user to authenticate as to a `relay`.
    ROUTE_USERNAME = "username", "a text", "no authentication", r#""me""#;
    /// The file whose first line is that user's password.
    ROUTE_PASSWORD = "password_file", "a path", "required with username", r#""relay.password""#;

    /// The waits between attempts; the last one repeats.
    RETRY = "retry", "durations", "1m 5m 15m 30m 1h 2h 4h 8h", r#"["1m", "5m", "15m", "30m", "1h", "2h", "4h", "8h"]"#;
    /// The age at which a message that still fails goes back to its sender.
    EXPIRE = "expire", "a duration", "5d", r#""5d""#;
    /// Connections to one destination at a time.
    DELIVERY_CONNECTIONS = "connections_per_destination", "a number", "20", "20";
    /// Whether mail of senders elsewhere, which an alias passes on to somebody elsewhere, goes on under an address in the
    /// alias's domain (SRS), so that SPF holds. Notifications to that address go back to the sender.
    SRS = "srs", "true or false", "true", "true";

    /// The database of domains, users, aliases and events. A relative path counts from data_dir.
    STORE_URL = "url", "sqlite:FILE", "sqlite:posthouse.db", r#""sqlite:posthouse.db""#;

    /// One line for people, or one JSON object, per event.
    LOG_FORMAT = "format", "text or json", "text", r#""text""#;
    /// What is logged.
    LOG_LEVEL = "level", "error, warn, info, debug or trace", "info", r#""info""#;
}

/// The top of the file.
pub(crate) const TOP: Section = Section {
    heading: "",
    about: "The server as a whole. These keys stand at the top of the file, before the first table.",
    keys: &[&HOSTNAME, &DATA_DIR, &USER, &GROUP, &PUBLIC_URL],
    later: &[],
};

/// `[[listener]]`.
pub(crate) const LISTENER: Section = Section {
    heading: "[[listener]]",
    about: "Where clients connect. One table for each; at least one.",
    keys: &[
        &LISTENER_SERVICE,
        &LISTENER_ADDRESS,
        &LISTENER_TLS,
        &LISTENER_TRUSTED,
        &LISTENER_PROXY,
        &LISTENER_XCLIENT,
        &LISTENER_PLAINTEXT,
        &LISTENER_BARE,
    ],
    later: &[],
};

/// `[tls]`.
pub(crate) const TLS: Section = Section {
    heading: "[tls]",
    about: "The server's certificate. Without it, a self-signed one is made in data_dir.",
    keys: &[&TLS_CERTIFICATE, &TLS_KEY, &TLS_AUTHORITIES],
    later: &[],
};

/// `[dns]`.
pub(crate) const DNS: Section =
    Section { heading: "[dns]", about: "Where names are looked up.", keys: &[&DNS_SERVERS], later: &[] };

/// `[limits]`.
pub(crate) const LIMITS: Section = Section {
    heading: "[limits]",
    about: "What a client, a message or a disk may not exceed, and how long anybody is waited for.",
    keys: &[
        &MESSAGE_SIZE,
        &RECIPIENTS,
        &DISK_RESERVE,
        &CONNECTIONS,
        &CONNECTION_RATE,
        &MESSAGE_RATE,
        &RECIPIENT_RATE,
        &COMMAND_RATE,
        &ERROR_RATE,
        &JUNK_RATE,
        &ERRORS,
        &JUNK,
        &HANDSHAKE,
        &COMMAND,
        &DATA,
        &DATA_RATE,
        &CONNECT,
        &BANNER,
        &DOT,
        &SHUTDOWN,
    ],
    later: &[],
};

/// `[gate]`.
pub(crate) const GATE: Section = Section {
    heading: "[gate]",
    about: "What is asked of strangers before they are listened to. Users who authenticate, trusted and exempt networks \
            are not examined.",
    keys: &[
        &GATE_EXEMPT,
        &GATE_PREGREET,
        &GATE_PIPELINING,
        &GATE_TARPIT,
        &GATE_OWN_NAME,
        &GATE_UNQUALIFIED,
        &GATE_SENDER,
        &GATE_TAG,
        &GATE_DEFER,
        &GATE_REFUSE,
        &GATE_GREYLISTING,
        &GATE_BUSY_QUEUE,
    ],
    later: &[],
};

/// `[[blocklist]]`.
pub(crate) const BLOCKLIST: Section = Section {
    heading: "[[blocklist]]",
    about: "A list of addresses in the DNS that is asked about strangers on service mx. None is asked that is not named \
            here. What follows from the sum is said in [gate].",
    keys: &[&BLOCKLIST_ZONE, &BLOCKLIST_WEIGHT, &BLOCKLIST_ALLOW, &BLOCKLIST_ANSWERS],
    later: &[],
};

/// `[verify]`.
pub(crate) const VERIFY: Section = Section {
    heading: "[verify]",
    about: "What is done about mail from strangers that nobody vouches for: SPF, DKIM, DMARC, ARC and the name of the \
            client. `accept` takes it, `tag` takes it with a field X-Posthouse-Suspect, `quarantine` with \
            X-Posthouse-Quarantine (a maildir has it in the folder Junk), `defer` says 451, `reject` 550. The gravest \
            that applies is done. SPF and DKIM are not held against a message that DMARC passes. Every result stands in \
            Authentication-Results.",
    keys: &[
        &VERIFY_ENABLED,
        &SPF_FAIL,
        &SPF_SOFTFAIL,
        &SPF_PERMERROR,
        &SPF_TEMPERROR,
        &DKIM_FAIL,
        &IPREV_FAIL,
        &DMARC_NONE,
        &DMARC_QUARANTINE,
        &DMARC_REJECT,
        &DMARC_PERMERROR,
        &DMARC_TEMPERROR,
        &VERIFY_SEALERS,
    ],
    later: &[],
};

/// `[[verify_domain]]`.
pub(crate) const VERIFY_DOMAIN: Section = Section {
    heading: "[[verify_domain]]",
    about: "Other actions for the mail of some domains. The first table that fits counts.",
    keys: &[
        &VERIFY_DOMAINS,
        &SPF_FAIL,
        &SPF_SOFTFAIL,
        &SPF_PERMERROR,
        &SPF_TEMPERROR,
        &DKIM_FAIL,
        &IPREV_FAIL,
        &DMARC_NONE,
        &DMARC_QUARANTINE,
        &DMARC_REJECT,
        &DMARC_PERMERROR,
        &DMARC_TEMPERROR,
    ],
    later: &[],
};

/// `[[filter]]`.
pub(crate) const FILTER: Section = Section {
    heading: "[[filter]]",
    about: "Programs that judge a message when it is complete and before it is kept, asked one after the other in the \
            order of the file. Incoming is what strangers bring; outgoing is what users and trusted networks send.",
    keys: &[
        &FILTER_NAME,
        &FILTER_KIND,
        &FILTER_ADDRESS,
        &FILTER_URL,
        &FILTER_DIRECTION,
        &FILTER_TIMEOUT,
        &FILTER_FAILURE,
        &FILTER_SIZE,
        &FILTER_LARGER,
        &FILTER_FOUND,
        &FILTER_CONTENT,
        &FILTER_CONCURRENCY,
    ],
    later: &[],
};

/// `[privacy]`.
pub(crate) const PRIVACY: Section = Section {
    heading: "[privacy]",
    about: "What the world learns of how our users write. Mail of others is not touched.",
    keys: &[&HIDE_CLIENT, &REMOVE_FIELDS],
    later: &[],
};

/// `[[route]]`.
pub(crate) const ROUTE: Section = Section {
    heading: "[[route]]",
    about: "Where accepted mail goes. The first route that fits decides; mail that none fits goes to the mailboxes of \
            this server's own domains, and all else to the MX of its domain. A route never decides what is accepted.",
    keys: &[
        &ROUTE_RECIPIENTS,
        &ROUTE_SENDERS,
        &ROUTE_USERS,
        &ROUTE_TO,
        &ROUTE_HOST,
        &ROUTE_TLS,
        &ROUTE_USERNAME,
        &ROUTE_PASSWORD,
    ],
    later: &[
        ("accounts", "smarthost accounts are not in this version; give `host`, `username` and `password_file` instead"),
        ("streams", "streams are not in this version; choose by `recipients`, `senders` or `users`"),
    ],
};

/// `[delivery]`.
pub(crate) const DELIVERY: Section = Section {
    heading: "[delivery]",
    about: "How delivery is tried again, and for how long.",
    keys: &[&RETRY, &EXPIRE, &DELIVERY_CONNECTIONS, &SRS],
    later: &[],
};

/// `[store]`.
pub(crate) const STORE: Section =
    Section { heading: "[store]", about: "What operators edit and count.", keys: &[&STORE_URL], later: &[] };

/// `[log]`.
pub(crate) const LOG: Section = Section {
    heading: "[log]",
    about: "One event, one line, on standard error.",
    keys: &[&LOG_FORMAT, &LOG_LEVEL],
    later: &[],
};

/// Every table in the order of the manual.
pub(crate) const SECTIONS: [&Section; 15] = [
    &TOP,
    &LISTENER,
    &TLS,
    &DNS,
    &LIMITS,
    &GATE,
    &BLOCKLIST,
    &VERIFY,
    &VERIFY_DOMAIN,
    &FILTER,
    &PRIVACY,
    &ROUTE,
    &DELIVERY,
    &STORE,
    &LOG,
];
