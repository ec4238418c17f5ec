"""unbound between us and a zone that we serve: large answers, names that are not there, servers that fail; it hangs, dies, comes back."""

import contextlib
import signal
import time

from rig import letters, process
from rig.dns import Dns
from rig.stranger import GATE_OPEN, Doorkeeper
from rig.unbound import Unbound
from rig.world import USER

from .verify import FORGER, results

GOOD = "good.example"
ZONE = {
    # Over UDP such a record is cut off.
    GOOD: [("TXT", "v=spf1 " + " ".join(f"ip4:192.0.2.{number}" for number in range(200)) + f" ip4:{FORGER} -all"), ("MX", 10, GOOD), ("A", FORGER)],
    f"_dmarc.{GOOD}": [("TXT", "v=DMARC1; p=reject")],
    "null.example": [("MX", 0, ".")],
    "bare.example": [("A", FORGER)],
    "failing.example": ["SERVFAIL"],
    "_dmarc.failing.example": ["SERVFAIL"],
    "lost.example": [("MX", 10, GOOD), ("A", FORGER), ("TXT", "v=spf1 include:silent.example -all")],
    "_dmarc.lost.example": [("TXT", "v=DMARC1; p=reject")],
    "silent.example": ["TIMEOUT"],
}
# A domain each for what is asked while unbound is away: what was asked before is remembered.
for away in ("hanging.example", "dead.example"):
    ZONE[away] = [("TXT", f"v=spf1 ip4:{FORGER} -all"), ("MX", 10, GOOD)]
    ZONE[f"_dmarc.{away}"] = [("TXT", "v=DMARC1; p=reject")]


@contextlib.contextmanager
def behind_unbound(folder, gate=GATE_OPEN):
    """A server that verifies by unbound, and unbound."""
    dns = Dns(ZONE, ttl=300)
    unbound = Unbound(folder / "unbound", ["do-not-query-localhost: no", 'local-zone: "100.51.198.in-addr.arpa." nodefault'],
                      f'forward-zone:\n  name: "."\n  forward-addr: 127.0.0.1@{dns.port}\n')
    keeper = Doorkeeper(folder / "server", unbound.port, gate=gate)
    try:
        unbound.start(), keeper.start().populate()
        yield keeper, unbound
    except Exception as error:
        error.add_note(f"--- the log of the server that verifies ---\n{keeper.server.log_tail()}\n--- unbound's ---\n{process.tail(unbound.folder / 'log')}")
        raise
    finally:
        keeper.stop()
        unbound.stop()
        dns.stop()


def bring(keeper, domain, mark):
    """A letter of the domain, from the address that may send for it."""
    sender = f"gil@{domain}"
    return keeper.bring(letters.plain(mark, sender=sender, to=USER), FORGER, sender, helo=GOOD)


def found(keeper, domain):
    """What was found out about a letter of that domain, which is taken."""
    mark = letters.marker()
    reply = bring(keeper, domain, mark)
    assert reply.code == 250, f"{domain}: {reply}"
    return results(keeper.delivered(mark)[0])


def answers(world):
    """What unbound answers is understood: cut off and asked for again over TCP, no such name, no such record, failure."""
    with behind_unbound(world.folder / "resolver-answers") as (keeper, _):
        words = found(keeper, GOOD)
        assert "spf=pass" in words and f"dmarc=pass (p=reject of {GOOD})" in words, words
        for domain in ("bare.example", "nowhere.example"):
            words = found(keeper, domain)
            assert "spf=none" in words and "dmarc=none" in words, (domain, words)
        # Its own server fails: nobody can say what its owner wants.
        reply = bring(keeper, "failing.example", "failing")
        assert str(reply).startswith("451 4.7.24"), reply
    with behind_unbound(world.folder / "resolver-gate", gate="") as (keeper, _):
        for domain, words in (("nowhere.example", "550 5.1.8"), ("null.example", "550 5.7.27"), ("failing.example", "450 4.1.8")):
            reply = bring(keeper, domain, domain)
            assert str(reply).startswith(words), f"{domain}: {reply}"


def away(stop, go_on, domain):
    """While it is away, mail that only it could tell from a forgery waits; when it is back, the same letter is taken, once."""
    def case(world):
        with behind_unbound(world.folder / f"resolver-{domain}") as (keeper, unbound):
            found(keeper, GOOD)
            mark = letters.marker()
            stop(unbound)
            try:
                began = time.monotonic()
                reply = bring(keeper, domain, mark)
                took = time.monotonic() - began
                assert reply.code == 451 and any(code in reply.text for code in ("4.7.24", "4.4.3")) and took < 35, f"{took} s: {reply}"
                words = found(keeper, GOOD)
                assert "spf=pass" in words and f"dmarc=pass (p=reject of {GOOD})" in words, f"what was known is forgotten: {words}"
            finally:
                go_on(unbound)
            # What failed is not asked again for some seconds; a client comes again in minutes.
            process.wait_until(lambda: bring(keeper, domain, mark).code == 250, "the letter to be taken", 40, poll=1)
            words = results(keeper.delivered(mark)[0])
            assert f"dmarc=pass (p=reject of {domain})" in words, words
            process.wait_until(lambda: keeper.server.queue("list") == [], "the queue to be empty")
            kept = [path for path in (keeper.server.folder / "data").rglob("new/*") if mark.encode() in path.read_bytes()]
            assert len(kept) == 1, kept

    return case


def silent(world):
    """A name server somewhere that never answers: SPF ends, in time, and the letter waits."""
    with behind_unbound(world.folder / "resolver-silent") as (keeper, _):
        began = time.monotonic()
        reply = bring(keeper, "lost.example", "lost")
        assert str(reply).startswith("451 4.7.24") and time.monotonic() - began < 25, (time.monotonic() - began, reply)


HANGS = away(lambda unbound: unbound.signal(signal.SIGSTOP), lambda unbound: unbound.signal(signal.SIGCONT), "hanging.example")
DIES = away(lambda unbound: unbound.daemon.kill(), lambda unbound: unbound.start(), "dead.example")
CASES = [("resolver: what unbound answers", answers)]
LONG = [
    ("resolver: unbound is killed and comes back", DIES),
    ("resolver: unbound hangs and goes on", HANGS),
    ("resolver: somebody's name server is silent", silent),
]
