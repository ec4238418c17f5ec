"""swaks: every port, with PLAIN and LOGIN (it knows no SCRAM)."""

from rig import letters, process
from rig.runner import Case

ROADS = {"plain": [], "submission": ["--tls"], "smtps": ["--tls-on-connect"]}
NAMES = {"plain": "in clear text", "submission": "587 with STARTTLS", "smtps": "465 with TLS"}
MECHANISMS = ["PLAIN", "LOGIN"]


def command(site, road, mechanism, password, *more):
    return ["swaks", "--server", f"127.0.0.1:{getattr(site, road)}", *ROADS[road], "--ehlo", "client.example",
            "--auth", mechanism, "--auth-user", site.user, "--auth-password", password,
            "--from", site.user, "--to", "bob@example.org", "--timeout", "20", *more]


def sends(road, mechanism):
    def body(site):
        mark = letters.marker()
        done = process.run(command(site, road, mechanism, site.password, "--header", f"Subject: {mark}", "--body", "By swaks."))
        done.expect(0)
        if "queued as" not in done.output:
            raise AssertionError(done.output)
        letter = site.arrived(mark)
        if not letter.content.rstrip().endswith(b"By swaks."):
            raise AssertionError(f"the body is not what was sent:\n{letter.content.decode()}")

    return Case(f"{NAMES[road]}, AUTH {mechanism}", body)


def refused(road, mechanism):
    def body(site):
        done = process.run(command(site, road, mechanism, "wrong"))
        done.expect(28)  # swaks: authentication failed
        if "535 5.7.8" not in done.output:
            raise AssertionError(f"expected 535 5.7.8:\n{done.output}")

    return Case(f"{NAMES[road]}, AUTH {mechanism} with a wrong password is refused", body)


def no_auth(site):
    """Submission without AUTH takes nothing."""
    done = process.run(["swaks", "--server", f"127.0.0.1:{site.submission}", "--tls", "--from", site.user,
                        "--to", "bob@example.org", "--timeout", "20"])
    if done.code == 0:
        raise AssertionError(f"mail was taken without AUTH:\n{done.output}")


def attachment(site):
    """A file of 300 KB comes through."""
    mark = letters.marker()
    source = site.certificates.authority.parent / "attachment.bin"
    source.write_bytes(bytes(range(256)) * 1200)
    more = ["--header", f"Subject: {mark}", "--attach", f"@{source}"]
    process.run(command(site, "submission", "PLAIN", site.password, *more)).expect(0)
    if len(site.arrived(mark).content) < 400_000:
        raise AssertionError("the attachment is not whole")


CASES = [
    *(sends(road, mechanism) for road in ROADS for mechanism in MECHANISMS),
    *(refused(road, mechanism) for road in ROADS for mechanism in MECHANISMS),
    Case("submission without AUTH takes nothing", no_auth),
    Case("an attachment of 300 KB", attachment),
]
