"""Processes and waiting: start a daemon, run a program, wait for something with a deadline, find a free port."""

import os
import pathlib
import signal
import socket
import subprocess
import time

# Ports below the kernel's ephemeral range (32768 and up), so that no outgoing connection takes one between our look and our bind.
PORTS = range(20025, 32000)
# Seconds between two looks at what is waited for.
POLL = 0.02
# Seconds that a stopped daemon gets before SIGKILL.
STOP_DEADLINE = 40.0
# Characters of a log that a failure shows.
LOG_TAIL = 4000

_next_port = iter(PORTS)


class Timeout(Exception):
    """What was waited for did not come."""


def free_port():
    """A TCP port of loopback that nobody uses and that this process has not given out before."""
    for port in _next_port:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Timeout("no free port is left")


def wait_until(look, what, deadline=30.0, poll=POLL):
    """Calls `look` until it returns something true, and returns that."""
    end = time.monotonic() + deadline
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise Timeout(f"waited {deadline:g} s for {what}")
        time.sleep(poll)


def listens(port, host="127.0.0.1"):
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def tail(path, size=LOG_TAIL):
    """The end of a text file; empty when there is none."""
    try:
        text = pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""
    return text if len(text) <= size else "…" + text[-size:]


class Finished:
    """A program that has run: its exit code and all it printed."""

    def __init__(self, argv, code, output):
        self.argv, self.code, self.output = argv, code, output

    def expect(self, code=0):
        """Itself, or a failure that shows the output."""
        if self.code != code:
            raise AssertionError(f"{' '.join(map(str, self.argv))} exited {self.code}, not {code}:\n{self.output}")
        return self


def run(argv, input=None, timeout=60, env=None, cwd=None, before_exec=None):
    """Runs a program to its end, standard error beside standard output; `before_exec` runs in the child first."""
    done = subprocess.run(
        [str(part) for part in argv],
        input=input.encode() if isinstance(input, str) else input,
        stdin=subprocess.DEVNULL if input is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        preexec_fn=before_exec,
    )
    return Finished(argv, done.returncode, done.stdout.decode(errors="replace"))


class Daemon:
    """A program in the background, its output in a file."""

    def __init__(self, argv, log, before_exec=None, env=None, cwd=None):
        self.log = pathlib.Path(log)
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [str(part) for part in argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=before_exec,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )
        self.argv = argv

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def wait_for_port(self, port, deadline=30.0):
        """Until it listens; fails at once when it has ended."""

        def look():
            if not self.alive():
                raise Timeout(f"{self.argv[0]} ended with {self.process.returncode}:\n{tail(self.log)}")
            return listens(port)

        wait_until(look, f"{self.argv[0]} to listen on {port}", deadline)

    def kill(self):
        """SIGKILL, and wait."""
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, deadline=STOP_DEADLINE):
        """SIGTERM, then SIGKILL. Returns the exit code."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(deadline)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode
