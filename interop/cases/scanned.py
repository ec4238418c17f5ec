"""nmap's scripts for SMTP against both services: nothing is open, nobody is named, nothing breaks."""

import re

from rig import process
from rig.stranger import doorkeeper
from rig.world import OURS, USER

SCRIPTS = ("smtp-commands", "smtp-open-relay", "smtp-enum-users", "smtp-ntlm-info", "smtp-strangeport", "smtp-vuln-cve2010-4344",
           "smtp-vuln-cve2011-1720", "smtp-vuln-cve2011-1764")
# The last: scripts that only look when they are told that they may do harm.
ARGUMENTS = f"smtp.domain={OURS},smtp-open-relay.domain=relay.example,smtp-enum-users.methods={{VRFY,EXPN,RCPT}},unsafe=1"
# Even this machine is a stranger.
GATE = """\
[gate]
exempt_networks = []
tarpit = "100ms"
"""


def nmap(port):
    """What the scripts print about one port."""
    # The sign makes them run on a port that is not known for SMTP.
    scripts = ",".join(f"+{script}" for script in SCRIPTS)
    return process.run(["nmap", "-Pn", "-n", "-d", "-p", port, "--script", scripts, "--script-args", ARGUMENTS, "--script-timeout", "240s",
                        "127.0.0.1"], timeout=600).expect().output


def scanned(world):
    mx = process.free_port()
    listener = f'[[listener]]\nservice = "mx"\naddress = "127.0.0.1:{mx}"\n'
    with doorkeeper(world.folder / "scanned", {}, gate=GATE, more=listener) as keeper:
        for port in (mx, keeper.submission):
            said = nmap(port)
            assert re.search(rf"{port}/tcp\s+open", said) and "PIPELINING" in said, said
            relay = re.search(r"smtp-open-relay: (.*)", said)
            assert relay and re.search("all tests failed|authentication needed", relay.group(1)), said
            assert "State: VULNERABLE" not in said and "Target_Name" not in said, said
            users = re.search(r"smtp-enum-users:((?:.*\n\|)*.*)", said)
            assert not users or USER.partition("@")[0] not in users.group(1).split(), said
            assert keeper.server.daemon.alive() and "panic" not in keeper.server.log.read_text(), said
        assert keeper.server.queue("list") == [], keeper.server.queue("list")


CASES = []
LONG = [("scanned: nmap's scripts", scanned)]
