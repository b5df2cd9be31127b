"""Every task as the command line knows it, without importing it: a task's class takes seconds, its help must not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from unspool.errors import UsageError
from unspool.settings import Settings, nearest
from unspool.tasks.settings import (
    AlgorithmSettings,
    AssistantSettings,
    ClassifierSettings,
    LanguageModelSettings,
    ReaderSettings,
    TaggerSettings,
    TranslatorSettings,
)

__all__ = ["TASKS", "TaskEntry", "one_of", "task_entry"]


@dataclass(frozen=True, kw_only=True)
class TaskEntry:
    """What the verbs say of a task before its class is imported."""

    name: str
    """How the command line calls the task: a verb, as in `unspool train classify`."""
    module: str
    """Module of `unspool.tasks` in which its class stands."""
    task: str
    """Name of its class."""
    answer: str
    """Name of the class of what it predicts."""
    settings: type[Settings]
    a_model: str
    """What its models are called, with the article: a classifier."""
    summary: str
    """What goes in and what comes out, as one sentence."""
    data_forms: str
    """What its data look like, for the help."""
    sides: tuple[str, ...] = ()
    """What the texts of an example are called; none where data are made up."""
    label: str = ""
    """What its labels are called; empty where there are none."""
    train_example: str
    compare_example: str
    predict_verb: str
    """What `predict` does to a text with it: label."""
    predict_writes: str
    """What `predict` writes for a text: label, probability and text."""
    usual_networks: tuple[str, ...] = ("elman", "lstm", "gru")
    """What `compare` compares if nothing is said."""
    networks: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Names that `compare` takes beside those of cells, each with the settings it stands for, by dotted name."""
    networks_help: str = ""
    """What those names mean, for the help."""
    with_cell: Mapping[str, object] = field(default_factory=dict)
    """Settings that go with the name of a cell on `--networks`, so that a network of that cell is what is trained."""
    next_verb: Literal["predict", "generate", "chat"] = "predict"
    """What a trained model is used with first."""
    reads_once: bool = True
    """Whether it scores data that are read only once, as standard input is."""

    def network_settings(self, network: str) -> Mapping[str, object]:
        """The settings that a name on `--networks` stands for; one that is not in `networks` is a cell's."""
        return self.networks.get(network, {"network.cell": network, **self.with_cell})

    @property
    def compared_settings(self) -> frozenset[str]:
        """Dotted names of the settings that names on `--networks` decide."""
        return frozenset({"network.cell"}.union(self.with_cell, *self.networks.values()))


_TRANSFORMER: Mapping[str, Mapping[str, object]] = {"transformer": {"network.network": "transformer"}}

_WRITING: Mapping[str, Mapping[str, object]] = {
    name: {"network.network": name}
    for name in (
        "window",
        "concatenated",
        "initial",
        "every-step",
        "dot",
        "additive",
        "bilinear",
        "transformer",
        "latent",
    )
}
_WRITING_HELP = (
    "window, concatenated, initial, every-step, dot, additive, bilinear, transformer or latent for a way of giving the "
    "source to the decoder (see --network)"
)

_ENTRIES = (
    TaskEntry(
        name="classify",
        module="classifier",
        task="Classifier",
        answer="Classification",
        settings=ClassifierSettings,
        a_model="a classifier",
        summary="Texts with labels in, a classifier out.",
        data_forms="tables (tsv, csv, jsonl, parquet) with a column of texts and one of labels",
        sides=("text",),
        label="label",
        train_example="unspool train classify reviews.tsv --out my-model --cell gru --epochs 10",
        compare_example="unspool compare classify reviews.tsv --networks bag,elman,lstm --epochs 5",
        predict_verb="label",
        predict_writes="label, probability and text",
        usual_networks=("bag", "elman", "lstm", "gru"),
        networks={"bag": {"network.network": "bag"}, **_TRANSFORMER},
        networks_help="bag for an average of words, transformer",
        with_cell={"network.network": "recurrent"},
    ),
    TaskEntry(
        name="tag",
        module="tagger",
        task="Tagger",
        answer="Tagging",
        settings=TaggerSettings,
        a_model="a tagger",
        summary="Sentences with a tag for each word in, a tagger out.",
        data_forms="CoNLL columns, CoNLL-U, or jsonl with lists of tokens and tags",
        sides=("sentence",),
        label="tag",
        train_example="unspool train tag train.conllu --valid dev.conllu --test test.conllu --out my-tagger",
        compare_example=("unspool compare tag train.conllu --valid dev.conllu --networks elman,gru,my_cell.py:MyCell"),
        predict_verb="tag",
        predict_writes="a line for each word and a blank line after each sentence",
        networks=_TRANSFORMER,
        networks_help="transformer",
        with_cell={"network.network": "recurrent"},
    ),
    TaskEntry(
        name="write",
        module="language_model",
        task="LanguageModel",
        answer="Reading",
        settings=LanguageModelSettings,
        a_model="a language model",
        summary="Running text in, a language model out.",
        data_forms="plain text",
        sides=("line",),
        train_example="unspool train write novel.txt --out my-writer --units character --minutes 10",
        compare_example="unspool compare write novel.txt --networks gru,lstm,mingru --minutes 5",
        predict_verb="rate",
        predict_writes="perplexity and text",
        networks=_TRANSFORMER,
        networks_help="transformer",
        with_cell={"network.network": "recurrent"},
        next_verb="generate",
        reads_once=False,
    ),
    TaskEntry(
        name="translate",
        module="translator",
        task="Translator",
        answer="Translation",
        settings=TranslatorSettings,
        a_model="a translator",
        summary="Pairs of texts in, a translator from the one to the other out.",
        data_forms="tables (tsv, csv, jsonl, parquet) of source and target, or two parallel files, the source's first",
        sides=("source", "target"),
        train_example="unspool train translate train.en train.de --valid dev.en --valid dev.de --out my-translator",
        compare_example="unspool compare translate pairs.tsv --networks window,initial,additive --minutes 5",
        predict_verb="translate",
        predict_writes="the translation",
        usual_networks=("window", "initial", "additive", "bilinear"),
        networks=_WRITING,
        networks_help=_WRITING_HELP,
        with_cell={"network.network": "bilinear"},
    ),
    TaskEntry(
        name="answer",
        module="assistant",
        task="Assistant",
        answer="Reply",
        settings=AssistantSettings,
        a_model="an assistant",
        summary="Questions with answers in, an assistant to talk to out.",
        data_forms="tables (tsv, csv, jsonl, parquet) or YAML lists of questions, their paraphrases and answers",
        sides=("question", "answer"),
        train_example="unspool train answer pairs.tsv --out my-assistant",
        compare_example="unspool compare answer pairs.jsonl --networks every-step,additive,transformer",
        predict_verb="answer",
        predict_writes="the answer",
        usual_networks=("every-step", "additive", "transformer"),
        networks={name: {**own, "generator": True} for name, own in _WRITING.items()},
        networks_help=_WRITING_HELP,
        with_cell={"network.network": "additive", "generator": True},
        next_verb="chat",
    ),
    TaskEntry(
        name="read",
        module="reader",
        task="Reader",
        answer="Answered",
        settings=ReaderSettings,
        a_model="a reader",
        summary="Stories with questions in, a reader that answers them out.",
        data_forms="bAbI files, or jsonl with story, question and answer",
        sides=("story", "question"),
        label="answer",
        train_example="unspool train read qa1_train.txt qa2_train.txt --hops 3 --out my-reader",
        compare_example="unspool compare read qa1_train.txt --networks memory,dynamic,gru --epochs 20",
        predict_verb="answer",
        predict_writes="answer, probability and question",
        usual_networks=("memory", "key-value", "dynamic"),
        networks={name: {"network.network": name} for name in ("memory", "key-value", "dynamic")},
        networks_help="memory, key-value or dynamic for a memory network whose sentences are sums",
        with_cell={"network.network": "memory", "network.encoder": "cell"},
    ),
    TaskEntry(
        name="algorithm",
        module="algorithm",
        task="Algorithm",
        answer="Worked",
        settings=AlgorithmSettings,
        a_model="a network that does exercises",
        summary="The name of an algorithm in, a network that learned it from exercises out.",
        data_forms=(
            "copy, repeat-copy, recall, sort, reverse, brackets or adding, made up without end; "
            "brackets may be followed by files of C code"
        ),
        train_example="unspool train algorithm copy --cell ntm --out my-copier",
        compare_example="unspool compare algorithm adding --networks elman,lstm,gru --max-length 100 --epochs 2",
        predict_verb="answer",
        predict_writes="its answer and the right one",
        usual_networks=("lstm", "ntm"),
    ),
)

TASKS: Mapping[str, TaskEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""Every task by its name, in the order of the help."""


def task_entry(name: str) -> TaskEntry:
    """What is known of a task by its name.

    Raises:
        UsageError: If there is no such task.
    """
    if name not in TASKS:
        raise UsageError(f"there is no task {name!r}{nearest(name, TASKS)}; choose one of {', '.join(TASKS)}")
    return TASKS[name]


def one_of(words: Iterable[str]) -> str:
    """Words as a choice, each once: `label, tag or rate`."""
    *most, last = dict.fromkeys(words)
    return f"{', '.join(most)} or {last}" if most else last
