"""A signed message from strangers: the message, the zone in which it is found right, and what the public-key operation of
its signature costs."""

import os
import pathlib
import re
import time

from rig import process

ROOT = pathlib.Path(__file__).parents[2]
DOMAIN, SELECTOR = "example.com", "s1"
# The clients of load.strangers: one in each of so many networks.
NETWORKS = 20
# Verifications that are timed at a stretch, and how often: the shortest stretch is one that nobody broke into.
ROUNDS, STRETCHES = 40, 20


def program():
    """The signer of crates/policy."""
    built = os.environ.get("POSTHOUSE_DKIM")
    if not built:
        command = ["cargo", "build", "--quiet", "--release", "--locked", "--package", "policy", "--example", "dkim"]
        process.run(command, cwd=ROOT, timeout=1800).expect()
        built = ROOT / "target/release/examples/dkim"
    return built


class Signed:
    """A message of so many octets, signed with RSA-2048. `file` has it as it is on the wire, `zone` is for rig.dns."""

    def __init__(self, folder, size):
        self.dkim, self.folder = program(), pathlib.Path(folder)
        text = process.run([self.dkim, "generate", "rsa"]).expect().output
        pem, record = text[: text.index("v=DKIM1")], text[text.index("v=DKIM1"):].strip()
        key, plain, signed = (self.folder / name for name in ("key.pem", "plain", "signed"))
        key.write_text(pem)
        for path in (plain, signed):
            path.mkdir()
        (plain / "message").write_bytes(letter(size))
        self.now = int(time.time())
        process.run([self.dkim, "sign", DOMAIN, self.now, "relaxed/relaxed", plain, signed, f"{SELECTOR}={key}"]).expect()
        self.file = signed / "message"
        self.records = self.folder / "records"
        self.records.write_text(f"{SELECTOR}._domainkey.{DOMAIN} {record}\n")
        self.zone = zone(record)

    def key_operation(self):
        """Microseconds of the public-key operation."""
        command = [self.dkim, "time", self.file, self.records, self.now, ROUNDS]
        outputs = [process.run(command).expect().output for _ in range(STRETCHES)]
        whole, apart = (min(map(float, times)) for times in zip(*(re.findall(r": ([\d.]+) us", output) for output in outputs)))
        return whole - apart


def letter(size):
    """A letter as most are, of so many octets."""
    fields = (f"From: Ann <a@{DOMAIN}>", "To: b@example.org", "Subject: The minutes of the meeting", "Date: Mon, 01 Jun 2026 10:00:00 +0000",
              f"Message-ID: <1@{DOMAIN}>", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8")
    head = "".join(f"{field}\r\n" for field in fields) + "\r\n"
    lines = "".join(f"{number:05}: it was said that the matter would be looked at next time\r\n" for number in range(size // 60))
    return (head + lines)[: size - 2].rstrip().encode() + b"\r\n"


def zone(key):
    """All that is asked about the message and its clients."""
    found = {
        DOMAIN: [("A", "198.18.0.1"), ("TXT", "v=spf1 ip4:198.18.0.0/15 -all")],
        f"_dmarc.{DOMAIN}": [("TXT", "v=DMARC1; p=reject")],
        f"{SELECTOR}._domainkey.{DOMAIN}": [("TXT", key)],
    }
    for number in range(NETWORKS):
        host = f"out{number}.{DOMAIN}"
        found[f"1.{number}.18.198.in-addr.arpa"] = [("PTR", host)]
        found[host] = [("A", f"198.18.{number}.1")]
    return found
