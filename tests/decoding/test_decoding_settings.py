"""The settings of decoding: light, and what contradicts itself is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import unspool
from unspool.decoding import DecodingSettings
from unspool.errors import SettingError
from unspool.settings import describe


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"best": 6}, "best = 6 with beam = 5: a beam finds no more than its width"),
        ({"beam": 0}, "beam = 0"),
        ({"beam": 10_001}, "beam = 10001"),
        ({"search": "greedy", "best": 2}, "best = 2 with search = greedy, which finds one"),
        ({"min_length": 5, "max_length": 4}, "min_length = 5 is more than max_length = 4"),
        ({"temperature": 0.5, "top_k": 3}, "temperature and top_k: only search='sample' draws by chance"),
        ({"search": "greedy", "top_p": 0.5}, "top_p: only search='sample' draws by chance, and search = greedy"),
        ({"search": "sample", "top_p": 0.0}, "top_p = 0.0"),
        ({"search": "sample", "top_p": 1.1}, "top_p = 1.1"),
        ({"length_penalty": -1.0}, "length_penalty = -1.0"),
        ({"search": "best"}, "search = 'best'"),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused(values, message):
    with pytest.raises(SettingError, match=re.escape(message)):
        DecodingSettings(**values)


def test_draws_may_be_as_many_as_one_likes():
    assert DecodingSettings(search="sample", best=50, top_p=1.0, top_k=1, temperature=0.0).best == 50


def test_every_setting_has_its_help():
    assert all(setting.help.endswith(".") for setting in describe(DecodingSettings).values())


def test_the_settings_come_without_torch():
    code = "import sys, unspool.decoding.settings; print([name for name in ('torch', 'numpy') if name in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(Path(unspool.__file__).parents[1])}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert ran.stdout.strip() == "[]"
