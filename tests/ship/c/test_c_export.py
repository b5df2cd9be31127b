"""Models as C: the program's answers are the model's, on texts it has not seen, and no text harms it."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from typing import Any

import numpy as np
import pytest
from compilers import compile_c, compilers
from hostile_texts import attack, attack_tokenizer
from ship_cases import FIT, assistant, reviews, sentences

from unspool import Classifier
from unspool.errors import MachineError, UsageError
from unspool.ship.c import export as export_c
from unspool.ship.c.artefact import CArtefact
from unspool.ship.judge import run_program
from unspool.ship.judge_text import encode_texts, labels_of
from unspool.ship.small import rounded_sheet
from unspool.ship.targets import Options, target

pytestmark = pytest.mark.skipif(not compilers(), reason="no C compiler on this machine")

MODELS: dict[str, dict[str, Any]] = {
    "words, two layers, both directions": {
        "bidirectional": True,
        "layers": 2,
        "residual": True,
        "pooling": "attention",
    },
    "spelling by convolution": {"characters": "convolution", "lowercase": True, "pooling": "last", "min_count": 2},
    "spelling by a cell": {"characters": "recurrent", "digits_to_zero": True, "cell": "gru-reset-before"},
    "characters": {"units": "character", "lowercase": True, "bidirectional": True, "pooling": "last"},
    "blanks, a bag": {"units": "blank", "network": "bag", "ngrams": False},
    "several labels": {"several": True, "cell": "gru"},
    "subwords": {"units": "bpe", "size": 300, "ngrams": False, "lowercase": True, "cell": "elman", "pooling": "mean"},
}
TEXTS = [
    *sentences(40, 2),
    "x",
    "İ ẞ ǅ e\u0301 \u00a0\u2003|\x1f|",
    ["a", "joy", "İ!"],
    "word " * 2100,
    "ΑΣ ΑΣΑ Σ Α.Σ <UNK> <unK> <eoſ> <unk it's_' ’tis a’b’",
    "\U0001f600 \U00010400 ٣ ²",
]


@cache
def trained(name: str) -> Classifier:
    texts, labels = reviews(90, 1)
    texts[5] += " ΑΣ ΑΣΑ"
    values = {"hidden": 7, "embedding": 6, "epochs": 2, "threads": 1, "plan": False, **MODELS[name]}
    targets = [[label, "long"] if len(text) > 40 else [] for text, label in zip(texts, labels, strict=True)]
    return Classifier(**values).fit(texts, targets if "several" in values else labels, **FIT)


def judged(sheet: Any, texts: list[Any]) -> np.ndarray:
    (port,) = sheet.run.outputs
    return run_program(sheet.run, encode_texts(sheet.front, texts))[port.name]


def ran(artefact: CArtefact, texts: list[Any]) -> np.ndarray:
    return np.array([list(answer.values()) for answer in artefact.run(texts)])


@pytest.mark.parametrize("name", MODELS)
def test_a_classifier_in_c_answers_as_the_model(name, tmp_path):
    model = trained(name)
    sheet = model.sheet()
    artefact = export_c(sheet, tmp_path / "model.c", Options(title="*/ a model"))
    rows = ran(artefact, TEXTS)
    for text, row, right in zip(TEXTS, rows, model.predict(TEXTS), strict=True):
        expected = [right.probabilities[name] for name in sheet.back.names]
        np.testing.assert_allclose(row, expected, atol=2e-6, err_msg=repr(text))
        assert labels_of(sheet.back, row.astype(np.float32)) == right.labels


def test_the_program_answers_in_words(tmp_path):
    model = trained("several labels")
    artefact = export_c(model.sheet(), tmp_path / "model.c", Options())
    program = compile_c(next(iter(compilers().values())), artefact.files[0], tmp_path / "model")
    lines = [text for text in TEXTS if isinstance(text, str) and text.isascii() and len(text) < 400]
    done = subprocess.run([program], input="\n".join(lines), capture_output=True, text=True, check=True)
    for line, right in zip(done.stdout.split("\n"), model.predict(lines), strict=False):
        assert line == "\t".join(f"{label} {right.probabilities[label]:.4f}" for label in right.labels)
    refused = subprocess.run([program], input="a\n\n", capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr) == (1, "text 2 has no units\n")


@pytest.mark.parametrize("small", [None, "int8", "int4"])
def test_weights_in_a_file_of_their_own(small, tmp_path, monkeypatch):
    monkeypatch.setattr("unspool.ship.c.files.MOST_EMBEDDED", 0)
    sheet = trained("words, two layers, both directions").sheet()
    artefact = export_c(sheet, tmp_path / "model.c", Options(small=small))
    assert [file.name for file in artefact.files] == ["model.c", "model.bin"]
    rows = ran(artefact, TEXTS)
    np.testing.assert_allclose(rows, judged(rounded_sheet(sheet, small) if small else sheet, TEXTS), atol=1e-5)
    if small:
        assert np.abs(rows - judged(sheet, TEXTS)).max() > 1e-5
    damaged = bytearray(artefact.files[1].read_bytes())
    damaged[len(damaged) // 2] ^= 1
    artefact.files[1].write_bytes(damaged)
    with pytest.raises(MachineError, match="is not the file of weights"):
        artefact.run(["a"])


def test_small_weights_in_the_c_file(tmp_path):
    sheet = trained("spelling by convolution").sheet()
    for small in ("int8", "int4"):
        artefact = export_c(sheet, tmp_path / "model.c", Options(small=small))
        np.testing.assert_allclose(ran(artefact, TEXTS), judged(rounded_sheet(sheet, small), TEXTS), atol=1e-5)


def test_what_c_cannot_take_is_refused_in_words(tmp_path):
    texts, labels = reviews(60, 1)
    values = {"hidden": 7, "embedding": 6, "epochs": 1, "plan": False, "units": "bpe", "size": 300}
    with pytest.raises(UsageError, match="C has no n-grams beside subwords yet"):
        export_c(Classifier(**values).fit(texts, labels, **FIT).sheet(), tmp_path / "model.c", Options())
    with pytest.raises(UsageError, match=r"'model.html' does not; name model.c"):
        export_c(trained("characters").sheet(), tmp_path / "model.html", Options())
    assert list(tmp_path.iterdir()) == []
    assert target("c") is export_c


def test_without_a_compiler_the_judge_stands_in(tmp_path, monkeypatch):
    model = trained("blanks, a bag")
    monkeypatch.setenv("CC", "no-such-compiler")
    written = model.export(tmp_path / "model.c", to="c", data=list(zip(*reviews(9, 3), strict=True)), small="int8")
    assert written.report["hindrance"] == (
        "there is no C compiler on this machine to run the file with (no-such-compiler); set CC to one"
    )
    assert "of the judge in numpy, not of the file: there is no C compiler" in str(written)
    assert (tmp_path / "model.c").exists()
    with pytest.raises(MachineError, match="no C compiler on this machine"):
        export_c(model.sheet(), tmp_path / "other.c", Options()).run(["a"])


@pytest.mark.parametrize("small", [None, "int8"])
def test_the_verb_writes_c_and_a_report(small, tmp_path):
    written = trained("characters").export(
        tmp_path / "model.c", to="c", data=list(zip(*reviews(20, 3), strict=True)), small=small
    )
    assert written.report["agreement"] == 1
    assert written.report["ran"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.c", "model.c.json"]


def test_rounding_that_loses_too_much_is_refused(tmp_path):
    model = trained("spelling by a cell")
    with pytest.raises(UsageError, match=r"nothing was written: int4 weights lose .* raise it with max_loss"):
        model.export(
            tmp_path / "model.c", to="c", data=list(zip(*reviews(60, 3), strict=True)), small="int4", max_loss=-1.0
        )
    assert list(tmp_path.iterdir()) == []


SMALL = ["-Os", "-DUNSPOOL_NO_MAIN", "-DUNSPOOL_UNITS=64", "-DUNSPOOL_BYTES=256"]
CROSS = {
    "aarch64-linux-gnu-gcc": ["-O2"],
    "arm-none-eabi-gcc": ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", *SMALL],
}


@pytest.mark.parametrize("compiler", CROSS)
def test_other_processors_compile_it(compiler, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} on this machine")
    for name in ("words, two layers, both directions", "characters"):
        artefact = export_c(trained(name).sheet(), tmp_path / "model.c", Options(small="int8"))
        compile_c([compiler], artefact.files[0], tmp_path / "model.o", "-c", *CROSS[compiler])


def test_fast_math_is_refused(tmp_path):
    artefact = export_c(trained("characters").sheet(), tmp_path / "model.c", Options())
    command = [*next(iter(compilers().values())), "-std=c99", "-ffast-math", "-fsyntax-only", str(artefact.files[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "compile without -ffast-math" in done.stderr


def test_hostile_texts_do_no_harm(tmp_path):
    sheet = trained("spelling by convolution").sheet()
    attack(sheet, tmp_path, 200, 1, lambda texts: judged(sheet, texts))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spelling by convolution", "characters", "blanks, a bag", "subwords", "questions"])
def test_a_million_hostile_texts_do_no_harm(name, tmp_path):
    model = assistant() if name == "questions" else trained(name)
    attack_tokenizer(model.sheet(), tmp_path, 200_000, 2)
