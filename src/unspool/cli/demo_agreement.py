"""`unspool demo agreement`: train three networks on subject-verb agreement, compare them, and inspect one."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click

from unspool.cli.demo_folder import demo_folder
from unspool.cli.talk import console, first, quiet, result, say, table

if TYPE_CHECKING:
    from unspool.samples.agreement import AgreementExample
    from unspool.tasks import Classifier
    from unspool.training import Reporter

__all__ = ["show_agreement", "trained_lstm"]

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
    "threads": 1,  # for networks this small, thread synchronisation costs more than it saves
    "seed": 1,
    "plan": False,
    "ngrams": False,  # the networks alone are compared
}
_TRAIN, _VALID, _TEST = 8000, 600, 2100
_TRAIN_NOUNS, _TEST_NOUNS = 4, 6  # most nouns between subject and verb, in training and in the test

_HARD = "any, most of the other number"

_INTRODUCTION = """\
A verb agrees with its subject, however many words stand between them:
    the flights the airline was cancelling ... were full, not was.
Three networks train on {train:,} sentences of a small English grammar, each cut before its verb. They predict whether
the verb is singular or plural. The test has {test:,} sentences that are not in the training data.
"""


def show_agreement(out: Path | None) -> None:
    """Train an averaged bag of words, an Elman network and an LSTM on subject-verb agreement, and compare them.

    Args:
        out: New folder for the sentences and the LSTM; None: a temporary folder.
    """
    from unspool.samples import agreement

    sentences, test = agreement.train_and_test(
        _TRAIN + _VALID, _TEST, seed=1, max_attractors=_TRAIN_NOUNS, test_max_attractors=_TEST_NOUNS
    )
    with demo_folder(out) as folder:
        result(_INTRODUCTION.format(train=_TRAIN, test=_TEST))
        parts = {"train": sentences[:_TRAIN], "valid": sentences[_TRAIN:], "test": test}
        for part, examples in parts.items():
            agreement.write_tsv(folder / f"{part}.tsv", examples)
        say("accuracy on held-out sentences after each epoch, in %")
        trained = {network: _train(network, folder, folder / "lstm" if out else None) for network in _NETWORKS}
    _show_accuracy(trained, test)
    _show_hard_one(trained, test)
    _show_words(trained, agreement.EXAMPLE)
    _show_way_on(out)


def trained_lstm(folder: Path) -> tuple[Path, str]:
    """Train the LSTM of the demo alone, for the studio.

    Args:
        folder: Folder for the sentences and the model.

    Returns:
        The model folder, and the state of a page that shows a fork: the state after the subject is that of a singular
        subject, and the predicted verb flips.
    """
    from unspool.samples import agreement

    sentences, _ = agreement.train_and_test(
        _TRAIN + _VALID, 1, seed=1, max_attractors=_TRAIN_NOUNS, test_max_attractors=_TEST_NOUNS
    )
    agreement.write_tsv(folder / "train.tsv", sentences[:_TRAIN])
    agreement.write_tsv(folder / "valid.tsv", sentences[_TRAIN:])
    say("an LSTM learns verb agreement on 8,000 sentences; accuracy after each epoch, in %")
    _train("LSTM", folder, folder / "lstm")
    edit = "layer 1 / state = copy 'the flight' @ 2"
    state = {"view": "travel", "text": agreement.EXAMPLE.text, "step": 1, "edits": json.dumps([edit])}
    return folder / "lstm", urlencode(state)


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
    """Return a reporter that writes one line, with a number for each validation."""
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
        network: [answer.label == each.label for answer, each in zip(task.predict(_texts(test)), test, strict=True)]
        for network, task in trained.items()
    }
    groups = {
        f"{count}{' (more than in training)' if count > _TRAIN_NOUNS else ''}": [
            each.attractors == count for each in test
        ]
        for count in range(_TEST_NOUNS + 1)
    }
    groups[_HARD] = [each.disagreeing > each.agreeing for each in test]
    rows = [
        [label, str(sum(inside)), *(_share(marks, inside) for marks in right.values())]
        for label, inside in groups.items()
    ]
    result("\nAccuracy on the test sentences, by the number of nouns between subject and verb:\n")
    result(table(["nouns between", "sentences", *trained], rows))
    coin = _share(right["bag"], groups[_HARD])
    result(
        f"\nA bag of words has no word order: it can't tell the subject from the other nouns. Where most nouns have"
        f"\nthe other number, its accuracy is {coin}; chance is 50 %. The Elman network and the LSTM read in order."
    )


def _texts(examples: Sequence[AgreementExample]) -> list[str]:
    return [each.text for each in examples]


def _share(marks: Sequence[bool], inside: Sequence[bool]) -> str:
    chosen = [mark for mark, within in zip(marks, inside, strict=True) if within]
    return f"{100 * sum(chosen) / len(chosen):.0f} %"


def _show_words(trained: dict[str, Classifier], sentence: AgreementExample) -> None:
    """Show the prediction of each network after each word, then the gates of the LSTM."""
    from unspool.inspection import show

    prefixes = [" ".join(sentence.words[: count + 1]) for count in range(len(sentence.words))]
    plural = {
        network: [answer.probabilities["plural"] for answer in task.predict(prefixes)]
        for network, task in trained.items()
    }
    rows = [
        [word, *(f"{100 * shares[place]:.0f} %" for shares in plural.values())]
        for place, word in enumerate(sentence.words)
    ]
    result(f"\nNow one sentence that is not in the training data: “{sentence.text} ...”.")
    result("Probability of a plural verb after each word:\n")
    result(table(["", *trained], rows))
    result("\nThe gates and states of the LSTM, word by word:\n")
    trace = trained["LSTM"].trace(sentence.text)
    show(trace, console())
    chance = plural["LSTM"][-1]
    if chance > 0.5:
        result(
            f"\nThe LSTM predicts “{sentence.verb}” ({100 * chance:.0f} % plural). The nearest noun, “airline”, is"
            f"\nsingular; the state has carried the number of “flights” up to the verb. “forget” is the forget gate"
            f"\n(1: the cell state stays whole), “left” the share of the last state that each word wrote."
        )


def _show_hard_one(trained: dict[str, Classifier], test: Sequence[AgreementExample]) -> None:
    """Show a short sentence that the LSTM gets right and the bag of words gets wrong."""
    hard = sorted((each for each in test if each.disagreeing > 1), key=lambda each: (len(each.words), each.words))
    answers = {network: task.predict(_texts(hard)) for network, task in trained.items()}
    for place, each in enumerate(hard):
        if answers["LSTM"][place].label == each.label != answers["bag"][place].label:
            chances = ", ".join(
                f"{name} {100 * answers[name][place].probabilities[each.label]:.0f} %" for name in answers
            )
            result(f"\nThe bag of words gets this one wrong: “{each.text} ...” needs a {each.label} verb.")
            result(f"Probability of the right number: {chances}.")
            return


def _show_way_on(out: Path | None) -> None:
    lines = ["\nNext, train on your own file, a text and its label on each line, separated by a tab:\n"]
    lines += ["    unspool train classify my-file.tsv --out my-model"]
    lines += ["    unspool inspect my-model 'a text of mine' --out trace.html"]
    lines += ["    unspool compare classify my-file.tsv --networks bag,elman,lstm,gru"]
    if out is not None:
        model = shlex.quote(str(out / "lstm"))
        lines += ["\nOr use the LSTM that the demo trained:\n"]
        lines += [f"    unspool evaluate {model} {shlex.quote(str(out / 'test.tsv'))}"]
        lines += [f"    unspool inspect {model} 'the flights near the old hotel'"]
        lines += [f"    unspool studio {model}"]
    else:
        lines += ["\nOr look inside this LSTM in the browser, live: unspool studio --demo"]
    result("\n".join(lines))
