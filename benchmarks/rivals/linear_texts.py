"""Peer of text classifiers: scikit-learn's logistic regression over tf–idf of words and characters."""

from __future__ import annotations

from typing import Any

from workloads.frontier_sets import DataSet

from rivals.reading import read_labelled

__all__ = ["linear_texts"]

_STRENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
"""Values of C, the inverse strength of the penalty; validation accuracy chooses."""


def linear_texts(data: DataSet, minutes: float | None, seed: int) -> dict[str, Any]:
    """Train with each value of C, each from the weights of the one before; keep what is best on validation data."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.pipeline import make_union

    (texts, labels), (valid_texts, valid_labels), (test_texts, test_labels) = read_labelled(data)
    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    train, valid, test = features.fit_transform(texts), features.transform(valid_texts), features.transform(test_texts)
    model = LogisticRegression(max_iter=300, warm_start=True)
    accuracies, predictions = {}, {}
    for strength in _STRENGTHS:
        model.set_params(C=strength).fit(train, labels)
        accuracies[strength] = float(model.score(valid, valid_labels))
        predictions[strength] = model.predict(test)
    best = max(accuracies, key=accuracies.__getitem__)
    right = sum(a == b for a, b in zip(predictions[best], test_labels, strict=True))
    macro = float(f1_score(test_labels, predictions[best], average="macro"))
    return {"scores": {"accuracy": right / len(test_labels), "macro_f1": macro}, "detail": f"C = {best:g}"}
