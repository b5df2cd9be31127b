"""Translation metrics from sacreBLEU (BLEU, chrF, TER), and BLEU by source length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["by_length", "corpus_bleu", "grouped", "signature", "translation_scores"]


def grouped(sources: Sequence[str], targets: Sequence[str], *, together: bool) -> tuple[list[str], list[list[str]]]:
    """Group pairs by source, in order of first appearance; with `together=False`, keep one reference per pair."""
    if not together:
        return list(sources), [[target] for target in targets]
    groups: dict[str, list[str]] = {}
    for source, target in zip(sources, targets, strict=True):
        groups.setdefault(source, []).append(target)
    return list(groups), [list(dict.fromkeys(references)) for references in groups.values()]


def corpus_bleu(outputs: Sequence[str], references: Sequence[Sequence[str]], tokenization: str) -> float:
    """BLEU of a corpus, 0 to 100 (Papineni et al. 2002).

    Args:
        outputs: One output per source.
        references: One or more references per source.
        tokenization: sacreBLEU's tokenizer: `13a`, `none`, ...
    """
    return float(_bleu(tokenization).corpus_score(list(outputs), _streams(references)).score)


def signature(references: Sequence[Sequence[str]], tokenization: str) -> str:
    """Return sacreBLEU's signature, which belongs next to every BLEU figure."""
    metric = _bleu(tokenization)
    metric.corpus_score([each[0] for each in references], _streams(references))
    return str(metric.get_signature())


def translation_scores(
    outputs: Sequence[str], references: Sequence[Sequence[str]], tokenization: str
) -> dict[str, float]:
    """Return sacreBLEU's BLEU, chrF (Popović 2015) and TER (Snover et al. 2006), 0 to 100, and the exact-match rate."""
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    streams = _streams(references)
    exact = [output in right for output, right in zip(outputs, references, strict=True)]
    return {
        "bleu": corpus_bleu(outputs, references, tokenization),
        "chrf": float(CHRF().corpus_score(list(outputs), streams).score),
        "ter": float(TER().corpus_score(list(outputs), streams).score),
        "exact": float(np.mean(exact)),
    }


def by_length(
    sources: Sequence[str], outputs: Sequence[str], references: Sequence[Sequence[str]], tokenization: str
) -> dict[str, float]:
    """Return BLEU for short, medium and long sources: thirds by the number of words (characters if unspaced)."""
    words = np.array([len(source.split()) for source in sources])
    unit = "words"
    if words.max(initial=0) <= 2:
        words, unit = np.array([len(source) for source in sources]), "characters"
    first, second = (int(cut) for cut in np.quantile(words, [1 / 3, 2 / 3], method="inverted_cdf"))
    parts = {
        f"bleu, up to {first} {unit}": words <= first,
        f"bleu, {first + 1} to {second} {unit}": (words > first) & (words <= second),
        f"bleu, over {second} {unit}": words > second,
    }
    scores = {}
    for name, inside in parts.items():
        places = np.flatnonzero(inside).tolist()
        if places:
            scores[name] = corpus_bleu([outputs[i] for i in places], [references[i] for i in places], tokenization)
    return scores


def _bleu(tokenization: str) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    # `force` silences sacreBLEU's warning about tokenized texts, which are intended here.
    return BLEU(tokenize=tokenization, force=tokenization == "none")


def _streams(references: Sequence[Sequence[str]]) -> Any:
    """Transpose references for sacreBLEU: the first reference of every source, then the second or None, ..."""
    most = max(map(len, references), default=1)
    return [[each[place] if place < len(each) else None for each in references] for place in range(most)]
