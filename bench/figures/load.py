"""The load: smtp-source, an open-loop client for latency, connections that idle, TLS with AUTH."""

import contextlib
import multiprocessing
import smtplib
import socket
import ssl
import statistics
import time

from rig import process

SENDER, RECIPIENT = "a@example.com", "b@example.org"


def smtp_source(port, messages, size, sessions, kept, recipients=1):
    """Sends with Postfix's generator; returns the seconds it took."""
    command = ["smtp-source", "-s", sessions, "-m", messages, "-l", size, "-f", SENDER, "-t", RECIPIENT]
    command += ["-d"] if kept else []
    command += ["-r", recipients] if recipients > 1 else []
    start = time.monotonic()
    process.run([*command, f"127.0.0.1:{port}"], timeout=1800).expect()
    return time.monotonic() - start


def latency(port, rate, seconds, size):
    """Sends `rate` messages a second over four kept connections; returns the milliseconds from the dot to its reply."""
    body = b"Subject: x\r\n\r\n" + b"y" * 70 + b"\r\n"
    body = (body * (size // len(body) + 1))[:size - 2] + b"\r\n"
    clients = [smtplib.SMTP("127.0.0.1", port) for _ in range(4)]
    for client in clients:
        client.ehlo("client.example")
    waits, start = [], time.monotonic()
    for count in range(rate * seconds):
        pause = start + count / rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        client = clients[count % len(clients)]
        client.mail(SENDER)
        client.rcpt(RECIPIENT)
        client.docmd("DATA")
        sent = time.perf_counter()
        client.send(body + b".\r\n")
        code, text = client.getreply()
        waits.append((time.perf_counter() - sent) * 1000)
        if code != 250:
            raise AssertionError(f"{code} {text}")
    for client in clients:
        client.quit()
    quantiles = statistics.quantiles(waits, n=100)
    return quantiles[49], quantiles[98]


def idle(port, count, tls):
    """Opens connections that have said EHLO and then idle. Returns them: closing is the caller's."""
    context = unverified()
    connections = []
    for number in range(count):
        raw = socket.create_connection(("127.0.0.1", port), 30, (f"127.0.{number // 5000 + 1}.1", 0))
        connection = context.wrap_socket(raw) if tls else raw
        connection.recv(512)
        connection.sendall(b"EHLO client.example\r\n")
        connection.recv(2048)
        connections.append(connection)
    return connections


def unverified():
    """TLS without looking at names: what is measured is the server."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _authenticated(port, user, password, messages, size):
    context, letter = unverified(), b"Subject: x\r\n\r\n" + b"y" * (size - 16) + b"\r\n"
    lines = b"\r\n".join(letter[at:at + 70] for at in range(0, len(letter), 70))
    for _ in range(messages):
        with contextlib.closing(smtplib.SMTP_SSL("127.0.0.1", port, context=context, local_hostname="c.example")) as client:
            client.ehlo()
            client.login(user, password)
            client.sendmail(user, [RECIPIENT], lines)
            client.quit()


def tls_auth(port, user, password, messages, size, workers=8):
    """One message per TLS connection with AUTH; returns the seconds. The generator is Python and costs more than either
    server, so the CPU of the server is the figure to look at."""
    share = messages // workers
    jobs = [multiprocessing.Process(target=_authenticated, args=(port, user, password, share, size)) for _ in range(workers)]
    start = time.monotonic()
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    if any(job.exitcode for job in jobs):
        raise AssertionError("the load of TLS + AUTH failed")
    return time.monotonic() - start
