"""Forged mail of every kind against domains that ask for reject and quarantine: through the front door, from any address."""

import json
import re

from rig import letters, process
from rig.dialogue import Dialogue
from rig.recorder import Recorder
from rig.stranger import HOSTNAME, doorkeeper, hand_over, proxy_v2
from rig.world import OURS, PASSWORD, USER

from .believed import Keys

# Whose names are forged, and who forges them: a domain of its own, with everything in order.
VICTIM, MILD, MALLORY = "reject.example", "quarantine.example", "mallory.example"
HONEST, FORGER = "203.0.113.5", "198.51.100.66"
CEO, HER = f"ceo@{VICTIM}", f"m@{MALLORY}"
ZONE = {
    VICTIM: [("TXT", f"v=spf1 ip4:{HONEST} -all"), ("MX", 10, f"mx.{VICTIM}")],
    f"mx.{VICTIM}": [("A", HONEST)],
    f"_dmarc.{VICTIM}": [("TXT", "v=DMARC1; p=reject; aspf=s")],
    f"sub.{VICTIM}": [("TXT", f"v=spf1 ip4:{FORGER} -all")],
    MILD: [("TXT", "v=spf1 -all"), ("MX", 10, f"mx.{VICTIM}")],
    f"_dmarc.{MILD}": [("TXT", "v=DMARC1; p=quarantine; adkim=s")],
    MALLORY: [("TXT", f"v=spf1 ip4:{FORGER} -all"), ("MX", 10, f"mx.{MALLORY}"), ("A", FORGER)],
    f"mx.{MALLORY}": [("A", FORGER)],
    f"_dmarc.{MALLORY}": [("TXT", "v=DMARC1; p=reject")],
    "66.100.51.198.in-addr.arpa": [("PTR", f"mx.{MALLORY}")],
}


def letter(mark, head, body="Pay at once.\r\n"):
    """A letter whose From is what the case says, or whatever else it wants at the top of the header."""
    head = head if isinstance(head, bytes) else head.encode()
    rest = f"To: <{USER}>\r\nSubject: {mark}\r\nDate: Mon, 01 Jun 2026 10:00:00 +0000\r\nMessage-ID: <{mark}@x>\r\n\r\n{body}"
    return head + (b"\r\n" if head else b"") + rest.encode()


def results(content):
    """Our Authentication-Results, on one line."""
    found = [value for name, value in letters.fields(content) if name == "authentication-results"]
    assert found and found[0].startswith(HOSTNAME + ";"), content[:2000]
    return " ".join(found[0].split())


def forged_from(keeper, head, expect):
    """Brings one letter from the forger, in whose name SPF passes; what is wrong, or nothing.

    `expect`: a code with the beginning of its text; "permerror": taken, into Junk; "herself": taken as of the forger."""
    mark = letters.marker()
    reply = keeper.bring(letter(mark, head), FORGER, HER, helo=f"mx.{MALLORY}")
    if expect not in ("permerror", "herself"):
        return None if str(reply).startswith(expect) else f"{head!r}: expected {expect}, got {reply}"
    if reply.code != 250:
        return f"{head!r}: expected {expect}, got {reply}"
    content, folder = keeper.delivered(mark)
    found, quarantine = results(content), letters.field(content, "X-Posthouse-Quarantine")
    if expect == "permerror":
        right = "dmarc=permerror" in found and quarantine and folder.endswith("Junk")
    else:
        right = f"dmarc=pass (p=reject of {MALLORY}) header.from={MALLORY}" in found and not quarantine and not folder.endswith("Junk")
    return None if right else f"{head!r}: expected {expect}, got {found} in folder {folder!r}, quarantine: {quarantine}"


DMARC = f"550 5.7.26 Neither SPF nor DKIM shows that the message is from {VICTIM}"
UNREADABLE, NUL = "550 5.7.1 ", "550 5.6.0 The header of the message has a NUL octet"
FROMS = [
    # One author, however it is written.
    (f"From: {CEO}", DMARC),
    (f"FROM:{CEO}", DMARC),
    (f"From : {CEO}", DMARC),
    (f"From \t : {CEO}", DMARC),
    (f"From:\r\n {CEO}", DMARC),
    (f"From: The CEO\r\n\t<{CEO}\r\n >", DMARC),
    (f"From: ceo@{VICTIM.upper()}", DMARC),
    (f"From: (a comment: {HER}) {CEO}", DMARC),
    (f"From: \"{HER}\" <{CEO}>", DMARC),
    (f"From: a\\b <{CEO}>", DMARC),
    # Two of them.
    (f"From: {CEO}\r\nFrom: {HER}", UNREADABLE),
    (f"From: {HER}\r\nFrom: {CEO}", UNREADABLE),
    (f"From: {HER}\r\nfrom : {CEO}", UNREADABLE),
    (f"From : {CEO}\r\nFrom: {HER}", UNREADABLE),
    (f"From: {HER}\r\nX: y\r\nFrom:", UNREADABLE),
    # What cannot be read: the obsolete route, and octets that end a text for some readers and not for others.
    (f"From: <@{MALLORY}:{CEO}>", UNREADABLE),
    (f"From: \x1b{CEO}", UNREADABLE),
    ("From: ceo@reject\0.example", NUL),
    (f"From: {HER}\0 <{CEO}>", NUL),
    (f"From: {CEO}\0@{MALLORY}", NUL),
    # A line that is no field ends the header, so that it has no author.
    (f"From\0: {CEO}\r\nFrom: {HER}", "permerror"),
    (f"From\r\nFrom: {CEO}", "permerror"),
    # No one author.
    (f"From: {CEO}, {HER}", "permerror"),
    (f"From: {HER}, {CEO}", "permerror"),
    ("From: undisclosed:;", "permerror"),
    ("From: ceo", "permerror"),
    ("From: ceo@[192.0.2.1]", "permerror"),
    ("From:", "permerror"),
    ("X-From: nobody", "permerror"),
    (f"From: g: {CEO}, {HER};", "permerror"),
    # It is she, whatever she calls herself.
    (f"From: \"{CEO}\" <{HER}>", "herself"),
    (f"From: =?utf-8?q?ceo=40{VICTIM}?= <{HER}>", "herself"),
    (f"From: {HER} ({CEO})", "herself"),
    (f"From: {HER}\r\nSender: {CEO}\r\nReply-To: {CEO}\r\nResent-From: {CEO}", "herself"),
]


def froms(world):
    """F1: DMARC is not fooled by how From is written."""
    with doorkeeper(world.folder / "forged-from", ZONE) as keeper:
        faults = [fault for head, expect in FROMS for fault in [forged_from(keeper, head, expect)] if fault]
        assert not faults, "\n".join(faults)
        # What is hers to forge by: a domain below, a domain in DKIM that is another, a domain that only looks like it.
        reply = keeper.bring(letter("sub", f"From: {CEO}"), FORGER, f"x@sub.{VICTIM}")
        assert str(reply).startswith(DMARC), reply
        mark = letters.marker()
        reply = keeper.bring(letter(mark, f"From : ceo@{MILD}"), FORGER, HER)
        content, folder = keeper.delivered(mark)
        assert reply.code == 250 and folder.endswith("Junk"), (reply, folder)
        assert letters.field(content, "X-Posthouse-Quarantine").startswith("dmarc=fail (p=quarantine)"), content
        process.wait_until(lambda: keeper.server.queue("list") == [], "the queue to be empty")



def signed(keys, content, domain=VICTIM, kind="rsa", canon="relaxed/relaxed"):
    return keys.signed(kind, canon, domain, [content])[0]


def published(keys):
    """The records of keys as the name server takes them."""
    split = (record.split(" ", 2) for record in keys.records)
    return {name: [("TXT", "".join(re.findall(r'"([^"]*)"', strings)))] for name, _, strings in split}


def signatures(world):
    """dkimpy's signatures are believed for the domain that made them, as it asks, and for nothing that they do not cover."""
    folder = world.folder / "forged-signatures"
    folder.mkdir()
    theirs, hers, mild = (Keys(folder / domain, domain) for domain in (VICTIM, MALLORY, MILD))
    below = Keys(folder / "below", f"sub.{MILD}")
    zone = {**ZONE, **published(theirs), **published(hers), **published(mild), **published(below)}
    with doorkeeper(folder / "server", zone) as keeper:
        def bring(content, sender=HER):
            return keeper.bring(content, FORGER, sender)

        for kind in ("rsa", "ed25519"):
            mark = letters.marker()
            good = signed(theirs, letter(mark, f"From: {CEO}"), kind=kind)
            reply = bring(good)
            assert reply.code == 250, reply
            content, folder_of_it = keeper.delivered(mark)
            found = results(content)
            assert "dkim=pass" in found and f"dmarc=pass (p=reject of {VICTIM})" in found, found
            assert not folder_of_it.endswith("Junk") and content.endswith(good), content
            for changed in (
                good.replace(b"Pay at once", b"Pay at  once!"),
                good + b"And more.\r\n",
                good.replace(b"Subject: ", b"Subject: Re: "),
                good.replace(f"From: {CEO}".encode(), f"From: other@{VICTIM}".encode()),
                re.sub(rb"(b=[A-Za-z0-9+/]{4})", lambda it: it[1][:-1] + (b"A" if it[1][-1:] != b"A" else b"B"), good),
                good.replace(b"s=" + kind.encode(), b"s=nothing"),
            ):
                assert changed != good
                reply = bring(changed)
                assert str(reply).startswith(DMARC), f"{reply}\n{changed!r}"
            reply = bring(b"From: " + HER.encode() + b"\r\n" + good)
            assert str(reply).startswith(UNREADABLE), reply
        # Her own signature says nothing about others; with adkim=s one of a domain below does not either.
        reply = bring(signed(hers, letter("hers", f"From: {CEO}"), domain=MALLORY))
        assert str(reply).startswith(DMARC), reply
        for keys, domain, junk in ((below, f"sub.{MILD}", True), (mild, MILD, False)):
            mark = letters.marker()
            reply = bring(signed(keys, letter(mark, f"From: ceo@{MILD}"), domain=domain))
            assert reply.code == 250 and keeper.delivered(mark)[1].endswith("Junk") is junk, (domain, reply)


def behind_ours(world):
    """F2: a field that is added behind our own signature makes it fail, whether we signed one of that name or none."""
    recorder = Recorder()
    route = f'[[route]]\nrecipients = ["recorder.example"]\nto = "relay"\nhost = "127.0.0.1:{recorder.port}"\ntls = "off"\n'
    try:
        with doorkeeper(world.folder / "forged-behind-ours", ZONE, more=route) as keeper:
            keys = json.loads(keeper.server.command("dkim", "list", OURS, "--json"))
            keeper.dns.publish({key["name"]: [("TXT", key["record"])] for key in keys})
            keeper.dns.publish({f"_dmarc.{OURS}": [("TXT", "v=DMARC1; p=reject")], OURS: [("TXT", "v=spf1 -all"), ("MX", 10, "mx.example.net")]})
            mark = letters.marker()
            with Dialogue(keeper.submission) as dialogue:
                dialogue.expect(220), dialogue.ehlo(), dialogue.auth_plain(USER, PASSWORD)
                reply = hand_over(dialogue, letters.plain(mark, sender=USER), USER, "bob@recorder.example")
                assert reply.code == 250, reply
            content = recorder.wait_for(mark).content
            reply = keeper.bring(content, FORGER, HER)
            assert reply.code == 250 and f"dmarc=pass (p=reject of {OURS})" in results(keeper.delivered(mark)[0]), reply
            for extra in ("Subject: Win", f"To: {HER}", "Date: Tue, 02 Jun 2026 10:00:00 +0000", "Message-ID: <x@x>",
                          "List-Unsubscribe: <https://mallory.example/>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
                          f"Reply-To: {HER}", f"Cc: {HER}", "MIME-Version: 1.0", "Content-Type: text/html"):
                head, body = letters.split(content)
                for forged in (extra.encode() + b"\r\n" + content, head + extra.encode() + b"\r\n\r\n" + body):
                    reply = keeper.bring(forged, FORGER, HER)
                    assert str(reply).startswith("550 5.7.26"), f"{extra}: {reply}"
    finally:
        recorder.stop()


# A signature that is complete but for what the case puts in.
SIGNATURE = ("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={d}; s={s}; h=From;\r\n"
             " bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA")
ODD_SELECTORS = ('evil\0', '\0evil', '"evil"', 'evil.', '.evil', 'evil..x', 'ev il', 'evil/../x', "evil'", 'evil\\.x', 'evil(x)', 'evil*',
                 '<evil>', 'evil@x', 'evil\x7f', 'evil\xff', 'evil' + 'x' * 70, 'evil.' + 'x.' * 130, '')
ODD_DOMAINS = ('evil.example\0', 'evil\0.reject.example', '"evil.example"', 'evil..example', '.evil.example', 'evil example', '@evil.example',
               'evil.example/', 'evil' + 'x' * 70 + '.example', 'evil.' + 'x.' * 130 + 'example', 'evil.example\\', '(evil)reject.example', '')


def odd_names(world):
    """F3, E6: names that are none are asked of nobody; of a thousand signatures ten are looked at."""
    with doorkeeper(world.folder / "forged-names", ZONE) as keeper:
        pairs = [(VICTIM, selector) for selector in ODD_SELECTORS] + [(domain, "evil") for domain in ODD_DOMAINS]
        for domain, selector in pairs:
            head = (SIGNATURE.format(d=domain, s=selector) + f"\r\nFrom: {CEO}").encode("latin-1")
            reply = keeper.bring(letter("odd", head), FORGER, HER)
            assert reply.code == 550 and any(code in str(reply) for code in ("5.7.26", "5.6.0")), f"{domain!r} {selector!r}: {reply}"
        asked = [name for name, _ in keeper.dns.questions() if "evil" in name or ".." in name or "\0" in name]
        assert not asked, asked
        many = "\r\n".join(SIGNATURE.format(d=VICTIM, s=f"many{number}") for number in range(900))
        reply = keeper.bring(letter("many", f"{many}\r\nFrom: {CEO}"), FORGER, HER)
        assert str(reply).startswith(DMARC), reply
        asked = {name for name, _ in keeper.dns.questions() if name.startswith("many")}
        assert len(asked) == 10, sorted(asked)


# D7: results in our name, and what only looks like it.
OURS_FORGED = (
    f"Authentication-Results: {HOSTNAME}; dmarc=pass header.from={VICTIM}",
    f"authentication-results : {HOSTNAME.upper()}.; dmarc=pass",
    f"Authentication-Results:\r\n\t(c) {HOSTNAME} 1;\r\n\tdmarc=pass",
    f'Authentication-Results: "{HOSTNAME}"; dmarc=pass',
    "Authentication-Results: (",
    "Authentication-Results:",
    f"Received-SPF: pass receiver={HOSTNAME}; client-ip=192.0.2.1",
    "X-Posthouse-Quarantine: no",
    "X-Posthouse-Suspect: no",
)
OTHERS = (
    f"Authentication-Results: mx.other.example; dmarc=fail header.from={VICTIM}",
    f"Authentication-Results: {HOSTNAME}.{MALLORY}; none",
    f"ARC-Authentication-Results: i=1; {HOSTNAME}; dmarc=pass",
    "Received-SPF: fail receiver=mx.other.example",
)


def results_in_our_name(world):
    """D7 and F4: results in our name go, from everybody's mail; one Return-Path, ours; others' fields stay."""
    with doorkeeper(world.folder / "forged-results", ZONE) as keeper:
        envelope = (f"Return-Path: <{CEO}>", "return-path : <x@x>", f"Delivered-To: {USER}", "Bcc: hidden@other.example")
        for by_user in (False, True):
            mark = letters.marker()
            author = USER if by_user else HER
            content = letter(mark, "\r\n".join((*OURS_FORGED, *OTHERS, *envelope, f"From: {author}")))
            if by_user:
                with Dialogue(keeper.submission) as dialogue:
                    dialogue.expect(220), dialogue.ehlo(), dialogue.auth_plain(USER, PASSWORD)
                    reply = hand_over(dialogue, content, USER)
            else:
                reply = keeper.bring(content, FORGER, HER)
            assert reply.code == 250, reply
            got, _ = keeper.delivered(mark)
            fields = letters.fields(got)
            others = [(name.lower(), value) for name, _, value in (other.partition(": ") for other in OTHERS)]
            assert all(other in fields for other in others), f"a field of others is gone:\n{got.decode(errors='replace')}"
            ours = [field for field in fields if field[0] in ("authentication-results", "received-spf") and field not in others]
            assert [name for name, _ in ours] == ([] if by_user else ["authentication-results", "received-spf"]), ours
            assert not any(name.startswith("x-posthouse-") for name, _ in fields), fields
            paths = [value for name, value in fields if name == "return-path"]
            assert paths == [f"<{author}>"], (by_user, paths)
            assert fields[0][0] == "return-path", fields[:3]


def by_proxy(world):
    """D11: what stands before the greeting decides who comes, and only from where it is taken."""
    with doorkeeper(world.folder / "forged-proxy", ZONE) as keeper:
        for header in (b"EHLO a.example\r\n" + b"x" * 20, b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 99999 25\r\n", b"PROXY " + b"x" * 200,
                       proxy_v2("192.0.2.1")[:14] + b"\xff\xff", proxy_v2("192.0.2.1")[:12] + b"\x31" + proxy_v2("192.0.2.1")[13:]):
            with Dialogue(keeper.mx) as dialogue:
                dialogue.send(header)
                assert dialogue.closed(), header
        with Dialogue(keeper.mx) as dialogue:
            dialogue.send(b"PROXY UNKNOWN\r\n")
            dialogue.expect(220), dialogue.ehlo()
            dialogue.ask(f"MAIL FROM:<{HER}>", 554, "5.7.1")
        with Dialogue(keeper.submission) as dialogue:
            dialogue.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
            replies = [dialogue.reply().code for _ in range(2)]
            assert replies == [220, 500], dialogue.transcript()


def silent_proxy(world):
    """D11: a proxy that says nothing is let go after five seconds."""
    with doorkeeper(world.folder / "silent-proxy", ZONE) as keeper:
        with Dialogue(keeper.mx) as dialogue:
            assert dialogue.closed()


CASES = [
    ("forged: From in every writing", froms),
    ("forged: behind dkimpy's signatures", signatures),
    ("forged: behind our own signature", behind_ours),
    ("forged: signatures with names that are none", odd_names),
    ("forged: results in our name, and the envelope's fields", results_in_our_name),
    ("forged: who a proxy speaks for", by_proxy),
]
LONG = [("forged: a proxy that says nothing", silent_proxy)]
