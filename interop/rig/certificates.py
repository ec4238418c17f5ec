"""A small authority and a server certificate made with the openssl program, so that clients can verify what they talk to."""

import pathlib

from . import process

NAMES = "DNS:localhost,DNS:mx.example.net,DNS:mail.example.org,IP:127.0.0.1"


class Certificates:
    """`authority`, `certificate` (with chain) and `key` are paths of PEM files."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = folder / "authority.pem"
        self.certificate = folder / "certificate.pem"
        self.key = folder / "key.pem"
        authority_key, request, extensions = folder / "authority.key", folder / "request.pem", folder / "extensions"
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        _openssl("req", "-x509", *new_key, "-keyout", authority_key, "-out", self.authority, "-days", "30",
                 "-subj", "/CN=Interop authority", "-addext", "basicConstraints=critical,CA:TRUE",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _openssl("req", *new_key, "-keyout", self.key, "-out", request, "-subj", "/CN=mx.example.net")
        extensions.write_text(f"subjectAltName={NAMES}\nbasicConstraints=CA:FALSE\n")
        _openssl("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", authority_key, "-CAcreateserial",
                 "-out", self.certificate, "-days", "30", "-extfile", extensions)
        self.key.chmod(0o600)


def _openssl(*arguments):
    process.run(["openssl", *arguments]).expect()
