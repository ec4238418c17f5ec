"""The client's half of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding."""

import base64
import hashlib
import hmac
import os


class Client:
    """`first()`, then `final(server's first)`, then `verify(server's final)`."""

    def __init__(self, user, password, nonce=None):
        self.password = password.encode()
        self.nonce = nonce or base64.b64encode(os.urandom(18)).decode()
        name = user.replace("=", "=3D").replace(",", "=2C")
        self.bare = f"n={name},r={self.nonce}"
        self.server_signature = None

    def first(self):
        return "n,," + self.bare

    def final(self, challenge):
        parts = dict(part.split("=", 1) for part in challenge.split(","))
        if not parts["r"].startswith(self.nonce) or parts["r"] == self.nonce:
            raise AssertionError("the server's nonce does not continue ours")
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(parts["s"]), int(parts["i"]))
        client_key = _hmac(salted, b"Client Key")
        without_proof = f"c=biws,r={parts['r']}"
        signed = f"{self.bare},{challenge},{without_proof}".encode()
        signature = _hmac(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(left ^ right for left, right in zip(client_key, signature))
        self.server_signature = _hmac(_hmac(salted, b"Server Key"), signed)
        return f"{without_proof},p={base64.b64encode(proof).decode()}"

    def verify(self, verdict):
        if verdict != "v=" + base64.b64encode(self.server_signature).decode():
            raise AssertionError(f"the server did not prove that it knows the password: {verdict}")


def _hmac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()
