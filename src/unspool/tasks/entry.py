"""The entry of a task in the catalog: all that the command line says of a task without importing torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from unspool.settings import Settings

__all__ = ["TaskEntry", "one_of"]


@dataclass(frozen=True, kw_only=True)
class TaskEntry:
    """Description of a task for the command line, without importing its class."""

    name: str
    """Name of the task on the command line, a verb, as in `unspool train classify`; also the name of its folder."""
    order: int = 100
    """Place in lists, lowest first; the most usual tasks come first."""
    module: str
    """Module of the task's folder that defines its class."""
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
    columns: tuple[tuple[str, ...], ...] = ()
    """Usual names of the columns that its tables have, a group for each role, by which data are recognised."""
    suffixes: tuple[str, ...] = ()
    """Suffixes of files that hold data of this task alone."""
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
    verbs: tuple[str, ...] = ()
    """Verbs of the command line that its models take beside those of every model: chat, add, generate, ask."""
    searches: bool = False
    """Whether `predict` and `evaluate` search for outputs, with settings of decoding, a beginning and a seed."""
    reads_once: bool = True
    """Whether it scores data that are read only once, as standard input is."""

    @property
    def path(self) -> str:
        """The module that defines the task's class, below `unspool.tasks`."""
        return f"{self.name}.{self.module}"

    def network_settings(self, network: str) -> Mapping[str, object]:
        """The settings that a name on `--networks` stands for; one that is not in `networks` is a cell's."""
        return self.networks.get(network, {"network.cell": network, **self.with_cell})

    @property
    def compared_settings(self) -> frozenset[str]:
        """Dotted names of the settings that names on `--networks` decide."""
        return frozenset({"network.cell"}.union(self.with_cell, *self.networks.values()))


def one_of(words: Iterable[str]) -> str:
    """Words as a choice, each once: `label, tag or rate`."""
    *most, last = dict.fromkeys(words)
    return f"{', '.join(most)} or {last}" if most else last
