"""A Posthouse of its own: one folder with its configuration, data and log; its command line as methods."""

import json
import os
import pathlib

from . import letters, process

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary():
    """The program under test: $POSTHOUSE, or what `cargo build --release` made."""
    path = pathlib.Path(os.environ.get("POSTHOUSE") or ROOT / "target/release/posthouse").resolve()
    if not path.exists():
        raise SystemExit(f"{path} is not there; run `cargo build --release -p posthouse`, or name another by $POSTHOUSE")
    return path


class Posthouse:
    """`listeners` is a list of (service, port, further keys) and `routes` a list of tables; `extra` is TOML put behind."""

    def __init__(self, folder, listeners, routes=(), top=None, extra="", before_exec=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.data, self.config, self.log = self.folder / "data", self.folder / "posthouse.toml", self.folder / "posthouse.log"
        self.http_port = process.free_port()
        self.ports = [port for _, port, _ in listeners]
        self.before_exec, self.daemon = before_exec, None
        head = {"hostname": "mx.example.net", "data_dir": str(self.data), **(top or {})}
        tables = [_table(head)]
        for service, port, keys in [*listeners, ("http", self.http_port, {})]:
            tables.append("[[listener]]\n" + _table({"service": service, "address": [f"127.0.0.1:{port}"], **keys}))
        tables += ["[[route]]\n" + _table(route) for route in routes]
        self.config.write_text("\n".join([*tables, extra]))

    def start(self, deadline=30.0):
        """Starts it and waits until every port listens."""
        self.daemon = process.Daemon(
            [binary(), "serve", "--config", self.config], self.log, before_exec=self.before_exec, cwd=self.folder
        )
        for port in [*self.ports, self.http_port]:
            self.daemon.wait_for_port(port, deadline)
        return self

    def stop(self):
        return self.daemon.stop() if self.daemon else None

    def kill(self):
        self.daemon.kill()

    def log_tail(self):
        return process.tail(self.log)

    def cli(self, *arguments, input=None, code=0):
        """Runs a command against this server; returns its output."""
        command = [binary(), *arguments, "--config", self.config]
        return process.run(command, input=input, cwd=self.folder).expect(code).output

    def json(self, *arguments):
        """Runs a command with --json and reads its answer."""
        return json.loads(self.cli(*arguments, "--json"))

    def add_domain(self, domain):
        self.cli("domain", "add", domain)

    def add_user(self, address, password):
        self.cli("user", "add", address, "--password-stdin", input=password + "\n")

    def mailbox(self):
        """Every letter in any Maildir of the data folder, as on the wire."""
        found = []
        for folder in ("new", "cur"):
            for path in self.data.glob(f"**/{folder}/*"):
                try:
                    found.append(letters.from_file(path.read_bytes()))
                except FileNotFoundError:
                    pass
        return found

    def wait_for_mail(self, mark, deadline=30.0):
        """The first delivered letter that holds this mark."""
        wanted = mark.encode()
        found = process.wait_until(
            lambda: [letter for letter in self.mailbox() if wanted in letter],
            f"a letter with {mark} in a mailbox of Posthouse", deadline, poll=0.1,
        )
        return found[0]


def _table(keys):
    return "".join(f"{key} = {_value(value)}\n" for key, value in keys.items())


def _value(value):
    """A TOML value; JSON writes text, numbers, booleans and lists the same way."""
    return json.dumps(str(value) if isinstance(value, pathlib.Path) else value, ensure_ascii=False)
