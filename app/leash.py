"""`python -m app.leash PARENT COMMAND...` becomes COMMAND, which ends when the process PARENT does.

Linux only; elsewhere it is COMMAND without the leash. A small process of its own, because code between fork and exec
of a threaded server is not safe.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            return  # The parent ended before the leash was on.
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
