"""Score assistants on questions they have not seen, on those they have, and on subjects that are not theirs.

    python recipes/assistant.py DATA

reads `stackfaq`, `chatterbot_en` and `personality_chat` in the folder DATA and prints

- StackFAQ: trained on each question alone, with its first 3 and its first 5 paraphrases; how often the first answer to
  every other paraphrase is of the right thread, and to each thread's last five, which no choice was made by; beside
  tf–idf over character n-grams of questions, and with answers;
- small talk: how often one of the listed answers is given to the questions trained on;
- subjects: how often "I don't know" is said to StackFAQ's questions by an assistant of chatterbot_en, and the reverse,
  at the threshold that each chose from its own pairs to keep 95 in 100.
"""

from __future__ import annotations

import csv
import json
import math
import sys
import tempfile
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from unspool import Assistant
from unspool.training import Reporter

SETTINGS: dict[str, Any] = {
    "valid_fraction": 0,
    "learning_rate": 1e-2,
    "threads": 1,
    "device": "cpu",
    "seed": 0,
}
PARAPHRASES = (0, 3, 5)


class Thread(NamedTuple):
    """A question of StackFAQ."""

    wordings: list[str]
    answers: list[str]


def trained(entries: Iterable[dict[str, Any]]) -> tuple[Assistant, float]:
    """An assistant of questions, and the seconds it took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "questions.jsonl"
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
        begun = time.monotonic()
        assistant = Assistant(**SETTINGS).fit(path, baselines=False, reporter=Reporter())
        return assistant, time.monotonic() - begun


# ---- StackFAQ --------------------------------------------------------------------------------------------------


def stackfaq(data: Path) -> list[Thread]:
    """All threads."""
    lines = (data / "stackfaq/stackfaq.jsonl").read_text(encoding="utf-8").splitlines()
    return [Thread([each["question"], *each["paraphrases"]], each["answers"]) for each in map(json.loads, lines)]


def score_stackfaq(threads: Sequence[Thread]) -> dict[int, Assistant]:
    """Print first answers right, and return the assistants."""
    made = {}
    print("StackFAQ       right first   last five   tf–idf, wordings   threads   with answers   answered   seconds")
    for count in PARAPHRASES:
        told = [each.wordings[: 1 + count] for each in threads]
        asked = [(wording, place) for place, each in enumerate(threads) for wording in each.wordings[1 + count :]]
        entries = [
            {"question": first, "paraphrases": more, "answers": each.answers}
            for (first, *more), each in zip(told, threads, strict=True)
        ]
        made[count], seconds = trained(entries)
        replies = [made[count].ask(wording) for wording, _ in asked]
        right = [
            bool(set(said.answers) & set(threads[place].answers))
            for said, (_, place) in zip(replies, asked, strict=True)
        ]
        keys = [(text, place) for place, texts in enumerate(told) for text in texts]
        both = keys + [(text, place) for place, each in enumerate(threads) for text in each.answers]
        joined = [(" ".join(texts), place) for place, texts in enumerate(told)]
        simple = [100 * nearest_right(asked, some) for some in (keys, joined, both)]
        known = sum(reply.known for reply in replies) / len(replies)
        first = 100 * sum(right) / len(right)
        last = [
            said for said, (wording, place) in zip(right, asked, strict=True) if wording in threads[place].wordings[6:]
        ]
        print(
            f"question + {count}   {first:11.1f} {100 * sum(last) / len(last):11.1f}"
            f" {simple[0]:18.1f} {simple[1]:9.1f} {simple[2]:14.1f} {100 * known:10.1f} {seconds:9.1f}"
        )
    return made


def nearest_right(asked: Sequence[tuple[str, int]], keys: Sequence[tuple[str, int]]) -> float:
    """How often the nearest key by tf–idf over runs of 2 to 5 characters inside words belongs to the right thread."""
    counts = [Counter(pieces(text)) for text, _ in keys]
    frequency = Counter(piece for count in counts for piece in count)
    rarity = {piece: math.log((1 + len(keys)) / (1 + n)) + 1 for piece, n in frequency.items()}
    index: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for place, count in enumerate(counts):
        for piece, value in unit(count, rarity).items():
            index[piece].append((place, value))
    right = 0
    for text, owner in asked:
        scores: dict[int, float] = defaultdict(float)
        for piece, value in unit(Counter(pieces(text)), rarity).items():
            for place, other in index[piece]:
                scores[place] += value * other
        right += bool(scores) and keys[max(scores, key=scores.__getitem__)][1] == owner
    return right / len(asked)


def pieces(text: str) -> list[str]:
    """Runs of 2 to 5 characters of each word, a blank at both its ends."""
    words = (f" {word} " for word in unicodedata.normalize("NFKC", text).lower().split())
    return [word[i : i + n] for word in words for n in range(2, 6) for i in range(max(1, len(word) - n + 1))]


def unit(count: Counter[str], rarity: dict[str, float]) -> dict[str, float]:
    """Weighed counts of length 1."""
    values = {piece: (1 + math.log(n)) * rarity[piece] for piece, n in count.items() if piece in rarity}
    length = math.sqrt(sum(value * value for value in values.values())) or 1.0
    return {piece: value / length for piece, value in values.items()}


# ---- small talk ------------------------------------------------------------------------------------------------


def small_talk(data: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The pairs of chatterbot_en, and those of personality_chat in all three tones."""
    chatter = list(table(data / "chatterbot_en/pairs.tsv"))
    tones = sorted((data / "personality_chat").glob("*.tsv"))
    return chatter, [pair for tone in tones for pair in table(tone)]


def table(path: Path) -> Iterable[tuple[str, str]]:
    """Question and answer of each row."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows)
        for row in rows:
            if len(row) >= 2 and row[0].strip() and row[1].strip():
                yield row[0], row[1]


def score_small_talk(pairs: Sequence[tuple[str, str]]) -> None:
    """Print how often a listed answer is given to the questions trained on."""
    assistant, seconds = trained({"question": question, "answer": answer} for question, answer in pairs)
    listed: dict[str, set[str]] = defaultdict(set)
    for question, answer in pairs:
        listed[question.casefold().strip()].add(" ".join(answer.split()))
    begun = time.monotonic()
    right = [assistant.ask(question).answer in answers for question, answers in listed.items()]
    each = 1000 * (time.monotonic() - begun) / len(right)
    print(
        f"\nchatterbot_en and personality_chat, {len(pairs):,} pairs: a listed answer to "
        f"{100 * sum(right) / len(right):.2f} % of {len(right):,} questions trained on; "
        f"trained in {seconds:.0f} s, {each:.1f} ms an answer"
    )


def refused(assistant: Assistant, questions: Sequence[str]) -> float:
    """Share of questions, in percent, to which it says that it does not know."""
    return 100 * sum(not assistant.ask(question).known for question in questions) / len(questions)


def main(data: Path) -> None:
    """Print all figures."""
    threads = stackfaq(data)
    faq = score_stackfaq(threads)
    chatter, tones = small_talk(data)
    score_small_talk([*chatter, *tones])
    assistant, _ = trained({"question": question, "answer": answer} for question, answer in chatter)
    questions = [each.wordings[0] for each in threads]
    paraphrases = [wording for each in threads for wording in each.wordings[1:]]
    print(
        f"\n“I don't know” to StackFAQ, trained on chatterbot_en: questions {refused(assistant, questions):.1f} %, ",
        end="",
    )
    print(f"paraphrases {refused(assistant, paraphrases):.1f} %")
    foreign = list(dict.fromkeys(question for question, _ in chatter))
    for count, each in faq.items():
        print(f"“I don't know” to chatterbot_en, trained on StackFAQ + {count}: {refused(each, foreign):.1f} %")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
