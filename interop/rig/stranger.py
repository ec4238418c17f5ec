"""Strangers: a server of its own that verifies them, and clients that come from any address by the PROXY protocol."""

import contextlib
import ipaddress
import struct

from . import letters, process
from .dialogue import Dialogue, stuffed
from .dns import Dns
from .world import USER, Server

HOSTNAME = "mx.example.net"
# The gate asks no questions of its own: what is looked at is what comes behind it.
GATE_OPEN = """\
[gate]
pregreet_wait = "0s"
tarpit = "0s"
own_name = "accept"
unqualified_name = "accept"
sender_domain = "accept"
"""
# What version 2 of the PROXY protocol begins with.
V2_PREFIX = b"\r\n\r\n\0\r\nQUIT\n"


def proxy_v1(address):
    family, ours = ("TCP4", "192.0.2.25") if ipaddress.ip_address(address).version == 4 else ("TCP6", "2001:db8::25")
    return f"PROXY {family} {address} {ours} 4096 25\r\n".encode()


def proxy_v2(address):
    address = ipaddress.ip_address(address)
    family, ours = (0x11, "192.0.2.25") if address.version == 4 else (0x21, "2001:db8::25")
    rest = address.packed + ipaddress.ip_address(ours).packed + struct.pack("!HH", 4096, 25)
    return V2_PREFIX + bytes([0x21, family]) + struct.pack("!H", len(rest)) + rest


class Proxied(Dialogue):
    """A connection that says it is on behalf of a client. IPv4 by version 1, IPv6 by version 2."""

    def __init__(self, port, client):
        super().__init__(port)
        self.said.append(f"(from {client})")
        self.socket.sendall(proxy_v1(client) if ipaddress.ip_address(client).version == 4 else proxy_v2(client))


class Doorkeeper:
    """A server that verifies, with the name servers that it is told, and `more` tables at the end of its configuration."""

    def __init__(self, folder, dns_port, gate="", verify="", more=""):
        self.mx, self.submission = process.free_port(), process.free_port()
        self.server = Server(folder, f"""\
hostname = "{HOSTNAME}"
data_dir = "{folder / 'data'}"
[[listener]]
service = "mx"
address = "127.0.0.1:{self.mx}"
proxy_networks = ["127.0.0.0/8"]
[[listener]]
service = "submission"
address = "127.0.0.1:{self.submission}"
plaintext_auth = true
[dns]
servers = ["127.0.0.1:{dns_port}"]
[limits]
disk_reserve = "50 MB"
[log]
level = "debug"
{gate}
{verify}
{more}
""", [self.submission])

    def start(self):
        self.server.start()
        return self

    def populate(self):
        """Our domain and our user."""
        self.server.populate()
        return self

    def stop(self):
        if self.server.daemon:
            self.server.daemon.stop()

    @contextlib.contextmanager
    def session(self, client, helo=None):
        """A connection on behalf of a client, which has said EHLO when a name is given."""
        with Proxied(self.mx, client) as dialogue:
            dialogue.expect(220)
            if helo:
                dialogue.ehlo(helo)
            yield dialogue

    def bring(self, content, client, sender, helo="mail.client.example", recipient=USER):
        """One message from a stranger; the reply that decided."""
        with self.session(client, helo) as dialogue:
            return hand_over(dialogue, content, sender, recipient)

    def delivered(self, mark, deadline=30.0):
        """The letter with that mark in the user's mailbox, and the folder that it is in: "" or "Junk"."""
        def look():
            for path in (self.server.folder / "data").rglob("new/*"):
                content = path.read_bytes()
                if mark.encode() in content:
                    return letters.from_file(content), path.parent.parent.name.lstrip(".").removeprefix(USER)
            return None

        return process.wait_until(look, f"a letter with {mark}", deadline)


def hand_over(dialogue, content, sender, recipient=USER):
    """MAIL, RCPT, DATA, content; the first reply that is not what leads on, or the last."""
    for command, wanted in ((f"MAIL FROM:<{sender}>", 250), (f"RCPT TO:<{recipient}>", 250), ("DATA", 354)):
        dialogue.send(command)
        reply = dialogue.reply()
        if reply.code != wanted:
            return reply
    dialogue.send(stuffed(content))
    return dialogue.reply()


@contextlib.contextmanager
def doorkeeper(folder, zone, **settings):
    """A name server with a zone and a server that asks it."""
    dns = Dns(zone)
    it = Doorkeeper(folder, dns.port, **settings)
    it.dns = dns
    try:
        yield it.start().populate()
    except Exception as error:
        error.add_note(f"--- the log of the server that verifies ---\n{it.server.log_tail()}")
        raise
    finally:
        it.stop()
        dns.stop()
