"""Python's smtplib: STARTTLS and TLS, each AUTH, many letters on one connection, 8-bit text, refused recipients."""

import smtplib

from rig import letters, process
from rig.runner import Case

DEADLINE = 30


def connect(site, road):
    """A connection ready for AUTH."""
    if road == "smtps":
        return smtplib.SMTP_SSL("localhost", site.smtps, timeout=DEADLINE, context=site.tls())
    client = smtplib.SMTP("localhost", getattr(site, road), timeout=DEADLINE)
    client.ehlo("client.example")
    if road == "submission":
        client.starttls(context=site.tls())
        client.ehlo("client.example")
    return client


def login(client, site, mechanism):
    """Authenticates with exactly this mechanism."""
    client.user, client.password = site.user, site.password
    client.auth(mechanism, getattr(client, "auth_" + mechanism.lower()))


def sends(road, mechanism):
    def body(site):
        mark = letters.marker()
        letter = letters.plain(mark, "By smtplib.\r\n")
        with connect(site, road) as client:
            login(client, site, mechanism)
            client.sendmail(site.user, ["bob@example.org"], letter)
        site.arrived_whole(mark, letter)

    return Case(f"{road}, AUTH {mechanism}", body)


def wrong_password(site):
    with connect(site, "smtps") as client:
        try:
            client.login(site.user, "wrong")
        except smtplib.SMTPAuthenticationError as error:
            if error.smtp_code != 535:
                raise AssertionError(f"expected 535, got {error}") from error
        else:
            raise AssertionError("a wrong password was taken")


def many(site):
    """A hundred letters on one connection."""
    marks = [letters.marker() for _ in range(100)]
    with connect(site, "submission") as client:
        client.login(site.user, site.password)
        for mark in marks:
            client.sendmail(site.user, ["bob@example.org"], letters.plain(mark))
    for mark in marks:
        site.arrived_whole(mark, letters.plain(mark))


def eight_bit(site):
    """UTF-8 in the body, announced by BODY=8BITMIME."""
    mark = letters.marker()
    extra = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    letter = letters.plain(mark, "Почта идёт. Grüße, 漢字.\r\n".encode(), extra=extra)
    with connect(site, "submission") as client:
        client.login(site.user, site.password)
        client.sendmail(site.user, ["bob@example.org"], letter, mail_options=["BODY=8BITMIME"])
    site.arrived_whole(mark, letter)


def large(site):
    """Five megabytes."""
    mark = letters.marker()
    letter = letters.plain(mark, b"".join(b"%07d %s\r\n" % (at, b"x" * 60) for at in range(72_000)))
    with connect(site, "smtps") as client:
        client.login(site.user, site.password)
        client.sendmail(site.user, ["bob@example.org"], letter)
    site.arrived_whole(mark, letter)


def many_recipients(site):
    """A hundred recipients all get it."""
    mark = letters.marker()
    recipients = [f"person{at}@example.org" for at in range(100)]
    with connect(site, "submission") as client:
        client.login(site.user, site.password)
        refused = client.sendmail(site.user, recipients, letters.plain(mark))
    if refused:
        raise AssertionError(f"refused: {refused}")
    site.arrived(mark)
    def everybody():
        got = {address for letter in site.recorder.find(mark) for address in letter.recipients}
        return got == set(recipients)

    process.wait_until(everybody, "all hundred recipients to be delivered")


def one_bad_recipient(site):
    """A recipient without a valid syntax is refused alone; the others get the letter."""
    mark = letters.marker()
    with connect(site, "submission") as client:
        client.login(site.user, site.password)
        refused = client.sendmail(site.user, ["bob@example.org", "bob@two..dots.example"], letters.plain(mark))
    if list(refused) != ["bob@two..dots.example"]:
        raise AssertionError(f"expected exactly the bad recipient to be refused, got {refused}")
    site.arrived(mark)


CASES = [
    *(sends(road, mechanism) for road in ("plain", "submission", "smtps") for mechanism in ("PLAIN", "LOGIN")),
    Case("a wrong password is refused", wrong_password),
    Case("a hundred letters on one connection", many),
    Case("8-bit text", eight_bit),
    Case("five megabytes", large),
    Case("a hundred recipients", many_recipients),
    Case("one bad recipient among good ones", one_bad_recipient),
]
