"""`Trainable`, the base class of `Task` for training: settings, examples, fitted state, network and scores."""

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
from unspool.inspection.unit_names import UnitName
from unspool.layers import Recurrent
from unspool.models import AttentiveDecoder
from unspool.settings import Settings, dotted_names, make
from unspool.tasks.contracts import Examples, Fitted
from unspool.tasks.running.model_folder import Record
from unspool.tasks.running.planning import Rules
from unspool.tasks.running.splits import Splits
from unspool.training import BatchSource

__all__ = ["Trainable", "batched_tokens", "device_of"]

E = TypeVar("E", bound=Examples)
F = TypeVar("F", bound=Fitted)


class Trainable(ABC, Generic[E, F]):
    """Base class of `Task` for training and model folders. A new task implements its abstract methods."""

    name: ClassVar[str]
    """Name of the task on the command line."""
    settings_type: ClassVar[type[Settings]]
    summary: ClassVar[str]
    """Purpose of the task, in a few words."""
    fitted_type: ClassVar[type[Any]]
    """The task's subclass of `Fitted`."""
    _reads_words: ClassVar[bool] = False
    """Whether an input may also be a list of words."""
    _rules: ClassVar[Rules | None] = None
    """Rules for the settings of a training that were not passed; None: they keep their defaults."""
    _validation_titles: ClassVar[Mapping[str, str]] = {}
    """Log titles of scores that validation computes differently from the final evaluation."""

    def __init__(self, settings: Settings | None = None, **values: Any) -> None:
        self._own_cell: type[Cell[Any]] | None = None
        cell, cell_options = values.get("cell"), values.pop("cell_options", None)
        if cell is not None and not isinstance(cell, str):
            self._own_cell, values["cell"] = cell_class(cell, cell_options), cell_name(cell)
        base: Any = settings or self.settings_type()
        self.settings: Any = make(self.settings_type, values, base=base)
        self._explicit = dotted_names(self.settings_type, values)
        """Dotted names of the settings that were passed by name."""
        self._plans = settings is None and bool(self.settings.training.plan)
        """Whether a training plans the settings that were not passed."""
        self._planned: frozenset[str] = frozenset()
        """Dotted names of the settings that a plan chose."""
        self._spell_cell(cell_options)
        self._fitted: F | None = None
        self.model: Any = None
        self.record: Record | None = None
        self._skipped = 0
        self._scores_test = True
        """Whether a training scores the test data; otherwise it holds them out unseen."""
        self._unfinished: str | None = None
        """Warning for users of the model if training is not complete."""
        self._read_as: Layout | None = None
        """Layout of the training data; other data are read the same way."""
        self._layout = Layout()
        """Layout of the files read last."""
        self._scratch: Path | None = None
        """Folder for large temporary files during training."""
        self._home: Path | None = None
        """Folder that the task was loaded from, trained into or saved into."""
        self._unit_names: tuple[UnitName, ...] = ()
        """Units with names; see `Task.name_unit`."""

    def _spell_cell(self, options: Mapping[str, object] | None) -> None:
        """Normalise the cell name in the settings (`LSTM` becomes `lstm`), and add the cell's options."""
        cell = self.settings.network.cell
        name = cell_name(cell, options)
        if name != cell:
            self.settings = self.settings.replace(**{"network.cell": name})

    @property
    @abstractmethod
    def metric(self) -> tuple[str, bool]:
        """Name of the validation score that selects the best weights, and whether higher is better."""

    @property
    def main_score(self) -> tuple[str, bool]:
        """Name of the score by which results are compared with others, and whether higher is better."""
        return self.metric

    @abstractmethod
    def _columns_in_memory(self) -> tuple[str, ...]:
        """Names of the fields of an example in memory, in order; the target comes last."""

    @abstractmethod
    def _read(self, source: DataSource) -> E:
        """Read files, or examples in memory."""

    @abstractmethod
    def _build(self) -> nn.Module:
        """Build the network for the learned vocabularies."""

    @abstractmethod
    def _source(self, examples: E) -> BatchSource:
        """Return the training batches."""

    @abstractmethod
    def _score(self, model: nn.Module, examples: E) -> dict[str, float]:
        """Score a network on held-out data."""

    def _samples(self, model: nn.Module, examples: E) -> list[dict[str, str]]:
        """Return samples of the network's output for the log of a training; none for tasks that write no text."""
        return []

    def _training_rules(self) -> Rules | None:
        """Return the rules for the settings that were not passed; they may depend on the settings so far."""
        return self._rules

    def _time_limit(self) -> float | None:
        """Return the time limit of the network's training in minutes: the setting, less what other parts take."""
        minutes: float | None = self.settings.training.minutes
        return minutes

    def _start(self, examples: E) -> None:
        """Set the initial weights that depend on the training data, in a new network."""

    def _remember(self, reader: DataReader[Any]) -> None:
        """Store the layout and the number of skipped examples of a reader after reading."""
        self._skipped += reader.skipped
        self._layout = reader.layout

    def _final_score(self, model: nn.Module, examples: E) -> dict[str, float]:
        """Compute the reported scores. They may take longer than the scores that select the best weights."""
        return self._score(model, examples)

    def _finish(self, splits: Splits[E], score: Callable[[], None]) -> list[str]:
        """Run the steps after training, when the network holds its final weights.

        Args:
            splits: The training, validation and test data.
            score: Computes the final scores from the current state of the task; call this function once.

        Returns:
            Notes for the user, one sentence each.
        """
        score()
        return []

    def _notes(self, train: E, held_out: E | None) -> list[str]:
        """Return notes for the user about the training data; `held_out` is the validation split."""
        return []

    def _improvements(self) -> list[str]:
        """Return ways to do better than a simple method, other than more training, each in a few words."""
        return []

    def _shorter(self) -> list[str]:
        """Return ways to shorten training other than fewer epochs, each in a few words."""
        name = "hidden" if hasattr(self.settings.network, "hidden") else "embedding"
        return [f"a smaller network ({option(name, 'N')}, now {getattr(self.settings.network, name)})"]

    @abstractmethod
    def _baselines(self, train: E, held_out: E) -> dict[str, dict[str, float]]:
        """Return the scores of simple baselines by name."""

    @property
    def fitted(self) -> F:
        """State learned from the training data besides the weights: vocabularies, labels.

        Raises:
            UsageError: If the model has not been trained.
        """
        if self._fitted is None:
            raise self._not_trained()
        return self._fitted

    def _learn(self, examples: E) -> None:
        """Learn vocabularies and labels from training data."""
        self._unit_names = ()
        self._fitted = self.fitted_type.learn(examples, self.settings)

    def _make_network(self) -> nn.Module:
        """Import the cell if needed, and build the network."""
        self._find_cell()
        return self._build()

    def _find_cell(self) -> None:
        """Import a custom cell once, and check the options of any cell."""
        name = self.settings.network.cell
        if self._own_cell is None:
            kind = cell_class(name)
            self._own_cell = None if is_built_in(name) else kind

    @property
    def _cell(self) -> str | type[Cell[Any]]:
        return self._own_cell if self._own_cell is not None else str(self.settings.network.cell)

    def describe(self) -> dict[str, Any]:
        """Describe the network: a summary, the number of weights, and the engine path of each cell."""
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
        """Return the engine path of each type of cell, with the reason if the path is the reference loop."""
        paths = {}
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
                paths[report.cell] = f"{report.cell} on the {report.backend} path" + (
                    f" ({report.reason})" if report.backend == "reference" else ""
                )
        return list(paths.values())

    @property
    def skipped(self) -> int:
        """Number of bad examples skipped while reading the last data (`skip_bad`)."""
        return self._skipped

    def _need_model(self) -> None:
        self._need_weights()

    def _need_weights(self) -> None:
        if self.model is None:
            raise self._not_trained()
        if self.model.training:
            self.model.eval()

    def _not_trained(self) -> UsageError:
        return UsageError(f"this {type(self).__name__} has not been trained; call fit, or unspool.load a folder")


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's weights."""
    return next(model.parameters()).device


def batched_tokens(settings: Any) -> int:
    """Return the batch size in tokens for inference: at least 8192, and at least that of training."""
    return max(8192, int(settings.training.batch_tokens))
