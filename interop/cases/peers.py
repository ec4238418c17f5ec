"""Postfix as a neighbour, both ways over TLS."""

from rig import letters, process
from rig.dialogue import queued_id
from rig.world import BY_AUTH, MAYBE_TLS, THEIRS, USER

from .raw import signed_in
from rig.dialogue import stuffed


def send(world, content, recipient):
    """Submits a letter; returns its id."""
    with signed_in(world) as dialogue:
        dialogue.ask(f"MAIL FROM:<{USER}>", 250)
        dialogue.ask(f"RCPT TO:<{recipient}>", 250)
        dialogue.ask("DATA", 354)
        dialogue.send(stuffed(content))
        return queued_id(dialogue.expect(250))


def from_postfix(world):
    mark = letters.marker()
    content = letters.plain(mark, body=".\r\nHello.\r\n" + "x" * 900 + "\r\n", sender=f"bob@{THEIRS}", to=USER)
    world.postfix.submit(content, f"bob@{THEIRS}", USER)
    got = letters.from_file(world.delivered(USER, mark))
    letters.arrived_whole(content, got)
    newest = letters.received(got)[0]
    assert "with ESMTPS" in newest and "mx.example.net" in newest, newest


def to_postfix(world):
    mark = letters.marker()
    content = letters.plain(mark, body=".\r\n..\r\nHello.\r\n", sender=USER, to=f"bob@{THEIRS}")
    identity = send(world, content, f"bob@{THEIRS}")
    got = letters.from_file(world.at_postfix(mark))
    letters.arrived_whole(content, got)
    assert "with ESMTPS" in letters.received(got)[0], letters.received(got)
    shown = process.wait_until(lambda: settled(world, identity), "the queue to say delivered")
    assert shown["recipients"][0]["state"] == "delivered", shown


def to_domain(domain, wanted, mechanism=None):
    """A letter to a domain of theirs; its Received field there says how it came, and Postfix's log by which AUTH."""

    def case(world):
        mark = letters.marker()
        content = letters.plain(mark, sender=USER, to=f"bob@{domain}")
        send(world, content, f"bob@{domain}")
        got = letters.from_file(world.at_postfix(mark))
        letters.arrived_whole(content, got)
        assert wanted in letters.received(got)[0], letters.received(got)
        log = world.postfix.log.read_text()
        assert mechanism is None or f"sasl_method={mechanism}," in log, world.postfix.log_tail()

    return case


def settled(world, identity):
    shown = world.server.queue("show", identity)
    return shown if shown["recipients"][0]["state"] in ("delivered", "bounced") else None


def bounced(world):
    mark = letters.marker()
    identity = send(world, letters.plain(mark, sender=USER), f"unknown@{THEIRS}")
    report = letters.from_file(world.delivered(USER, mark)).decode()
    for wanted in ("Content-Type: multipart/report", "Action: failed", "Status: 5.1.1", f"Final-Recipient: rfc822; unknown@{THEIRS}",
                   "Diagnostic-Code: smtp; 550 5.1.1", "Return-Path: <>"):
        assert wanted.lower() in report.lower(), f"{wanted} is missing in:\n{report}"
    # The report goes into the queue first, and only then the letter leaves it.
    shown = process.wait_until(lambda: settled(world, identity), "the queue to say bounced")
    assert shown["recipients"][0]["state"] == "bounced" and shown["recipients"][0]["last_reply"]["code"] == 550, shown


def through_a_pause(world):
    """Postfix is down when the letter comes, and up again later."""
    mark = letters.marker()
    world.postfix.stop()
    identity = send(world, letters.plain(mark, sender=USER, to=f"bob@{THEIRS}"), f"bob@{THEIRS}")

    def deferred():
        state = world.server.queue("show", identity)["recipients"][0]
        return state["state"] == "deferred" and state["attempts"] >= 1

    process.wait_until(deferred, "the letter to be deferred")
    world.postfix.start()
    world.server.command("queue", "retry", identity)
    world.at_postfix(mark, deadline=60)


CASES = [
    ("Postfix sends to us over TLS", from_postfix),
    ("we send to Postfix over TLS", to_postfix),
    ("we send to Postfix over TLS because it is offered", to_domain(MAYBE_TLS, "with ESMTPS")),
    *((f"we send to Postfix by AUTH {mechanism}", to_domain(domain, "with ESMTPSA", mechanism)) for mechanism, domain in BY_AUTH.items()),
    ("a user unknown at Postfix: the report reaches the sender", bounced),
    ("Postfix is down and comes back", through_a_pause),
]
