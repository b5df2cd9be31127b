"""Score a Multi30k translator on ordinary text: its outputs put back together, against the untouched references.

    python recipes/multi30k_detokenised.py multi30k-attention multi30k_en_de

The model writes tokenised text in lower case, so that case is not counted.
"""

from __future__ import annotations

import re
import sys
from html import unescape
from pathlib import Path

import unspool


def detokenise(text: str) -> str:
    """Tokenised German as people write it, but for its case."""
    text = unescape(text)
    text = re.sub(r" ([.,!?;:%)]+)(?= |$)", r"\1", text)
    text = re.sub(r"\( ", "(", text)
    text = re.sub(r" ?\' s\b", "'s", text)
    return re.sub(r'(^| )" (.*?) "', r'\1"\2"', text)


def main(folder: str, data: str) -> None:
    """Print BLEU and its signature."""
    from sacrebleu.metrics.bleu import BLEU

    place = Path(data)
    sources = (place / "tok/test_2016_flickr.lc.norm.tok.en").read_text("utf-8").splitlines()
    references = (place / "raw/test_2016_flickr.de").read_text("utf-8").splitlines()
    model = unspool.load(folder)
    outputs = [detokenise(said.translation) for said in model.predict(sources)]  # type: ignore[attr-defined]
    metric = BLEU(lowercase=True)
    print(f"BLEU {metric.corpus_score(outputs, [references]).score:.2f}  {metric.get_signature()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
