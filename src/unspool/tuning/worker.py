"""Worker process of a tuning: reads jobs from standard input, one a line in JSON, and writes their outcomes.

The process ends when standard input closes, so that no training goes on after its parent was killed.
"""

from __future__ import annotations

import os
import sys
import threading
from queue import SimpleQueue

import msgspec

from unspool.tuning.job import Job, run_files

__all__ = ["main"]


def main() -> None:
    """Run jobs until standard input closes."""
    outcomes = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # prints of libraries stay out of the outcomes
    jobs: SimpleQueue[Job] = SimpleQueue()
    threading.Thread(target=_read, args=(jobs,), daemon=True).start()
    while True:
        outcomes.write(msgspec.json.encode(run_files(jobs.get())) + b"\n")


def _read(jobs: SimpleQueue[Job]) -> None:
    for line in sys.stdin.buffer:
        jobs.put(msgspec.json.decode(line, type=Job))
    os._exit(0)


if __name__ == "__main__":
    main()
