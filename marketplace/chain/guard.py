"""Runs a command that must not outlive whoever started it: `python guard.py COMMAND…`.

The starter keeps the writing end of this process's standard input open and never writes to it. When the starter closes
it, or dies in any way (SIGKILL included), reading ends and the command's process group is told to stop, then killed.
POSIX only.
"""

import os
import signal
import subprocess
import sys
import threading

GRACE = 8.0  # seconds between SIGTERM and SIGKILL; Anvil writes its state file meanwhile


def _stop_at_end_of_input(child: subprocess.Popen[bytes]) -> None:
    os.read(0, 1)
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.wait(GRACE)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def main(command: list[str]) -> int:
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)
    threading.Thread(target=_stop_at_end_of_input, args=(child,), daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
