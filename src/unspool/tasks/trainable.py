"""What training and model folders need of a task: settings, examples, fitted state, a network and its scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import nn

from unspool.cells import Cell, cell_class, cell_name, is_built_in
from unspool.data import DataSource, Layout
from unspool.data import Reader as DataReader
from unspool.engine import explain
from unspool.errors import UsageError, option
from unspool.layers import Recurrent
from unspool.models import AttentiveDecoder
from unspool.settings import Settings, make
from unspool.tasks.contracts import Examples, Fitted
from unspool.tasks.running.model_folder import Record
from unspool.tasks.running.splits import Splits
from unspool.training import BatchSource

__all__ = ["Trainable", "batched_tokens", "device_of"]

E = TypeVar("E", bound=Examples)
F = TypeVar("F", bound=Fitted)


class Trainable(ABC, Generic[E, F]):
    """Base of `Task` with all that training needs; a task is written by filling in its abstract methods."""

    name: ClassVar[str]
    """How the command line calls the task."""
    settings_type: ClassVar[type[Settings]]
    summary: ClassVar[str]
    """What it does, in a few words."""
    fitted_type: ClassVar[type[Any]]
    """The task's subclass of `Fitted`."""
    _reads_words: ClassVar[bool] = False
    """Whether a text may also come as the list of its words."""
    _validation_titles: ClassVar[Mapping[str, str]] = {}
    """How the log calls scores that validations count in another way than the final ones."""

    def __init__(self, settings: Settings | None = None, **values: Any) -> None:
        self._own_cell: type[Cell[Any]] | None = None
        cell, cell_options = values.get("cell"), values.pop("cell_options", None)
        if cell is not None and not isinstance(cell, str):
            self._own_cell, values["cell"] = cell_class(cell, cell_options), cell_name(cell)
        self.settings: Any = make(self.settings_type, values, base=settings or self.settings_type())
        self._spell_cell(cell_options)
        self._fitted: F | None = None
        self.model: Any = None
        self.record: Record | None = None
        self._skipped = 0
        self._unfinished: str | None = None
        """What a person should know before using the model: that its training has not come to its end."""
        self._columns: dict[str, str] = {}
        """The columns that training data were read from, by role; other data are read from the same."""
        self._value_columns: tuple[str, ...] = ()
        """The columns of an input of several columns, in the order of the training data."""
        self._layout = Layout()
        """How the files read last were read."""
        self._scratch: Path | None = None
        """Where large things may lie while training runs."""
        self._home: Path | None = None
        """The folder that the task was opened from, trained into or saved into."""

    def _spell_cell(self, options: Mapping[str, object] | None) -> None:
        """Record `LSTM` as `lstm`, and the options of the cell with its name."""
        cell = self.settings.network.cell
        name = cell_name(cell, options)
        if name != cell:
            self.settings = self.settings.replace(**{"network.cell": name})

    @property
    @abstractmethod
    def metric(self) -> tuple[str, bool]:
        """The score that chooses the best weights, and whether higher is better."""

    @abstractmethod
    def _columns_in_memory(self) -> tuple[str, ...]:
        """Names of what an example in memory consists of, in order, the right answer last."""

    @abstractmethod
    def _read(self, source: DataSource) -> E:
        """Read files, or examples in memory."""

    @abstractmethod
    def _build(self) -> nn.Module:
        """Make the network for the vocabularies learned."""

    @abstractmethod
    def _source(self, examples: E) -> BatchSource:
        """Batches to train on."""

    @abstractmethod
    def _score(self, model: nn.Module, examples: E) -> dict[str, float]:
        """Scores of a network on held-out data."""

    def _remember(self, reader: DataReader[Any]) -> None:
        """Keep of a reader, after reading, how it read and how many bad examples it left out."""
        self._skipped += reader.skipped
        self._layout = reader.layout

    def _columns_of(self, *roles: str) -> list[str]:
        """The columns that training data were read from; none before training."""
        return [self._columns[role] for role in roles if role in self._columns]

    def _final_score(self, model: nn.Module, examples: E) -> dict[str, float]:
        """Scores that are reported, where they take longer than those that choose the best weights."""
        return self._score(model, examples)

    def _finish(self, splits: Splits[E], score: Callable[[], None]) -> list[str]:
        """Do what comes after training; the network holds the weights to keep.

        Args:
            splits: The data.
            score: Counts the final scores of the task as it stands at this moment; to be called once.

        Returns:
            What a person should know of it, a sentence each.
        """
        score()
        return []

    def _notes(self, train: E, held_out: E | None) -> list[str]:
        """What a person should know of the training data; `held_out` was held out of them."""
        return []

    def _shorter(self) -> list[str]:
        """What would make training shorter, beside fewer epochs, each in a few words."""
        name = "hidden" if hasattr(self.settings.network, "hidden") else "embedding"
        return [f"a smaller network ({option(name, 'N')}, now {getattr(self.settings.network, name)})"]

    @abstractmethod
    def _baselines(self, train: E, held_out: E) -> dict[str, dict[str, float]]:
        """Scores of simple methods, by name."""

    @property
    def fitted(self) -> F:
        """What the task learned beside weights: vocabularies, labels.

        Raises:
            UsageError: If the model has not been trained.
        """
        if self._fitted is None:
            raise self._not_trained()
        return self._fitted

    def _learn(self, examples: E) -> None:
        """Learn vocabularies and labels from training data."""
        self._fitted = self.fitted_type.learn(examples, self.settings)

    def _make_network(self) -> nn.Module:
        """Build, with the cell that was given as a class under its name."""
        self._find_cell()
        return self._build()

    def _find_cell(self) -> None:
        """Import a cell of the user's own, once, and check the options of any cell."""
        name = self.settings.network.cell
        if self._own_cell is None:
            kind = cell_class(name)
            self._own_cell = None if is_built_in(name) else kind

    @property
    def _cell(self) -> str | type[Cell[Any]]:
        return self._own_cell if self._own_cell is not None else str(self.settings.network.cell)

    def describe(self) -> dict[str, Any]:
        """What the network is made of: a summary, its number of weights, and the engine paths that run it."""
        weights = sum(weight.numel() for weight in self.model.parameters())
        return {
            "summary": f"{self._summary()}, {weights:,} weights",
            "weights": weights,
            "engine": self._engine_paths(),
        }

    def _summary(self) -> str:
        network = self.settings.network
        if getattr(network, "network", "") == "transformer":
            return f"transformer, {network.layers} {'layer' if network.layers == 1 else 'layers'} of {network.hidden}"
        both = "bidirectional " if getattr(network, "bidirectional", False) else ""
        layers = "layer" if network.layers == 1 else "layers"
        return f"{both}{network.cell}, {network.layers} {layers} of {network.hidden}"

    def _engine_paths(self) -> list[str]:
        """The path of every kind of cell in the network, and why where it is the plain loop."""
        found = {}
        for module in self.model.modules():
            if isinstance(module, Recurrent):
                reports = [explain(cell, backend=module.backend) for _, cell, _ in module.named_cells()]
            elif isinstance(module, AttentiveDecoder):
                like = next(module.cell.parameters())
                context = module.cell.context_of(like.new_zeros(1, 1, module.cell.attention.memory_size))
                reports = [explain(module.cell, batch=1, context=context, backend=module.backend)]
            else:
                continue
            for report in reports:
                found[report.cell] = f"{report.cell} on the {report.backend} path" + (
                    f" ({report.reason})" if report.backend == "reference" else ""
                )
        return list(found.values())

    @property
    def skipped(self) -> int:
        """Bad examples that the last reading of files left out (`skip_bad`)."""
        return self._skipped

    def _need_model(self) -> None:
        self._need_weights()

    def _need_weights(self) -> None:
        if self.model is None:
            raise self._not_trained()
        self.model.eval()

    def _not_trained(self) -> UsageError:
        return UsageError(f"this {type(self).__name__} has not been trained; call fit, or unspool.load a folder")


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights are."""
    return next(model.parameters()).device


def batched_tokens(settings: Any) -> int:
    """Tokens of a batch where no gradients are kept: more than in training."""
    return max(8192, int(settings.training.batch_tokens))
