"""What the cases share: our server with a domain, users and routes, a recorder behind it, and a Postfix beside it."""

import json
import os
import pathlib
import ssl
import urllib.request

from . import process
from .certificates import Certificates
from .postfix import Postfix, virtual_mailboxes
from .recorder import Recorder

POSTHOUSE = pathlib.Path(os.environ.get("POSTHOUSE", pathlib.Path(__file__).parents[2] / "target/release/posthouse"))
USER, PASSWORD = "ann@example.net", "correct, horse=battery"
# Where the tests' Postfix has mailboxes, and ours.
THEIRS, OURS = "example.org", "example.net"
# Domains of theirs that are reached by AUTH, each by one mechanism, and one that is reached by TLS if offered.
BY_AUTH = {"PLAIN": "plain.example", "LOGIN": "login.example", "SCRAM-SHA-256": "scram.example"}
MAYBE_TLS = "maybe.example"


class Server:
    """Posthouse: a configuration, a data directory, a process."""

    def __init__(self, folder, config, ports):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "posthouse.toml"
        self.config.write_text(config)
        self.log = self.folder / "posthouse.log"
        self.ports, self.daemon = ports, None

    def start(self):
        self.daemon = process.Daemon([POSTHOUSE, "serve", "--config", self.config], self.log)
        for port in self.ports:
            self.daemon.wait_for_port(port)
        return self

    def command(self, *arguments, input=None):
        return process.run([POSTHOUSE, *arguments, "--config", self.config], input=input).expect().output

    def populate(self):
        """Our domain and our user."""
        self.command("domain", "add", OURS)
        self.command("user", "add", USER, "--password-stdin", input=PASSWORD + "\n")

    def queue(self, *arguments):
        return json.loads(self.command("queue", *arguments, "--json"))

    def log_tail(self):
        return process.tail(self.log)


class World:
    """Our server and its neighbours."""

    def __init__(self, folder):
        self.folder = folder
        folder.chmod(0o755)
        self.certificates = Certificates(folder / "certificates")
        self.recorder = Recorder()
        self.mx, self.submission, self.tls, self.http = (process.free_port() for _ in range(4))
        self.typed = process.free_port()
        self.postfix_port = process.free_port()
        self.auth_ports = {mechanism: process.free_port() for mechanism in BY_AUTH}
        self.password_file = folder / "relay.password"
        self.password_file.write_text(PASSWORD + "\n")
        self.password_file.chmod(0o600)
        self.server = Server(folder / "posthouse", self._config(), [self.mx, self.submission, self.tls, self.http, self.typed]).start()
        self.server.populate()
        self.server.command("alias", "add", f"info@{OURS}", USER)
        self.mailboxes = folder / "mailboxes"
        domains = [THEIRS, MAYBE_TLS, *BY_AUTH.values()]
        services = [(self.postfix_port, {}), *((port, self._only_by(mechanism)) for mechanism, port in self.auth_ports.items())]
        self.postfix = Postfix(folder / "postfix", services, {
            **virtual_mailboxes(self.mailboxes, domains, [f"bob@{domain}" for domain in domains]),
            "smtpd_tls_security_level": "may",
            "smtp_tls_security_level": "encrypt",
            "smtpd_tls_received_header": "yes",
            "relayhost": f"[127.0.0.1]:{self.mx}",
            "mynetworks": "127.0.0.0/8",
        }, users={USER: PASSWORD}, certificates=self.certificates).start()

    def _only_by(self, mechanism):
        """A service of Postfix that takes mail only behind TLS and this AUTH."""
        return {"smtpd_tls_auth_only": "yes", "smtpd_sasl_mechanism_filter": mechanism.lower(),
                "smtpd_recipient_restrictions": "permit_sasl_authenticated,reject"}

    def _config(self):
        return f"""\
hostname = "mx.example.net"
data_dir = "{self.folder / 'posthouse' / 'data'}"
[[listener]]
service = "mx"
address = "127.0.0.1:{self.mx}"
[[listener]]
service = "submission"
address = "127.0.0.1:{self.submission}"
[[listener]]
service = "submission"
address = "127.0.0.1:{self.tls}"
tls = "implicit"
[[listener]]
service = "submission"
address = "127.0.0.1:{self.typed}"
plaintext_auth = true
[[listener]]
service = "http"
address = "127.0.0.1:{self.http}"
[tls]
certificate = "{self.certificates.certificate}"
key = "{self.certificates.key}"
[limits]
disk_reserve = "50 MB"
[delivery]
retry = ["1s", "2s", "5s"]
[[route]]
recipients = ["{THEIRS}"]
to = "relay"
host = "127.0.0.1:{self.postfix_port}"
tls = "required"
[[route]]
recipients = ["*.capture.example"]
to = "capture"
[[route]]
recipients = ["*.recorder.example"]
to = "relay"
host = "127.0.0.1:{self.recorder.port}"
tls = "off"
[[route]]
recipients = ["{MAYBE_TLS}"]
to = "relay"
host = "127.0.0.1:{self.postfix_port}"
""" + "".join(f"""\
[[route]]
recipients = ["{domain}"]
to = "relay"
host = "127.0.0.1:{self.auth_ports[mechanism]}"
tls = "required"
username = "{USER}"
password_file = "{self.password_file}"
""" for mechanism, domain in BY_AUTH.items())

    def trusting(self):
        """TLS that verifies our certificate against the authority that made it."""
        return ssl.create_default_context(cafile=self.certificates.authority)

    def delivered(self, user, mark, deadline=30.0):
        """The bytes of the letter with that mark in a mailbox of ours."""
        return self._in_maildir(self.folder / "posthouse" / "data", mark, deadline, f"ours ({user})")

    def at_postfix(self, mark, deadline=30.0):
        """The same in a mailbox of Postfix."""
        return self._in_maildir(self.mailboxes, mark, deadline, "Postfix")

    def _in_maildir(self, root, mark, deadline, whose):
        def look():
            for path in root.rglob("new/*"):
                content = path.read_bytes()
                if mark.encode() in content:
                    return content
            return None

        return process.wait_until(look, f"a letter with {mark} in a mailbox of {whose}", deadline)

    def fetch(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
            return answer.read()

    def stop(self):
        self.postfix.stop()
        self.server.daemon.stop()
        self.recorder.stop()
