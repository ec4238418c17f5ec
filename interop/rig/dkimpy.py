#!/usr/bin/python3
"""dkimpy over folders of messages; run by the system's Python, which has Debian's package.

    dkimpy.py verify RECORDS FROM                                  prints NAME NUMBER pass|fail for each signature
    dkimpy.py sign FROM TO DOMAIN SELECTOR ALGORITHM CANON KEY     KEY is a PEM file, or an Ed25519 seed in base64
"""

import pathlib
import sys

import dkim


def verify(records, source):
    zone = dict(line.split(" ", 1) for line in pathlib.Path(records).read_text().splitlines())

    def txt(name, timeout=5):
        return zone[name.decode().rstrip(".")].encode()

    for file in sorted(pathlib.Path(source).iterdir()):
        message = file.read_bytes()
        count = sum(name.lower() == b"dkim-signature" for name, _ in dkim.rfc822_parse(message)[0])
        for number in range(count):
            try:
                passed = dkim.DKIM(message).verify(idx=number, dnsfunc=txt)
            except dkim.DKIMException as error:
                passed = False
                print(f"# {error}")
            print(file.name, number, "pass" if passed else "fail")


def sign(source, target, domain, selector, algorithm, canon, key):
    secret = pathlib.Path(key).read_bytes().strip()
    canon = tuple(word.encode() for word in canon.split("/"))
    for file in sorted(pathlib.Path(source).iterdir()):
        message = file.read_bytes()
        signer = dkim.DKIM(message)
        signature = signer.sign(selector.encode(), domain.encode(), secret, signature_algorithm=algorithm.encode(), canonicalize=canon)
        (pathlib.Path(target) / file.name).write_bytes(signature + message)


if __name__ == "__main__":
    {"verify": verify, "sign": sign}[sys.argv[1]](*sys.argv[2:])
