"""What is attacked: sound folders and files, and the calls that a person would make with each."""

from __future__ import annotations

import gzip
import json
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from damage import NESTING, NUMBERS, ODD, damage_file, damaged_json

import unspool
from unspool.cli import unspool as command_line
from unspool.data.token_file import TokenFile
from unspool.errors import DataError
from unspool.inspection import read_trace, write_trace
from unspool.settings import describe, from_record, make, read_recipe, to_record, write_recipe
from unspool.tasks import TASKS, task_class
from unspool.training import Reporter


@dataclass(frozen=True)
class Target:
    """Something to damage, and what is done with it then."""

    name: str
    kind: str
    use: Callable[[Path], Any]
    """Called with the path of the copy; what it returns must hold finite numbers only."""
    sound: Path | None = None
    """A file or folder, copied for each case; None: `use` gets an empty folder and the draw."""
    files: tuple[str, ...] = ()
    """Of a folder, the files that are damaged, as patterns."""


TINY = {"hidden": 4, "embedding": 4, "epochs": 1, "device": "cpu"}
SPELLED = {**TINY, "character_hidden": 4, "character_embedding": 4}
LABELLED = [("fine film", "good"), ("dull film", "bad"), ("a joy", "good"), ("so slow", "bad")] * 3
COLUMNS = "a\tDET\nfilm\tNOUN\n\nthe\tDET\nend\tNOUN\n\n" * 4
PAIRS = [("a film", "ein film"), ("the end", "das ende")] * 6
QUESTIONS = [("who are you?", "a machine"), ("what is this?", "a film"), ("where is it?", "at home")]
STORIES = "1 Mary went home.\n2 John left.\n3 Where is Mary?\thome\t1\n1 Mary ran out.\n2 Where is Mary?\tout\t1\n" * 4

MODELS: dict[str, tuple[dict[str, Any], str, str]] = {
    "classify": ({**SPELLED, "characters": "convolution"}, "classify.tsv", "a fine film"),
    "tag": (SPELLED, "tag.conll", "a fine film"),
    "write": ({**TINY, "batch_size": 2, "steps": 8}, "write.txt", "a fine film"),
    "translate": ({**TINY, "units": "word", "beam": 2}, "translate.tsv", "a film"),
    "answer": ({**TINY, "generator": True}, "answer.tsv", "who are you?"),
    "read": ({"embedding": 4, "epochs": 1, "slots": 6, "device": "cpu"}, "read.txt", "Mary went home. Where is Mary?"),
    "algorithm": (
        {"cell": "ntm(slots=4, width=3)", "hidden": 4, "epochs": 1, "device": "cpu", "width": 3}
        | {"examples": 16, "valid_examples": 4, "max_length": 3},
        "copy",
        "101 010",
    ),
}
"""For each task: settings of a tiny model, its training data, and a text to predict."""


def write_data(folder: Path) -> None:
    """Write a small file of every form that a task reads; `TASK.form`, or `TASK-2.form` for a second of a form."""

    def rows(names: tuple[str, str], pairs: Iterable[tuple[str, str]], separator: str = "\t") -> str:
        return "".join(f"{separator.join(pair)}\n" for pair in (names, *pairs))

    def objects(names: tuple[str, str], pairs: Iterable[tuple[Any, Any]]) -> str:
        return "".join(json.dumps(dict(zip(names, pair, strict=True))) + "\n" for pair in pairs)

    conllu = "# text = a film\n1\ta\ta\tDET\t_\t_\t2\tdet\t_\t_\n2\tfilm\tfilm\tNOUN\t_\t_\t0\troot\t_\t_\n\n" * 3
    stories = [{"story": ["Mary went home."], "question": "Where is Mary?", "answer": "home"}] * 3
    texts = {
        "classify.tsv": rows(("text", "label"), LABELLED),
        "classify.csv": rows(("text", "label"), LABELLED, ","),
        "classify.jsonl": objects(("text", "label"), LABELLED),
        "tag.conll": COLUMNS,
        "tag.conllu": conllu,
        "tag.jsonl": objects(("tokens", "tags"), [(["a", "film"], ["DET", "NOUN"])] * 4),
        "write.txt": "a fine film\nthe dull end\n" * 10,
        "translate.tsv": rows(("source", "target"), PAIRS),
        "translate.csv": rows(("source", "target"), PAIRS, ","),
        "translate.jsonl": objects(("source", "target"), PAIRS),
        "answer.tsv": rows(("question", "answer"), QUESTIONS),
        "answer.jsonl": objects(("question", "answer"), [(q, [a, "so"]) for q, a in QUESTIONS]),
        "answer.yaml": "conversations:\n" + "".join(f"- - {q}\n  - {a}\n" for q, a in QUESTIONS),
        "read.txt": STORIES,
        "read.jsonl": "".join(json.dumps(story) + "\n" for story in stories),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    for name in ("classify.tsv", "write.txt", "tag.conllu"):
        (folder / f"{name}.gz").write_bytes(gzip.compress(texts[name].encode(), mtime=0))
    import pyarrow as pa
    from pyarrow import parquet

    text, label = zip(*LABELLED, strict=True)
    parquet.write_table(pa.table({"text": text, "label": label}), folder / "classify.parquet")


def make_targets(folder: Path) -> list[Target]:
    """Write data, train a model of each task, and return everything that is attacked."""
    data, models, files = folder / "data", folder / "models", folder / "files"
    for place in (data, models, files):
        place.mkdir()
    write_data(data)
    targets = []
    for task, (settings, source, text) in MODELS.items():
        path = source if source == "copy" else str(data / source)
        model = task_class(task)(**settings).fit(path, out=models / task, reporter=Reporter(), baselines=False)
        targets.append(Target(f"{task} model", "folder", _predict(text), models / task, ("*", "vocabulary/*")))
        for form in (".json", ".npz"):
            write_trace(model.trace(text), files / f"{task}{form}")
    for task in ("classify", "write", "algorithm"):
        wanted = ("training/*", "training/*", "vocabulary/*", "model.safetensors")
        targets.append(Target(f"{task} training", "resume", _resume, models / task, wanted))
    targets.append(Target("info of a folder", "folder", _info, models / "classify", ("unspool.json",)))
    targets += [Target(f"{path.name} data", _kind(path), _read(path), path) for path in sorted(data.iterdir())]
    targets += [Target(f"{path.name} trace", "file", read_trace, path) for path in sorted(files.iterdir())]
    np.save(files / "tokens.npy", np.arange(200, dtype=np.uint8))
    targets.append(Target("token file", "file", lambda path: int(TokenFile(path).tokens.sum()), files / "tokens.npy"))
    for task in TASKS:
        recipe = files / f"{task}.toml"
        recipe.write_text(write_recipe(task_class(task).settings_type()))
        targets.append(Target(f"{task} recipe", "recipe", _recipe(task), recipe))
        targets.append(Target(f"{task} settings", "settings", _settings(task)))
    return targets


WEIGHTS = {"folder": 5.0, "resume": 1.0, "data": 1.0, "parquet": 1.0, "file": 0.6, "recipe": 0.6, "settings": 2.0}
"""How often a target of each kind is drawn."""


def choose(draw: random.Random, targets: list[Target]) -> Target:
    """Draw a target."""
    return draw.choices(targets, [WEIGHTS[target.kind] for target in targets])[0]


def spoil(draw: random.Random, target: Target, place: Path, outside: Path) -> str:
    """Damage the copy of a target; returns what was done."""
    if target.sound is None:
        return "values"
    if place.is_file():
        return damage_file(draw, place, outside=outside)
    done = []
    for _ in range(draw.choice((1, 1, 1, 2))):
        files = [path for path in sorted(place.glob(draw.choice(target.files))) if _is_damaged(path)]
        if files:
            done.append(damage_file(draw, draw.choice(files), outside=outside))
    if target.kind == "folder" and draw.random() < 0.05:
        (place / "vocabulary").rename(outside / "vocabulary")
        (place / "vocabulary").symlink_to(outside / "vocabulary")
        done.append("vocabulary: a link out of the folder")
    return "; ".join(done)


def _is_damaged(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.suffix != ".md" and path.stat().st_size < 1 << 20


def _kind(path: Path) -> str:
    return "parquet" if path.suffix == ".parquet" else "data"


def _predict(text: str) -> Callable[[Path], Any]:
    def use(folder: Path) -> Any:
        return [each.record() for each in unspool.load(folder).predict([text])]

    return use


def _resume(folder: Path) -> None:
    _command("train", "--resume", str(folder), "--quiet", "--no-baselines")


def _info(folder: Path) -> None:
    _command("info", str(folder))
    _command("info", str(folder), "--json")


def _command(*words: str) -> None:
    outcome = CliRunner().invoke(command_line, words)
    said = outcome.stderr.strip()
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    if (
        outcome.exit_code not in (0, 1, 2)
        or "met an unexpected error" in said
        or "with --debug" in said
        or "not enough memory" in said
    ):
        raise AssertionError(f"exit code {outcome.exit_code}: {said}")
    if outcome.exit_code and (not said.startswith("unspool: ") or "\n" in said or not said.isprintable()):
        raise AssertionError(f"not one sentence: {said!r}")


def _read(path: Path) -> Callable[[Path], Any]:
    task = path.name.partition(".")[0]

    def use(damaged: Path) -> None:
        try:
            task_class(task)()._read(damaged)
        except DataError:
            if task != "write":
                task_class(task)(skip_bad=True)._read(damaged)
            raise

    return use


def _recipe(task: str) -> Callable[[Path], Any]:
    kind = task_class(task).settings_type
    return lambda path: write_recipe(make(kind, read_recipe(path)))


def _settings(task: str) -> Callable[[Path], Any]:
    kind = task_class(task).settings_type

    def use(place: Path) -> Any:
        draw = random.Random(place.name)
        names = list(describe(kind))
        if draw.random() < 0.5:
            values = {draw.choice(names): draw.choice((*ODD, *NUMBERS)) for _ in range(draw.choice((1, 1, 3)))}
            return write_recipe(make(kind, values))
        what, content = damaged_json(draw, json.dumps(to_record(kind())).encode())
        if what == NESTING:
            return None  # more than the JSON reader of this very line takes
        record = json.loads(content)
        return write_recipe(from_record(kind, record)) if isinstance(record, dict) else None

    return use


def not_finite(value: Any) -> bool:
    """Whether a value holds a number that is not finite."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(not_finite, value.values()))
    return isinstance(value, list | tuple) and any(map(not_finite, value))
