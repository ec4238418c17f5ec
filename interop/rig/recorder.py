"""A small SMTP server that keeps what it is sent, byte for byte, and refuses what it is told to. It is written apart from
everything it tests: a thread per connection, blocking reads, no TLS."""

import re
import socket
import socketserver
import threading
import time

from . import process


class Letter:
    """What arrived in one transaction. `content` has its dots removed."""

    def __init__(self, reverse_path, recipients, content, transfer):
        self.reverse_path, self.recipients, self.content, self.transfer = reverse_path, recipients, content, transfer
        self.at = time.monotonic()


class Recorder:
    """Listens on `port`. A recipient whose local part begins with `unknown` gets 550 5.1.1, with `later` 451 4.2.1;
    `refusing` maps further exact addresses to reply lines. With `chunking` it offers BDAT."""

    def __init__(self, chunking=False, refusing=None):
        self.letters, self.lock = [], threading.Lock()
        self.chunking, self.refusing = chunking, refusing or {}
        self.connections = 0
        self.port = process.free_port()
        self.server = _Server(("127.0.0.1", self.port), _Handler)
        self.server.recorder = self
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def keep(self, letter):
        with self.lock:
            self.letters.append(letter)

    def snapshot(self):
        with self.lock:
            return list(self.letters)

    def find(self, mark):
        """The letters that hold these bytes in their content, in any encoding of theirs that leaves it readable."""
        wanted = mark.encode()
        return [letter for letter in self.snapshot() if wanted in letter.content]

    def wait_for(self, mark, deadline=30.0):
        """The first letter with that mark."""
        return process.wait_until(lambda: self.find(mark), f"a letter with {mark} to arrive", deadline)[0]

    def verdict(self, address):
        """The reply to a recipient."""
        local = address.partition("@")[0].lower()
        if address in self.refusing:
            return self.refusing[address]
        if local.startswith("unknown"):
            return "550 5.1.1 There is no such mailbox here"
        if local.startswith("later"):
            return "451 4.2.1 The mailbox is busy, try later"
        return "250 2.1.5 Ok"


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


class _Handler(socketserver.StreamRequestHandler):
    """One connection. Replies are written when the client has nothing more under way, as RFC 2920 asks."""

    rbufsize = 1 << 16

    def setup(self):
        super().setup()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.recorder.connections += 1
        self.replies = []
        self.forget()

    def forget(self):
        self.reverse_path, self.recipients, self.chunks = None, [], []

    def say(self, *lines):
        self.replies += lines

    def flush(self):
        if self.replies:
            self.request.sendall("".join(line + "\r\n" for line in self.replies).encode())
            self.replies = []

    def pending(self):
        """Whether input waits already, so that the reply may wait, too."""
        self.request.setblocking(False)
        try:
            return bool(self.rfile.peek(1))
        except (BlockingIOError, OSError):
            return False
        finally:
            self.request.setblocking(True)

    def handle(self):
        self.say("220 recorder.example ESMTP")
        self.flush()
        try:
            while line := self.rfile.readline(4096):
                if self.command(line.decode("utf-8", "surrogateescape").rstrip("\r\n")):
                    break
                if not self.pending():
                    self.flush()
            self.flush()
        except OSError:
            pass

    def command(self, line):
        """Answers one command; true at QUIT."""
        verb, _, argument = line.partition(" ")
        verb = verb.upper()
        if verb == "QUIT":
            self.say("221 2.0.0 Bye")
            return True
        {"EHLO": self.ehlo, "HELO": self.helo, "MAIL": self.mail, "RCPT": self.rcpt, "DATA": self.data,
         "BDAT": self.bdat, "RSET": self.rset, "NOOP": self.noop}.get(verb, self.unknown)(argument)
        return False

    def ehlo(self, _):
        self.forget()
        extensions = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 60000000"]
        if self.server.recorder.chunking:
            extensions.append("CHUNKING")
        lines = ["recorder.example", *extensions]
        self.say(*(f"250{'-' if at + 1 < len(lines) else ' '}{text}" for at, text in enumerate(lines)))

    def helo(self, _):
        self.forget()
        self.say("250 recorder.example")

    def noop(self, _):
        self.say("250 2.0.0 Ok")

    def unknown(self, _):
        self.say("502 5.5.2 Not here")

    def rset(self, _):
        self.forget()
        self.say("250 2.0.0 Ok")

    def mail(self, argument):
        self.reverse_path = _address(argument)
        self.say("250 2.1.0 Ok")

    def rcpt(self, argument):
        address = _address(argument)
        reply = self.server.recorder.verdict(address)
        if reply.startswith("250"):
            self.recipients.append(address)
        self.say(reply)

    def data(self, _):
        if not self.recipients:
            self.say("554 5.5.1 No valid recipients")
            return
        self.say("354 Go on")
        self.flush()
        content = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise OSError("the client went away in DATA")
            content.append(line[1:] if line.startswith(b".") else line)
        self.accept(b"".join(content), "DATA")

    def bdat(self, argument):
        size, _, last = argument.partition(" ")
        self.chunks.append(self.rfile.read(int(size)))
        if last.upper() == "LAST":
            self.accept(b"".join(self.chunks), "BDAT")
        else:
            self.say("250 2.0.0 Ok")

    def accept(self, content, transfer):
        recorder = self.server.recorder
        recorder.keep(Letter(self.reverse_path, self.recipients, content, transfer))
        self.say(f"250 2.0.0 Ok: kept as {len(recorder.letters)}")
        self.forget()


def _address(argument):
    found = re.search(r"<([^>]*)>", argument)
    return found.group(1) if found else argument.partition(":")[2].split()[0]
