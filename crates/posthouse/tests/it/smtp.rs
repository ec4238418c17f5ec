//! A client that types.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
};

use crate::server::DEADLINE;

/// One session.
pub(crate) struct Smtp {
    reader: BufReader<TcpStream>,
}

impl Smtp {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut session = Self::open(address).expect("it listens");
        session.expect("220");
        session.say("EHLO client.example", "250");
        session
    }

    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    /// Over a connection that is there.
    pub(crate) fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// The next reply, all its lines.
    pub(crate) fn reply(&mut self) -> io::Result<String> {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            if self.reader.read_line(&mut reply)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if reply.as_bytes().get(start + 3) != Some(&b'-') {
                return Ok(reply);
            }
        }
    }

    pub(crate) fn expect(&mut self, code: &str) -> String {
        let reply = self.reply().expect("a reply");
        assert!(reply.starts_with(code), "expected {code}, got {reply}");
        reply
    }

    pub(crate) fn send(&mut self, text: &str) -> io::Result<()> {
        self.reader.get_mut().write_all(text.as_bytes())
    }

    pub(crate) fn say(&mut self, command: &str, code: &str) -> String {
        self.send(&format!("{command}\r\n")).expect("it is connected");
        self.expect(code)
    }

    /// A whole message; returns the id of the 250.
    pub(crate) fn mail(&mut self, from: &str, to: &[&str], content: &str) -> String {
        self.say(&format!("MAIL FROM:<{from}>"), "250");
        for to in to {
            self.say(&format!("RCPT TO:<{to}>"), "250");
        }
        self.say("DATA", "354");
        let reply = self.say(&format!("{content}\r\n."), "250");
        id_of(&reply)
    }
}

/// The id in a 250.
pub(crate) fn id_of(reply: &str) -> String {
    let start = reply.find("msg_").unwrap_or_else(|| panic!("no id in {reply}"));
    reply[start..].trim_end().to_owned()
}
