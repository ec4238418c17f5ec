"""The two servers, each durable as by its defaults, and the sink behind them."""

import json
import os
import pathlib
import re
import urllib.request

from rig import process
from rig.postfix import Postfix

from .machine import Account

POSTHOUSE = pathlib.Path(os.environ.get("POSTHOUSE", pathlib.Path(__file__).parents[2] / "target/release/posthouse"))
USER, PASSWORD = "ann@example.net", "correct horse"


class Sink:
    """smtp-sink: takes everything, keeps nothing, counts."""

    def __init__(self, folder):
        self.port = process.free_port()
        self.log = pathlib.Path(folder) / "sink.log"
        command = ["smtp-sink", "-u", "nobody", "-c", f"127.0.0.1:{self.port}", "1024"]
        self.daemon = process.Daemon(command, self.log)
        self.daemon.wait_for_port(self.port)

    def count(self):
        """Messages taken so far."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 200))
            found = re.findall(rb"mesg=(\d+)", log.read())
        return int(found[-1]) if found else 0

    def stop(self):
        self.daemon.kill()


class PostfixServer:
    """Postfix. Against its defaults: limits per client off, since one client is the whole load; no DNS; process limit
    above the number of sessions; no pause of input while the queue is behind (`in_flow_delay`), which would only cost it."""

    name = "postfix"
    # Taken and kept: the queue manager puts each message into the deferred queue without trying.
    keeping = {"defer_transports": "smtp"}

    def __init__(self, folder, next_hop, tls=None):
        self.account = Account("postfix")
        self.port, self.tls_port = process.free_port(), process.free_port()
        settings = {
            "default_process_limit": "1200",
            "in_flow_delay": "0s",
            "smtpd_client_connection_count_limit": "0",
            "smtpd_client_connection_rate_limit": "0",
            "smtpd_error_sleep_time": "0s",
            "smtpd_peername_lookup": "no",
            "disable_dns_lookups": "yes",
            "smtpd_recipient_limit": "2000",
            "message_size_limit": "52428800",
            "smtpd_tls_security_level": "may" if tls else "none",
        }
        settings |= {"relayhost": f"[127.0.0.1]:{next_hop}"} if next_hop else self.keeping
        services = [(self.port, {})]
        if tls:
            services.append((self.tls_port, {"smtpd_tls_wrappermode": "yes", "smtpd_sasl_auth_enable": "yes"}))
        users = {USER: PASSWORD} if tls else None
        self.server = Postfix(folder, services, settings, users=users, certificates=tls, before_exec=self.account.enter)
        self.server.start()
        self.account.root_pid = self.server.master_pid()

    def stop(self):
        self.server.stop()
        process.wait_until(lambda: not self.account.processes(), "Postfix to end", deadline=60)
        self.account.close()


class HoldingPostfixServer(PostfixServer):
    """Postfix that puts each message on hold as it comes: no queue manager sees it. The least that accepting can cost it."""

    keeping = {"smtpd_client_restrictions": "check_client_access static:HOLD"}


# Who may relay; and a proxy that speaks of others, who may not.
TRUSTED, PROXIED = 'trusted_networks = ["127.0.0.0/8"]', 'proxy_networks = ["127.0.0.0/8"]'


class PosthouseServer:
    """Posthouse with a log of warnings, as Postfix logs nothing here either."""

    name = "posthouse"

    def __init__(self, folder, next_hop, tls=None, clients=TRUSTED, tables=""):
        """`clients` says whose connections come in over `port`, `tables` is more of the configuration."""
        self.account = Account("posthouse")
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.tls_port, self.http = (process.free_port() for _ in range(3))
        route = f'to = "relay"\nhost = "127.0.0.1:{next_hop}"\ntls = "off"' if next_hop else 'to = "hold"'
        self.config = self.folder / "posthouse.toml"
        self.config.write_text(f"""\
hostname = "mx.example.org"
data_dir = "{self.folder / 'data'}"
[[listener]]
service = "mx"
address = "127.0.0.1:{self.port}"
tls = "{'starttls' if tls else 'off'}"
{clients}
[[listener]]
service = "submission"
address = "127.0.0.1:{self.tls_port}"
tls = "implicit"
[[listener]]
service = "http"
address = "127.0.0.1:{self.http}"
[limits]
disk_reserve = "100 MB"
recipients_per_message = 2000
[log]
level = "warn"
{tables}
[[route]]
recipients = ["*"]
{route}
""")
        self.start()
        if tls:
            self.command("domain", "add", USER.partition("@")[2])
            self.command("user", "add", USER, "--password-stdin", input=PASSWORD + "\n")

    def start(self):
        command = [POSTHOUSE, "serve", "--config", self.config]
        self.daemon = process.Daemon(command, self.folder / "posthouse.log", before_exec=self.account.enter)
        self.account.root_pid = self.daemon.pid
        self.wait_ready()

    def wait_ready(self):
        process.wait_until(self.ready, f"Posthouse to be ready; its log:\n{process.tail(self.daemon.log)}", poll=0.005)

    def sign(self, domain, algorithms):
        """Has the mail of a domain signed, with these of its keys only."""
        self.command("domain", "add", domain)
        for key in json.loads(self.command("dkim", "list", domain, "--json")):
            if not any(f"k={algorithm}" in key["record"] for algorithm in algorithms):
                self.command("dkim", "remove", domain, key["selector"])

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def ready(self):
        if not self.daemon.alive():
            raise process.Timeout(f"Posthouse ended:\n{process.tail(self.daemon.log)}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/healthz", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def command(self, *arguments, input=None):
        return process.run([POSTHOUSE, *arguments, "--config", self.config], input=input, timeout=600).expect().output

    def stop(self):
        self.daemon.stop()
        self.account.close()


BOTH = (PostfixServer, PosthouseServer)
HOLDING = (HoldingPostfixServer, PosthouseServer)
