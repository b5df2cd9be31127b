"""Scores of translations by sacreBLEU, and by length of the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["by_length", "corpus_bleu", "grouped", "signature", "translation_scores"]


def grouped(sources: Sequence[str], targets: Sequence[str], *, together: bool) -> tuple[list[str], list[list[str]]]:
    """Each source once with all its targets, in the order of first appearance; or each pair for itself."""
    if not together:
        return list(sources), [[target] for target in targets]
    found: dict[str, list[str]] = {}
    for source, target in zip(sources, targets, strict=True):
        found.setdefault(source, []).append(target)
    return list(found), [list(dict.fromkeys(references)) for references in found.values()]


def corpus_bleu(outputs: Sequence[str], references: Sequence[Sequence[str]], tokenization: str) -> float:
    """BLEU of a corpus, 0 to 100 (Papineni et al. 2002).

    Args:
        outputs: One for each source.
        references: One or more right ones for each.
        tokenization: sacreBLEU's tokenizer: `13a`, `none`, ...
    """
    return float(_bleu(tokenization).corpus_score(list(outputs), _streams(references)).score)


def signature(references: Sequence[Sequence[str]], tokenization: str) -> str:
    """What sacreBLEU says of how it counted; to be given with every figure."""
    metric = _bleu(tokenization)
    metric.corpus_score([each[0] for each in references], _streams(references))
    return str(metric.get_signature())


def translation_scores(
    outputs: Sequence[str], references: Sequence[Sequence[str]], tokenization: str
) -> dict[str, float]:
    """BLEU, chrF (Popović 2015) and TER (Snover et al. 2006) by sacreBLEU; share of outputs equal to a right one."""
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
    """BLEU of short, middle and long sources: thirds of them by their number of words (of characters, if unspaced)."""
    words = np.array([len(source.split()) for source in sources])
    what = "words"
    if words.max(initial=0) <= 2:
        words, what = np.array([len(source) for source in sources]), "characters"
    first, second = (int(cut) for cut in np.quantile(words, [1 / 3, 2 / 3], method="inverted_cdf"))
    parts = {
        f"bleu, up to {first} {what}": words <= first,
        f"bleu, {first + 1} to {second} {what}": (words > first) & (words <= second),
        f"bleu, over {second} {what}": words > second,
    }
    found = {}
    for name, inside in parts.items():
        places = np.flatnonzero(inside).tolist()
        if places:
            found[name] = corpus_bleu([outputs[i] for i in places], [references[i] for i in places], tokenization)
    return found


def _bleu(tokenization: str) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    # Texts that are split already are meant to be: without `force` sacreBLEU would warn of it.
    return BLEU(tokenize=tokenization, force=tokenization == "none")


def _streams(references: Sequence[Sequence[str]]) -> Any:
    """The form sacreBLEU takes: the first right output of every source, then the second or None, ..."""
    most = max(map(len, references), default=1)
    return [[each[place] if place < len(each) else None for each in references] for place in range(most)]
