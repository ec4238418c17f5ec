//! A server that takes everything, keeps nothing, and tells when each message was complete. For our own relay only: it
//! answers whole lines and knows no command by anything but its first letters.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::Sender,
    thread,
    time::Instant,
};

/// A message that has arrived: what its subject says, and when its dot was read.
pub(crate) type Arrival = (String, Instant);

/// Takes connections until the process ends.
pub(crate) fn run(listener: TcpListener, arrivals: Sender<Arrival>) {
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let arrivals = arrivals.clone();
            // Who breaks a connection off misses what was on it, and that shows.
            thread::spawn(move || drop(session(stream, &arrivals)));
        }
    });
}

fn session(stream: TcpStream, arrivals: &Sender<Arrival>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone()?), stream);
    let mut say = |reply: &[u8]| writer.write_all(reply);
    say(b"220 sink.example ESMTP\r\n")?;
    let mut line = Vec::new();
    while take(&mut reader, &mut line)? {
        match line.get(..4).map(<[u8]>::to_ascii_uppercase).as_deref() {
            Some(b"EHLO") => say(b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n")?,
            Some(b"DATA") => {
                say(b"354 go on\r\n")?;
                if let Some(arrival) = content(&mut reader)? {
                    drop(arrivals.send(arrival));
                }
                say(b"250 2.0.0 taken\r\n")?;
            }
            Some(b"QUIT") => return say(b"221 2.0.0 bye\r\n"),
            _ => say(b"250 2.0.0 fine\r\n")?,
        }
    }
    Ok(())
}

/// Reads a message to its dot. Nothing when it has no subject.
fn content(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Arrival>> {
    let (mut line, mut subject) = (Vec::new(), None);
    while take(reader, &mut line)? {
        if line == b".\r\n" {
            return Ok(subject.map(|subject| (subject, Instant::now())));
        }
        if subject.is_none() && line.starts_with(b"Subject: ") {
            subject = line.get(9..).map(|text| String::from_utf8_lossy(text).trim_end().to_owned());
        }
    }
    Err(io::Error::from(io::ErrorKind::UnexpectedEof))
}

/// The next line with its end; false when there is none.
fn take(reader: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    Ok(reader.read_until(b'\n', line)? > 0)
}
