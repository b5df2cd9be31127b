"""What the verbs that use a model import before their first answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import unspool

HEAVY = ("torch._dynamo", "sympy", "sacrebleu", "pyarrow", "pandas", "tensorboard", "jax")
SCRIPT = """
import json, sys
from unspool.cli.main import unspool
try:
    unspool.main(sys.argv[1:])
except SystemExit as left:
    print(json.dumps([left.code, sorted(sys.modules)]))
"""


def modules_after(*words: object) -> set[str]:
    """Names of all modules that a command line has imported by its end."""
    environment = os.environ | {"PYTHONPATH": str(Path(unspool.__file__).parents[1])}
    command = [sys.executable, "-c", SCRIPT, *map(str, words)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, input="a bad movie\n", check=True)
    code, modules = json.loads(ran.stdout.splitlines()[-1])
    assert code == 0, ran.stderr
    return set(modules)


@pytest.mark.parametrize(
    ("verb", "model", "options"),
    [
        ("predict", "classifier", ()),
        ("predict", "tagger", ()),
        ("generate", "writer", ("--length", "5", "--seed", "1")),
        ("inspect", "classifier", ("a bad movie",)),
    ],
)
def test_a_first_answer_imports_only_what_it_uses(models, verb, model, options):
    modules = modules_after(verb, models / model, *options)
    assert "torch" in modules
    assert modules & set(HEAVY) == set()
    others = ("translate.translator", "answer.assistant", "algorithm.algorithm")
    assert modules.isdisjoint(f"unspool.tasks.{other}" for other in others)
