"""What tests of every room share: real data, and a random problem for a cell."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from cases import Case, make_case, memory_of_nan

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that starts the tests in the background has ctrl-C ignored, by them and by what they start
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "XDG_CACHE_HOME" not in os.environ:  # compiled code of the tests stays out of the user's own cache
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="unspool-cache-")
    atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)

torch.set_num_threads(1)  # sums come in one order, so a failure repeats


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores, up to four: many tests wait for a browser, a server or a child process."""
    return min(4, (os.cpu_count() or 1) + 1)


@pytest.fixture(scope="session")
def data() -> Callable[[str], Path]:
    """Finds a file or folder of the real data: under UNSPOOL_DATA, or in ../shared/data beside the checkout."""
    places = [Path(__file__).resolve().parents[2] / "shared" / "data"]
    if os.environ.get("UNSPOOL_DATA"):
        places.insert(0, Path(os.environ["UNSPOOL_DATA"]))

    def find(name: str) -> Path:
        for place in places:
            if (place / name).exists():
                return place / name
        pytest.skip(f"no {name} in {' or '.join(map(str, places))}; set UNSPOOL_DATA to the folder that holds it")

    return find


@pytest.fixture
def problem() -> Callable[..., Case]:
    """Makes a cell with distinct random weights and everything that one call of `unroll` takes; see `make_case`."""
    return make_case


@pytest.fixture
def nan_memory() -> Iterator[None]:
    """Fresh memory holds NaN."""
    with memory_of_nan():
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(20)
