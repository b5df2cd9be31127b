"""Tiny data, and the command line as a function."""

import random
from pathlib import Path

from click.testing import CliRunner

from unspool.cli import unspool

GOOD = ("fine", "joy", "bright", "warm")
BAD = ("dull", "slow", "cold", "grey")
NEUTRAL = ("a", "film", "the", "end", "very", "story")


class Shell:
    """Runs command lines in this process."""

    def __call__(self, *words, code=0, stdin=None):
        outcome = CliRunner().invoke(unspool, [str(word) for word in words], input=stdin)
        assert code is None or outcome.exit_code == code, (outcome.stdout, outcome.stderr, outcome.exception)
        assert "Traceback" not in outcome.stdout + outcome.stderr
        return outcome

    def refuses(self, *words, code=1, stdin=None):
        """The one sentence on stderr of a command that fails."""
        outcome = self(*words, code=code, stdin=stdin)
        complaints = [line for line in outcome.stderr.splitlines() if line.startswith("unspool: ")]
        assert len(complaints) == 1, outcome.stderr
        assert outcome.stderr.splitlines()[-1] == complaints[0]
        assert outcome.stdout == ""
        return complaints[0].removeprefix("unspool: ")


def reviews(count, seed):
    draw = random.Random(seed)
    for number in range(count):
        words = [draw.choice(NEUTRAL) for _ in range(draw.randint(1, 6))]
        words.insert(draw.randint(0, len(words)), draw.choice(BAD if number % 2 else GOOD))
        yield " ".join(words), "bad" if number % 2 else "good"


def write_reviews(path, count=40, seed=0):
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in reviews(count, seed)))
    return path


def write_columns(path, count=12, seed=0):
    lines = []
    for text, _ in reviews(count, seed):
        tags = ["ADJ" if word in GOOD + BAD else "OTHER" for word in text.split()]
        lines.append("".join(f"{word}\t{tag}\n" for word, tag in zip(text.split(), tags, strict=True)))
    path.write_text("\n".join(lines))
    return path


def write_text(path, count=60, seed=0):
    path.write_text("".join(f"{text}.\n" for text, _ in reviews(count, seed)))
    return path


SMALL = ("--hidden", "4", "--embedding", "3", "--epochs", "1", "--device", "cpu", "--seed", "1", "--no-plan")
SMALL_TAGGER = (*SMALL, "--character-hidden", "4", "--character-embedding", "3")
SMALL_WRITER = (*SMALL, "--batch-size", "2", "--steps", "8")


def files_in(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*")} if Path(folder).exists() else set()
