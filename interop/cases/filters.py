"""Real filters: mail judged by ClamAV, Rspamd and a hook before it is kept, and what holds when they are gone."""

import contextlib
import re
import signal
import urllib.request

from rig import letters, process
from rig.dialogue import Dialogue, queued_id, stuffed
from rig.filters import ADD_HEADER, MALWARE, REJECT, REWRITE_SUBJECT, SIGNATURE, STREAM_MAX, Clamd, Hook, Rspamd
from rig.world import PASSWORD, USER, Server

STRANGER = "eve@far.example"


class Guarded:
    """A server of its own behind the three filters."""

    def __init__(self, folder):
        folder.mkdir(parents=True)
        self.clamd, self.rspamd, self.hook = Clamd(folder / "clamd"), Rspamd(folder / "rspamd"), Hook()
        self.mx, self.submission, self.http = (process.free_port() for _ in range(3))
        self.server = Server(folder / "posthouse", self._config(folder), [self.mx, self.submission, self.http])

    def _config(self, folder):
        return f"""\
hostname = "mx.example.net"
data_dir = "{folder / 'posthouse' / 'data'}"
[[listener]]
service = "mx"
address = "127.0.0.1:{self.mx}"
[[listener]]
service = "submission"
address = "127.0.0.1:{self.submission}"
plaintext_auth = true
[[listener]]
service = "http"
address = "127.0.0.1:{self.http}"
[limits]
disk_reserve = "50 MB"
[[filter]]
name = "virus"
kind = "clamav"
address = "unix:{self.clamd.socket}"
timeout = "10s"
on_larger = "reject"
[[filter]]
name = "spam"
kind = "rspamd"
address = "127.0.0.1:{self.rspamd.port}"
timeout = "10s"
on_failure = "accept"
[[filter]]
name = "own"
kind = "http"
url = "http://127.0.0.1:{self.hook.port}/judge"
[[route]]
recipients = ["*.capture.example"]
to = "capture"
"""

    def start(self):
        self.clamd.start(), self.rspamd.start(), self.server.start()
        self.server.populate()
        return self

    def stop(self):
        if self.server.daemon:
            self.server.daemon.stop()
        self.clamd.stop(), self.rspamd.stop(), self.hook.stop()

    def bring(self, content, code, contains=""):
        """As a stranger; returns the reply."""
        with Dialogue(self.mx) as dialogue:
            dialogue.expect(220)
            dialogue.ehlo("mail.far.example")
            return self._send(dialogue, content, STRANGER, USER, code, contains)

    def submit(self, content, recipient, code, contains=""):
        """As our user; returns the reply."""
        with Dialogue(self.submission) as dialogue:
            dialogue.expect(220)
            dialogue.ehlo()
            dialogue.auth_plain(USER, PASSWORD)
            return self._send(dialogue, content, USER, recipient, code, contains)

    @staticmethod
    def _send(dialogue, content, sender, recipient, code, contains):
        dialogue.ask(f"MAIL FROM:<{sender}>", 250)
        dialogue.ask(f"RCPT TO:<{recipient}>", 250)
        dialogue.ask("DATA", 354)
        dialogue.send(stuffed(content))
        return dialogue.expect(code, contains)

    def delivered(self, mark):
        """The letter with that mark in the user's mailbox."""
        folder = self.server.folder / "data"

        def look():
            found = (path.read_bytes() for path in folder.rglob("new/*"))
            return next((content for content in found if mark.encode() in content), None)

        return letters.from_file(process.wait_until(look, f"a letter with {mark}"))

    def verdicts(self):
        """The counted verdicts: {(filter, verdict): number}."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        assert "# HELP posthouse_filter_verdicts_total" in text and "# HELP posthouse_filter_seconds" in text, text[-2000:]
        found = re.findall(r'^posthouse_filter_verdicts_total\{filter="(\w+)",verdict="(\w+)"\} (\d+)', text, re.M)
        return {(name, verdict): int(number) for name, verdict, number in found}


@contextlib.contextmanager
def guarded(world, name):
    it = Guarded(world.folder / name)
    try:
        yield it.start()
    except Exception as error:
        error.add_note(f"--- the log of the server behind filters ---\n{it.server.log_tail()}\n--- Rspamd's ---\n{it.rspamd.log()[-4000:]}")
        raise
    finally:
        it.stop()


def judged(world):
    """What each filter is shown, says and does, on incoming and on outgoing mail."""
    with guarded(world, "filters-judged") as it:
        mark = letters.marker()
        content = letters.plain(mark, sender=STRANGER, to=USER, extra="X-Note: 1\r\nX-Spam: No\r\n")
        it.hook.answer = {"action": "accept", "add_headers": [{"name": "X-Hook", "value": "seen, да"}]}
        identity = queued_id(it.bring(content, 250))
        got = it.delivered(mark)
        assert letters.field(got, "X-Own-Rule") == "yes" and letters.field(got, "X-Hook").startswith("=?utf-8?"), got
        assert letters.field(got, "X-Spam-Score") == "1.50 / 15.00", got
        assert letters.field(got, "X-Spam-Symbols") == "OWN_RULE(1.50)", got
        assert letters.field(got, "X-Note") is None and letters.field(got, "X-Spam") is None, got
        assert got.endswith(letters.split(content)[1]), got
        [question] = it.hook.questions
        assert question["id"] == identity and question["direction"] == "in", question
        assert question["envelope"] == {"from": STRANGER, "recipients": [USER], "body": "7BIT"}, question
        assert question["session"]["helo"] == "mail.far.example", question
        assert question["content"].endswith(content) and question["content"].startswith(b"Received: "), question
        for fact in (f"qid: <{identity}>", "ip: 127.0.0.1", f"from: <{STRANGER}>", f"rcpts: <{USER}>"):
            assert fact in it.rspamd.log(), f"Rspamd was not told {fact}"
        # A letter in a file, rewritten because a field goes.
        large, mark = "A line of a large letter.\r\n" * 20_000, letters.marker()
        it.bring(letters.plain(mark, body=large, sender=STRANGER, to=USER, extra="X-Note: 1\r\n"), 250)
        got = it.delivered(mark)
        assert letters.split(got)[1] == large.encode() and letters.field(got, "X-Note") is None
        # The refusals, each with its words.
        it.bring(letters.plain("virus", body=f"{MALWARE}\r\n", sender=STRANGER), 550, f"5.7.1 The message contains malware: {SIGNATURE}")
        it.bring(letters.plain("spam", body=f"{REJECT}\r\n", sender=STRANGER), 550, "5.7.1 Gtube pattern")
        it.bring(letters.plain("huge", body="x" * 70 + "\r\n" + "y\r\n" * (STREAM_MAX // 2), sender=STRANGER), 552, "5.3.4")
        it.hook.answer = {"action": "reject", "code": 554, "text": "Not\r\nthis"}
        it.bring(letters.plain("hook", sender=STRANGER), 554, "5.7.1 Not this")
        # The marks.
        it.hook.answer = {"action": "accept"}
        mark = letters.marker()
        it.bring(letters.plain(mark, body=f"{ADD_HEADER}\r\n", sender=STRANGER, to=USER), 250)
        assert letters.field(it.delivered(mark), "X-Spam") == "Yes"
        mark = letters.marker()
        it.bring(letters.plain(mark, body=f"{REWRITE_SUBJECT}\r\n", sender=STRANGER, to=USER), 250)
        subjects = [value for name, value in letters.fields(it.delivered(mark)) if name == "subject"]
        assert len(subjects) == 1 and "SPAM" in subjects[0] and mark in subjects[0], subjects
        outgoing(it)


def outgoing(it):
    """Our user's mail: with its name, without scores, and not to Junk."""
    mark = letters.marker()
    it.submit(letters.plain(mark, to=USER), USER, 250)
    got = it.delivered(mark)
    assert letters.field(got, "X-Own-Rule") == "yes" and letters.field(got, "X-Spam-Score") is None, got
    assert it.hook.questions[-1]["direction"] == "out" and it.hook.questions[-1]["session"]["user"] == USER
    assert f"user: {USER}" in it.rspamd.log(), "Rspamd was not told the user"
    it.submit(letters.plain("virus", body=f"{MALWARE}\r\n"), "bob@x.capture.example", 550, SIGNATURE)
    it.hook.answer = {"action": "quarantine"}
    identity = queued_id(it.submit(letters.plain("held"), "bob@x.capture.example", 250))
    assert it.server.queue("show", identity)["recipients"][0]["state"] == "held"
    it.server.command("queue", "release", identity)


def gone(world):
    """clamd stops, dies and comes back; Rspamd dies: nothing is lost, and what need not answer is not missed."""
    with guarded(world, "filters-gone") as it:
        it.bring(letters.plain("first", sender=STRANGER, to=USER), 250)
        # It hangs: its kernel takes the message, and nobody answers.
        it.clamd.daemon.process.send_signal(signal.SIGSTOP)
        try:
            it.bring(letters.plain("hanging", sender=STRANGER, to=USER), 451, "4.7.1")
        finally:
            it.clamd.daemon.process.send_signal(signal.SIGCONT)
        it.clamd.daemon.kill()
        it.bring(letters.plain("dead", sender=STRANGER, to=USER), 451, "4.7.1")
        it.clamd.socket.unlink(missing_ok=True)
        it.clamd.start()
        it.rspamd.die()
        mark = letters.marker()
        it.bring(letters.plain(mark, sender=STRANGER, to=USER), 250)
        got = it.delivered(mark)
        assert letters.field(got, "X-Own-Rule") is None, got
        counted = it.verdicts()
        assert counted["virus", "failed"] == 2 and counted["virus", "accept"] == 2, counted
        assert counted["spam", "failed"] == 1 and counted["own", "accept"] == 2, counted


CASES = [("mail through ClamAV, Rspamd and a hook", judged)]
LONG = [("filters that hang and die", gone)]
