"""Output weights of units: with the states they give the logits."""

from __future__ import annotations

import numpy as np
import pytest

from unspool import Classifier, LanguageModel, Tagger
from unspool.errors import UsageError

COMMON = {"epochs": 1, "threads": 1, "seed": 5, "plan": False}
TEXTS, LABELS = ["a dog ran", "two dogs ran", "a cat sat", "two cats sat"] * 3, ["one", "many", "one", "many"] * 3


def test_weights_and_last_states_give_the_logits_of_both_directions():
    model = Classifier(hidden=5, embedding=4, num_layers=2, bidirectional=True, pooling="mean", ngrams=False, **COMMON)
    model.fit(TEXTS, LABELS)
    trace, weights = model.trace("two dogs sat"), {name: model.output_weights(name) for name in ("one", "many")}
    assert list(weights["one"]) == ["layer 2 forward / h", "layer 2 backward / h"]
    logits = {
        name: sum(float(trace.array(place).mean(0) @ row) for place, row in rows.items())
        + float(model.model.output.bias[model.fitted.labels.id(name)].detach())
        for name, rows in weights.items()
    }
    share = 1 / (1 + np.exp(logits["many"] - logits["one"]))
    assert trace.prediction["probabilities"]["one"] == pytest.approx(share, abs=1e-5)
    with pytest.raises(UsageError, match="there is no label 'onne' "):
        model.output_weights("onne")


def test_weights_of_a_language_model_give_its_next_unit():
    model = LanguageModel(hidden=7, embedding=4, tied=False, **COMMON).fit(["abc abd abe " * 60])
    trace = model.trace("ab")
    units = ["a", "b", "c", "d", "e", " "]
    bias = [float(model.model.softmax.bias[model.vocabulary.id(unit)].detach()) for unit in units]
    state = trace.array("layer 1 / h")[-1]
    logits = [float(state @ model.output_weights(unit)["layer 1 / h"]) + b for unit, b in zip(units, bias, strict=True)]
    shares = trace.prediction["probabilities"]
    for unit, logit in zip(units, logits, strict=True):
        assert logit - logits[0] == pytest.approx(np.log(shares[unit] / shares["a"]), abs=1e-4)


def test_networks_without_such_a_row_have_none():
    bag = Classifier(network="bag", ngrams=False, **COMMON).fit(TEXTS, LABELS)
    assert bag.output_weights("one") == {}
    tagger = Tagger(hidden=4, **COMMON).fit([["a", "dog"], ["two", "dogs"]] * 6, [["D", "N"], ["D", "N"]] * 6)
    assert tagger.output_weights("N")["layer 1 backward / h"].shape == (4,)
