"""No open relay: our own server and a Postfix that was opened, as `posthouse check open-relay` sees them."""

import json
import tempfile

from rig import process
from rig.dialogue import Dialogue
from rig.postfix import Postfix
from rig.world import POSTHOUSE

TO = "you@other.example"


def check(port, *more):
    done = process.run([POSTHOUSE, "check", "open-relay", f"127.0.0.1:{port}", "--to", TO, "--json", *more])
    return done.code, json.loads(done.output[done.output.index("{"):])


def ours(world):
    """Every way is closed, and so are two more that need a real domain of ours."""
    for domain in ("example.net", "mx.example.net"):
        code, said = check(world.mx, "--domain", domain)
        assert code == 0 and not said["open"], said
        assert len(said["ways"]) >= 20
        assert {way["finding"] for way in said["ways"]} == {"closed"}, said
    with Dialogue(world.mx) as dialogue:
        dialogue.expect(220)
        dialogue.ehlo()
        # Pipelined, with what a relay would need behind it: no DATA without a recipient (RFC 2920 §3.1).
        dialogue.send("MAIL FROM:<>\r\nRCPT TO:<you%other.example@example.net>\r\nDATA\r\n".encode())
        assert dialogue.reply().code == 250
        assert dialogue.reply().code in (550, 553, 554), dialogue.transcript()
        assert dialogue.reply().code in (503, 554), dialogue.transcript()


def postfix(settings):
    """Runs a Postfix with settings; returns what the check says of it, and how many messages it has queued."""
    with tempfile.TemporaryDirectory(prefix="posthouse-relay-") as folder:
        port = process.free_port()
        other = Postfix(f"{folder}/postfix", [(port, {})], settings).start()
        try:
            yield port, other
        finally:
            other.stop()


def opened(world):
    """A Postfix that trusts the whole world, for it starts with no less: found out, and nothing is queued there."""
    settings = {"mynetworks": "0.0.0.0/0", "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
                "relay_domains": "theirs.example"}
    for port, other in postfix(settings):
        code, said = check(port, "--domain", "theirs.example")
        assert code == 1 and said["open"], said
        ways = {way["way"]: way["finding"] for way in said["ways"]}
        assert ways["plainly"] == "open" and ways["the null sender"] == "open", ways
        assert other.queued() == 0


def closed(world):
    """The same Postfix, closed: no false alarm."""
    settings = {"mynetworks": "192.0.2.1/32", "smtpd_relay_restrictions": "reject_unauth_destination"}
    for port, other in postfix(settings):
        code, said = check(port, "--domain", "example.org")
        assert code == 0 and not said["open"], said
        assert other.queued() == 0


CASES = [
    ("relay: ours is closed every way", ours),
    ("relay: a Postfix that was opened is found out", opened),
    ("relay: a Postfix that is closed is cleared", closed),
]
