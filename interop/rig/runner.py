"""Runs cases, one line for each, and counts them."""

import time
import traceback


class Skip(Exception):
    """The case cannot be tried on this machine; the text says why."""


class Case:
    """`name` is what a reader sees; `body` is called with the group's site and fails by raising."""

    def __init__(self, name, body):
        self.name, self.body = name, body


class Group:
    """Cases that share a site. `open_site` is a context manager over the run; `site.logs()` is shown when a case fails."""

    def __init__(self, name, open_site, cases):
        self.name, self.open_site, self.cases = name, open_site, cases


class Tally:
    """What came of the cases."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def line(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run_groups(groups, context, wanted=""):
    """Runs every case whose full name holds `wanted`; returns the tally."""
    tally = Tally()
    for group in groups:
        cases = [case for case in group.cases if wanted in f"{group.name}: {case.name}"]
        if not cases:
            continue
        try:
            with group.open_site(context) as site:
                for case in cases:
                    run_case(group, case, site, tally)
        except Skip as why:
            for case in cases:
                _say("skip", group, case.name, f" ({why})")
            tally.skipped += len(cases)
        except Exception:
            _say("FAIL", group, "setting up")
            print(_indented(traceback.format_exc()), flush=True)
            tally.failed += len(cases)
    return tally


def run_case(group, case, site, tally):
    """Runs one case and says what came of it."""
    began = time.monotonic()
    try:
        case.body(site)
    except Skip as why:
        tally.skipped += 1
        _say("skip", group, case.name, f" ({why})")
    except Exception as error:
        tally.failed += 1
        _say("FAIL", group, case.name)
        shown = str(error) if isinstance(error, AssertionError) and str(error) else traceback.format_exc()
        print(_indented(shown + "\n--- logs\n" + site.logs()), flush=True)
    else:
        tally.passed += 1
        _say("ok  ", group, case.name, f" ({time.monotonic() - began:.1f} s)")


def _say(verdict, group, name, rest=""):
    print(f"{verdict} {group.name}: {name}{rest}", flush=True)


def _indented(text):
    return "\n".join("     | " + line for line in text.splitlines())
