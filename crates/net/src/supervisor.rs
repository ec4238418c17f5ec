//! Telling whoever started the process how it is: sd_notify(3), a datagram to the socket that `NOTIFY_SOCKET` names.
//! Without a supervisor nothing is said.

use std::{
    ffi::OsString,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{ffi::OsStrExt as _, net::SocketAddr, net::UnixDatagram},
    },
    time::Duration,
};

/// What the process says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It serves.
    Ready,
    /// It reads its configuration again; [`Phase::Ready`] follows.
    Reloading,
    /// It finishes what is in flight.
    Stopping,
    /// It is alive: due at least every [`Supervisor::watchdog`].
    Alive,
}

/// The other end.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one that the environment names.
    #[expect(clippy::disallowed_methods, reason = "the protocol of sd_notify(3) is spoken through the environment")]
    pub fn from_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(connect);
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| ours && *micros > 0).map(Duration::from_micros);
        Self { watchdog: watchdog.filter(|_| socket.is_some()), socket }
    }

    /// Within which time it wants to hear [`Phase::Alive`], if at all.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Says it. A supervisor that is gone is told nothing.
    pub fn tell(&self, phase: Phase) {
        let Some((socket, to)) = &self.socket else { return };
        let _gone = socket.send_to_addr(message(phase).as_bytes(), to).is_err();
    }
}

fn connect(name: OsString) -> Option<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        _ => SocketAddr::from_pathname(&name),
    };
    let socket = UnixDatagram::unbound().ok()?;
    // A supervisor that does not read must not stop the mail.
    socket.set_nonblocking(true).ok()?;
    Some((socket, address.ok()?))
}

fn message(phase: Phase) -> String {
    match phase {
        Phase::Ready => format!("READY=1\nMAINPID={}\nSTATUS=Serving\n", std::process::id()),
        Phase::Reloading => {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
            format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=Reading the configuration again\n")
        }
        Phase::Stopping => "STOPPING=1\nSTATUS=Finishing what is in flight\n".to_owned(),
        Phase::Alive => "WATCHDOG=1\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: OsString, listener: &UnixDatagram) {
        let supervisor = Supervisor { socket: connect(name), watchdog: None };
        let mut told = [0; 200];
        for (phase, expect) in [
            (Phase::Ready, "READY=1\nMAINPID="),
            (Phase::Reloading, "RELOADING=1\nMONOTONIC_USEC="),
            (Phase::Stopping, "STOPPING=1\n"),
            (Phase::Alive, "WATCHDOG=1\n"),
        ] {
            supervisor.tell(phase);
            let length = listener.recv(&mut told).unwrap();
            let told = std::str::from_utf8(&told[..length]).unwrap();
            assert!(told.starts_with(expect), "{told}");
        }
    }

    #[test]
    fn it_is_told_through_a_file_and_through_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        check(path.clone().into(), &UnixDatagram::bind(&path).unwrap());
        let name = format!("posthouse-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        check(format!("@{name}").into(), &UnixDatagram::bind_addr(&address).unwrap());
    }

    #[test]
    fn one_that_is_gone_or_was_never_there_is_told_nothing() {
        Supervisor::default().tell(Phase::Ready);
        Supervisor { socket: connect("/nowhere/notify".into()), watchdog: None }.tell(Phase::Ready);
    }
}
