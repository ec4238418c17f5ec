"""smtp-sink and smtp-source of Debian's postfix package: the target that takes everything, and the load."""

import re
import time

from . import process


class Sink:
    """An smtp-sink that counts; the counter goes to a file, so that nobody is woken for each message."""

    def __init__(self, folder, name="sink"):
        self.port = process.free_port()
        self.counter = folder / f"{name}.counter"
        command = ["smtp-sink", "-u", "nobody", "-c", f"127.0.0.1:{self.port}", "1024"]
        self.daemon = process.Daemon(command, self.counter)
        self.daemon.wait_for_port(self.port)

    def messages(self):
        """How many messages it has taken."""
        counts = re.findall(r"mesg=(\d+)", process.tail(self.counter, 200))
        return int(counts[-1]) if counts else 0

    def changed_at(self):
        """When the counter last moved, in seconds of the system's clock."""
        return self.counter.stat().st_mtime

    def wait_for(self, count, deadline=120.0):
        process.wait_until(lambda: self.messages() >= count, f"{count} messages at smtp-sink", deadline, poll=0.05)

    def stop(self):
        self.daemon.stop(5)


class Sent:
    """What a run of smtp-source took: `began` and `seconds`, by the system's clock."""

    def __init__(self, began, seconds, messages):
        self.began, self.seconds, self.messages = began, seconds, messages


def source(port, messages, sessions=20, size=4096, kept=False, sender="ann@example.net", to="bob@example.org",
           recipients=1, timeout=600):
    """Runs smtp-source to its end; fails when the server refuses anything."""
    command = ["smtp-source", "-s", sessions, "-m", messages, "-l", size, "-f", sender, "-t", to, "-M", "client.example",
               "-r", recipients, "-C", 10]
    if kept:
        command.append("-d")
    began = time.time()
    process.run([*command, f"127.0.0.1:{port}"], timeout=timeout).expect()
    return Sent(began, time.time() - began, messages)
