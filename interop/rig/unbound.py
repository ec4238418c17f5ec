"""Unbound: a real resolver, with nothing but what it is told."""

import signal

from . import process


class Unbound:
    """Listens on `port`; `server` are further lines of its `server:` clause, `clauses` what follows that."""

    def __init__(self, folder, server=(), clauses=""):
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        self.port, self.folder, self.daemon = process.free_port(), folder, None
        more = "".join(f"  {line}\n" for line in server)
        (folder / "unbound.conf").write_text(f"""\
server:
  interface: 127.0.0.1@{self.port}
  access-control: 127.0.0.0/8 allow
  chroot: ""
  username: ""
  directory: "{folder}"
  pidfile: "{folder}/pid"
  use-syslog: no
  do-daemonize: no
  module-config: "iterator"
{more}remote-control:
  control-enable: no
{clauses}""")

    def start(self):
        self.daemon = process.Daemon(["unbound", "-d", "-c", self.folder / "unbound.conf"], self.folder / "log")
        self.daemon.wait_for_port(self.port)
        return self

    def signal(self, number):
        self.daemon.process.send_signal(number)

    def stop(self):
        if self.daemon:
            self.signal(signal.SIGCONT)
            self.daemon.stop()
