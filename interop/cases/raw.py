"""A raw socket: pipelining, BDAT, SCRAM, dots, framing that smuggles, and what a trace field must say."""

import re
import subprocess

from rig import letters
from rig.dialogue import Dialogue, stuffed
from rig.runner import Case, Skip

# Bodies whose dots are easy to get wrong (RFC 5321 §4.5.2).
DOTS = {
    "a first line that begins with two dots": b"..x\r\nrest\r\n",
    "a first line that is one dot": b".\r\nrest\r\n",
    "lines of one, two and three dots": b".\r\n..\r\n...\r\n",
    "dots within a line": b"a.b\r\n a.\r\n",
    "an empty body": b"",
    "empty lines at the end": b"x\r\n\r\n\r\n",
    "a last line that is one dot": b"x\r\n.\r\n",
    "a line of 998 octets behind a dot": b"." + b"y" * 997 + b"\r\n",
}


def greeted(site, port):
    dialogue = Dialogue(port)
    dialogue.expect(220)
    dialogue.keywords = dialogue.ehlo()
    return dialogue


def envelope(dialogue, sender="ann@example.net", to="bob@example.org"):
    dialogue.ask(f"MAIL FROM:<{sender}>", 250)
    dialogue.ask(f"RCPT TO:<{to}>", 250)


def dots(name, body_bytes, by_bdat=False):
    def body(site):
        mark = letters.marker()
        letter = letters.plain(mark, body_bytes)
        with greeted(site, site.open_port) as dialogue:
            envelope(dialogue)
            if by_bdat:
                dialogue.send(f"BDAT {len(letter)} LAST\r\n".encode() + letter)
            else:
                dialogue.ask("DATA", 354)
                dialogue.send(stuffed(letter))
            dialogue.expect(250, "queued as")
        site.arrived_whole(mark, letter)

    return Case(f"{'BDAT' if by_bdat else 'DATA'}, {name}", body)


def pipelining(site):
    """Ten whole transactions in one write: all replies, in order, and all letters."""
    marks = [letters.marker() for _ in range(10)]
    with greeted(site, site.open_port) as dialogue:
        if "PIPELINING" not in dialogue.keywords:
            raise AssertionError(f"PIPELINING is not offered\n{dialogue.transcript()}")
        for mark in marks:
            dialogue.send(b"MAIL FROM:<ann@example.net>\r\nRCPT TO:<bob@example.org>\r\nRCPT TO:<cid@example.org>\r\nDATA\r\n")
            for code in (250, 250, 250, 354):
                dialogue.expect(code)
            # RFC 2920 §3.1: the content may carry the next commands behind its dot.
            dialogue.send(stuffed(letters.plain(mark)) + b"NOOP\r\n")
            dialogue.expect(250, "queued as")
            dialogue.expect(250)
        dialogue.send(b"RSET\r\nNOOP\r\nQUIT\r\n")
        for code in (250, 250, 221):
            dialogue.expect(code)
    for mark in marks:
        letter = site.arrived_whole(mark, letters.plain(mark))
        if letter.recipients != ["bob@example.org", "cid@example.org"]:
            raise AssertionError(f"recipients were {letter.recipients}")


def pipelined_bdat(site):
    """Envelope, content and QUIT in a single write."""
    mark = letters.marker()
    letter = letters.plain(mark)
    first, second = letter[:17], letter[17:]
    with greeted(site, site.open_port) as dialogue:
        if "CHUNKING" not in dialogue.keywords:
            raise AssertionError(f"CHUNKING is not offered\n{dialogue.transcript()}")
        dialogue.send(
            b"MAIL FROM:<ann@example.net>\r\nRCPT TO:<bob@example.org>\r\n"
            + b"BDAT %d\r\n" % len(first) + first + b"BDAT %d\r\n" % len(second) + second + b"BDAT 0 LAST\r\nQUIT\r\n"
        )
        for code in (250, 250, 250, 250, 250, 221):
            dialogue.expect(code)
    site.arrived_whole(mark, letter)


def byte_by_byte(site):
    """A client that sends one octet at a time."""
    mark = letters.marker()
    letter = letters.plain(mark, b"..\r\n.x\r\n")
    with greeted(site, site.open_port) as dialogue:
        envelope(dialogue)
        dialogue.ask("DATA", 354)
        raw = stuffed(letter)
        for at in range(len(raw)):
            dialogue.socket.sendall(raw[at:at + 1])
        dialogue.expect(250, "queued as")
    site.arrived_whole(mark, letter)


def smuggling(ending):
    def body(site):
        """A dot between bare line ends ends nothing: never two letters, never a bare line end that is passed on."""
        mark = letters.marker()
        smuggler = f"{mark}@smuggler.example"
        second = (f"MAIL FROM:<{smuggler}>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n".encode()
                  + letters.plain(mark, sender=smuggler) + b".\r\n")
        with greeted(site, site.open_port) as dialogue:
            envelope(dialogue)
            dialogue.ask("DATA", 354)
            dialogue.send(letters.plain(mark)[:-2] + ending + second)
            try:
                verdict = dialogue.reply().code
            except (AssertionError, ConnectionError):
                verdict = 0  # closed: just as well
        if verdict == 250 and site.kind == "posthouse":
            raise AssertionError(f"a letter with {ending!r} was taken\n{dialogue.transcript()}")
        if [letter for letter in site.recorder.snapshot() if letter.reverse_path == smuggler]:
            raise AssertionError(f"{ending!r} smuggled a second letter\n{dialogue.transcript()}")

    return Case(f"no smuggling by {ending!r}", body)


def scram(road):
    def body(site):
        mark = letters.marker()
        with Dialogue(getattr(site, road), tls=site.tls() if road == "smtps" else None) as dialogue:
            dialogue.expect(220)
            dialogue.ehlo()
            if road == "submission":
                dialogue.start_tls(site.tls())
                dialogue.ehlo()
            dialogue.auth_scram(site.user, site.password)
            envelope(dialogue)
            dialogue.ask("DATA", 354)
            dialogue.ask(stuffed(letters.plain(mark)), 250, "queued as")
        site.arrived(mark)

    return Case(f"SCRAM-SHA-256, {road}", body)


def scram_wrong(site):
    with Dialogue(site.smtps, tls=site.tls()) as dialogue:
        dialogue.expect(220)
        dialogue.ehlo()
        dialogue.auth_scram(site.user, "wrong", code=535)
        dialogue.auth_scram(site.user, site.password)


def starttls_injection(site):
    """Commands behind STARTTLS in the clear-text segment are never run inside TLS (CVE-2011-0411)."""
    with greeted(site, site.submission) as dialogue:
        dialogue.send(b"STARTTLS\r\nNOOP\r\nRSET\r\n")
        dialogue.expect(220)
        dialogue.unread = b""
        dialogue.socket = site.tls().wrap_socket(dialogue.socket, server_hostname="localhost")
        dialogue.ask("EHLO inside.example", 250, "AUTH")
        dialogue.ask("NOOP", 250)


def clear_text_auth(site):
    """Without TLS, AUTH is neither offered nor taken on 587."""
    with greeted(site, site.submission) as dialogue:
        if "AUTH" in dialogue.keywords:
            raise AssertionError(f"AUTH is offered in clear text\n{dialogue.transcript()}")
        dialogue.send("AUTH PLAIN AGFubgBhbm4=")
        reply = dialogue.reply()
        if reply.code not in (530, 538, 503):
            raise AssertionError(f"expected a refusal, got {reply}\n{dialogue.transcript()}")


def trace(site):
    """The Received field names the protocol, the client and the id of the 250."""
    if site.kind != "posthouse":
        raise Skip("Posthouse's own words")
    mark = letters.marker()
    with Dialogue(site.smtps, tls=site.tls()) as dialogue:
        dialogue.expect(220)
        dialogue.ehlo()
        dialogue.auth_plain(site.user, site.password)
        envelope(dialogue)
        dialogue.ask("DATA", 354)
        reply = dialogue.ask(stuffed(letters.plain(mark)), 250, "queued as")
    newest = letters.received(site.arrived(mark).content)[0]
    queued = re.search(r"queued as (\S+)", str(reply)).group(1)
    for part in ("from client.example", "127.0.0.1", "by mx.example.net", "with ESMTPSA", f"id {queued}"):
        if part not in newest:
            raise AssertionError(f"Received lacks {part!r}: {newest}")


def netcat(site):
    """nc without -C ends lines with LF alone: the answer names the remedy, and nothing is taken."""
    if site.kind != "posthouse":
        raise Skip("Posthouse's own words")
    done = subprocess.run(["nc", "-w", "5", "127.0.0.1", str(site.open_port)], input=b"EHLO host\n", capture_output=True,
                          timeout=30)
    if b"500 5.5.2" not in done.stdout or b"nc -C" not in done.stdout:
        raise AssertionError(f"expected 500 5.5.2 naming nc -C, got {done.stdout.decode()!r}")


CASES = [
    Case("pipelining: ten transactions, coalesced", pipelining),
    Case("pipelining: BDAT, envelope and QUIT in one write", pipelined_bdat),
    Case("one octet at a time", byte_by_byte),
    *(dots(name, body) for name, body in DOTS.items()),
    *(dots(name, body, by_bdat=True) for name, body in DOTS.items()),
    *(smuggling(ending) for ending in (b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r")),
    *(scram(road) for road in ("plain", "submission", "smtps")),
    Case("SCRAM-SHA-256, a wrong password is refused, then the right one taken", scram_wrong),
    Case("STARTTLS: commands in the same segment are dropped", starttls_injection),
    Case("587 offers no AUTH in clear text", clear_text_auth),
    Case("Received says how it came", trace),
    Case("nc without -C is told so", netcat),
]
