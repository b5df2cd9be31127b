"""Sheet of a text classifier: the network, the linear n-gram model beside it, and the calibration of both."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from unspool.errors import UsageError
from unspool.inputs.text.fitted import FittedText
from unspool.layers import TokenEmbedding
from unspool.models import ClassifierModel
from unspool.ship.building import ProgramBuilder, array
from unspool.ship.sheet import Activate, Add, Port, Scale, Sheet, Softmax, SumRows
from unspool.ship.sheet_text import Labels, Ngrams
from unspool.ship.text_building import text_front
from unspool.tasks.classify.fitted import FittedClassifier
from unspool.tasks.parts.ngram_classifier import MOST_WORDS, NgramClassifier, NgramFeatures

__all__ = ["classifier_sheet", "ngrams_of"]


def ngrams_of(features: NgramFeatures) -> Ngrams:
    """Return the n-grams of a text front."""
    entries = tuple(features.entries)
    return Ngrams(entries, features.rarity, features.orders, features.longest, MOST_WORDS)


def classifier_sheet(model: ClassifierModel, fitted: FittedClassifier, thresholds: NDArray[np.float64]) -> Sheet:
    """Return the sheet of a text classifier.

    Args:
        model: The network, in evaluation mode.
        fitted: Its input, labels and calibration.
        thresholds: Minimum probability of each label, for several labels.

    Raises:
        UsageError: If the model reads something other than texts, or has a network without operations in the sheet.
    """
    if not isinstance(fitted.input, FittedText):
        raise UsageError(f"a classifier of {fitted.input.kind} can't be exported; one of texts can")
    calibration, linear = fitted.calibration, fitted.linear
    mixes = isinstance(linear, NgramClassifier) and bool(calibration.linear)
    inputs = [Port("ids", "ids"), Port("lengths", "lengths")]
    inputs += [Port("characters", "ids")] * (fitted.input.spelling is not None) + [Port("bag", "bag")] * mixes
    build = ProgramBuilder(*inputs)
    states = build.encode(model.encoder, build.embed(cast(TokenEmbedding, model.embedding)))
    scores = build.product(model.output, build.readout(model.readout, states), "scores")
    scores = build.add(Scale, "network", input=scores, factor=float(calibration.network))
    ngrams = None
    if isinstance(linear, NgramClassifier) and mixes:
        table, bias = (array(part * calibration.linear) for part in (linear.weights, linear.bias))
        beside = build.add(SumRows, "linear", bag="bag", table=table, bias=bias)
        scores = build.add(Add, "mixed", inputs=(scores, beside))
        ngrams = ngrams_of(linear.features)
    if fitted.several:
        shares = build.add(Activate, "probabilities", input=scores, function="sigmoid")
    else:
        shares = build.add(Softmax, "probabilities", input=scores)
    run = build.finish(Port(shares, "row", len(fitted.labels)))
    front = text_front(fitted.input.vocabulary, fitted.input.spelling, ngrams)
    back = Labels(fitted.labels.names, fitted.several, thresholds if fitted.several else None)
    return Sheet("classify", front, run, back)
