"""The test suite for RFC 7208 through the front door: each case a client from its own address, its domains in a zone that we serve.

Every case brings two messages. The first arrives, and says in its header what SPF found. The second says that it is from a
domain for which the configuration refuses SPF fail: of those that fail it shows the code and the explanation.
"""

import concurrent.futures
import ipaddress
import json
import pathlib
import re
import shutil

from rig import letters
from rig.dns import Dns
from rig.recorder import Recorder
from rig.stranger import GATE_OPEN, Doorkeeper, hand_over
from rig.world import OURS, USER

SUITE = pathlib.Path(__file__).parents[2] / "crates/policy/tests/it/spf/rfc7208-tests.json"
# So that a suite that is read wrongly can't pass.
CASES_MAX = 203
# Cases of each result in every run.
FEW = 20
SCENARIOS_AT_A_TIME, CLIENTS_AT_A_TIME = 8, 8
# Authors whose domains publish nothing.
TAKEN, REFUSED = "gil@taken.example", "gil@refused.example"
# What no client can say to us: the grammar of MAIL and EHLO refuses it before SPF is asked.
UNSPEAKABLE = {"toolonglabel": 501, "emptylabel": 501, "nolocalpart": 501, "invalid-domain-long-via-macro": 501, "invalid-hello-macro": 501}
VERIFY = """\
[[verify_domain]]
domains = ["refused.example"]
spf_fail = "reject"
"""


def texts(value):
    return value if isinstance(value, list) else [value]


def zone_of(records):
    """The suite's records as the name server takes them. A record of the old type SPF stands for TXT, if there is no other."""
    return {name: [entry for record in entries for entry in entry_of(record, entries)] for name, entries in records.items()}


def entry_of(record, entries):
    if isinstance(record, str):
        return [record]
    (kind, value), = record.items()
    if kind == "SPF":
        has_txt = any(isinstance(other, dict) and "TXT" in other for other in entries)
        return [] if has_txt else [("TXT", "".join(texts(value)))]
    if kind == "TXT":
        return [] if value == "NONE" else [("TXT", "".join(texts(value)))]
    return [(kind, *texts(value))]


def chosen(suite, each):
    """The scenarios with their cases, so many of each result."""
    counted = {}
    for scenario in suite:
        cases = []
        for name, case in scenario["tests"].items():
            result = texts(case["result"])[0]
            counted[result] = counted.get(result, 0) + 1
            if counted[result] <= each:
                cases.append((name, case))
        if cases:
            yield scenario, cases


def reverse_path(mail_from):
    """As it stands in MAIL: a local part with blanks is quoted."""
    local, at, domain = mail_from.rpartition("@")
    return f'"{local}"@{domain}' if at and " " in local else mail_from


def play(keeper, recorder, name, case):
    """One case; a list of what is wrong."""
    with keeper.session(case["host"]) as dialogue:
        dialogue.send(f"EHLO {case['helo']}")
        reply = dialogue.reply()
        if reply.code != 250:
            return [] if reply.code == UNSPEAKABLE.get(name) else [f"EHLO: {reply}"]
        mark = letters.marker()
        sender = reverse_path(case["mailfrom"])
        reply = hand_over(dialogue, letters.plain(mark, sender=TAKEN, to=USER), sender)
        if reply.code != 250:
            return [] if reply.code == UNSPEAKABLE.get(name) else [f"the first message: {reply}"]
        arrived = recorder.wait_for(mark).content
        dialogue.send("RSET"), dialogue.expect(250)
        second = hand_over(dialogue, letters.plain(mark, sender=REFUSED, to=USER), sender)
    return [*faults_of_fields(case, arrived), *faults_of_reply(case, second)]


def faults_of_fields(case, content):
    expected = texts(case["result"])
    received = letters.field(content, "Received-SPF") or ""
    results = [entry.strip() for entry in (letters.field(content, "Authentication-Results") or "").split(";")]
    spf = [entry.split()[0] for entry in results if entry.startswith("spf=")]
    outcome = received.partition(" ")[0]
    if outcome not in expected or spf != [f"spf={outcome}"]:
        yield f"expected {expected}: Received-SPF: {received}, Authentication-Results: {results}"
    told = re.search(r'client-ip="?([^";]+)', received)
    if not told or ipaddress.ip_address(told.group(1)) != plain_address(case["host"]):
        yield f"not the address of {case['host']}: {received}"


def plain_address(text):
    """An IPv4 address in an IPv6 coat is an IPv4 address."""
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def faults_of_reply(case, reply):
    if "fail" not in texts(case["result"]) or (len(texts(case["result"])) > 1 and reply.code == 250):
        if reply.code != 250:
            yield f"the second message: {reply}"
        return
    if reply.code != 550 or "5.7.23" not in reply.text:
        yield f"the second message was not refused for SPF: {reply}"
    explanation = case.get("explanation")
    if explanation == "DEFAULT" and "explains" in reply.text:
        yield f"an explanation of nobody's: {reply}"
    if explanation not in (None, "DEFAULT") and f"explains: {explanation}" not in reply.text:
        yield f"expected the explanation {explanation!r}: {reply}"


def scenario_played(folder, template, recorder, scenario, cases):
    """A server of its own for each scenario: the same names say other things in each, and answers are kept."""
    shutil.copytree(template / "data", folder / "data")
    dns = Dns(zone_of(scenario["zonedata"]))
    keeper = Doorkeeper(folder, dns.port, gate=GATE_OPEN, verify=VERIFY, more=to(recorder))
    try:
        keeper.start()
        with concurrent.futures.ThreadPoolExecutor(CLIENTS_AT_A_TIME) as clients:
            played = [(name, clients.submit(play, keeper, recorder, name, case)) for name, case in cases]
            return [f"{scenario['description']}, {name}: {fault}" for name, it in played for fault in it.result()]
    finally:
        keeper.stop()
        dns.stop()


def to(recorder):
    return f'[[route]]\nrecipients = ["{OURS}"]\nto = "relay"\nhost = "127.0.0.1:{recorder.port}"\ntls = "off"\n'


def template_of(folder):
    """A data directory with our domain and our user in it."""
    keeper = Doorkeeper(folder, 1)
    try:
        keeper.start().populate()
    finally:
        keeper.stop()
    return folder


def suite(each):
    def case(world):
        folder = world.folder / f"spf-{each}"
        scenarios = list(chosen(json.loads(SUITE.read_text()), each))
        template = template_of(folder / "template")
        recorder = Recorder()
        try:
            with concurrent.futures.ThreadPoolExecutor(SCENARIOS_AT_A_TIME) as pool:
                played = [pool.submit(scenario_played, folder / str(number), template, recorder, scenario, cases)
                          for number, (scenario, cases) in enumerate(scenarios)]
                faults = [fault for it in played for fault in it.result()]
        finally:
            recorder.stop()
        count = sum(len(cases) for _, cases in scenarios)
        assert not faults, f"{len(faults)} faults in {count} cases:\n" + "\n".join(faults)
        assert each < CASES_MAX or count == CASES_MAX, count

    return case


CASES = [(f"SPF: {FEW} cases of each result of the official suite", suite(FEW))]
LONG = [("SPF: the whole official suite", suite(CASES_MAX))]
