"""Watch over a private Ray, in a process of its own: what the driver leaves of Ray when it ends, or is killed, goes.

`python -I -S orphan_watch.py FOLDER` reads process groups from standard input, one a line; the input ends with the
driver's use of Ray, or with the driver. Only the standard library is used: it must start at once.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

REMOVAL_S = 5.0  # that processes which are just ending may go on to write into the folder


def main() -> None:
    """Wait for the end of the input, then end the groups that were named in it, and remove the folder."""
    groups = [int(line) for line in sys.stdin]
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    folder = Path(sys.argv[1])
    give_up_s = time.monotonic() + REMOVAL_S
    while folder.exists() and time.monotonic() < give_up_s:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
