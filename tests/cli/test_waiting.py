"""How threads are told to wait, before torch is there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from unspool.cli import waiting


@pytest.fixture
def clean(monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is put back at the end
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("told", "spins"),
    [
        (["3/200"] * 5, "10000"),
        (["3/200", "2/200", "1/200", "3/200", "3/200"], None),  # it was over soon
        (["1/200"] * 5, None),  # nobody but us
        (["many"], None),
        ([], None),
    ],
    ids=["others are busy", "others were busy", "alone", "no number", "not told"],
)
def test_they_sleep_soon_only_beside_others(told, spins, clean):
    answers = iter(told)

    class Load:
        def read_text(self, encoding: str) -> str:
            found = next(answers, None)
            if found is None:
                raise FileNotFoundError
            return f"0.50 0.40 0.30 {found} 4711\n"

    clean.setattr(waiting, "_LOAD", Load())
    waiting.spin_briefly_beside_others()
    assert os.environ.get("GOMP_SPINCOUNT") == spins


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_what_the_environment_says_holds(name, clean):
    clean.setenv(name, "7")
    clean.setattr(waiting, "_others_are_busy", lambda: True)
    waiting.spin_briefly_beside_others()
    assert os.environ.get("GOMP_SPINCOUNT") == ("7" if name == "GOMP_SPINCOUNT" else None)


def test_it_is_said_before_torch_is_there():
    program = (
        "import os, sys\nfrom unspool.cli import main, waiting\nwaiting._others_are_busy = lambda: True\n"
        "sys.argv = ['unspool', '--version']\ntry:\n    main.run()\n"
        "except SystemExit:\n    print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    )
    clean = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", program], env=clean, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "10000 False"
