"""Which groups of cases there are."""

from rig import sites
from rig.runner import Group

from . import curl, phpmailer, raw, smtplib_client, swaks, telnet


def groups(against, full):
    """The groups to run, in order."""
    clients = sites.posthouse_clients if against == "posthouse" else sites.postfix_clients
    modules = {"raw socket": raw, "telnet": telnet, "smtplib": smtplib_client, "swaks": swaks, "curl": curl, "PHPMailer": phpmailer}
    return [Group(name, clients, module.CASES) for name, module in modules.items()]
