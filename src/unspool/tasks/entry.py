"""`TaskEntry`, the entry of a task in the catalog: its description for the command line, without importing torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from unspool.settings import Settings, make

__all__ = ["TaskEntry", "one_of"]


@dataclass(frozen=True, kw_only=True)
class TaskEntry:
    """Description of a task for the command line, without importing its class."""

    name: str
    """Name of the task on the command line, a verb, as in `unspool train classify`; also the name of its folder."""
    order: int = 100
    """Sort key in lists, lowest first; the most common tasks come first."""
    module: str
    """Module of the task's folder that defines its class."""
    task: str
    """Name of the task's class."""
    answer: str
    """Name of the class of its predictions."""
    settings: type[Settings]
    a_model: str
    """Noun for its models, with the article: a classifier."""
    summary: str
    """Purpose of the task in one sentence."""
    data_forms: str
    """Accepted data formats, for the help."""
    sides: tuple[str, ...] = ()
    """Nouns for the texts of an example; empty for generated data."""
    label: str = ""
    """Noun for its labels; empty if the task has none."""
    columns: tuple[tuple[str, ...], ...] = ()
    """Usual column names of its tables, one group per role; they identify the task of a table."""
    kind: str = ""
    """Kind of items that only files of this task yield, by which they are recognised: sentences."""
    train_example: str
    compare_example: str
    predict_verb: str
    """Verb for `predict` in the help: label."""
    predict_writes: str
    """Output of `predict` for a text: label, probability and text."""
    usual_networks: tuple[str, ...] = ("elman", "lstm", "gru")
    """Networks that `compare` trains by default."""
    networks: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Network names for `compare` other than cells, each with its settings by dotted name."""
    networks_help: str = ""
    """Meaning of these names, for the help."""
    with_cell: Mapping[str, object] = field(default_factory=dict)
    """Settings that `compare` adds to a cell name on `--networks`, so that the network uses this cell."""
    compared: Mapping[str, object] = field(default_factory=dict)
    """Settings of all networks in `compare`, by dotted name, where they differ from the defaults."""
    next_verb: Literal["predict", "generate", "chat"] = "predict"
    """Verb that users of a trained model run first."""
    verbs: tuple[str, ...] = ()
    """Additional verbs of the command line for its models: chat, add, generate, ask."""
    earlier: Mapping[str, object] = field(default_factory=dict)
    """Values of settings, by dotted name, for model folders from before these settings existed."""
    searches: bool = False
    """Whether `predict` and `evaluate` decode (beam search, sampling) and accept decoding settings and a seed."""
    hears: bool = False
    """Whether `predict` and `evaluate` search for transcripts, and accept settings of the search: beam, language model
    and grammar."""
    ranks_items: bool = False
    """Whether `predict` recommends items after a history, and accepts `--history`, `--k` and `--exclude`."""
    exports: bool = False
    """Whether models have a sheet, for `unspool export`."""
    forecasts: bool = False
    """Whether `predict` continues series, also without input, and accepts a horizon and a future."""
    draws_picture_maps: bool = False
    """Whether a model of images has `picture_maps`, which `inspect` draws in place of a trace."""
    reads_once: bool = True
    """Whether `evaluate` needs a single pass over the data, so that standard input works."""

    @property
    def path(self) -> str:
        """Module of the task's class, relative to `unspool.tasks`."""
        return f"{self.name}.{self.module}"

    def equal_settings(self) -> Any:
        """Return the settings that all networks of a comparison share, unless others are passed."""
        return make(self.settings, {"training.patience": None, **self.compared})

    def network_settings(self, network: str) -> Mapping[str, object]:
        """Return the settings for a name on `--networks`: a key of `networks`, or the name of a cell."""
        return self.networks.get(network, {"network.cell": network, **self.with_cell})

    @property
    def compared_settings(self) -> frozenset[str]:
        """Dotted names of the settings that `--networks` varies."""
        return frozenset({"network.cell"}.union(self.with_cell, *self.networks.values()))


def one_of(words: Iterable[str]) -> str:
    """Join distinct words as a choice: `label, tag or rate`."""
    *most, last = dict.fromkeys(words)
    return f"{', '.join(most)} or {last}" if most else last
