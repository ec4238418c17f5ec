//! SMTP load that `smtp-source` cannot make: TLS with AUTH, a steady rate, the way through a relay, crowds that idle,
//! strangers, messages from a file. One thread per session, blocking sockets; certificates are not looked at, for what is
//! measured is the server.

mod client;
mod crowd;
mod rate;
mod send;
mod sink;
mod transit;

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "Makes SMTP load", version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// As many messages as fit; prints messages per second
    Send(send::Plan),
    /// A steady rate over a few kept connections; prints the milliseconds from the dot to its reply
    Rate(rate::Plan),
    /// The same through a relay into a sink of its own; prints the milliseconds from the dot to the arrival there
    Transit(transit::Plan),
    /// Connections that have said EHLO and then idle until standard input ends
    Crowd(crowd::Plan),
}

/// Whom to talk to and how.
#[derive(Args, Clone)]
struct Peer {
    /// Address and port of the server
    address: SocketAddr,
    /// TLS from the first octet
    #[arg(long)]
    tls: bool,
    /// Take up the TLS sessions of earlier connections
    #[arg(long, requires = "tls")]
    resume: bool,
}

/// What each message is.
#[derive(Args, Clone)]
struct Letter {
    /// The sender
    #[arg(long, default_value = "a@example.com")]
    from: String,
    /// The recipient
    #[arg(long, default_value = "b@example.org")]
    to: String,
    /// Octets of content
    #[arg(long, default_value_t = 4096)]
    size: usize,
}

/// What ends a content.
const END: &[u8] = b".\r\n";

impl Letter {
    /// The content with its final dot.
    fn content(&self, subject: &str) -> Vec<u8> {
        const LINE: &[u8] = b"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n";
        let mut content = format!("Subject: {subject}\r\n\r\n").into_bytes();
        while content.len() + LINE.len() <= self.size {
            content.extend_from_slice(LINE);
        }
        content.extend_from_slice(END);
        content
    }
}

fn main() -> Result<(), Failure> {
    match Arguments::parse().what {
        What::Send(plan) => send::run(&plan),
        What::Rate(plan) => rate::run(&plan),
        What::Transit(plan) => transit::run(&plan),
        What::Crowd(plan) => crowd::run(&plan),
    }
}
