"""Mail clients as people use them."""

import email.message
import os
import pty
import select
import smtplib
import time

from rig import letters, process
from rig.world import PASSWORD, USER

TO = "bob@in.recorder.example"


def swaks(port, tls, mechanism):
    def case(world):
        mark = letters.marker()
        done = process.run(["swaks", "--server", f"127.0.0.1:{getattr(world, port)}", *tls, "--auth", mechanism, "--auth-user", USER,
                            "--auth-password", PASSWORD, "--from", USER, "--to", TO, "--header", f"Subject: {mark}"])
        done.expect()
        assert "queued as msg_" in done.output, done.output
        world.recorder.wait_for(mark)

    return case


def swaks_wrong_password(world):
    done = process.run(["swaks", "--server", f"127.0.0.1:{world.submission}", "--tls", "--auth", "PLAIN", "--auth-user", USER,
                        "--auth-password", "wrong", "--from", USER, "--to", TO])
    assert done.code != 0 and " 535 5.7.8" in done.output, done.output


def curl(scheme, port, mechanism):
    def case(world):
        mark = letters.marker()
        letter = world.folder / "letter.eml"
        letter.write_bytes(letters.plain(mark, sender=USER))
        options = ["--ssl-reqd"] if scheme == "smtp" else []
        process.run(["curl", "--silent", "--show-error", *options, "--cacert", world.certificates.authority,
                     "--url", f"{scheme}://localhost:{getattr(world, port)}", "--login-options", f"AUTH={mechanism}",
                     "--user", f"{USER}:{PASSWORD}", "--mail-from", USER, "--mail-rcpt", TO, "--upload-file", letter]).expect()
        world.recorder.wait_for(mark)

    return case


# As a Unix file has it: lines that end with LF, and dots where they hurt.
UNIX_BODY = "one\n.profile\n.\nlast\n"


def curl_unix_lines(world):
    """A file with bare LF, and curl without --crlf, which doubles no dot."""
    mark = letters.marker()
    letter = world.folder / "unix.eml"
    letter.write_bytes(letters.plain(mark, body=UNIX_BODY, sender=USER).replace(b"\r\n", b"\n"))
    process.run(["curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", world.certificates.authority,
                 "--url", f"smtp://localhost:{world.submission}", "--user", f"{USER}:{PASSWORD}",
                 "--mail-from", USER, "--mail-rcpt", TO, "--upload-file", letter]).expect()
    arrived_with_lines(world.recorder.wait_for(mark).content)


def smtplib_unix_lines(world):
    """The bytes of a letter as Python makes them, with bare LF; smtplib doubles the dots."""
    mark = letters.marker()
    letter = email.message.EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = USER, TO, mark
    letter.set_content(UNIX_BODY)
    with smtplib.SMTP_SSL("localhost", world.tls, context=world.trusting()) as client:
        client.login(USER, PASSWORD)
        assert not client.sendmail(USER, [TO], letter.as_bytes())
    arrived_with_lines(world.recorder.wait_for(mark).content)


def arrived_with_lines(content):
    """Every line of the body is there, and nothing bare is relayed."""
    assert UNIX_BODY.replace("\n", "\r\n").encode() in content, content
    assert not set(content.replace(b"\r\n", b"")) & set(b"\r\n"), content


def unix_lines_to_mx(world):
    """Between servers the same is refused."""
    with smtplib.SMTP("localhost", world.mx) as client:
        letter = letters.plain(letters.marker(), body=UNIX_BODY, sender="me@example.com").replace(b"\r\n", b"\n")
        try:
            client.sendmail("me@example.com", [USER], letter)
        except smtplib.SMTPDataError as error:
            assert error.smtp_code == 550 and b"5.6.0" in error.smtp_error, error
        else:
            raise AssertionError("bare LF was taken on mx")


def smtplib_session(secure):
    def case(world):
        context = world.trusting()
        marks = [letters.marker() for _ in range(5)]
        if secure == "tls":
            client = smtplib.SMTP_SSL("localhost", world.tls, context=context)
        else:
            client = smtplib.SMTP("localhost", world.submission)
            client.starttls(context=context)
        with client:
            client.login(USER, PASSWORD)
            for mark in marks:
                content = letters.plain(mark, body="Привет, ёжик.\r\n", sender=USER, extra="Content-Type: text/plain; charset=utf-8\r\n")
                refused = client.sendmail(USER, [TO, "eve@in.recorder.example"], content, mail_options=["BODY=8BITMIME"])
                assert not refused, refused
        for mark in marks:
            assert "ёжик".encode() in world.recorder.wait_for(mark).content

    return case


def smtplib_errors(world):
    with smtplib.SMTP_SSL("localhost", world.tls, context=world.trusting()) as client:
        for call, code in ((lambda: client.login(USER, "wrong"), 535), (lambda: client.sendmail(USER, [TO], "x"), 530)):
            try:
                call()
            except smtplib.SMTPResponseException as error:
                assert error.smtp_code == code, error
            else:
                raise AssertionError(f"expected {code}")
        client.login(USER, PASSWORD)
        try:
            client.sendmail("boss@example.net", [TO], letters.plain(letters.marker(), sender="boss@example.net"))
        except smtplib.SMTPException as error:
            assert "550" in str(error) and "5.7.1" in str(error), error
        else:
            raise AssertionError("a user sent as another")


PHP = """<?php
require '/usr/share/php/libphp-phpmailer/autoload.php';
[$_, $port, $secure, $auth, $user, $password, $to, $subject, $authority] = $argv;
$mail = new PHPMailer\\PHPMailer\\PHPMailer(true);
$mail->isSMTP();
$mail->Host = 'localhost'; $mail->Port = (int) $port; $mail->SMTPSecure = $secure;
$mail->SMTPAuth = true; $mail->AuthType = $auth; $mail->Username = $user; $mail->Password = $password;
$mail->SMTPOptions = ['ssl' => ['cafile' => $authority]];
$mail->CharSet = 'UTF-8';
$mail->setFrom($user, 'Ann'); $mail->addAddress($to); $mail->Subject = $subject;
$mail->Body = 'Добрый день'; $mail->addStringAttachment(random_bytes(200000), 'data.bin');
$mail->send();
"""


def phpmailer(port, secure, mechanism):
    def case(world):
        mark = letters.marker()
        script = world.folder / "send.php"
        script.write_text(PHP)
        process.run(["php", script, getattr(world, port), secure, mechanism, USER, PASSWORD, TO, mark, world.certificates.authority]).expect()
        assert b"data.bin" in world.recorder.wait_for(mark).content

    return case


# What a person types, and what must come back before the next line is typed. No header and no brackets.
TYPED = [
    ("EHLO me.example", "250 "),
    ("MAIL FROM: me@example.com", "250 2.1.0"),
    ("RCPT TO: info@example.net", "250 2.1.5"),
    ("DATA", "354"),
    ("It is typed by hand: {mark}", None),
    (".", "250 2.0.0 Ok: queued as msg_"),
    ("QUIT", "221 2.0.0"),
]


def telnet(world):
    mark = letters.marker()
    child, terminal = pty.fork()
    if child == 0:
        os.execvp("telnet", ["telnet", "127.0.0.1", str(world.mx)])
    seen = ""

    def until(text):
        nonlocal seen
        end = time.monotonic() + 20
        while text not in seen:
            ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {text!r} in:\n{seen}")
            seen += os.read(terminal, 4096).decode(errors="replace")
        seen = seen.partition(text)[2]

    try:
        until("220 mx.example.net ESMTP")
        for line, answer in TYPED:
            os.write(terminal, line.format(mark=mark).encode() + b"\r")
            if answer:
                until(answer)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    world.delivered(USER, mark)


def netcat_bare_lf(world):
    done = process.run(["nc", "-w", "5", "127.0.0.1", str(world.mx)], input="EHLO me.example\nQUIT\n")
    assert "500 5.5.2" in done.output and "nc -C" in done.output, done.output


def our_own_client(world):
    mark = letters.marker()
    output = world.server.command("send", "--server", f"127.0.0.1:{world.mx}", "--from", "me@example.com", "--to", USER,
                                  "--subject", mark, "--body", "Hello")
    assert "queued as msg_" in output, output
    world.delivered(USER, mark)


CASES = [
    *((f"swaks: {name} {mechanism}", swaks(port, tls, mechanism))
      for name, port, tls in (("STARTTLS", "submission", ["--tls"]), ("TLS", "tls", ["--tls-on-connect"]))
      for mechanism in ("PLAIN", "LOGIN")),
    ("swaks: a wrong password is refused", swaks_wrong_password),
    *((f"curl: {scheme} {mechanism}", curl(scheme, port, mechanism))
      for scheme, port in (("smtp", "submission"), ("smtps", "tls"))
      for mechanism in ("PLAIN", "LOGIN")),
    ("smtplib: STARTTLS, five letters of 8-bit text", smtplib_session("starttls")),
    ("smtplib: TLS, five letters of 8-bit text", smtplib_session("tls")),
    ("smtplib: errors have their codes", smtplib_errors),
    ("smtplib: bare LF is repaired on submission", smtplib_unix_lines),
    ("curl: bare LF is repaired on submission", curl_unix_lines),
    ("smtplib: bare LF is refused on mx", unix_lines_to_mx),
    *((f"PHPMailer: {secure} {mechanism} with an attachment", phpmailer(port, secure, mechanism))
      for port, secure in (("submission", "tls"), ("tls", "ssl"))
      for mechanism in ("PLAIN", "LOGIN")),
    ("telnet: a letter typed by hand", telnet),
    ("nc: a bare LF is explained", netcat_bare_lf),
    ("posthouse send", our_own_client),
]
