"""Every setting of the assistant and of the translator changes something that can be seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pair_samples import SMALL_ASSISTANT, SMALL_TRANSLATOR, entries, reversals, write_entries
from unspool import Assistant, Translator
from unspool.errors import DataError
from unspool.models import Lookups
from unspool.settings import describe, make
from unspool.tasks.answer.settings import AssistantSettings
from unspool.tasks.running.splits import Data, Splits
from unspool.tasks.translate.settings import TranslatorSettings

LAYERS = {"network": "bilinear", "layers": 2, "dropout": 0.3}
HEADS = {"network": "transformer", "hidden": 6, "embedding": 6, "heads": 2, "feedforward": 5}
WORDS = {"vocabulary.units": "word"}
TABLE = "Id,Source,Note\n" + "".join(f"{source},{target},n{k}\n" for k, (source, target) in enumerate(reversals(30)))

Effects = dict[str, tuple[dict[str, Any], Any]]
"""By setting, what else must be set for it to matter, and another value than the default."""

BOTH: Effects = {
    "network.cell": ({}, "gru"),
    "network.hidden": ({}, 7),
    "network.layers": ({}, 2),
    "network.residual": ({"layers": 3}, True),
    "network.dropout": ({}, 0.5),
    "network.initialization": ({}, "orthogonal"),
    "network.forget_bias": ({}, 1.0),
    "network.backend": ({}, "reference"),
    "network.bidirectional": ({}, False),
    "network.tied": ({}, False),
    "network.word_dropout": ({}, 0.5),
    "network.heads": (HEADS, 3),
    "network.feedforward": (HEADS, 6),
    "network.norm": (HEADS, "post"),
    "network.positions": (HEADS, "learned"),
    "network.attention_dropout": (HEADS, 0.5),
    "network.window": ({"network": "window"}, 2),
    "network.latent": ({"network": "latent"}, 3),
    "network.annealing": ({"network": "latent", "free_bits": 0.0}, 0.9),
    "network.free_bits": ({"network": "latent"}, 40.0),
    "vocabulary.units": ({}, "character"),
    "label_smoothing": ({}, 0.4),
}
ASSISTANT: Effects = BOTH | {
    "memory.size": ({}, 5),
    "memory.shortest": ({}, 2),
    "memory.longest": ({}, 5),
    "memory.batch_size": ({}, 7),
    "memory.candidates": ({"memory.batch_size": 2}, 3),
    "memory.word_dropout": ({}, 0.9),
    "memory.hold_out": ({}, 0.9),
    "generator": ({}, False),
    "network.network": ({"network": "bilinear"}, "additive"),
    "network.embedding": ({}, 7),
    "network.variational": ({"layers": 2, "network.dropout": 0.3}, True),
    "network.weight_dropout": ({}, 0.4),
    "vocabulary.lowercase": (WORDS, True),
    "vocabulary.digits_to_zero": (WORDS, True),
    "vocabulary.min_count": (WORDS, 3),
    "vocabulary.size": (WORDS, 6),
    "data.format": ({}, "csv"),
    "data.header": ({}, "no"),
    "data.delimiter": ({}, ";"),
    "data.question": ({}, "3"),
    "data.answer": ({}, "note"),
    "data.skip_bad": ({}, True),
    "keep": ({}, 0.3),
    "threshold": ({}, 0.123),
    "unknown": ({}, "No idea."),
}
TRANSLATOR: Effects = BOTH | {
    "network.network": ({"network": "dot"}, "additive"),
    "network.embedding": ({}, 5),
    "network.variational": (LAYERS, True),
    "network.weight_dropout": ({"network": "dot", "bidirectional": False}, 0.4),
    "vocabulary.lowercase": ({}, True),
    "vocabulary.digits_to_zero": ({}, True),
    "vocabulary.min_count": ({}, 3),
    "vocabulary.size": ({}, 6),
    "vocabulary.joint": ({}, False),
    "data.format": ({}, "tsv"),
    "data.header": ({}, "no"),
    "data.delimiter": ({}, ";"),
    "data.source": ({}, "note"),
    "data.target": ({}, "3"),
    "data.skip_bad": ({}, True),
    "sampling_start": ({}, 0.9),
    "sampling_end": ({}, 0.9),
    "coverage": ({}, 2.0),
    "copy_unknown": ({}, True),
    "choose_by": ({}, "bleu"),
    "tokenization": ({}, "none"),
    "references": ({}, "single"),
}


@pytest.mark.parametrize(("kind", "effects"), [(AssistantSettings, ASSISTANT), (TranslatorSettings, TRANSLATOR)])
def test_every_setting_of_its_own_is_looked_at_below(kind, effects):
    elsewhere = {"data.valid_fraction", "data.test_fraction"}  # which every task reads alike
    elsewhere |= {"sentences"} & set(describe(kind))  # only with a file of commands
    own = {name for name in describe(kind) if not name.startswith(("training.", "decoding."))}
    assert set(effects) == own - elsewhere


def of_assistant(path: Path, settings: dict[str, Any]) -> list[Any]:
    """What an assistant does of which some setting may change something: losses in training, a description, a reply."""
    task = Assistant(make(AssistantSettings, {**SMALL_ASSISTANT, **settings}))
    examples = task._read(path)
    torch.manual_seed(3)
    task._learn(examples)
    task.model = model = task._build().train()
    model.progress = 0.2
    seen, losses = set(), []
    for batch in task._source(examples).epoch(0):
        if isinstance(batch, Lookups) not in seen:  # one of each kind
            seen.add(isinstance(batch, Lookups))
            losses.append((batch.size, float(model.loss(batch).total.detach())))
    task._finish(Splits(Data(examples), None, None), lambda: None)
    return [losses, task.skipped, task.metric, task.describe(), task.matcher.confidence, task.ask("zebra")]


def of_translator(path: Path, settings: dict[str, Any]) -> list[Any]:
    """What a translator does of which some setting may change something: a loss in training, words, a description."""
    task = Translator(make(TranslatorSettings, {**SMALL_TRANSLATOR, **settings}))
    examples = task._read(path)
    torch.manual_seed(3)
    task._learn(examples)
    task.model = model = task._build().train()
    model.progress = 0.2
    loss = float(model.loss(next(iter(task._source(examples).epoch(0)))).total.detach())
    free = task._forbidden(torch.device("cpu")).tolist()
    return [loss, free, task.skipped, task.metric, task.describe(), task.score_notes(path)]


def found(outcome: Callable[[Path, dict[str, Any]], Any], path: Path, settings: dict[str, Any]) -> Any:
    try:
        return outcome(path, settings)
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("name", ASSISTANT)
def test_every_setting_of_the_assistant_changes_something(name, tmp_path):
    ants = {"question": "Ant BEE 15", "answers": ["Ant bee 16"]}
    path = write_entries(tmp_path / "a.jsonl", [*entries(), ants])
    if name.startswith("data."):
        path = tmp_path / ("pairs.jsonl" if name == "data.format" else "pairs.csv")
        lines = [f'{each["question"]},"{each["answers"][0]}",note {each["question"]}\n' for each in entries()]
        path.write_text("Question,Answer,Note\n" + "".join(lines) + "9,,n1\n" * (name == "data.skip_bad"))
    base, value = ASSISTANT[name]
    assert found(of_assistant, path, {**base, name: value}) != found(of_assistant, path, base)


@pytest.mark.parametrize("name", TRANSLATOR)
def test_every_setting_of_the_translator_changes_something(name, tmp_path):
    table = TABLE + "7,Ant BEE 15,n0\n8,Ant BEE 15,n1\n8,Ant BEE 16,n2\n"
    path = tmp_path / "pairs.csv"
    path.write_text(table + ("9,,n1\n" if name == "data.skip_bad" else ""))
    base, value = TRANSLATOR[name]
    before = found(of_translator, path, base)
    assert found(of_translator, path, base) == before
    assert found(of_translator, path, {**base, name: value}) != before


def test_what_is_compared_above_does_not_change_by_itself(tmp_path):
    path = write_entries(tmp_path / "a.jsonl", entries())
    settings = {"dropout": 0.3, "network.word_dropout": 0.3}
    assert of_assistant(path, settings) == of_assistant(path, settings)
