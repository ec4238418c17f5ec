"""Letters to send, and what must still be true of them when they have arrived."""

import itertools
import os
import re

_count = itertools.count(1)


def marker():
    """A word that no other letter has, to find it by."""
    return f"letter-{os.getpid()}-{next(_count)}-{os.urandom(3).hex()}"


def plain(mark, body="Hello.\r\n", sender="ann@example.net", to="bob@example.org", extra=""):
    """A complete letter as bytes, CRLF lines."""
    head = (
        f"From: Ann <{sender}>\r\nTo: <{to}>\r\nSubject: {mark}\r\nDate: Mon, 01 Jun 2026 10:00:00 +0000\r\n"
        f"Message-ID: <{mark}@client.example>\r\n{extra}\r\n"
    )
    return (head + body).encode() if isinstance(body, str) else head.encode() + body


def split(content):
    """Header and body, the empty line in neither."""
    head, _, body = content.partition(b"\r\n\r\n")
    return head + b"\r\n", body


def fields(content):
    """The header fields in order: (name in lower case, unfolded value) pairs of text."""
    head, _ = split(content)
    unfolded = re.sub(rb"\r\n(?=[ \t])", b"", head).decode("utf-8", "surrogateescape")
    pairs = (line.partition(":") for line in unfolded.split("\r\n") if line)
    return [(name.strip().lower(), value.strip()) for name, _, value in pairs]


def field(content, name):
    """The first value of a field, or None."""
    return next((value for found, value in fields(content) if found == name.lower()), None)


def received(content):
    """The Received values, newest first."""
    return [value for name, value in fields(content) if name == "received"]


def arrived_whole(sent, got):
    """Fails unless `got` is `sent`, byte for byte, behind trace fields and signatures that were put on top."""
    if got.endswith(sent):
        trace = got[: -len(sent)]
        names = {name for name, _ in fields(trace + b"\r\n")} if trace else set()
        strange = names - {"received", "return-path", "delivered-to", "x-original-to", "dkim-signature"}
        if not strange:
            return
        raise AssertionError(f"fields other than trace fields and signatures were put on top: {sorted(strange)}")
    where = next((at for at, pair in enumerate(zip(reversed(sent), reversed(got))) if pair[0] != pair[1]), None)
    raise AssertionError(
        f"content differs {where} bytes before its end ({len(sent)} bytes sent, {len(got)} arrived):\n"
        f"sent … {_around(sent, where)!r}\ngot  … {_around(got, where)!r}"
    )


def _around(content, from_end):
    at = max(0, len(content) - (from_end or 0) - 1)
    return content[max(0, at - 40): at + 40]


def from_file(content):
    """A letter of a Maildir, whose lines end in LF, as it was on the wire."""
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
