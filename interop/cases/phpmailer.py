"""PHPMailer: SMTPSecure tls, ssl and none, AuthType PLAIN and LOGIN, HTML with an alternative, attachments."""

import email
import json
import pathlib

from rig import letters, process
from rig.runner import Case

SCRIPT = pathlib.Path(__file__).with_suffix(".php")
ROADS = {"plain": "", "submission": "tls", "smtps": "ssl"}


def send(site, road, mechanism, mark, password=None, attachment=None):
    wish = {"port": getattr(site, road), "auth": mechanism, "user": site.user, "password": password or site.password,
            "secure": ROADS[road], "authority": str(site.certificates.authority), "mark": mark}
    if attachment:
        wish["attachment"] = str(attachment)
    return process.run(["php", SCRIPT], input=json.dumps(wish))


def sends(road, mechanism):
    def body(site):
        mark = letters.marker()
        send(site, road, mechanism, mark).expect(0)
        message = email.message_from_bytes(site.arrived(mark).content)
        text = message.get_payload(0).get_payload(decode=True).decode()
        if "Привет from PHPMailer" not in text:
            raise AssertionError(f"the text is not what was sent: {text!r}")

    return Case(f"SMTPSecure {ROADS[road] or 'off'!r}, AuthType {mechanism}", body)


def attachment(site):
    """A binary file comes through bit for bit."""
    mark = letters.marker()
    source = site.certificates.authority.parent / "phpmailer.bin"
    source.write_bytes(bytes(range(256)) * 4000)
    send(site, "submission", "PLAIN", mark, attachment=source).expect(0)
    message = email.message_from_bytes(site.arrived(mark).content)
    found = [part.get_payload(decode=True) for part in message.walk() if part.get_filename() == "data.bin"]
    if found != [source.read_bytes()]:
        raise AssertionError("the attachment is not what was sent")


def wrong_password(site):
    done = send(site, "submission", "LOGIN", letters.marker(), password="wrong").expect(1)
    if "535" not in done.output:
        raise AssertionError(f"expected 535:\n{done.output}")


CASES = [
    *(sends(road, mechanism) for road in ROADS for mechanism in ("PLAIN", "LOGIN")),
    Case("an attachment of a megabyte", attachment),
    Case("a wrong password is refused", wrong_password),
]
