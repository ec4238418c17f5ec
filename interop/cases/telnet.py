"""telnet, typed by hand: the classic session as a newcomer types it, through the real telnet program on a terminal."""

import base64
import os
import pty
import re
import select
import subprocess
import time

from rig import letters
from rig.runner import Case, Skip

DEADLINE = 20.0


class Terminal:
    """The telnet program on a pseudo-terminal. `see` waits for text on the screen, `type` presses keys and Enter."""

    def __init__(self, port):
        master, slave = pty.openpty()
        self.process = subprocess.Popen(["telnet", "127.0.0.1", str(port)], stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, env={**os.environ, "TERM": "dumb"})
        os.close(slave)
        self.master, self.screen, self.seen = master, "", 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def type(self, line):
        """One line, as a person types it: the terminal sends what telnet makes of Enter."""
        os.write(self.master, line.encode() + b"\n")

    def see(self, pattern):
        """Waits until the pattern is on the screen behind what was seen before; returns the match."""
        end = time.monotonic() + DEADLINE
        while True:
            found = re.compile(pattern, re.M).search(self.screen, self.seen)
            if found:
                self.seen = found.end()
                return found
            if time.monotonic() > end or not self._read(end):
                raise AssertionError(f"waited for /{pattern}/ on the screen:\n{self.screen}")

    def _read(self, end):
        ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.screen += data.decode(errors="replace").replace("\r", "")
        return bool(data)


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def classic(site):
    """The session of the textbooks, word for word: no angle brackets, spaces, AUTH LOGIN, a letter without a From."""
    mark = letters.marker()
    with Terminal(site.plain) as screen:
        screen.see(r"^220 .*ESMTP")
        screen.type("EHLO host")
        screen.see(r"^250[- ]AUTH .*LOGIN")
        screen.see(r"^250 ")
        screen.type("AUTH LOGIN")
        screen.see(r"^334 VXNlcm5hbWU6")
        screen.type(encoded(site.user))
        screen.see(r"^334 UGFzc3dvcmQ6")
        screen.type(encoded(site.password))
        screen.see(r"^235 2\.7\.0")
        screen.type("MAIL FROM: ann@example.net")
        screen.see(r"^250 2\.1\.0")
        screen.type("RCPT TO: bob@example.org")
        screen.see(r"^250 2\.1\.5")
        screen.type("DATA")
        screen.see(r"^354 ")
        screen.type(f"Subject: {mark}")
        screen.type("")
        screen.type("Hello, Bob.")
        screen.type(".")
        screen.see(r"^250 2\.0\.0 Ok: queued as \S+")
        screen.type("QUIT")
        screen.see(r"^221 2\.0\.0")
        screen.see(r"Connection closed")
    content = site.arrived(mark).content
    if letters.field(content, "from") is None or letters.field(content, "date") is None:
        raise AssertionError(f"the letter was not repaired:\n{content.decode()}")


def headerless(site):
    """A letter without any header field: all that was typed is body."""
    mark = letters.marker()
    with Terminal(site.plain) as screen:
        screen.see(r"^220 ")
        screen.type("ehlo host")
        screen.see(r"^250 ")
        screen.type(f"auth plain {encoded(chr(0) + site.user + chr(0) + site.password)}")
        screen.see(r"^235 ")
        screen.type("mail from:<ann@example.net>")
        screen.see(r"^250 ")
        screen.type("rcpt to:<bob@example.org>")
        screen.see(r"^250 ")
        screen.type("data")
        screen.see(r"^354 ")
        screen.type(f"Just a line of text, {mark}.")
        screen.type("And another.")
        screen.type(".")
        screen.see(r"^250 2\.0\.0 Ok: queued as")
    content = site.arrived(mark).content
    _, body = letters.split(content)
    if body != f"Just a line of text, {mark}.\r\nAnd another.\r\n".encode():
        raise AssertionError(f"the body is not what was typed:\n{content.decode()}")
    missing = [name for name in ("from", "date", "message-id") if letters.field(content, name) is None]
    if missing:
        raise AssertionError(f"missing after the repair: {missing}\n{content.decode()}")


def teaches(site):
    """Mistakes are answered with what was expected, and the session goes on."""
    if site.kind != "posthouse":
        raise Skip("Postfix has no HELP")
    with Terminal(site.plain) as screen:
        screen.see(r"^220 ")
        screen.type("HELP")
        screen.see(r"^(214|250)[- ]")
        screen.type("EHLO")
        screen.see(r"^501 .*EHLO")
        screen.type("HELLO")
        screen.see(r"^50[02] ")
        screen.type("RCPT TO:<bob@example.org>")
        screen.see(r"^503 ")
        screen.type("EHLO [127.0.0.1]")
        screen.see(r"^250 ")
        screen.type("TURN")
        screen.see(r"^50[02] ")
        screen.type("NOOP")
        screen.see(r"^250 ")
        screen.type("QUIT")
        screen.see(r"^221 2\.0\.0")


CASES = [
    Case("the classic session, word for word", classic),
    Case("a letter without a header", headerless),
    Case("HELP and mistakes", teaches),
]
