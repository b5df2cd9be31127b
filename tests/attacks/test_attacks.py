"""Damaged folders, files and settings end with a result or with one sentence; the attack sees what does not."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import attack
import pytest
from damage import damaged_json
from targets import Target

from unspool.errors import UsageError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="forks, and limits memory")


def test_attacks_from_a_seed():
    script = Path(attack.__file__)
    ended = subprocess.run([sys.executable, script, "--seed", "0", "--cases", "400"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
    assert ended.stdout.startswith("400 cases in ")
    for outcome in ("result", "ModelFolderError", "DataError", "SettingError", "DecodingError"):
        assert f"{outcome} " in ended.stdout


def fails(place):
    raise KeyError("nobody foresaw this")


def dies(place):
    os._exit(7)


def takes_memory(place):
    return len(bytearray(attack.MEMORY + (1 << 28)))


def waits(place):
    time.sleep(60)


def is_vague(place):
    raise UsageError("\n")


def is_not_finite(place):
    return [1.0, {"a": (float("nan"),)}]


FAILURES = {
    "fails": "KeyError: 'nobody foresaw this'",
    "dies": "the process died, exit code 7",
    "takes_memory": "MemoryError",
    "waits": "took more than 0.3 s",
    "is_vague": "not one printable sentence",
    "is_not_finite": "a number that is not finite",
}
SCRIPT = """
import json, pathlib, sys
import attack, test_attacks
from targets import Target

attack.SECONDS = 0.3
for name in test_attacks.FAILURES:
    target = Target(name, "settings", getattr(test_attacks, name))
    for case in attack.run_cases([target], 3, range(2), pathlib.Path(sys.argv[1])):
        print(json.dumps(case))
"""


def test_the_attack_sees_every_kind_of_failure_and_goes_on_after_it(tmp_path):
    words = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, text=True, cwd=Path(attack.__file__).parent, check=True)
    cases = [attack.Case(*json.loads(line)) for line in ended.stdout.splitlines()]
    assert [(case.target, case.number) for case in cases] == [(name, number) for name in FAILURES for number in (0, 1)]
    for case in cases:
        assert case.failed
        assert FAILURES[case.target] in case.outcome


def test_a_case_is_the_same_each_time(tmp_path):
    sound = tmp_path / "a.json"
    sound.write_text('{"a": [1, 2, 3], "b": "c"}')
    target = Target("a", "file", lambda path: path.read_bytes(), sound)
    (tmp_path / "work").mkdir()
    cases = [attack.run_case([target], 5, number, tmp_path / "work") for number in (8, 9, 8)]
    assert cases[0] == cases[2] != cases[1]
    assert attack.describe_case([target], 5, 8) == (cases[0].target, cases[0].damage)
    assert list((tmp_path / "work").iterdir()) == []


def test_a_case_does_not_hang_on_those_before_it():
    content = b'{"a": [1, 2, 3], "b": {"c": "d"}}'
    alone = [damaged_json(random.Random(number), content) for number in range(300)]
    assert [damaged_json(random.Random(number), content) for number in reversed(range(300))] == alone[::-1]
