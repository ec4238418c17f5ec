"""The MTA's end of the milter protocol (version 6): hands messages to a filter, returns what it does to them."""

import socket
import struct

VERSION = 6
# All that a filter may do, and no step left out; header values keep the blank behind the colon.
ACTIONS, LEADING_SPACE = 0x1FF, 0x100000
# Octets of one body packet.
CHUNK = 65_000
# What ends a step.
CONTINUE, ACCEPT = b"c", b"a"


class Milter:
    """A connection to a filter's socket, for many messages."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self._send(b"O", struct.pack(">III", VERSION, ACTIONS, LEADING_SPACE))
        command, data = self._packet()
        assert command == b"O", (command, data)
        self.leading_space = struct.unpack(">III", data[:12])[2] & LEADING_SPACE
        self._step(b"C", b"client.example\0004" + struct.pack(">H", 40000) + b"127.0.0.1\0")
        self._step(b"H", b"client.example\0")

    def headers(self, message):
        """The fields that the filter adds to a message, as (name, value) pairs with folds of CRLF, the topmost first."""
        head, _, body = message.partition(b"\r\n\r\n")
        self._step(b"M", b"<ann@example.net>\0")
        self._step(b"R", b"<bob@example.org>\0")
        for field in unfold(head):
            name, _, value = field.partition(b":")
            if not self.leading_space:
                value = value.removeprefix(b" ")
            self._step(b"L", name + b"\0" + value.replace(b"\r\n", b"\n") + b"\0")
        self._step(b"N", b"")
        for start in range(0, len(body), CHUNK):
            self._step(b"B", body[start:start + CHUNK])
        self._send(b"E", b"")
        return self._added()

    def _added(self):
        added = []
        while True:
            command, data = self._packet()
            if command in b"ih":
                name, value, _ = (data[4:] if command == b"i" else data).split(b"\0")
                value = value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
                added.insert(0, (name, value if self.leading_space else b" " + value))
            elif command in (CONTINUE, ACCEPT):
                return added
            elif command not in b"mp":
                raise AssertionError(f"the filter says {command} {data}")

    def _step(self, command, data):
        self._send(command, data)
        answer, said = self._packet()
        assert answer in (CONTINUE, ACCEPT), (command, answer, said)

    def _send(self, command, data):
        self.socket.sendall(struct.pack(">I", len(data) + 1) + command + data)

    def _packet(self):
        length, = struct.unpack(">I", self._read(4))
        packet = self._read(length)
        return packet[:1], packet[1:]

    def _read(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            assert piece, "the filter hung up"
            data += piece
        return data

    def close(self):
        self._send(b"Q", b"")
        self.socket.close()


def unfold(head):
    """The fields of a header section, each with its folds, without the last CRLF."""
    fields = []
    for line in head.split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] += b"\r\n" + line
        elif line:
            fields.append(line)
    return fields
