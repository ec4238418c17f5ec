"""The load: Postfix's smtp-source, and bench/load for what that cannot do."""

import contextlib
import pathlib
import random
import re
import subprocess
import time

from rig import process

SOURCE = pathlib.Path(__file__).parents[1] / "load"
PROGRAM = SOURCE / "target/release/load"
SENDER, RECIPIENT = "a@example.com", "b@example.org"
# Sessions of the cases with TLS and AUTH, and of those that keep a rate.
SESSIONS, TAKING_TURNS = 8, 4
SINK_PORTS = range(12_000, 20_000)


def build():
    """Compiles bench/load; it has a target folder of its own."""
    process.run(["cargo", "build", "--quiet", "--release", "--locked"], cwd=SOURCE, timeout=1800).expect()


def smtp_source(port, messages, size, sessions, kept, recipients=1, recipient=RECIPIENT):
    """Sends with Postfix's generator; returns the seconds it took."""
    command = ["smtp-source", "-s", sessions, "-m", messages, "-l", size, "-f", SENDER, "-t", recipient]
    command += ["-d"] if kept else []
    command += ["-r", recipients] if recipients > 1 else []
    start = time.monotonic()
    process.run([*command, f"127.0.0.1:{port}"], timeout=1800).expect()
    return time.monotonic() - start


def latency(port, rate, seconds, size):
    """Sends `rate` messages a second over four kept connections; returns p50 and p99 of the milliseconds from the dot to its
    reply."""
    return _quantiles("rate", port, "--rate", rate, "--seconds", seconds, "--size", size)


def transit(port, sink, rate, seconds, size):
    """The same, to the message's arrival in a sink that the server relays to."""
    return _quantiles("transit", port, "--sink", f"127.0.0.1:{sink}", "--rate", rate, "--seconds", seconds, "--size", size)


def sink_port():
    """A port for the sink of transit, which listens in its runs only: outside the range that runs beside this one search."""
    while True:
        port = random.choice(SINK_PORTS)
        if not process.listens(port):
            return port


def tls_auth(port, user, password, messages, size):
    """One message per TLS connection with AUTH; returns the seconds."""
    return _send(port, messages, "--sessions", SESSIONS, "--tls", "--user", user, "--password", password, "--from", user, "--size", size)


def strangers(port, messages, sessions, file):
    """Sends the message in a file; each session is kept and of another client, of whom a proxy speaks. Returns the seconds."""
    return _send(port, messages, "--sessions", sessions, "--keep", "--strangers", "198.18.0.1", "--file", file)


@contextlib.contextmanager
def crowd(port, count, tls):
    """Connections that have said EHLO and idle."""
    command = [PROGRAM, "crowd", f"127.0.0.1:{port}", "--count", str(count), *(["--tls"] if tls else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        if running.stdout.readline().strip() != "open":
            raise AssertionError("the crowd did not get in")
        yield
        running.stdin.close()


def _send(port, messages, *options):
    rate = _run("send", port, "--messages", messages, *options)
    return messages / float(rate)


def _quantiles(*arguments):
    found = re.match(r"p50 ([\d.]+) p99 ([\d.]+)", _run(*arguments, "--sessions", TAKING_TURNS))
    return float(found[1]), float(found[2])


def _run(what, port, *options):
    return process.run([PROGRAM, what, f"127.0.0.1:{port}", *options], timeout=1800).expect().output
