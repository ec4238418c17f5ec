"""The temporary folder of a run. It lies under /var/tmp, which is a disk: /tmp may be memory, where a sync costs nothing."""

import contextlib
import pathlib
import shutil
import tempfile

PARENT = "/var/tmp"


@contextlib.contextmanager
def temporary(prefix, keep=False):
    """Makes the folder, and removes it in the end unless it is to be kept."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=PARENT))
    # Postfix's daemons run as their own user and must pass through.
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
