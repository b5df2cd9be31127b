"""Pages of trained models under node: the same answers as the model, in WebAssembly and in JavaScript."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from ship_cases import (
    ASKED,
    CLASSIFIERS,
    TAGGERS,
    TRANSLATORS,
    WRITERS,
    assistant,
    classifier,
    sentences,
    tagger,
    translator,
    writer,
)

from unspool.errors import MachineError, UsageError
from unspool.ship.page import PageArtefact, export
from unspool.ship.targets import Options

ODD = [
    "x",
    "İ ẞ ǅ e\u0301 <UNK> a<pad>b",
    "it's 'a' ''b''c d'e'f",
    "tab\tand\x1cblank\u2003wide\x85\xa0end",
    "12 ١٢ ² Ⅷ",
]
HOSTILE = [
    "\ud800 a\udfff",
    "</script><b>",
    "<eoſ> un\u212a",
    "a" * 90 + "b" * 50 + " joy",
    "<> >< <<>>",
    "word " * 700,
]
LANGUAGES = ["WebAssembly", "JavaScript"]


@pytest.fixture(autouse=True)
def _needs_node():
    if shutil.which("node") is None:
        pytest.skip("no node on this machine")


def page(sheet, tmp_path, language="WebAssembly", small=None):
    artefact = export(sheet, tmp_path / "model.html", Options(title="A <model>", small=small))
    return PageArtefact(artefact.path, language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if name != "subwords"])
def test_a_classifier_finds_the_same_probabilities(name, language, tmp_path):
    model = classifier(name)
    texts = [*sentences(40, 2), *ODD, *HOSTILE]
    for text, actual, right in zip(
        texts, page(model.sheet(), tmp_path, language).run(texts), model.predict(texts), strict=True
    ):
        for label, share in right.probabilities.items():
            assert actual[label] == pytest.approx(share, abs=1e-5), text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", TAGGERS)
def test_a_tagger_tags_the_same(name, language, tmp_path):
    model = tagger(name)
    texts = [text.split() for text in sentences(40, 6) if text.split()] + [["a" * 50, "İ", "ΣΑΣ"]]
    assert page(model.sheet(), tmp_path, language).run(texts) == [each.tags for each in model.predict(texts)]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", [name for name in WRITERS if name != "subwords"])
def test_a_language_model_writes_the_same(name, language, tmp_path):
    model = writer(name)
    prompts = ["a joy", "", "dull dull from", *ODD]
    assert page(model.sheet(), tmp_path, language).run(prompts) == model._export_answers(prompts)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_writes_the_same(name, language, tmp_path):
    model = translator(name)
    texts = [text for text in sentences(20, 7) if text.strip()]
    assert page(model.sheet(), tmp_path, language).run(texts) == model._export_answers(texts)


def test_an_assistant_answers_the_same(tmp_path):
    model = assistant()
    asked = [*ASKED, "garden", "word " * 900, *ODD, *HOSTILE]
    assert page(model.sheet(), tmp_path).run(asked) == model._export_answers(asked)


@pytest.mark.parametrize("small", ["int8", "int4"])
def test_rounded_weights_change_little(small, tmp_path):
    model, texts = classifier("words, both directions, two layers"), sentences(40, 2)
    whole, rounded = (page(model.sheet(), tmp_path, small=each).run(texts) for each in (None, small))
    size = (tmp_path / "model.html").stat().st_size
    differences = [abs(a[label] - b[label]) for a, b in zip(whole, rounded, strict=True) for label in a]
    assert 0 < np.mean(differences) < (0.002 if small == "int8" else 0.02)
    page(model.sheet(), tmp_path)
    assert size < 0.8 * (tmp_path / "model.html").stat().st_size


def test_a_small_assistant_still_answers_its_own_questions(tmp_path):
    model = assistant()
    known = [text for each in model.matcher.questions for text in each.wordings]
    for small in ("int8", "int4"):
        assert page(model.sheet(), tmp_path, small=small).run(known) == model._export_answers(known)


def test_what_a_page_cannot_do_is_refused_in_words(tmp_path):
    with pytest.raises(UsageError, match="subwords"):
        export(classifier("subwords").sheet(), tmp_path / "model.html", Options())
    assert not (tmp_path / "model.html").exists()


def test_without_node_the_page_says_what_is_missing(tmp_path, monkeypatch):
    artefact = page(classifier("characters").sheet(), tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="no node"):
        artefact.run(["a"])
