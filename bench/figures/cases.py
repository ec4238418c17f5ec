"""The cases of the table. Each runs against a fresh server; servers take turns, so that a noisy minute meets both."""

import contextlib
import json
import pathlib
import statistics
import sys
import tempfile
import time

from rig import process
from rig.certificates import Certificates
from rig.dns import Dns

from . import load
from .servers import BOTH, HOLDING, PASSWORD, PROXIED, USER, PosthouseServer, Sink
from .signed import Signed

KIB = 1024


def run_all(runs, quick, only):
    """All cases whose name contains `only`; a list of rows."""
    rows = []
    for case in CASES:
        if only in case.name:
            rows += case.run(runs, quick)
    return rows


@contextlib.contextmanager
def server(kind, relay=False, tls=False, next_hop=None, **options):
    """A fresh server, with a sink behind it when it relays and that is not there already; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="posthouse-bench-") as name:
        folder = pathlib.Path(name)
        certificates = Certificates(folder / "certificates") if tls else None
        sink = Sink(folder) if relay else None
        running = kind(folder / "server", sink.port if sink else next_hop, certificates, **options)
        try:
            yield running, sink
        finally:
            running.stop()
            if sink:
                sink.stop()


def say(text):
    print(text, file=sys.stderr, flush=True)


class Case:
    """One case: `measure(kind, quick)` gives {figure: value} for a kind of server. `figures` says for each figure its unit,
    whether more is better, and what to reach: a ratio to Postfix ("x4") or an absolute bound ("<=0.25")."""

    def __init__(self, name, measure, figures, kinds=BOTH, repeat=True):
        self.name, self.measure, self.figures, self.kinds, self.repeat = name, measure, figures, kinds, repeat

    def run(self, runs, quick):
        taken = {kind.name: [] for kind in self.kinds}
        for turn in range(runs if self.repeat else 1):
            for kind in self.kinds:
                figures = self.measure(kind, quick)
                taken[kind.name].append(figures)
                shown = ", ".join(f"{value:.4g} {name}" for name, value in figures.items())
                say(f"{self.name} [{turn + 1}] {kind.name}: {shown}")
        return [self.row(figure, taken) for figure in self.figures]

    def row(self, figure, taken):
        unit, more_is_better, reach = self.figures[figure]

        def median(name):
            values = [run[figure] for run in taken.get(name, ()) if figure in run]
            return statistics.median(values) if values else None

        postfix, ours = median("postfix"), median("posthouse")
        ratio = None
        if postfix and ours:
            ratio = ours / postfix if more_is_better else postfix / ours
        return {"case": self.name, "unit": unit, "postfix": postfix, "posthouse": ours, "ratio": ratio, "reach": reach,
                "reached": reached(reach, ours, ratio)}


def reached(reach, ours, ratio):
    if not reach or ours is None:
        return None
    if reach.startswith("x"):
        return None if ratio is None else ratio >= float(reach[1:])
    return ours <= float(reach.removeprefix("<="))


def accept(size, sessions, kept):
    def measure(kind, quick):
        messages = (2_000 if quick else 20_000) if size < 50 * KIB else (500 if quick else 4_000)
        messages //= 4 if kind.name == "postfix" else 1
        with server(kind) as (running, _):
            load.smtp_source(running.port, 200, size, sessions, kept)
            before = running.account.cpu()
            seconds = load.smtp_source(running.port, messages, size, sessions, kept)
            cpu = running.account.cpu() - before
        return {"rate": messages / seconds, "cpu": cpu * 1000 / messages}

    return measure


def relay(size, sessions, kept, ready=None, **options):
    """`ready(server)` is run before the first message; `options` are the server's."""

    def measure(kind, quick):
        messages = (2_000 if quick else 20_000) // (4 if kind.name == "postfix" else 1)
        with server(kind, relay=True, **options) as (running, sink):
            if ready:
                ready(running)
            load.smtp_source(running.port, 200, size, sessions, kept)
            process.wait_until(lambda: sink.count() >= 200, "the first messages to arrive", 120)
            before, start = running.account.cpu(), time.monotonic()
            load.smtp_source(running.port, messages, size, sessions, kept)
            process.wait_until(lambda: sink.count() >= 200 + messages, "all messages to arrive", 600, poll=0.01)
            seconds = time.monotonic() - start
            cpu = running.account.cpu() - before
        return {"rate": messages / seconds, "cpu": cpu * 1000 / messages}

    return measure


def relay_signed(algorithms):
    """Relay 4 KiB, 20 sessions, kept, of a domain that has keys. Postfix does not sign."""
    # One letter is kept, to see that it is signed.
    proof = f'[[route]]\nrecipients = ["{PROOF}"]\nto = "maildir"'

    def measure(kind, quick):
        if kind.name == "postfix":
            return relay(4 * KIB, 20, True)(kind, quick)
        return relay(4 * KIB, 20, True, ready=lambda running: sign(running, algorithms), tables=proof)(kind, quick)

    return measure


PROOF = "proof@example.org"


def sign(running, algorithms):
    running.sign(load.SENDER.partition("@")[2], algorithms)
    load.smtp_source(running.port, 1, KIB, 1, False, recipient=PROOF)
    letter = process.wait_until(lambda: next(running.folder.rglob("new/*"), None), "the letter that shows the signatures").read_bytes()
    if letter.count(b"DKIM-Signature:") != len(algorithms):
        raise AssertionError(f"signed otherwise than with {algorithms}:\n{letter.decode(errors='replace')}")


def verified(kind, quick):
    """A signed message of 20 KiB from strangers: what SPF, DKIM, DMARC and iprev cost, beside the same without them."""
    sessions, each = 20, 100 if quick else 300
    with tempfile.TemporaryDirectory(prefix="posthouse-bench-") as folder:
        signed = Signed(folder, 20 * KIB)
        dns = Dns(signed.zone)
        cost = {}
        for enabled in (False, True):
            tables = f'[dns]\nservers = ["127.0.0.1:{dns.port}"]\n[verify]\nenabled = {str(enabled).lower()}'
            with server(kind, clients=PROXIED, tables=tables) as (running, _):
                running.command("domain", "add", load.RECIPIENT.partition("@")[2])
                running.command("user", "add", load.RECIPIENT, "--password-stdin", input=PASSWORD + "\n")
                load.strangers(running.port, 200, sessions, signed.file)
                before = running.account.cpu()
                load.strangers(running.port, sessions * each, sessions, signed.file)
                cost[enabled] = (running.account.cpu() - before) / (sessions * each)
                passed = 'method="dmarc",result="pass"' in running.metrics()
                if passed != enabled:
                    raise AssertionError(f"DMARC passed: {passed}, with verification {enabled}")
        dns.stop()
        operation = signed.key_operation()
    more = (cost[True] - cost[False]) * 1e6
    return {"off": cost[False] * 1000, "on": cost[True] * 1000, "more": more, "apart": more - operation}


def dead_domain(kind, quick):
    """Mail for a healthy next hop on its way through a server with nothing else and one where many messages for a dead next
    hop wait. They take turns, for longer than the first wait between attempts, so that what waits becomes due meanwhile."""
    waiting, turns = (100_000, 8) if quick else (1_000_000, 16)
    seconds = 5
    sinks = load.sink_port(), load.sink_port()
    # Nobody has listened on port 1 for decades.
    dead = '[[route]]\nrecipients = ["dead.example"]\nto = "relay"\nhost = "127.0.0.1:1"\ntls = "off"'
    with server(kind, next_hop=sinks[0]) as (free, _), server(kind, next_hop=sinks[1], tables=dead) as (laden, _):
        say(f"filling the queue with {waiting:,} messages of 1 KiB")
        load.smtp_source(laden.port, waiting, KIB, 50, True, recipient="b@dead.example")
        waits, cpu = ([], []), [0.0, 0.0]
        for turn in range(turns + 1):
            for which, (running, sink) in enumerate(zip((free, laden), sinks)):
                before = running.account.cpu()
                taken = load.transit(running.port, sink, 50, seconds, 4 * KIB)
                # The first turn warms up.
                if turn:
                    waits[which].append(taken)
                    cpu[which] += running.account.cpu() - before
        summary = json.loads(laden.command("queue", "summary", "--json"))
        still = sum(row["count"] for row in summary["domains"] if row["domain"] == "dead.example")
        if still != waiting:
            raise AssertionError(f"{still} wait, not {waiting}")
    (p50, p99), (laden50, laden99) = ([statistics.median(column) for column in zip(*rows)] for rows in waits)
    free_cpu, laden_cpu = (used * 1000 / (turns * seconds * 50) for used in cpu)
    return {"p50": p50, "p99": p99, "cpu": free_cpu, "laden p50": laden50, "laden p99": laden99, "laden cpu": laden_cpu,
            "slower": laden99 / p99}


def many_recipients(kind, quick):
    with server(kind) as (running, _):
        load.smtp_source(running.port, 20, 4 * KIB, 20, True, recipients=50)
        seconds = load.smtp_source(running.port, 200, 4 * KIB, 20, True, recipients=50)
    return {"rate": 200 * 50 / seconds}


def latency(kind, quick):
    with server(kind) as (running, _):
        load.latency(running.port, 50, 1, 4 * KIB)
        p50, p99 = load.latency(running.port, 50, 4 if quick else 20, 4 * KIB)
    return {"p50": p50, "p99": p99}


def tls_auth(kind, quick):
    messages = 80 if quick else 800
    with server(kind, tls=True) as (running, _):
        load.tls_auth(running.tls_port, USER, PASSWORD, 16, 4 * KIB)
        before = running.account.cpu()
        seconds = load.tls_auth(running.tls_port, USER, PASSWORD, messages, 4 * KIB)
        cpu = running.account.cpu() - before
    return {"rate": messages / seconds, "cpu": cpu * 1000 / messages}


def idle(count, tls):
    def measure(kind, quick):
        with server(kind, tls=tls) as (running, _):
            with load.crowd(running.tls_port if tls else running.port, count // (10 if quick else 1), tls):
                memory = running.account.memory()
        return {"memory": memory}

    return measure


def backlog(kind, quick):
    """A queue of a million held by a dead next hop: memory, restart, one page of a filtered list."""
    messages = 20_000 if quick else 1_000_000
    with server(kind) as (running, _):
        say(f"filling the queue with {messages:,} messages of 1 KiB")
        load.smtp_source(running.port, messages, KIB, 50, True)
        memory = running.account.memory()
        running.daemon.stop()
        start = time.monotonic()
        running.start()
        ready = time.monotonic() - start
        page = []
        for _ in range(5):
            start = time.monotonic()
            rows = json.loads(running.command("queue", "list", "--state", "held", "--domain", "example.org", "--json"))
            page.append((time.monotonic() - start) * 1000)
            if not rows:
                raise AssertionError("the list is empty")
        after = running.account.memory()
    return {"memory": max(memory, after), "ready": ready, "page": statistics.median(page)}


def ceiling(kept):
    def measure(kind, quick):
        with tempfile.TemporaryDirectory() as folder:
            sink = Sink(folder)
            seconds = load.smtp_source(sink.port, 20_000, 4 * KIB, 20, kept)
            sink.stop()
        return {"rate": 20_000 / seconds}

    return measure


class Ceiling:
    """In the column of Postfix: what source and sink do without a server between them."""

    name = "postfix"


RATE, CPU = "msg/s", "CPU s per 1,000"


def rates(reach, cpu_reach=""):
    return {"rate": (RATE, True, reach), "cpu": (CPU, False, cpu_reach)}


CASES = [
    Case("source straight into sink, one per connection", ceiling(False), {"rate": (RATE, True, "")}, kinds=(Ceiling,)),
    Case("source straight into sink, kept", ceiling(True), {"rate": (RATE, True, "")}, kinds=(Ceiling,)),
    Case("accept 4 KiB, 20 sessions, one per connection", accept(4 * KIB, 20, False), rates("x4")),
    Case("accept 4 KiB, 20 sessions, kept", accept(4 * KIB, 20, True), rates("x7")),
    Case("accept 4 KiB, 100 sessions, kept", accept(4 * KIB, 100, True), rates("x7")),
    Case("accept 4 KiB, 20 sessions, one per connection; Postfix on HOLD", accept(4 * KIB, 20, False), rates(""), HOLDING),
    Case("accept 4 KiB, 20 sessions, kept; Postfix on HOLD", accept(4 * KIB, 20, True), rates(""), HOLDING),
    Case("accept 100 KiB, 20 sessions, kept", accept(100 * KIB, 20, True), rates("x2.5")),
    Case("relay 4 KiB, 20 sessions, one per connection", relay(4 * KIB, 20, False), rates("x5")),
    Case("relay 4 KiB, 20 sessions, kept", relay(4 * KIB, 20, True), rates("x7", "<=0.25")),
    Case("relay 4 KiB, 100 sessions, kept", relay(4 * KIB, 100, True), rates("x7", "<=0.25")),
    Case("relay 4 KiB, 20 sessions, kept, DKIM signing (RSA-2048)", relay_signed(["rsa"]), rates("x3")),
    Case("relay 4 KiB, 20 sessions, kept, DKIM signing (RSA-2048 and Ed25519)", relay_signed(["rsa", "ed25519"]), rates("x3")),
    Case("accept 20 KiB signed, verified (SPF + DKIM + DMARC)", verified, {
        "off": ("CPU s per 1,000, not verified", False, ""), "on": ("CPU s per 1,000, verified", False, ""),
        "more": ("µs of CPU more per message", False, ""),
        "apart": ("µs of them apart from the key's operation", False, "<=150")}, (PosthouseServer,)),
    Case("200 × 50 recipients", many_recipients, {"rate": ("recipients/s", True, "x4")}),
    Case("dot → 250 at 50 msg/s", latency, {"p50": ("ms, p50", False, "x1"), "p99": ("ms, p99", False, "x1")}),
    Case("TLS + AUTH, one per connection", tls_auth, rates("x3")),
    Case("1,000 idle connections", idle(1_000, False), {"memory": ("MiB", False, "")}, repeat=False),
    Case("10,000 idle connections", idle(10_000, False), {"memory": ("MiB", False, "<=100")}, (PosthouseServer,), False),
    Case("10,000 idle TLS connections", idle(10_000, True), {"memory": ("MiB", False, "<=300")}, (PosthouseServer,), False),
    Case("a million queued", backlog, {"memory": ("MiB resident", False, "<=300"), "ready": ("s to be ready again", False, "<=2"),
                                        "page": ("ms, a page of a filtered list", False, "<=50")}, (PosthouseServer,), False),
    Case("a dead domain with a million waiting, dot → sink at 50 msg/s", dead_domain, {
        "p50": ("ms, p50 without it", False, ""), "laden p50": ("ms, p50 beside it", False, ""),
        "p99": ("ms, p99 without it", False, ""), "laden p99": ("ms, p99 beside it", False, ""),
        "slower": ("p99 beside it to p99 without", False, "<=1.2"),
        "cpu": (f"{CPU}, without it", False, ""), "laden cpu": (f"{CPU}, beside it", False, "")}, (PosthouseServer,), False),
]
