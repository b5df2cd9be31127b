"""What tests of the benchmarks share: scripts, imported by name."""

import importlib
import os
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """Import a benchmark by its name, and afterwards forget it and give the cores back."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    threads, cores = torch.get_num_threads(), os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    yield importlib.import_module
    torch.set_num_threads(threads)
    if cores is not None:
        os.sched_setaffinity(0, cores)
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(BENCHMARKS):
            del sys.modules[name]
