"""Taggers, language models and translators as C: the same answers as the model's, greedily."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from compilers import compile_c, compilers
from hostile_texts import attack
from ship_cases import FIT, sentences

from unspool import LanguageModel, Tagger, Translator
from unspool.ship.c import export as export_c
from unspool.ship.targets import Options

pytestmark = pytest.mark.skipif(not compilers(), reason="no C compiler on this machine")

SMALL: dict[str, Any] = {"epochs": 3, "plan": False, "threads": 1}
ODD = [
    "\u00a0\u2003 x\t\ty  z   ",
    "it's we'll I'd 's  're\n\n a \nb",
    "İstanbul ²x 東京 \U0001f600!!",
    "'re'x '",
    "<unk> <pad>\x1f|",
    "word " * 300,
]


def agrees(model: Any, texts: list[Any], path: Path) -> Any:
    artefact = export_c(model.sheet(), path, Options())
    assert artefact.run([model._export_text(text) for text in texts]) == model._export_answers(texts)
    return artefact


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("\n".join(sentences(60, 1)) + "\n")
    return path


@pytest.mark.parametrize("units", ["word", "character"])
def test_a_language_model_writes_the_same_text(units, corpus, tmp_path):
    model = LanguageModel(units=units, hidden=12, embedding=9, layers=2, **SMALL).fit(corpus, **FIT)
    artefact = agrees(model, [*sentences(12, 3), "", *ODD], tmp_path / "model.c")
    if units == "word":
        return
    program = compile_c(next(iter(compilers().values())), artefact.files[0], tmp_path / "model")

    def write(*flags: str) -> str:
        command = [str(program), "-n", "60", *flags]
        return subprocess.run(command, input="a joy", capture_output=True, text=True, check=True).stdout

    assert write() == model.generate("a joy", length=60, temperature=0) + "\n"
    assert write("-t", "1", "-s", "5") == write("-t", "1", "-s", "5") != write("-t", "1", "-s", "6")
    assert write("-t", "1e-9") == write()


def test_samples_have_the_probabilities_of_the_model(corpus, tmp_path):
    model = LanguageModel(units="character", hidden=12, embedding=9, **SMALL).fit(corpus, **FIT)
    artefact = export_c(model.sheet(), tmp_path / "model.c", Options())
    program = compile_c(next(iter(compilers().values())), artefact.files[0], tmp_path / "model")
    command = [str(program), "-0", "-a", "-n", "1", "-t", "1"]
    count = 4000
    done = subprocess.run(command, input=b"a joy\0" * count, capture_output=True, check=True)
    written = done.stdout.decode().split("\0")[:-1]
    scores = model._read_units("a joy", "text")[1][-1]
    scores[list(model.sheet().writer.never)] = -torch.inf
    for id, share in enumerate(scores.softmax(-1).tolist()):
        if share > 0.02:  # four standard deviations
            assert abs(written.count(model.vocabulary.unit(id)) / count - share) < 4 * (share / count) ** 0.5
    assert "\ufffd" not in written


@pytest.mark.parametrize(
    ("network", "units"), [("initial", "word"), ("dot", "bpe"), ("additive", "bpe"), ("every-step", "bpe")]
)
def test_a_translator_writes_the_same_translations(network, units, tmp_path):
    sources = sentences(80, 1)
    targets = [" ".join(reversed(text.split())) for text in sources]
    layers = 2 if network == "additive" else 1
    model = Translator(network=network, units=units, hidden=10, embedding=8, layers=layers, **SMALL)
    model.fit(sources, targets, **FIT)
    agrees(model, [*sentences(15, 5), *ODD], tmp_path / "model.c")
    if network == "dot":
        attack(model.sheet(), tmp_path, 150, 4, lambda values: model._export_answers(values))


@pytest.mark.parametrize("output", ["crf", "softmax"])
def test_a_tagger_gives_the_same_tags(output, tmp_path):
    words = [split for text in sentences(60, 1) if (split := text.split())]
    tags = [["B-X" if len(word) > 3 else "O" for word in each] for each in words]
    model = Tagger(hidden=8, embedding=7, output=output, lowercase=True, **SMALL).fit(words, tags, **FIT)
    texts = [split for text in [*sentences(30, 7), *ODD] if (split := text.split())]
    artefact = agrees(model, texts, tmp_path / "model.c")
    if output == "crf":
        program = compile_c(next(iter(compilers().values())), artefact.files[0], tmp_path / "model")
        done = subprocess.run([program, "-w"], input="a\tgrand\tjoy\n", capture_output=True, text=True, check=True)
        assert done.stdout.rstrip("\n").split("\t") == model._export_answers([["a", "grand", "joy"]])[0]
