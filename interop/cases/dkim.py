"""DKIM with OpenDKIM and dkimpy: they verify what we sign, and we what they sign, over generated letters."""

import base64
import json
import os
import pathlib
import random
import time

from rig import letters, process
from rig.milter import Milter
from rig.world import OURS, PASSWORD, USER

ROOT = pathlib.Path(__file__).parents[2]
DKIMPY = pathlib.Path(__file__).parents[1] / "rig/dkimpy.py"
DOMAIN = "example.net"
CANONS = ("relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple")
# Letters of each case, for each of the canonicalisations: in all runs, and in long ones.
FEW, MANY = 25, 750


def program():
    """Our signer and verifier over folders."""
    built = os.environ.get("POSTHOUSE_DKIM")
    if not built:
        process.run(["cargo", "build", "--quiet", "--release", "--package", "policy", "--example", "dkim"], cwd=ROOT, timeout=1200).expect()
        built = ROOT / "target/release/examples/dkim"
    return built


class Keys:
    """A key of each kind, as each program wants it, and the records that publish them."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.records = folder / "records"
        lines = []
        for kind in ("rsa", "ed25519"):
            text = process.run([program(), "generate", kind]).expect().output
            pem, record = text[: text.index("v=DKIM1")], text[text.index("v=DKIM1"):].strip()
            self.pem(kind).write_text(pem)
            self.pem(kind).chmod(0o600)
            lines.append(f"{kind}._domainkey.{DOMAIN} {record}\n")
        self.records.write_text("".join(lines))
        # RFC 8410: the seed is the end of the PKCS #8 document.
        document = base64.b64decode("".join(self.pem("ed25519").read_text().splitlines()[1:-1]))
        self.seed = folder / "seed"
        self.seed.write_bytes(base64.b64encode(document[-32:]))

    def pem(self, kind):
        return self.folder / f"{kind}.pem"


# What bodies are made of. All lines end in CRLF, as they do on the wire.
LINES = (
    b"", b"", b" ", b"\t", b" \t ", b"Hello", b" Hello", b"two  words\there", b"trailing  ", b"trailing\t", b".", b"..", b"=20=",
    "Привет, ёжик".encode(), b"\xff\xfe\x80 octets", b"From here", b"-- ", b"x" * 998, b"a line of text as most of them are, with some words",
)
VALUES = (
    b"", b"a", b"word word", b"two  blanks\tand a tab", b"trailing \t", b"folded\r\n value", b"folded\r\n\t\t more \r\n  than once",
    "8-бит".encode(), b"\xe9\xe8", b"semi; colon: = \"quoted\"", b"x" * 900,
)
NAMES = (b"X-One", b"x-two", b"Received", b"Cc", b"References", b"Reply-To", b"List-Id", b"List-Unsubscribe", b"Content-Type", b"MIME-VERSION")


def generated(folder, count, seed):
    """Fills a folder with letters; the seed says which."""
    folder.mkdir(parents=True)
    chance = random.Random(seed)
    for number in range(count):
        fields = [b"From: Ann <ann@example.net>", b"Subject:" + chance.choice((b"", b" ", b" \t")) + chance.choice(VALUES)]
        fields += [b"To: bob@example.org"] * chance.choice((0, 1, 1, 1, 2))
        fields += [b"Date: Mon, 01 Jun 2026 10:00:00 +0000"] * chance.choice((0, 1, 1))
        fields += [b"Message-ID: <%d.%d@example.net>" % (seed, number)] * chance.choice((0, 1, 1))
        for _ in range(chance.randrange(8)):
            fields.append(chance.choice(NAMES) + b":" + chance.choice((b"", b" ", b"  ")) + chance.choice(VALUES))
        chance.shuffle(fields)
        lines = [chance.choice(LINES) for _ in range(chance.choice((0, 1, 2, 5, 20, 200)))]
        content = b"\r\n".join(fields) + b"\r\n\r\n" + b"".join(line + b"\r\n" for line in lines)
        (folder / f"{number:05}").write_bytes(content)
    return folder


class Bench:
    """A folder of one case: keys, letters, and what was made of them."""

    def __init__(self, world, name):
        self.folder = world.folder / "dkim" / name
        self.folder.mkdir(parents=True)
        self.keys = Keys(self.folder / "keys")

    def letters(self, count, canon):
        name = canon.replace("/", "-")
        return generated(self.folder / f"letters-{name}", count, CANONS.index(canon) + 1), self.made(name)

    def made(self, name):
        folder = self.folder / f"signed-{name}"
        folder.mkdir()
        return folder

    def sign(self, letters, signed, canon):
        process.run([program(), "sign", DOMAIN, int(time.time()), canon, letters, signed,
                     *(f"{kind}={self.keys.pem(kind)}" for kind in ("rsa", "ed25519"))], timeout=600).expect()

    def verify(self, signed, count):
        """Ours, on all of a folder: every signature must pass, `count` of them on each letter."""
        lines = process.run([program(), "verify", self.keys.records, int(time.time()), signed], timeout=600).expect().output.splitlines()
        bad = [line for line in lines if line.split()[1] != "pass"]
        assert not bad, f"{len(bad)} of {len(lines)} did not pass in {signed}: {bad[:5]}"
        assert len(lines) == count * len(list(signed.iterdir())), len(lines)


def dkimpy(*arguments):
    return process.run(["/usr/bin/python3", DKIMPY, *arguments], timeout=3600).expect().output


def ours_by_dkimpy(count):
    def case(world):
        bench = Bench(world, f"ours-by-dkimpy-{count}")
        for canon in CANONS:
            letters, signed = bench.letters(count, canon)
            bench.sign(letters, signed, canon)
            bench.verify(signed, 2)
            lines = dkimpy("verify", bench.keys.records, signed).splitlines()
            bad = [line for line in lines if not line.endswith("pass")]
            assert not bad and len(lines) == 2 * count, f"{canon}: {bad[:5]}, {len(lines)} lines"

    return case


def dkimpys_by_us(count):
    def case(world):
        bench = Bench(world, f"dkimpys-by-us-{count}")
        for canon in CANONS:
            letters, signed = bench.letters(count, canon)
            for kind, key in (("rsa", bench.keys.pem("rsa")), ("ed25519", bench.keys.seed)):
                dkimpy("sign", letters, signed, DOMAIN, kind, f"{kind}-sha256", canon, key)
                bench.verify(signed, 1)

    return case


class OpenDkim:
    """The filter, with a configuration, and a connection to it."""

    def __init__(self, folder, **settings):
        folder.mkdir()
        path = folder / "socket"
        common = {"Socket": f"local:{path}", "Background": "no", "Syslog": "no", "UserID": "root", "RequireSafeKeys": "no",
                  "InternalHosts": "127.0.0.1", "TemporaryDirectory": folder, "AuthservID": "verifier.example"}
        config = folder / "opendkim.conf"
        config.write_text("".join(f"{key} {value}\n" for key, value in {**common, **settings}.items()))
        self.daemon = process.Daemon(["opendkim", "-f", "-x", config], folder / "log")
        process.wait_until(path.exists, "OpenDKIM to listen")
        self.milter = Milter(path)

    def __enter__(self):
        return self.milter

    def __exit__(self, *_):
        self.milter.close()
        # Asked to stop, it would wait five seconds first.
        self.daemon.kill()


def ours_by_opendkim(count):
    def case(world):
        bench = Bench(world, f"ours-by-opendkim-{count}")
        verifier = {"Mode": "v", "TestDNSData": f"file:{bench.keys.records}", "AlwaysAddARHeader": "yes", "InternalHosts": "192.0.2.1"}
        with OpenDkim(bench.folder / "opendkim", **verifier) as milter:
            for canon in CANONS:
                letters, signed = bench.letters(count, canon)
                bench.sign(letters, signed, canon)
                for file in sorted(signed.iterdir()):
                    results = [value for name, value in milter.headers(file.read_bytes()) if name == b"Authentication-Results"]
                    assert len(results) == 1 and results[0].count(b"dkim=pass") == 2, f"{canon} {file.name}: {results}"

    return case


def opendkims_by_us(count):
    """Not with Ed25519 and a simple header: OpenDKIM 2.11 folds that field after it has signed it, and refuses it itself."""
    def case(world):
        bench = Bench(world, f"opendkims-by-us-{count}")
        for kind, canons in (("rsa", CANONS), ("ed25519", CANONS[:2])):
            for canon in canons:
                name = f"{kind}-{canon.replace('/', '-')}"
                letters = generated(bench.folder / f"letters-{name}", count, CANONS.index(canon) + 10)
                signed = bench.made(name)
                signer = {"Mode": "s", "Domain": DOMAIN, "Selector": kind, "KeyFile": bench.keys.pem(kind), "Canonicalization": canon,
                          "SignatureAlgorithm": f"{kind}-sha256", "OversignHeaders": "From,Subject,Date"}
                with OpenDkim(bench.folder / f"opendkim-{name}", **signer) as milter:
                    for file in sorted(letters.iterdir()):
                        letter = file.read_bytes()
                        added = milter.headers(letter)
                        assert [name for name, _ in added] == [b"DKIM-Signature"], added
                        (signed / file.name).write_bytes(b"DKIM-Signature:" + added[0][1] + b"\r\n" + letter)
                bench.verify(signed, 1)

    return case


def cases(count):
    return [
        (f"DKIM: dkimpy verifies {4 * count} letters of ours", ours_by_dkimpy(count)),
        (f"DKIM: we verify {8 * count} letters of dkimpy's", dkimpys_by_us(count)),
        (f"DKIM: OpenDKIM verifies {4 * count} letters of ours", ours_by_opendkim(count)),
        (f"DKIM: we verify {6 * count} letters of OpenDKIM's", opendkims_by_us(count)),
    ]


def signed_by_the_server(world):
    """What a user sends arrives with two signatures, which dkimpy verifies with the records that the server prints."""
    mark = letters.marker()
    process.run(["swaks", "--server", f"127.0.0.1:{world.submission}", "--tls", "--auth", "PLAIN", "--auth-user", USER,
                 "--auth-password", PASSWORD, "--from", USER, "--to", "bob@in.recorder.example", "--header", f"Subject: {mark}",
                 "--body", "a line \n\n\tand another\n\n\n"]).expect()
    folder = world.folder / "dkim" / "server"
    arrived = folder / "arrived"
    arrived.mkdir(parents=True)
    (arrived / "letter").write_bytes(world.recorder.wait_for(mark).content)
    keys = json.loads(world.server.command("dkim", "list", OURS, "--json"))
    (folder / "records").write_text("".join(f"{key['name']} {key['record']}\n" for key in keys))
    verdicts = dkimpy("verify", folder / "records", arrived).split("\n")[:-1]
    assert verdicts == ["letter 0 pass", "letter 1 pass"], verdicts


CASES = [*cases(FEW), ("DKIM: dkimpy verifies what the server signs", signed_by_the_server)]
LONG = cases(MANY)
