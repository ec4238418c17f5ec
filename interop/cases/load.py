"""Load, and the server killed in the middle of it."""

import threading

from rig import letters, process
from rig.dialogue import Dialogue, queued_id, stuffed
from rig.recorder import Recorder
from rig.world import Server

SESSIONS = 8


class Relay:
    """A server of its own that relays everything of loopback to a sink."""

    def __init__(self, folder, next_hop):
        self.port = process.free_port()
        self.server = Server(folder, f"""\
hostname = "relay.example.net"
data_dir = "{folder / 'data'}"
[[listener]]
service = "mx"
address = "127.0.0.1:{self.port}"
tls = "off"
trusted_networks = ["127.0.0.0/8"]
[limits]
disk_reserve = "50 MB"
[delivery]
retry = ["1s"]
[[route]]
recipients = ["*"]
to = "relay"
host = "127.0.0.1:{next_hop}"
tls = "off"
""", [self.port]).start()


def source_and_sink(world):
    """A thousand messages from smtp-source arrive in smtp-sink."""
    sink_port, log = process.free_port(), world.folder / "sink.log"
    sink = process.Daemon(["smtp-sink", "-u", "nobody", "-c", f"127.0.0.1:{sink_port}", "256"], log)
    sink.wait_for_port(sink_port)
    relay = Relay(world.folder / "load", sink_port)
    try:
        for kept in ([], ["-d"]):
            process.run(["smtp-source", *kept, "-s", "20", "-m", "500", "-l", "4096", "-f", "a@example.com", "-t", "b@example.org",
                         f"127.0.0.1:{relay.port}"]).expect()
        process.wait_until(lambda: b"mesg=1000" in log.read_bytes(), "a thousand messages in the sink", 60)
        # The sink counts at the dot; the queue forgets a message a moment later, when its settling is on the disk.
        process.wait_until(lambda: not waiting(relay.server), "the queue to be empty", poll=0.1)
    finally:
        relay.server.daemon.stop()
        sink.kill()


def waiting(server):
    """How many deliveries the queue still holds, in any state."""
    return sum(row["count"] for row in server.queue("summary")["states"])


def killed(rounds):
    def case(world):
        for turn in range(rounds):
            kill_once(world, world.folder / f"killed-{turn}")

    return case


def kill_once(world, folder):
    """Clients send; the server is killed, and started again; what got a 250 must arrive."""
    recorder = Recorder()
    relay = Relay(folder, recorder.port)
    acknowledged, enough = [], threading.Event()
    clients = [threading.Thread(target=send_until_dead, args=(relay.port, acknowledged, enough)) for _ in range(SESSIONS)]
    for client in clients:
        client.start()
    assert enough.wait(30), "the load did not get going"
    relay.server.daemon.kill()
    for client in clients:
        client.join()
    relay.server.start()
    try:
        for mark in acknowledged:
            recorder.wait_for(mark, 60)
        arrived = [len(recorder.find(mark)) for mark in acknowledged]
        twice = sum(count > 1 for count in arrived)
        assert max(arrived) <= 2 and twice <= 100, f"{twice} of {len(arrived)} arrived twice"
    finally:
        relay.server.daemon.stop()
        recorder.stop()


def send_until_dead(port, acknowledged, enough):
    """Sends letter after letter; notes each 250. It ends with the server."""
    try:
        with Dialogue(port) as dialogue:
            dialogue.expect(220)
            dialogue.ehlo()
            while True:
                mark = letters.marker()
                dialogue.said.clear()
                dialogue.ask("MAIL FROM:<a@example.com>", 250)
                dialogue.ask("RCPT TO:<b@example.org>", 250)
                dialogue.ask("DATA", 354)
                dialogue.send(stuffed(letters.plain(mark)))
                queued_id(dialogue.expect(250))
                acknowledged.append(mark)
                if len(acknowledged) >= 300:
                    enough.set()
    except (OSError, AssertionError):
        pass


CASES = [
    ("smtp-source through us into smtp-sink", source_and_sink),
    ("kill -9 under load: every 250 arrives", killed(2)),
]
LONG = [("kill -9 under load, twenty times", killed(20))]
