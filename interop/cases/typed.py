"""What a person types into the real telnet program, on a terminal, where AUTH is taken in clear text."""

import base64
import os
import pty
import re
import select
import subprocess
import time

from rig import letters
from rig.world import PASSWORD, USER

from .raw import TO

DEADLINE = 20.0


class Terminal:
    """telnet on a pseudo-terminal: `types` presses keys and Enter, `sees` waits for a line on the screen."""

    def __init__(self, port):
        self.screen, self.seen = "", 0
        self.keys, inner = pty.openpty()
        self.telnet = subprocess.Popen(["telnet", "127.0.0.1", str(port)], stdin=inner, stdout=inner, stderr=inner,
                                       start_new_session=True, env={**os.environ, "TERM": "dumb"})
        os.close(inner)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.telnet.kill()
        self.telnet.wait()
        os.close(self.keys)

    def types(self, line):
        os.write(self.keys, line.encode() + b"\n")

    def sees(self, pattern):
        end = time.monotonic() + DEADLINE
        while not (found := re.compile(pattern, re.M).search(self.screen, self.seen)):
            ready, _, _ = select.select([self.keys], [], [], max(0, end - time.monotonic()))
            more = os.read(self.keys, 65536) if ready else b""
            if not more:
                raise AssertionError(f"waited for /{pattern}/ on the screen:\n{self.screen}")
            self.screen += more.decode(errors="replace").replace("\r", "")
        self.seen = found.end()

    def converses(self, conversation):
        """Pairs of what is typed and what must be seen behind it (None: nothing)."""
        for line, answer in conversation:
            self.types(line)
            if answer:
                self.sees(answer)


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def classic(world):
    """The session of the textbooks: AUTH LOGIN, no angle brackets, a letter without From, Date and Message-ID."""
    mark = letters.marker()
    with Terminal(world.typed) as terminal:
        terminal.sees(r"^220 .*ESMTP")
        terminal.converses([
            ("EHLO host", r"^250[- ]AUTH .*LOGIN"),
            ("AUTH LOGIN", r"^334 VXNlcm5hbWU6$"),
            (encoded(USER), r"^334 UGFzc3dvcmQ6$"),
            (encoded(PASSWORD), r"^235 2\.7\.0"),
            (f"MAIL FROM: {USER}", r"^250 2\.1\.0"),
            (f"RCPT TO: {TO}", r"^250 2\.1\.5"),
            ("DATA", r"^354 "),
            (f"Subject: {mark}", None),
            ("", None),
            ("Hello, Bob.", None),
            (".", r"^250 2\.0\.0 Ok: queued as \S+$"),
            ("QUIT", r"^221 2\.0\.0"),
        ])
    repaired(world.recorder.wait_for(mark).content, b"Hello, Bob.\r\n")


def headerless(world):
    """Lower case, and a letter that is all body."""
    mark = letters.marker()
    with Terminal(world.typed) as terminal:
        terminal.sees(r"^220 ")
        terminal.converses([
            ("ehlo host", r"^250 "),
            (f"auth plain {encoded(chr(0) + USER + chr(0) + PASSWORD)}", r"^235 "),
            (f"mail from:<{USER}>", r"^250 "),
            (f"rcpt to:<{TO}>", r"^250 "),
            ("data", r"^354 "),
            (f"Just a line of text, {mark}.", None),
            ("And another.", None),
            (".", r"^250 2\.0\.0 Ok: queued as"),
        ])
    repaired(world.recorder.wait_for(mark).content, f"Just a line of text, {mark}.\r\nAnd another.\r\n".encode())


def repaired(content, body):
    """Fails unless the fields that a letter must have are there, and the body is what was typed."""
    missing = [name for name in ("from", "date", "message-id") if letters.field(content, name) is None]
    assert not missing and letters.split(content)[1] == body, f"missing {missing} in:\n{content.decode()}"


def taught(world):
    """Mistakes are answered with what was expected, and the session goes on."""
    with Terminal(world.typed) as terminal:
        terminal.sees(r"^220 ")
        terminal.converses([
            ("HELP", r"^214 "),
            ("EHLO", r"^501 .*EHLO"),
            ("HELLO", r"^50[02] "),
            (f"RCPT TO:<{TO}>", r"^503 "),
            ("EHLO [127.0.0.1]", r"^250 "),
            ("TURN", r"^502 "),
            ("NOOP", r"^250 "),
            ("QUIT", r"^221 2\.0\.0"),
        ])


CASES = [
    ("telnet: the classic session with AUTH LOGIN", classic),
    ("telnet: a letter without a header", headerless),
    ("telnet: HELP and mistakes", taught),
]
