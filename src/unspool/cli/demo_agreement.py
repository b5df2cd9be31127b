"""`unspool demo agreement`: three networks learn which verb fits, and one of them is opened up."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.demo_folder import demo_folder
from unspool.cli.talk import console, first, quiet, result, say, table

if TYPE_CHECKING:
    from unspool.samples.agreement import AgreementExample
    from unspool.tasks import Classifier
    from unspool.training import Reporter

__all__ = ["show_agreement"]

_NETWORKS: dict[str, dict[str, Any]] = {
    "bag": {"network": "bag"},
    "Elman": {"cell": "elman"},
    "LSTM": {"cell": "lstm"},
}
_SETTINGS: dict[str, Any] = {
    "hidden": 64,
    "embedding": 32,
    "bidirectional": False,
    "pooling": "last",
    "dropout": 0.0,
    "epochs": 10,
    "batch_tokens": 1024,
    "batch_size": 256,
    "learning_rate": 5e-3,
    "schedule": "cosine",
    "units": "blank",
    "text": "text",
    "label": "label",
    "patience": None,
    "device": "cpu",
    "threads": 1,
    "seed": 1,  # networks this small only wait for each other on several threads
}
_TRAIN, _VALID, _TEST = 8000, 600, 2100
_SEEN, _MOST = 4, 6  # nouns between subject and verb, in training and in the test

_HARD = "any, most of the other number"

_INTRODUCTION = """\
Subject and verb agree, however many words stand between them:
    the flights the airline was cancelling ... were full, not was.
Three networks read {train:,} sentences of a small English grammar up to the verb and learn to say whether it must be
singular or plural. Then they are asked about {test:,} that they have never seen.
"""


def show_agreement(out: Path | None) -> None:
    """Train an averaged bag of words, an Elman network and an LSTM on subject-verb agreement, and compare them.

    Args:
        out: New folder for the sentences and the LSTM; nothing is kept if None.
    """
    from unspool.samples import agreement

    sentences, test = agreement.train_and_test(
        _TRAIN + _VALID, _TEST, seed=1, max_attractors=_SEEN, test_max_attractors=_MOST
    )
    with demo_folder(out) as folder:
        result(_INTRODUCTION.format(train=_TRAIN, test=_TEST))
        parts = {"train": sentences[:_TRAIN], "valid": sentences[_TRAIN:], "test": test}
        for part, examples in parts.items():
            agreement.write_tsv(folder / f"{part}.tsv", examples)
        say("accuracy on held-out sentences after each pass over the data, in %")
        trained = {network: _train(network, folder, folder / "lstm" if out else None) for network in _NETWORKS}
    _show_accuracy(trained, test)
    _show_hard_one(trained, test)
    _show_words(trained, agreement.EXAMPLE)
    _show_way_on(out)


def _train(network: str, folder: Path, keep: Path | None) -> Classifier:
    from unspool.tasks import Classifier

    task = Classifier(**_SETTINGS, **_NETWORKS[network])
    task.fit(
        folder / "train.tsv",
        valid=folder / "valid.tsv",
        out=keep if network == "LSTM" else None,
        baselines=False,
        reporter=_growing_line(network),
    )
    return task


def _growing_line(network: str) -> Reporter:
    """A reporter that writes one line, a number for each validation."""
    from unspool.training import Progress, Reporter

    def write(text: str) -> None:
        if first() and not quiet():
            click.echo(text, nl=False, err=True)

    class GrowingLine(Reporter):
        def started(self, text: str, progress: Progress) -> None:
            self.begun = time.monotonic()
            write(f"  {network:6}")

        def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
            write(f" {100 * metrics['accuracy']:3.0f}")

        def finished(self, text: str) -> None:
            write(f"   {time.monotonic() - self.begun:.0f} s\n")

    return GrowingLine()


def _show_accuracy(trained: dict[str, Classifier], test: Sequence[AgreementExample]) -> None:
    right = {
        network: [said.label == each.label for said, each in zip(task.predict(_texts(test)), test, strict=True)]
        for network, task in trained.items()
    }
    groups = {
        f"{count}{' (more than in training)' if count > _SEEN else ''}": [each.attractors == count for each in test]
        for count in range(_MOST + 1)
    }
    groups[_HARD] = [each.disagreeing > each.agreeing for each in test]
    rows = [
        [label, str(sum(inside)), *(_share(marks, inside) for marks in right.values())]
        for label, inside in groups.items()
    ]
    result("\nRight answers on unseen sentences, by the number of nouns between subject and verb:\n")
    result(table(["nouns between", "sentences", *trained], rows))
    coin = _share(right["bag"], groups[_HARD])
    result(
        f"\nA bag of words knows which nouns there are, not which came first. Where most are of the other number"
        f"\nthan the subject it is right {coin} of the time; a coin would be right 50 %. The others read in order."
    )


def _texts(examples: Sequence[AgreementExample]) -> list[str]:
    return [each.text for each in examples]


def _share(marks: Sequence[bool], inside: Sequence[bool]) -> str:
    chosen = [mark for mark, within in zip(marks, inside, strict=True) if within]
    return f"{100 * sum(chosen) / len(chosen):.0f} %"


def _show_words(trained: dict[str, Classifier], sentence: AgreementExample) -> None:
    """What each network would say after each word, then the gates of the LSTM."""
    from unspool.inspection import show

    prefixes = [" ".join(sentence.words[: count + 1]) for count in range(len(sentence.words))]
    plural = {
        network: [said.probabilities["plural"] for said in task.predict(prefixes)] for network, task in trained.items()
    }
    rows = [
        [word, *(f"{100 * shares[place]:.0f} %" for shares in plural.values())]
        for place, word in enumerate(sentence.words)
    ]
    result(f"\nNow one sentence, never seen in training: “{sentence.text} ...”.")
    result("Chance of a plural verb after each word:\n")
    result(table(["", *trained], rows))
    result("\nAnd inside the LSTM, word by word:\n")
    trace = trained["LSTM"].trace(sentence.text)
    show(trace, console())
    chance = plural["LSTM"][-1]
    if chance > 0.5:
        result(
            f"\nThe LSTM goes on with “{sentence.verb}” ({100 * chance:.0f} % plural). The nearest noun, “airline”, is"
            f"\nsingular; the number of “flights” has stayed in the state until the verb. “forget” is how much of what"
            f"\ncame before was kept (1: all of it), “left” the share of the last state that each word wrote."
        )


def _show_hard_one(trained: dict[str, Classifier], test: Sequence[AgreementExample]) -> None:
    """A short sentence that the LSTM gets right and the bag does not."""
    hard = sorted((each for each in test if each.disagreeing > 1), key=lambda each: (len(each.words), each.words))
    said = {network: task.predict(_texts(hard)) for network, task in trained.items()}
    for place, each in enumerate(hard):
        if said["LSTM"][place].label == each.label != said["bag"][place].label:
            chances = ", ".join(f"{name} {100 * said[name][place].probabilities[each.label]:.0f} %" for name in said)
            result(f"\nOne that the bag gets wrong: “{each.text} ...” needs a {each.label} verb.")
            result(f"Chance of it: {chances}.")
            return


def _show_way_on(out: Path | None) -> None:
    lines = ["\nGo on with a file of your own, one text and its label on each line, a tab between them:\n"]
    lines += ["    unspool train classify my-file.tsv --out my-model"]
    lines += ["    unspool inspect my-model 'a text of mine' --out trace.html"]
    lines += ["    unspool compare classify my-file.tsv --networks bag,elman,lstm,gru"]
    if out is not None:
        model = shlex.quote(str(out / "lstm"))
        lines += ["\nOr with what you have just trained:\n"]
        lines += [f"    unspool evaluate {model} {shlex.quote(str(out / 'test.tsv'))}"]
        lines += [f"    unspool inspect {model} 'the flights near the old hotel'"]
    result("\n".join(lines))
