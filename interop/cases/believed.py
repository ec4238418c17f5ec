"""Whom we believe: strangers' letters, signed by dkimpy, with unbound as our name server.

The clients have addresses of their own on the loopback interface: whoever comes from 127.0.0.1 is not verified."""

import base64
import contextlib
import itertools
import pathlib
import signal
import time

from rig import letters, process
from rig.dialogue import Dialogue, stuffed
from rig.unbound import Unbound
from rig.world import USER, Server

DKIMPY = pathlib.Path(__file__).parents[1] / "rig/dkimpy.py"
# Who may send for good.example, and who may not send for anybody.
SENDER, FORGER = "203.0.113.7", "203.0.113.66"
CANONS = ("relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple")
# Of a letter: what dkimpy signs and we hash as it streams in.
BODIES = ("", "\r\n\r\n", "Hello.\r\n", " \r\nblanks \t at\tends \t\r\n\r\n \r\n", "Grüße\r\n.\r\n..\r\n", "0123456789 line\r\n" * 30_000)


# It asks nobody: these zones are whole.
STATIC = [f'local-zone: "{zone}" static' for zone in ("example.", "113.0.203.in-addr.arpa.")]


class Keys:
    """A key of each kind in a folder, and the records that publish them."""

    def __init__(self, folder, domain):
        folder.mkdir(parents=True)
        self.folder, self.records = folder, []
        for kind, arguments in (("rsa", ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]), ("ed25519", ["-algorithm", "ed25519"])):
            pem = folder / f"{kind}.pem"
            process.run(["openssl", "genpkey", *arguments, "-out", pem]).expect()
            public = base64.b64decode(self._document(["openssl", "pkey", "-in", pem, "-pubout"]))
            # RFC 8463: the 32 octets at the end of the document.
            key = base64.b64encode(public if kind == "rsa" else public[-32:]).decode()
            text = f"v=DKIM1; k={kind}; p={key}"
            strings = " ".join(f'"{text[at:at + 250]}"' for at in range(0, len(text), 250))
            self.records.append(f"{kind}._domainkey.{domain}. TXT {strings}")
        private = base64.b64decode(self._document(["openssl", "pkey", "-in", folder / "ed25519.pem"]))
        self.seed = folder / "seed"
        self.seed.write_bytes(base64.b64encode(private[-32:]))

    @staticmethod
    def _document(command):
        lines = process.run(command).expect().output.splitlines()
        return "".join(line for line in lines if not line.startswith("-----"))

    def signed(self, kind, canon, domain, contents):
        """The letters with signatures of dkimpy's."""
        source, target = self.folder / "source", self.folder / "target"
        for folder in (source, target):
            folder.mkdir(exist_ok=True)
            for old in folder.iterdir():
                old.unlink()
        for number, content in enumerate(contents):
            (source / f"{number:04}").write_bytes(content)
        key = self.folder / "rsa.pem" if kind == "rsa" else self.seed
        algorithm = f"{kind}-sha256"
        process.run(["/usr/bin/python3", DKIMPY, "sign", source, target, domain, kind, algorithm, canon, key]).expect()
        return [file.read_bytes() for file in sorted(target.iterdir())]


class Stage:
    """A server of its own on all addresses, its resolver, and clients with addresses."""

    def __init__(self, folder):
        folder.mkdir(parents=True)
        self.folder, self.port = folder, process.free_port()
        self.keys = Keys(folder / "keys", "good.example")
        records = [
            f'good.example. TXT "v=spf1 ip4:{SENDER} -all"',
            '_dmarc.good.example. TXT "v=DMARC1; p=reject"',
            'mild.example. TXT "v=spf1 -all"',
            '_dmarc.mild.example. TXT "v=DMARC1; p=quarantine"',
            'loop.example. TXT "v=spf1 include:loop.example -all"',
            f"out.good.example. A {SENDER}",
            "7.113.0.203.in-addr.arpa. PTR out.good.example.",
            *self.keys.records,
        ]
        self.unbound = Unbound(folder / "unbound", [*STATIC, *(f"local-data: '{record}'" for record in records)])
        self.server = Server(folder / "posthouse", f"""\
hostname = "mx.example.net"
data_dir = "{folder / 'posthouse' / 'data'}"
[[listener]]
service = "mx"
address = "0.0.0.0:{self.port}"
[dns]
servers = ["127.0.0.1:{self.unbound.port}"]
[limits]
disk_reserve = "50 MB"
# Domains of which nobody knows anything write to us, too.
[gate]
sender_domain = "accept"
""", [self.port])

    def start(self):
        for address in (SENDER, FORGER):
            process.run(["ip", "address", "add", f"{address}/32", "dev", "lo"]).expect()
        self.unbound.start(), self.server.start()
        self.server.populate()
        return self

    def stop(self):
        if self.server.daemon:
            self.server.daemon.stop()
        self.unbound.stop()
        for address in (SENDER, FORGER):
            process.run(["ip", "address", "del", f"{address}/32", "dev", "lo"])

    def bring(self, content, code, contains="", source=SENDER, sender="gil@good.example"):
        """Hands a letter in; returns the reply."""
        with Dialogue(self.port, source=(source, 0)) as dialogue:
            dialogue.expect(220)
            dialogue.ehlo("out.good.example")
            dialogue.ask(f"MAIL FROM:<{sender}>", 250)
            dialogue.ask(f"RCPT TO:<{USER}>", 250)
            dialogue.ask("DATA", 354)
            dialogue.send(stuffed(content))
            return dialogue.expect(code, contains)

    def delivered(self, mark):
        """The letter with that mark, and its file."""
        def look():
            found = ((path, path.read_bytes()) for path in (self.server.folder / "data").rglob("new/*"))
            return next(((path, letters.from_file(content)) for path, content in found if mark.encode() in content), None)

        return process.wait_until(look, f"a letter with {mark}")

    def results(self, mark):
        """What stands at the top of the letter with that mark, on one line."""
        _, content = self.delivered(mark)
        name, value = letters.fields(content)[2]
        assert name == "authentication-results", content[:2000]
        return " ".join(value.split())


@contextlib.contextmanager
def staged(world, name):
    stage = Stage(world.folder / name)
    try:
        yield stage.start()
    except Exception as error:
        error.add_note(f"--- the log of the server that verifies ---\n{stage.server.log_tail()}\n--- unbound's ---\n{process.tail(stage.unbound.folder / 'log')}")
        raise
    finally:
        stage.stop()


def letter(mark, domain="good.example", body="Hello.\r\n", extra=""):
    return letters.plain(mark, body=body, sender=f"gil@{domain}", to=USER, extra=extra)


def vouched(world):
    """SPF and dkimpy's signatures of both kinds and all canonicalisations are found right, and what was changed is not."""
    with staged(world, "believed") as stage:
        mark = letters.marker()
        stage.bring(letter(mark, extra="Authentication-Results: mx.example.net; dmarc=pass header.from=bank.example\r\n"), 250)
        assert stage.results(mark) == (
            "mx.example.net; iprev=pass (out.good.example) policy.iprev=203.0.113.7; spf=pass smtp.mailfrom=gil@good.example; "
            "dkim=none; dmarc=pass (p=reject of good.example) header.from=good.example"
        ), stage.results(mark)
        assert b"bank.example" not in stage.delivered(mark)[1]
        for kind, canon in itertools.product(("rsa", "ed25519"), CANONS):
            marks = [letters.marker() for _ in BODIES]
            contents = [letter(mark, body=body) for mark, body in zip(marks, BODIES)]
            for mark, content in zip(marks, stage.keys.signed(kind, canon, "good.example", contents)):
                stage.bring(content, 250, source=FORGER, sender="list@nowhere.example")
                results = stage.results(mark)
                assert "dkim=pass " in results and f"header.a={kind}-sha256" in results, (kind, canon, results)
                assert "spf=none " in results and results.endswith("dmarc=pass (p=reject of good.example) header.from=good.example"), results
                stage.bring(content.replace(b"Subject: ", b"Subject: Re: ", 1), 550, "5.7.26", source=FORGER)


def refused(world):
    """What is not believed: refused, put into Junk, deferred while the name server hangs or is dead, and taken after it."""
    with staged(world, "doubted") as stage:
        stage.bring(letter("forged"), 550, "5.7.26", source=FORGER)
        stage.bring(letter("two", extra="From: ceo@bank.example\r\n"), 550, "5.7.1 The message has more than one From")
        mark = letters.marker()
        stage.bring(letter(mark, domain="mild.example"), 250, source=FORGER)
        path, content = stage.delivered(mark)
        assert path.parts[-3] == ".Junk" and letters.field(content, "X-Posthouse-Quarantine").startswith("dmarc=fail"), path
        mark = letters.marker()
        stage.bring(letter(mark, domain="unknown.example"), 250, sender="x@loop.example")
        assert "spf=permerror " in stage.results(mark), stage.results(mark)
        # It hangs: nothing is asked for longer than twenty seconds.
        stage.unbound.signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            stage.bring(letter("hanging", domain="later.example"), 451, "4.7.24", sender="x@later.example")
            assert 5 < time.monotonic() - began < 25, time.monotonic() - began
        finally:
            stage.unbound.signal(signal.SIGCONT)
        stage.unbound.stop()
        stage.bring(letter("dead", domain="gone.example"), 451, "4.7.24", sender="x@gone.example")
        stage.unbound.start()
        mark = letters.marker()
        stage.bring(letter(mark), 250)
        assert "dmarc=pass" in stage.results(mark)
        kept = [content for path in (stage.server.folder / "data").rglob("new/*") for content in [path.read_bytes()]]
        assert len(kept) == 3 and not any(b"hanging" in content or b"forged" in content for content in kept)


CASES = [
    ("believed: SPF, and dkimpy's signatures in all canonicalisations, by unbound", vouched),
    ("believed: forged letters; a name server that hangs and dies", refused),
]
