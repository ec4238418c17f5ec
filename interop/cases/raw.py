"""The protocol byte by byte, over a bare socket."""

from rig import letters
from rig.dialogue import Dialogue, queued_id, stuffed
from rig.world import PASSWORD, USER

TO = "bob@in.recorder.example"


def signed_in(world):
    """A connection to the implicit TLS port, authenticated."""
    dialogue = Dialogue(world.tls, tls=world.trusting())
    dialogue.expect(220)
    dialogue.ehlo()
    dialogue.auth_plain(USER, PASSWORD)
    return dialogue


def extensions(world):
    with Dialogue(world.submission) as dialogue:
        dialogue.expect(220, "ESMTP")
        clear = dialogue.ehlo()
        for keyword in ("PIPELINING", "SIZE", "8BITMIME", "CHUNKING", "ENHANCEDSTATUSCODES", "LIMITS", "X-RCPTLIMIT", "STARTTLS", "HELP"):
            assert keyword in clear, f"{keyword} is missing:\n{dialogue.transcript()}"
        assert "AUTH" not in clear, "AUTH is offered in clear text"
        dialogue.start_tls(world.trusting())
        secure = dialogue.ehlo()
        assert "STARTTLS" not in secure and {"PLAIN", "LOGIN", "SCRAM-SHA-256"} <= set(secure["AUTH"].split())
        assert "AUTH=PLAIN" in secure or "AUTH=LOGIN" in secure, "no AUTH= for old clients"


def scram(world):
    with Dialogue(world.tls, tls=world.trusting()) as dialogue:
        dialogue.expect(220)
        dialogue.ehlo()
        dialogue.auth_scram(USER, "wrong", code=535)
        dialogue.auth_scram(USER, PASSWORD)


def pipelined(world):
    marks = [letters.marker() for _ in range(20)]
    with signed_in(world) as dialogue:
        for mark in marks:
            dialogue.send(f"MAIL FROM:<{USER}>\r\nRCPT TO:<{TO}>\r\nDATA\r\n".encode())
            dialogue.expect(250), dialogue.expect(250), dialogue.expect(354)
            dialogue.send(stuffed(letters.plain(mark, sender=USER)) + b"NOOP\r\n")
            dialogue.expect(250, "2.0.0 Ok: queued as msg_"), dialogue.expect(250)
    for mark in marks:
        world.recorder.wait_for(mark)


def chunks(world):
    mark = letters.marker()
    content = letters.plain(mark, body=b"\x00\xff.\r\n.\r\n..\r\n" + b"x" * 3000 + b"\r\n", sender=USER)
    with signed_in(world) as dialogue:
        dialogue.ask(f"MAIL FROM:<{USER}> BODY=8BITMIME", 250)
        dialogue.ask(f"RCPT TO:<{TO}>", 250)
        for at in range(0, len(content), 700):
            piece = content[at:at + 700]
            last = b" LAST" if at + 700 >= len(content) else b""
            dialogue.send(b"BDAT %d%s\r\n" % (len(piece), last) + piece)
            dialogue.expect(250)
    letters.arrived_whole(content, world.recorder.wait_for(mark).content)


def dots(world):
    body = ".\r\n..\r\n...\r\n.x\r\nx.\r\n\r\n.\r\n" + "y" * 998 + "\r\n. last"
    mark = letters.marker()
    content = letters.plain(mark, body=body + "\r\n", sender=USER)
    with signed_in(world) as dialogue:
        dialogue.ask(f"MAIL FROM:<{USER}>", 250)
        dialogue.ask(f"RCPT TO:<{TO}>", 250)
        dialogue.ask("DATA", 354)
        dialogue.send(stuffed(content))
        identity = queued_id(dialogue.expect(250))
    letters.arrived_whole(content, world.recorder.wait_for(mark).content)
    shown = world.server.queue("show", identity)
    assert shown["id"] == identity and shown["reverse_path"].strip("<>") == USER, shown


LOOK_ALIKES = (b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r.\r")


def around(end, mark, inner):
    """A letter, what looks like its end, and the commands of a second one behind that."""
    hidden = b"MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: %s\r\n\r\nx\r\n.\r\n" % (USER.encode(), TO.encode(), inner.encode())
    return letters.plain(mark, sender=USER) + end + hidden


def smuggled_by_strangers(world):
    for end in LOOK_ALIKES:
        with Dialogue(world.mx) as dialogue:
            dialogue.expect(220)
            dialogue.ehlo()
            dialogue.ask("MAIL FROM:<mallory@evil.example>", 250)
            dialogue.ask("RCPT TO:<postmaster>", 250)
            dialogue.ask("DATA", 354)
            dialogue.send(around(end, letters.marker(), letters.marker()))
            dialogue.expect(550, "5.6.0")
            dialogue.ask("NOOP", 250)


def smuggled_by_users(world):
    """Their line ends are repaired, and it is one letter still."""
    for end in LOOK_ALIKES:
        mark, inner = letters.marker(), letters.marker()
        with signed_in(world) as dialogue:
            dialogue.ask(f"MAIL FROM:<{USER}>", 250)
            dialogue.ask(f"RCPT TO:<{TO}>", 250)
            dialogue.ask("DATA", 354)
            dialogue.send(around(end, mark, inner))
            dialogue.expect(250, "queued as msg_")
            dialogue.ask("NOOP", 250)
        content = world.recorder.wait_for(mark).content
        assert f"Subject: {inner}\r\n".encode() in content
        assert [letter.content for letter in world.recorder.find(inner)] == [content], "a second letter was made of it"
        rest = content.replace(b"\r\n", b"")
        assert b"\r" not in rest and b"\n" not in rest, "something bare was relayed"


def no_relay(world):
    with Dialogue(world.mx) as dialogue:
        dialogue.expect(220)
        dialogue.ehlo()
        dialogue.ask("MAIL FROM:<mallory@evil.example>", 250)
        for path in ("<x@other.example>", "<@mx.example.net:x@other.example>", "<x%other.example@example.net>",
                     "<other.example!x@example.net>", '<"x@other.example"@example.net>', "<nobody@example.net>"):
            dialogue.send(f"RCPT TO:{path}")
            assert dialogue.reply().code in (550, 554), dialogue.transcript()
        dialogue.ask("RCPT TO:<postmaster>", 250)
        dialogue.ask("RCPT TO:<info@example.net>", 250)


CASES = [
    ("raw: extensions before and after STARTTLS", extensions),
    ("raw: AUTH SCRAM-SHA-256", scram),
    ("raw: pipelining", pipelined),
    ("raw: BDAT with octets that DATA could not carry", chunks),
    ("raw: dots and long lines arrive as sent", dots),
    ("raw: no look-alike ends a stranger's content", smuggled_by_strangers),
    ("raw: no look-alike ends a user's content", smuggled_by_users),
    ("raw: no open relay", no_relay),
]
