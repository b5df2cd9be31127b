"""Subject–verb agreement by a language model: which of two verb forms does it find likelier after the prefix?

Reads the test sets of Gulordava et al. 2018 and Linzen et al. 2016 (folder `agreement_en`) and prints, by number of
intervening nouns, how often the right form is the likelier one, beside the more frequent form and a Kneser–Ney 5-gram::

    python recipes/agreement.py MODEL TRAINING_TEXT FOLDER

Items of which a form is not in the model's vocabulary are left out and counted.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import unspool
from unspool.data import END, UNKNOWN
from unspool.models.kneser_ney import KneserNey


class Item(NamedTuple):
    """A prefix and the two forms that may follow it."""

    prefix: list[str]
    right: str
    wrong: str
    group: str


def linzen(folder: Path) -> Iterator[Item]:
    """Sentences from Wikipedia, grouped by the number of attractors."""
    texts = (folder / "linzen_subj_agr_filtered.text").read_text(encoding="utf-8").splitlines()
    golds = (folder / "linzen_subj_agr_filtered.gold").read_text(encoding="utf-8").splitlines()
    for text, gold in zip(texts, golds, strict=True):
        place, right, wrong, attractors = gold.split("\t")
        yield Item(text.split()[: int(place)], right, wrong, f"linzen, {attractors} attractors")


def generated(folder: Path) -> Iterator[Item]:
    """Corpus sentences and nonsense ones of the same form."""
    texts = (folder / "generated.text").read_text(encoding="utf-8").splitlines()
    golds = (folder / "generated.gold").read_text(encoding="utf-8").splitlines()
    places = (folder / "generated.eval").read_text(encoding="utf-8").split()
    for text, gold, place in zip(texts, golds, places, strict=True):
        cells = gold.split("\t")
        kind = "original" if cells[2] == "0" else "nonsense"
        yield Item(text.split()[: int(place)], cells[6], cells[7], f"generated, {kind}")


def main() -> None:
    """Score a model folder and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path, help="the text that the model was trained on, for the baselines")
    parser.add_argument("folder", type=Path, help="agreement_en")
    arguments = parser.parse_args()
    model = unspool.load(arguments.model)
    assert isinstance(model, unspool.LanguageModel)
    vocabulary = model.vocabulary
    assert vocabulary is not None

    ids = vocabulary.encode_stream(arguments.text.read_text(encoding="utf-8"))
    counts = np.bincount(ids, minlength=len(vocabulary))
    ngrams = KneserNey.learn(ids, len(vocabulary), order=5)
    judges: dict[str, Callable[[list[int], int, int], bool]] = {
        "model": lambda prefix, right, wrong: model.likelier(prefix, right, wrong),
        "5-gram": lambda prefix, right, wrong: (
            ngrams.nats(np.array([*prefix, right]))[-1] < ngrams.nats(np.array([*prefix, wrong]))[-1]
        ),
        "more frequent form": lambda prefix, right, wrong: bool(counts[right] > counts[wrong]),
    }
    hits: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    left_out: dict[str, int] = defaultdict(int)
    for item in [*linzen(arguments.folder), *generated(arguments.folder)]:
        right, wrong = vocabulary.encode_words([item.right, item.wrong])
        if UNKNOWN in (right, wrong):
            left_out[item.group] += 1
            continue
        prefix = [END, *vocabulary.encode_words(item.prefix)]
        for name, judge in judges.items():
            hits[item.group][name].append(judge(prefix, right, wrong))
    print(f"| sentences | scored | left out | {' | '.join(judges)} |")
    print(f"|---|---:|---:|{'---:|' * len(judges)}")
    for group in sorted(hits):
        shares = " | ".join(f"{100 * np.mean(hits[group][name]):.1f}%" for name in judges)
        print(f"| {group} | {len(hits[group]['model'])} | {left_out[group]} | {shares} |")


if __name__ == "__main__":
    main()
