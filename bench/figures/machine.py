"""The machine: its limits, CPU time and memory of a server with all its processes."""

import contextlib
import os
import pathlib
import platform
import resource

# Open files that 10,000 connections need on both sides, with room.
FILES = 65_536
_V1 = pathlib.Path("/sys/fs/cgroup/cpuacct")
_V2 = pathlib.Path("/sys/fs/cgroup")


def prepare():
    """Raises the limit of open files for us and our children."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, max(hard, FILES)))
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def describe():
    """What the figures were taken on."""
    return {"cores": os.cpu_count(), "kernel": platform.release(), "architecture": platform.machine()}


class Account:
    """CPU time of a group of processes: a control group, or what /proc says of the tree when there is none."""

    def __init__(self, name):
        self.name = f"bench-{os.getpid()}-{name}"
        self.folder = None
        for root, proof in ((_V1, "cpuacct.usage"), (_V2, "cgroup.controllers")):
            if (root / proof).exists():
                with contextlib.suppress(OSError):
                    (root / self.name).mkdir()
                    self.folder = root / self.name
                    break
        self.root_pid = None

    def enter(self):
        """Run in a child before it becomes the server."""
        if self.folder:
            (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def processes(self):
        """The ids of all its processes."""
        if self.folder:
            return [int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()]
        return tree(self.root_pid)

    def cpu(self):
        """Seconds of CPU used so far by all of them, ended ones included."""
        if self.folder and self.folder.is_relative_to(_V1):
            return int((self.folder / "cpuacct.usage").read_text()) / 1e9
        if self.folder:
            stat = dict(line.split() for line in (self.folder / "cpu.stat").read_text().splitlines())
            return int(stat["usage_usec"]) / 1e6
        return sum(cpu_of(pid) for pid in self.processes())

    def memory(self):
        """MiB of memory, each shared page counted once among those who share it (PSS)."""
        return sum(pss(pid) for pid in self.processes()) / 1024

    def close(self):
        if self.folder:
            with contextlib.suppress(OSError):
                self.folder.rmdir()


def tree(pid):
    """A process and all below it."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in pathlib.Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_of(pid):
    """User and system time of a process and of its children that have ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def pss(pid):
    """KiB."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
