//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mail::{Domain, Mailbox};

/// An SMTP server and delivery engine
#[derive(Debug, Parser)]
#[command(name = "posthouse", bin_name = "posthouse", version, max_term_width = 100, infer_long_args = false)]
#[command(after_help = "Without --config, every command means the sandbox in ./posthouse-data.")]
pub(super) struct Arguments {
    /// The configuration file; without it, the sandbox
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Print JSON; for serve, log in JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the server; without --config a sandbox that captures all mail and lets nothing out
    Serve,
    /// Look for mistakes before they hurt
    Check {
        #[command(subcommand)]
        what: Option<CheckWhat>,
    },
    /// The domains whose mail is taken
    Domain {
        #[command(subcommand)]
        verb: DomainVerb,
    },
    /// The keys that sign a domain's mail
    Dkim {
        #[command(subcommand)]
        verb: DkimVerb,
    },
    /// The users who may send and have a mailbox
    User {
        #[command(subcommand)]
        verb: UserVerb,
    },
    /// Addresses that lead to others
    Alias {
        #[command(subcommand)]
        verb: AliasVerb,
    },
    /// Where mail for unknown users of a domain goes
    CatchAll {
        #[command(subcommand)]
        verb: CatchAllVerb,
    },
    /// What waits, why, and how to change that
    Queue {
        #[command(subcommand)]
        verb: QueueVerb,
    },
    /// Send one letter and print the conversation
    Send(Letter),
    /// Print a page of the manual
    #[command(hide = true)]
    Reference { page: ReferencePage },
}

#[derive(Debug, Subcommand)]
pub(super) enum CheckWhat {
    /// The configuration file: every mistake, with its line
    Config,
    /// What our domains publish in the DNS: what is wrong, in words
    Dns {
        /// Only this domain
        #[arg(value_name = "DOMAIN")]
        domain: Option<Domain>,
    },
    /// Whether a server passes on the mail of strangers; nothing is sent
    OpenRelay(OpenRelay),
}

/// The server to try, and the names to try with.
#[derive(Debug, Args)]
#[command(
    after_help = "Run it from outside: a server that trusts this machine relays for it. Each way ends at the reply to \
                        RCPT. The status is 0 when every way is closed, 1 when one is open, 3 when some could not be judged."
)]
pub(super) struct OpenRelay {
    /// HOST or HOST:PORT
    #[arg(value_name = "HOST:PORT")]
    pub(super) server: String,
    /// Somebody elsewhere, to whom the server should not relay
    #[arg(long, value_name = "ADDRESS", default_value = "posthouse-check@example.com")]
    pub(super) to: Mailbox,
    /// The sender; without it, one in the domain of --to
    #[arg(long, value_name = "ADDRESS")]
    pub(super) from: Option<Mailbox>,
    /// A domain whose mail the server takes; without it, that of its host name
    #[arg(long, value_name = "DOMAIN")]
    pub(super) domain: Option<Domain>,
    /// The name to say in EHLO; without it, the host name
    #[arg(long, value_name = "NAME")]
    pub(super) ehlo: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ReferencePage {
    Config,
    Sample,
}

#[derive(Debug, Subcommand)]
pub(super) enum DomainVerb {
    /// Take mail for a domain
    Add {
        #[arg(value_name = "DOMAIN")]
        domain: Domain,
        /// Pass its mail on to its MX or along a route, instead of keeping mailboxes here
        #[arg(long)]
        relay: bool,
    },
    /// List the domains
    List,
    /// Print the DNS records that a domain has to publish, as lines of a zone
    Dns {
        #[arg(value_name = "DOMAIN")]
        domain: Domain,
    },
    /// Take no more mail for a domain
    Remove {
        #[arg(value_name = "DOMAIN")]
        domain: Domain,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum DkimVerb {
    /// Make a domain's first keys, RSA and Ed25519; they sign at once
    Create {
        #[arg(value_name = "DOMAIN")]
        domain: Domain,
    },
    /// Change a domain's keys: run it once for new keys, publish them, run it again to sign with them
    Rotate {
        #[arg(value_name = "DOMAIN")]
        domain: Domain,
        /// Sign with the new keys without looking whether they are published
        #[arg(long)]
        unchecked: bool,
    },
    /// List the keys
    List {
        #[arg(value_name = "DOMAIN")]
        domain: Option<Domain>,
    },
    /// Remove a key
    Remove {
        #[arg(value_name = "DOMAIN")]
        domain: Domain,
        #[arg(value_name = "SELECTOR")]
        selector: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum UserVerb {
    /// Add a user with a mailbox
    Add {
        #[arg(value_name = "ADDRESS")]
        address: Mailbox,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// List the users
    List,
    /// Remove a user; the letters in the mailbox stay
    Remove {
        #[arg(value_name = "ADDRESS")]
        address: Mailbox,
    },
    /// Give a user another password
    Password {
        #[arg(value_name = "ADDRESS")]
        address: Mailbox,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AliasVerb {
    /// Make an address lead to others; an alias that is there is replaced
    Add {
        #[arg(value_name = "ADDRESS")]
        address: Mailbox,
        #[arg(value_name = "TARGET", required = true)]
        targets: Vec<Mailbox>,
    },
    /// List the aliases
    List,
    /// Remove an alias
    Remove {
        #[arg(value_name = "ADDRESS")]
        address: Mailbox,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum CatchAllVerb {
    /// Give a domain's unknown users to an address; a catch-all that is there is replaced
    Add {
        #[arg(value_name = "DOMAIN")]
        domain: Domain,
        #[arg(value_name = "TARGET")]
        target: Mailbox,
    },
    /// List the catch-alls
    List,
    /// Remove a domain's catch-all
    Remove {
        #[arg(value_name = "DOMAIN")]
        domain: Domain,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum QueueVerb {
    /// How many wait, in which state, for which domains
    Summary,
    /// List deliveries, newest first
    List {
        #[command(flatten)]
        which: Which,
        /// List at most so many
        #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show one message: envelope, recipients, history, the conversation of the last failure
    Show {
        /// An id: msg_… or rcp_…
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Try again now
    Retry {
        #[command(flatten)]
        which: Changed,
    },
    /// Stop until released
    Hold {
        #[command(flatten)]
        which: Changed,
    },
    /// Let what was held go on
    Release {
        #[command(flatten)]
        which: Changed,
    },
    /// Give up, without a bounce
    Cancel {
        #[command(flatten)]
        which: Changed,
    },
    /// Send along another route, now
    #[command(after_help = "--to names the route here when it is one of mx, relay:HOST:PORT, maildir, capture, hold, \
                            reject; an address or @domain is a recipient, as with the other verbs. What waits is tried \
                            at once; what is held stays held.")]
    Reroute {
        #[command(flatten)]
        which: Changed,
        /// The route: mx, relay:HOST:PORT, maildir, capture, hold or reject
        #[arg(long, value_name = "ROUTE")]
        route: Option<String>,
    },
    /// Take up work again after a failed sync, once its cause is mended
    Recover,
}

/// Which deliveries: one of the ids, and all the options that are given.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Which {
    /// Messages (msg_…) or single recipients (rcp_…)
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,
    /// The recipient: an address or @domain
    #[arg(long, value_name = "ADDRESS")]
    pub(super) to: Vec<String>,
    /// The reverse-path: an address, @domain, or <>
    #[arg(long, value_name = "ADDRESS")]
    pub(super) from: Option<String>,
    /// The recipient's domain
    #[arg(long, value_name = "DOMAIN")]
    pub(super) domain: Option<String>,
    /// The state: queued, active, deferred, scheduled, held, delivered, bounced, expired or cancelled
    #[arg(long, value_name = "STATE")]
    pub(super) state: Option<String>,
    /// Accepted longer ago than that: 30m, 2h, 1d
    #[arg(long, value_name = "DURATION")]
    pub(super) older: Option<String>,
}

/// What a verb changes.
#[derive(Clone, Debug, Args)]
pub(super) struct Changed {
    #[command(flatten)]
    pub(super) which: Which,
    /// Everything in the queue
    #[arg(long)]
    pub(super) all: bool,
}

/// One letter to send.
#[derive(Debug, Args)]
pub(super) struct Letter {
    /// Where to: HOST or HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) server: String,
    /// The reverse-path; empty for the null path
    #[arg(long, value_name = "ADDRESS")]
    pub(super) from: String,
    /// A recipient; may be given again
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(super) to: Vec<Mailbox>,
    /// The subject
    #[arg(long, default_value = "A letter from posthouse send")]
    pub(super) subject: String,
    /// The text; without it, standard input is the text
    #[arg(long)]
    pub(super) body: Option<String>,
    /// The user to authenticate as
    #[arg(long, value_name = "USER")]
    pub(super) auth_user: Option<String>,
    /// Read the password from the first line of standard input
    #[arg(long, requires = "auth_user")]
    pub(super) password_stdin: bool,
    /// TLS; starttls and implicit take any certificate
    #[arg(long, value_enum, default_value_t = SendTls::Off)]
    pub(super) tls: SendTls,
    /// The name to say in EHLO; without it, the host name
    #[arg(long, value_name = "NAME")]
    pub(super) ehlo: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SendTls {
    /// None
    Off,
    /// By STARTTLS
    Starttls,
    /// From the first byte
    Implicit,
}
