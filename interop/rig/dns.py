"""A DNS server for the tests: answers from a dictionary, over UDP and TCP on loopback, and remembers what it was asked.

    {"example.net": [("A", "192.0.2.1"), ("TXT", b"v=spf1 -all"), ("MX", 10, "mx.example.net"), "TIMEOUT"]}

A name that is not there is NXDOMAIN, one without records of the type NODATA. CNAMEs are followed as a resolver does that.
`TIMEOUT`: whatever the entries before it do not answer is not answered. `SERVFAIL`: the same, with that code.
"""

import ipaddress
import socket
import socketserver
import struct
import threading

from . import process

TYPES = {1: "A", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA"}
NUMBERS = {name: number for number, name in TYPES.items()}
NOERROR, FORMERR, SERVFAIL, NXDOMAIN = 0, 1, 2, 3
# RFC 1035 §4.1.1: this is an answer, with authority, recursion wanted and available; and that it is cut off.
ANSWER, CUT_OFF = 0x8580, 0x0200
OPT = 41
# Octets over UDP when the client does not say what it takes, and what we say we take.
UDP_DEFAULT, UDP_OURS = 512, 1232
CHAIN_MAX = 8
# Seconds that an answer may be kept, unless the test says more.
TTL = 1


class Silence(Exception):
    """There is no answer."""


class Dns:
    """Listens on `port`. `zone` may be replaced at any time; `asked` has the questions, as (name, type) pairs."""

    def __init__(self, zone=None, ttl=TTL):
        self.ttl, self.zone, self.asked, self.lock = ttl, {}, [], threading.Lock()
        self.port = process.free_port()
        if zone:
            self.publish(zone)
        self.servers = [_Udp(("127.0.0.1", self.port), _Datagram), _Tcp(("127.0.0.1", self.port), _Connection)]
        for server in self.servers:
            server.dns = self
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def publish(self, zone):
        """Adds names, or replaces them."""
        self.zone = {**self.zone, **{name.lower().rstrip("."): entries for name, entries in zone.items()}}

    def questions(self):
        with self.lock:
            return list(self.asked)

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def answer(self, query, room):
        """The answer to a message, in so many octets at most; Silence when there is none."""
        identity, flags, questions = struct.unpack_from("!HHH", query)
        if questions != 1 or flags & 0x8000:
            raise Silence
        name, at = _read_name(query, 12)
        kind, _class = struct.unpack_from("!HH", query, at)
        question, at = query[12:at + 4], at + 4
        with self.lock:
            self.asked.append((name, TYPES.get(kind, str(kind))))
        code, records = self._look_up(name, TYPES.get(kind))
        takes = _takes(query, at)
        additional = b"\0" + struct.pack("!HHIH", OPT, UDP_OURS, 0, 0) if takes else b""
        # RFC 2308 §3: how long "there is none" may be kept.
        authority = [] if records or code == SERVFAIL else [_record("", "SOA", _soa(), TTL)]
        room = room or takes or UDP_DEFAULT

        def message(records, authority, cut):
            counts = (1, len(records), len(authority), 1 if additional else 0)
            head = struct.pack("!HHHHHH", identity, ANSWER | cut | code, *counts)
            return head + question + b"".join(records) + b"".join(authority) + additional

        whole = message(records, authority, 0)
        return whole if len(whole) <= room else message([], [], CUT_OFF)

    def _look_up(self, name, kind):
        """The code, and the records: those of the CNAMEs before those of the type."""
        records = []
        for _ in range(CHAIN_MAX):
            entries = self.zone.get(name.lower())
            if entries is None:
                return NXDOMAIN, records
            before = [entry for entry in _before_failure(entries) if entry[0] in (kind, "CNAME")]
            alias = next((entry[1] for entry in before if entry[0] == "CNAME" and kind != "CNAME"), None)
            if alias is None:
                failure = next((entry for entry in entries if isinstance(entry, str)), None)
                if failure == "TIMEOUT" and not before:
                    raise Silence
                if failure == "SERVFAIL" and not before:
                    return SERVFAIL, []
                return NOERROR, records + [_record(name, entry[0], _data(*entry), self.ttl) for entry in before]
            records.append(_record(name, "CNAME", _name(alias), self.ttl))
            name = alias.rstrip(".")
        return SERVFAIL, []


def _before_failure(entries):
    for entry in entries:
        if isinstance(entry, str):
            return
        yield entry


def _data(kind, *values):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(values[0]).packed
    if kind == "TXT":
        text = values[0] if isinstance(values[0], bytes) else values[0].encode("latin-1")
        pieces = [text[at:at + 255] for at in range(0, len(text), 255)] or [b""]
        return b"".join(bytes([len(piece)]) + piece for piece in pieces)
    if kind == "MX":
        return struct.pack("!H", int(values[0])) + _name(values[1])
    return _name(values[0])


def _soa():
    return _name("ns.invalid") + _name("hostmaster.invalid") + struct.pack("!IIIII", 1, 3600, 600, 86400, TTL)


def _record(name, kind, data, ttl):
    return _name(name) + struct.pack("!HHIH", NUMBERS[kind], 1, ttl, len(data)) + data


def _name(name):
    labels = [label.encode("latin-1") for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _read_name(message, at):
    """A name without compression, as questions have it, and where it ends."""
    labels = []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("latin-1"))
        at += 1 + message[at]
    return ".".join(labels), at + 1


def _takes(query, at):
    """The octets that the client takes over UDP, when it says so: an OPT record right behind the question."""
    if len(query) < at + 11 or query[at] != 0:
        return 0
    kind, size = struct.unpack_from("!HH", query, at + 1)
    return max(size, UDP_DEFAULT) if kind == OPT else 0


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    max_packet_size = 4096


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        query, listener = self.request
        try:
            listener.sendto(self.server.dns.answer(query, 0), self.client_address)
        except (Silence, struct.error, IndexError):
            pass


class _Connection(socketserver.StreamRequestHandler):
    def handle(self):
        self.request.settimeout(60)
        try:
            while head := self.rfile.read(2):
                query = self.rfile.read(*struct.unpack("!H", head))
                answer = self.server.dns.answer(query, 0xFFFF)
                self.wfile.write(struct.pack("!H", len(answer)) + answer)
        except (Silence, struct.error, IndexError, OSError, socket.timeout):
            pass
