"""Debian packages: installs what a run needs and the machine lacks, and says so."""

import contextlib
import os
import pathlib
import shutil
import subprocess

# What proves that a package is there: a program of the path, or a file.
PROOFS = {
    "postfix": "postfix",
    "swaks": "swaks",
    "libnet-ssleay-perl": "/usr/lib/*-linux-gnu/perl5/*/Net/SSLeay.pm",
    "curl": "curl",
    "php-cli": "php",
    "libphp-phpmailer": "/usr/share/php/libphp-phpmailer/autoload.php",
    "telnet": "telnet",
    "netcat-openbsd": "nc",
    "openssl": "openssl",
    "sasl2-bin": "saslpasswd2",
    "opendkim": "opendkim",
    "python3-dkim": "/usr/lib/python3/dist-packages/dkim/__init__.py",
    "python3-nacl": "/usr/lib/python3/dist-packages/nacl/__init__.py",
    "rspamd": "rspamd",
    "unbound": "unbound",
    "clamav-daemon": "clamd",
    "libsasl2-modules": "/usr/lib/*-linux-gnu/sasl2/libplain.so",
}
# Debian asks this program whether a freshly installed service may be started; 101 is no.
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")


def present(proof):
    """Whether the proof of a package is there."""
    if proof.startswith("/"):
        return any(pathlib.Path("/").glob(proof.lstrip("/")))
    return shutil.which(proof, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is not None


@contextlib.contextmanager
def services_stay_down():
    """While it holds, installing a package starts no service."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def apt(*arguments):
    """Runs apt-get without questions."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0", *arguments]
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout.decode(errors='replace')}")


def ensure(*packages):
    """Installs those of the packages that are not there."""
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [package for package in packages if not present(PROOFS[package])]
    if not missing:
        return
    if os.geteuid() != 0:
        raise SystemExit(f"missing: {' '.join(missing)}. Run this as root, or install them first.")
    print(f"installing {' '.join(missing)} (apt)", flush=True)
    with services_stay_down():
        apt("update")
        apt("install", "-y", "--no-install-recommends", *missing)


def unpack(folder, *packages):
    """Downloads packages and unpacks them into a folder, uninstalled: for those that would drive others out."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    here = pathlib.Path.cwd()
    os.chdir(folder)
    try:
        apt("update")
        apt("download", "-o", "APT::Sandbox::User=root", *packages)
        for archive in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", archive, folder], check=True)
            archive.unlink()
    finally:
        os.chdir(here)
    return folder
