"""Where a message ends and what is in it: dots by DATA and by BDAT, any cut of the bytes, what stands behind STARTTLS."""

from rig import letters, process
from rig.dialogue import Dialogue, stuffed
from rig.world import USER

from .raw import TO, signed_in

# Bodies whose dots are easy to get wrong (RFC 5321 §4.5.2).
BODIES = {
    "a first line of two dots and more": b"..x\r\nrest\r\n",
    "a first line that is one dot": b".\r\nrest\r\n",
    "no body": b"",
    "empty lines at the end": b"x\r\n\r\n\r\n",
    "a last line that is one dot": b"x\r\n.\r\n",
    "a line of 998 octets behind a dot": b"." + b"y" * 997 + b"\r\n",
    "five megabytes": b"".join(b"%07d %s\r\n" % (line, b"x" * 60) for line in range(72_000)),
}


def arrives(body, by_bdat):
    def case(world):
        mark = letters.marker()
        content = letters.plain(mark, body=body, sender=USER)
        with signed_in(world) as dialogue:
            envelope(dialogue)
            if by_bdat:
                dialogue.send(b"BDAT %d LAST\r\n" % len(content) + content)
            else:
                dialogue.ask("DATA", 354)
                dialogue.send(stuffed(content))
            dialogue.expect(250, "queued as msg_")
        letters.arrived_whole(content, world.recorder.wait_for(mark).content)

    return case


def envelope(dialogue):
    dialogue.ask(f"MAIL FROM:<{USER}>", 250)
    dialogue.ask(f"RCPT TO:<{TO}>", 250)


def octet_by_octet(world):
    """The whole content in segments of one octet, over TLS: one record each."""
    mark = letters.marker()
    content = letters.plain(mark, body=b"..\r\n.x\r\n.\r\n", sender=USER)
    with signed_in(world) as dialogue:
        envelope(dialogue)
        dialogue.ask("DATA", 354)
        for octet in stuffed(content):
            dialogue.socket.sendall(bytes([octet]))
        dialogue.expect(250, "queued as msg_")
    letters.arrived_whole(content, world.recorder.wait_for(mark).content)


def in_one_write(world):
    """Envelope, three chunks and QUIT in a single write: every reply, in order (RFC 2920, RFC 3030)."""
    mark = letters.marker()
    content = letters.plain(mark, sender=USER)
    first, second = content[:17], content[17:]
    with signed_in(world) as dialogue:
        dialogue.send(
            f"MAIL FROM:<{USER}>\r\nRCPT TO:<{TO}>\r\nBDAT {len(first)}\r\n".encode() + first
            + b"BDAT %d\r\n" % len(second) + second + b"BDAT 0 LAST\r\nQUIT\r\n"
        )
        for code in (250, 250, 250, 250, 250, 221):
            dialogue.expect(code)
    letters.arrived_whole(content, world.recorder.wait_for(mark).content)


def behind_starttls(world):
    """Commands in the segment of STARTTLS are never run inside TLS (CVE-2011-0411)."""
    with Dialogue(world.submission) as dialogue:
        dialogue.expect(220)
        dialogue.ehlo()
        dialogue.send(b"STARTTLS\r\nNOOP\r\nRSET\r\n")
        dialogue.expect(220)
        dialogue.unread = b""
        dialogue.socket = world.trusting().wrap_socket(dialogue.socket, server_hostname="localhost")
        dialogue.ask("EHLO inside.example", 250, "AUTH")
        dialogue.ask("NOOP", 250)


def hundred_recipients(world):
    """One letter to a hundred people, in one write; each of them gets it."""
    mark = letters.marker()
    people = [f"person{number}@in.recorder.example" for number in range(100)]
    with signed_in(world) as dialogue:
        dialogue.send(f"MAIL FROM:<{USER}>\r\n".encode() + b"".join(b"RCPT TO:<%s>\r\n" % person.encode() for person in people))
        for _ in range(101):
            dialogue.expect(250)
        dialogue.ask("DATA", 354)
        dialogue.ask(stuffed(letters.plain(mark, sender=USER)), 250, "queued as msg_")

    def everybody():
        got = [person for letter in world.recorder.find(mark) for person in letter.recipients]
        assert len(got) == len(set(got)), f"somebody got it twice: {sorted(got)}"
        return sorted(got) == sorted(people)

    process.wait_until(everybody, "the letter to reach all hundred")


CASES = [
    *((f"framing: {how}, {name}", arrives(body, how == "BDAT")) for name, body in BODIES.items() for how in ("DATA", "BDAT")),
    ("framing: DATA, octet by octet", octet_by_octet),
    ("framing: envelope, chunks and QUIT in one write", in_one_write),
    ("framing: commands behind STARTTLS are dropped", behind_starttls),
    ("framing: a hundred recipients in one write", hundred_recipients),
]
