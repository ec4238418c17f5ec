"""A raw SMTP conversation over a socket: sends what the case says, byte for byte, and keeps what both sides said."""

import base64
import re
import socket
import ssl

from . import scram

DEADLINE = 30.0


class Reply:
    """A reply: `code`, and its `lines` without the code."""

    def __init__(self, code, lines):
        self.code, self.lines = code, lines

    @property
    def text(self):
        return "\n".join(self.lines)

    def __str__(self):
        return f"{self.code} {self.text}"


class Dialogue:
    """One connection. Every failure of expectation shows the whole conversation."""

    def __init__(self, port, tls=None, host="127.0.0.1", source=None):
        self.said, self.unread = [], b""
        self.socket = socket.create_connection((host, port), DEADLINE, source)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Sends bytes as they are, or text with CRLF behind it."""
        raw = data if isinstance(data, bytes) else data.encode() + b"\r\n"
        self.said.append("C: " + _shown(raw))
        self.socket.sendall(raw)

    def reply(self):
        """Reads one whole reply."""
        lines = []
        while True:
            line = self._line()
            found = re.fullmatch(r"(\d{3})([ -]?)(.*)", line)
            if not found:
                raise AssertionError(f"not a reply line: {line!r}\n{self.transcript()}")
            lines.append(found.group(3))
            if found.group(2) != "-":
                return Reply(int(found.group(1)), lines)

    def expect(self, code, contains=""):
        """Reads one reply, which must have this code and text."""
        reply = self.reply()
        if reply.code != code or contains not in reply.text:
            raise AssertionError(f"expected {code} {contains}, got {reply}\n{self.transcript()}")
        return reply

    def ask(self, data, code, contains=""):
        """Sends and expects."""
        self.send(data)
        return self.expect(code, contains)

    def ehlo(self, name="client.example"):
        """Says EHLO; returns the keywords with their parameters."""
        reply = self.ask(f"EHLO {name}", 250)
        pairs = (line.partition(" ") for line in reply.lines[1:])
        return {keyword.upper(): parameters for keyword, _, parameters in pairs}

    def start_tls(self, context):
        """STARTTLS and the handshake."""
        self.ask("STARTTLS", 220)
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    def closed(self):
        """Whether the server closes without saying more."""
        try:
            return self.socket.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True

    def auth_plain(self, user, password, code=235):
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.ask(f"AUTH PLAIN {token}", code)

    def auth_login(self, user, password, code=235):
        self.ask("AUTH LOGIN", 334, "VXNlcm5hbWU6")
        self.ask(base64.b64encode(user.encode()).decode(), 334, "UGFzc3dvcmQ6")
        return self.ask(base64.b64encode(password.encode()).decode(), code)

    def auth_scram(self, user, password, code=235):
        """SCRAM-SHA-256; checks the server's proof, too."""
        client = scram.Client(user, password)
        challenge = self.ask("AUTH SCRAM-SHA-256 " + _b64(client.first()), 334)
        final = client.final(base64.b64decode(challenge.text).decode())
        if code != 235:
            return self.ask(_b64(final), code)
        verdict = self.ask(_b64(final), 334)
        client.verify(base64.b64decode(verdict.text).decode())
        return self.ask(b"\r\n", 235)

    def transcript(self):
        return "\n".join(self.said)

    def _line(self):
        while b"\n" not in self.unread:
            more = self.socket.recv(65536)
            if not more:
                raise AssertionError(f"the server closed the connection\n{self.transcript()}")
            self.unread += more
        line, _, self.unread = self.unread.partition(b"\n")
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        self.said.append("S: " + text)
        return text


def stuffed(content):
    """Content as DATA carries it: dots doubled, the final dot behind it (RFC 5321 §4.5.2)."""
    doubled = re.sub(rb"(?m)^\.", b"..", content)
    return doubled + (b"" if doubled.endswith(b"\r\n") or not doubled else b"\r\n") + b".\r\n"


def queued_id(reply):
    """The id in `250 2.0.0 Ok: queued as ID`."""
    found = re.search(r"queued as (\S+)", str(reply))
    if not found:
        raise AssertionError(f"no id in the reply {reply}")
    return found.group(1)


def _b64(text):
    return base64.b64encode(text.encode()).decode()


def _shown(raw):
    text = raw.decode("utf-8", "backslashreplace").replace("\r\n", "\n   ").rstrip()
    return text if len(text) < 2000 else text[:1000] + f" … ({len(raw)} bytes)"
