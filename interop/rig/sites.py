"""Sites: the server that clients talk to, with its ports, its users and a recorder behind it. One kind is Posthouse; the
other is Postfix, by which the cases themselves are proved (`run --against postfix`)."""

import contextlib
import ssl

from . import letters, process
from .postfix import Postfix
from .posthouse import Posthouse
from .recorder import Recorder

USER, PASSWORD = "ann@example.net", "correct horse battery"
TRUSTED = ["127.0.0.0/8"]


class ClientSite:
    """What a client case needs. `plain` takes passwords without TLS; `open_port` relays for loopback without AUTH."""

    user, password = USER, PASSWORD

    def __init__(self, server, kind, ports, certificates, recorder):
        self.server, self.kind, self.certificates, self.recorder = server, kind, certificates, recorder
        self.plain, self.submission, self.smtps, self.open_port = ports

    def logs(self):
        return self.server.log_tail()

    def tls(self):
        """A context that trusts the server's certificate and no other."""
        return ssl.create_default_context(cafile=str(self.certificates.authority))

    def arrived(self, mark, deadline=20.0):
        """The letter with that mark, as the recorder behind the server got it."""
        return self.recorder.wait_for(mark, deadline)

    def arrived_whole(self, mark, sent):
        """The same, and fails unless the content is what was sent."""
        letter = self.arrived(mark)
        letters.arrived_whole(sent, letter.content)
        return letter


@contextlib.contextmanager
def posthouse_clients(context):
    """Posthouse with every kind of listener; all mail goes on to a recorder."""
    recorder = Recorder(chunking=True)
    ports = [process.free_port() for _ in range(4)]
    plain, submission, smtps, open_port = ports
    listeners = [
        ("submission", plain, {"plaintext_auth": True}),
        ("submission", submission, {"tls": "starttls"}),
        ("submission", smtps, {"tls": "implicit"}),
        ("mx", open_port, {"trusted_networks": TRUSTED}),
    ]
    route = {"recipients": ["*"], "to": "relay", "host": f"127.0.0.1:{recorder.port}", "tls": "off"}
    server = Posthouse(context.folder("posthouse-clients"), listeners, [route], extra=tls_table(context.certificates))
    try:
        server.start()
        server.add_domain("example.net")
        server.add_user(USER, PASSWORD)
        yield ClientSite(server, "posthouse", ports, context.certificates, recorder)
    finally:
        server.stop()
        recorder.stop()


@contextlib.contextmanager
def postfix_clients(context):
    """The same, with Postfix in Posthouse's place."""
    recorder = Recorder()
    ports = [process.free_port() for _ in range(4)]
    auth_only = {"smtpd_relay_restrictions": "permit_sasl_authenticated,reject",
                 "smtpd_recipient_restrictions": "permit_sasl_authenticated,reject"}
    services = [
        (ports[0], auth_only),
        (ports[1], {**auth_only, "smtpd_tls_auth_only": "yes"}),
        (ports[2], {**auth_only, "smtpd_tls_wrappermode": "yes"}),
        (ports[3], {}),
    ]
    settings = {"relayhost": f"[127.0.0.1]:{recorder.port}", "smtpd_tls_security_level": "may",
                "smtpd_forbid_bare_newline": "reject",
                "smtpd_forbid_bare_newline_exclusions": "", "broken_sasl_auth_clients": "yes", "message_size_limit": "50000000",
                "smtpd_soft_error_limit": "1000", "smtpd_hard_error_limit": "2000"}
    server = Postfix(context.folder("postfix-clients"), services, settings, {USER: PASSWORD}, context.certificates)
    try:
        server.start()
        yield ClientSite(server, "postfix", ports, context.certificates, recorder)
    finally:
        server.stop()
        recorder.stop()


def tls_table(certificates):
    """The `[tls]` table of a configuration."""
    return (f'[tls]\ncertificate = "{certificates.certificate}"\nkey = "{certificates.key}"\n'
            f'authorities = "{certificates.authority}"\n')
