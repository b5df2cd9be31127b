"""`unspool` with processor time as its clock, so that a busy machine does not shorten a training with a time limit.

python benchmarks/rivals/processor_clock.py train write novel.txt --minutes 3 --threads 1 --out my-writer
"""

from __future__ import annotations

import time
from types import SimpleNamespace

import unspool.training.clock
import unspool.training.speed
from unspool.cli.main import run

if __name__ == "__main__":
    processor = SimpleNamespace(monotonic=time.process_time)
    for module in (unspool.training.clock, unspool.training.speed):
        module.time = processor
    run()
