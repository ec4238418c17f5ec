"""curl: smtp:// with and without STARTTLS, smtps://, every AUTH its build has, the certificate verified."""

from rig import letters, process
from rig.runner import Case, Skip

ROADS = {"plain": "in clear text", "submission": "587 with STARTTLS", "smtps": "465 with TLS"}
MECHANISMS = ["PLAIN", "LOGIN"]
# curl's exit code for a login that was denied.
LOGIN_DENIED = 67


def command(site, road, mechanism, password):
    scheme = "smtps" if road == "smtps" else "smtp"
    verify = ["--cacert", site.certificates.authority] + (["--ssl-reqd"] if road == "submission" else [])
    return ["curl", "--silent", "--show-error", "--verbose", "--max-time", "30", *verify,
            f"{scheme}://localhost:{getattr(site, road)}/client.example", "--ipv4",
            "--login-options", f"AUTH={mechanism}", "--user", f"{site.user}:{password}",
            "--mail-from", site.user, "--mail-rcpt", "bob@example.org", "--upload-file", "-"]


def needs(mechanism):
    """SCRAM comes to curl with GNU SASL only."""
    if mechanism.startswith("SCRAM") and "gsasl" not in process.run(["curl", "--version"]).output:
        raise Skip("this curl is built without SCRAM (gsasl)")


def sends(road, mechanism):
    def body(site):
        needs(mechanism)
        mark = letters.marker()
        letter = letters.plain(mark, "By curl.\r\n.leading dot\r\n..\r\n.\r\nThe end.\r\n")
        process.run(command(site, road, mechanism, site.password), input=letter).expect(0)
        site.arrived_whole(mark, letter)

    return Case(f"{ROADS[road]}, AUTH {mechanism}", body)


def refused(site):
    done = process.run(command(site, "smtps", "PLAIN", "wrong"), input=letters.plain(letters.marker()))
    done.expect(LOGIN_DENIED)


CASES = [
    *(sends(road, mechanism) for road in ROADS for mechanism in MECHANISMS),
    sends("smtps", "SCRAM-SHA-256"),
    Case("a wrong password is refused", refused),
]
