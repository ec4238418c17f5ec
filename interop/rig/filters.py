"""Filters as neighbours: clamd with a signature of our own, Rspamd with a rule of our own, a hook in Python."""

import base64
import http.server
import json
import os
import signal
import threading

from . import process

# What clamd finds, under this name; it adds .UNOFFICIAL to names that are not its publisher's.
MALWARE, SIGNATURE = "posthouse-interop-malware", "Posthouse.Interop.Mark"
# Octets that clamd takes of a message.
STREAM_MAX = 1_000_000
# Rspamd's own test mark: what it makes of the letter is said by its first character.
GTUBE = "JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
REJECT, ADD_HEADER, REWRITE_SUBJECT = "X" + GTUBE, "Y" + GTUBE, "Z" + GTUBE


class Clamd:
    """clamd on a socket of the file system, and on a port by which its start is seen."""

    def __init__(self, folder):
        self.folder = folder
        database = folder / "database"
        database.mkdir(parents=True)
        # Any kind of file, anywhere in it: these octets.
        (database / "own.ndb").write_text(f"{SIGNATURE}:0:*:{MALWARE.encode().hex()}\n")
        self.socket, self.port, self.daemon = folder / "clamd.ctl", process.free_port(), None
        (folder / "clamd.conf").write_text(
            f"DatabaseDirectory {database}\nLocalSocket {self.socket}\nTCPSocket {self.port}\nTCPAddr 127.0.0.1\n"
            f"StreamMaxLength {STREAM_MAX}\nForeground yes\n"
        )

    def start(self):
        self.daemon = process.Daemon(["clamd", "-c", self.folder / "clamd.conf"], self.folder / "clamd.log")
        self.daemon.wait_for_port(self.port)
        return self

    def stop(self):
        if self.daemon:
            self.daemon.stop()


class Rspamd:
    """Rspamd's normal worker with one rule: a symbol, a field that is added, one that is removed."""

    def __init__(self, folder):
        folder.mkdir(parents=True)
        self.folder, self.port, self.daemon = folder, process.free_port(), None
        (folder / "domains.dat").write_text("com\nnet\norg\nexample\n")
        (folder / "own.lua").write_text(
            "rspamd_config.OWN_RULE = { score = 1.5, group = 'own', callback = function(task)\n"
            "  task:set_milter_reply({ add_headers = { ['X-Own-Rule'] = 'yes' }, remove_headers = { ['X-Note'] = 0 } })\n"
            "  return true\nend }\n"
        )
        # Without hyperscan and with a short list of domains it starts in a second.
        (folder / "rspamd.conf").write_text(
            f'options {{ pidfile = "{folder}/rspamd.pid"; tempdir = "{folder}"; url_tld = "{folder}/domains.dat"; filters = "";\n'
            f'  disable_hyperscan = true; enable_test_patterns = true; dns {{ nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }} }}\n'
            f'logging {{ type = "console"; level = "info"; }}\n'
            f'worker "normal" {{ bind_socket = "127.0.0.1:{self.port}"; count = 1; }}\n'
            f"actions {{ reject = 15; rewrite_subject = 8; add_header = 6; greylist = 4; }}\n"
            f'lua = "{folder}/own.lua";\n'
        )

    def start(self):
        command = ["rspamd", "--no-fork", "--insecure", "--config", self.folder / "rspamd.conf"]
        self.daemon = process.Daemon(command, self.folder / "rspamd.log")
        self.daemon.wait_for_port(self.port)
        return self

    def die(self):
        """SIGKILL for it and its workers."""
        os.killpg(self.daemon.pid, signal.SIGKILL)
        self.daemon.process.wait()

    def log(self):
        return process.tail(self.folder / "rspamd.log", 100_000)

    def stop(self):
        if self.daemon:
            self.daemon.stop()


class Hook:
    """A program of an operator's own: keeps what it is asked, answers what it is told to."""

    def __init__(self):
        self.questions, self.answer, self.port = [], {"action": "accept"}, process.free_port()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def _handler(hook):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                question["content"] = base64.b64decode(question.get("content", ""))
                hook.questions.append(question)
                answer = json.dumps(hook.answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        return Handler

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
