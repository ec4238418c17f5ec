"""A Postfix of its own: configuration, queue, data and log under one folder, ports of loopback. The system's is not touched."""

import itertools
import os
import pathlib
import pwd
import shutil

from . import process

# One line of master.cf for each daemon that is always needed: name, type, private, unprivileged, chroot, wakeup, limit, command.
MASTER = """\
pickup     unix  n - n 60 1 pickup
cleanup    unix  n - n -  0 cleanup
qmgr       unix  n - n 300 1 qmgr
tlsmgr     unix  - - n 1000? 1 tlsmgr
rewrite    unix  - - n - - trivial-rewrite
bounce     unix  - - n - 0 bounce
defer      unix  - - n - 0 bounce
trace      unix  - - n - 0 bounce
verify     unix  - - n - 1 verify
flush      unix  n - n 1000? 0 flush
proxymap   unix  - - n - - proxymap
proxywrite unix  - - n - 1 proxymap
smtp       unix  - - n - - smtp
relay      unix  - - n - - smtp
showq      unix  n - n - - showq
error      unix  - - n - - error
retry      unix  - - n - - error
discard    unix  - - n - - discard
local      unix  - n n - - local
virtual    unix  - n n - - virtual
lmtp       unix  - - n - - lmtp
anvil      unix  - - n - 1 anvil
scache     unix  - - n - 1 scache
postlog    unix-dgram n - n - 1 postlogd
"""
_serial = itertools.count(1)


class Postfix:
    """`services` is a list of (port, options) for smtpd; `settings` goes to main.cf. With `users` (name → password) it takes
    AUTH from a Cyrus password file of its own."""

    def __init__(self, folder, services, settings=None, users=None, certificates=None, log=True, before_exec=None):
        self.folder = pathlib.Path(folder)
        self.config, self.queue, self.data = (self.folder / name for name in ("config", "queue", "data"))
        self.log = self.folder / "postfix.log"
        self.before_exec = before_exec
        self.passwords = None
        self.ports = [port for port, _ in services]
        for path in (self.config, self.queue, self.data):
            path.mkdir(parents=True)
        open_path_to(self.folder)
        shutil.chown(self.data, "postfix")
        main = {**self._basics(log), **(settings or {})}
        if certificates:
            main |= {"smtpd_tls_cert_file": certificates.certificate, "smtpd_tls_key_file": certificates.key,
                     "smtp_tls_CAfile": certificates.authority}
        if users:
            main |= self._users(users)
        (self.config / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in main.items()))
        lines = [f"127.0.0.1:{port} inet n - n - - smtpd" + "".join(f" -o {key}={value}" for key, value in options.items())
                 for port, options in services]
        (self.config / "master.cf").write_text(MASTER + "\n".join(lines) + "\n")

    def _basics(self, log):
        logged = {"maillog_file": self.log, "maillog_file_prefixes": self.folder} if log else {}
        return {
            "compatibility_level": "3.6",
            "myhostname": "mail.example.org",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_protocols": "ipv4",
            "inet_interfaces": "127.0.0.1",
            "queue_directory": self.queue,
            "data_directory": self.data,
            # Instances are told apart by this name; it also keeps `postfix check` from looking at the system's instance.
            "syslog_name": f"interop-{os.getpid()}-{next(_serial)}",
            "alias_maps": "",
            "alias_database": "",
            "biff": "no",
            "append_dot_mydomain": "no",
            "smtp_dns_support_level": "disabled",
            "smtp_host_lookup": "native",
            **logged,
        }

    def _users(self, users):
        sasl = self.folder / "sasl"
        sasl.mkdir()
        database = sasl / "passwords"
        for user, password in users.items():
            name, _, realm = user.partition("@")
            command = ["saslpasswd2", "-p", "-c", "-f", database, "-u", realm, name]
            process.run(command, input=password).expect()
        shutil.chown(database, "postfix")
        self.passwords = database
        return {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "cyrus",
                "smtpd_sasl_security_options": "noanonymous", "smtpd_sasl_local_domain": "example.net"}

    def start(self):
        self._command("start")
        for port in self.ports:
            process.wait_until(lambda: process.listens(port), f"Postfix to listen on {port}; its log:\n{self.log_tail()}")
        return self

    def stop(self):
        if self.running():
            process.run(["postfix", "-c", self.config, "stop"])
        return None

    def running(self):
        return process.run(["postfix", "-c", self.config, "status"]).code == 0

    def master_pid(self):
        return int((self.queue / "pid" / "master.pid").read_text())

    def _command(self, verb):
        command = ["postfix", "-c", self.config, verb]
        if self.passwords:
            # Debian's build reads one file only. In a mount namespace of its own that file is ours.
            mount = 'mount --bind "$0" /etc/sasldb2 && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", mount, self.passwords, *command]
        done = process.run(command, before_exec=self.before_exec)
        if done.code != 0:
            raise AssertionError(f"postfix {verb} failed:\n{done.output}\n{self.log_tail()}")

    def log_tail(self):
        return process.tail(self.log)

    def queued(self, *names):
        """How many messages lie in these queues: by default in all that are under way or deferred."""
        names = names or ("maildrop", "incoming", "active", "deferred")
        return sum(1 for name in names for _, _, files in os.walk(self.queue / name) for _ in files)

    def submit(self, content, sender, *recipients):
        """Hands a letter to its sendmail program."""
        lines = content.replace(b"\r\n", b"\n")
        command = ["sendmail", "-C", self.config, "-i", "-f", sender, "--", *recipients]
        process.run(command, input=lines).expect()

    def flush(self):
        process.run(["postqueue", "-c", self.config, "-f"]).expect()


def open_path_to(folder):
    """Postfix's daemons run as their own user: each folder on the way must let them pass."""
    for path in [folder, *folder.parents]:
        mode = path.stat().st_mode
        if not mode & 0o001:
            path.chmod(mode & 0o7777 | 0o011)
            if pathlib.Path("/tmp") == path.parent or pathlib.Path("/var/tmp") == path.parent:
                return


def virtual_mailboxes(folder, domains, users):
    """Settings that deliver the named addresses into Maildirs below a folder, and refuse all others of these domains."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {
        "virtual_mailbox_domains": ", ".join(domains),
        "virtual_mailbox_maps": "inline:{" + ", ".join(f"{{{user} = {user}/}}" for user in users) + "}",
        "virtual_mailbox_base": folder,
        "virtual_uid_maps": f"static:{nobody.pw_uid}",
        "virtual_gid_maps": f"static:{nobody.pw_gid}",
    }
