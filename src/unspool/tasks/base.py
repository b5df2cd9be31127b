"""What every task can do: fit, predict, evaluate, trace, save and load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unspool.cells import Cell, cell_class, cell_name, is_built_in, watch
from unspool.data import find_files
from unspool.engine import explain, record_dispatch
from unspool.errors import UsageError
from unspool.inspection import Recording, Trace
from unspool.layers import Recurrent
from unspool.models import AttentiveDecoder
from unspool.settings import Settings, make
from unspool.tasks.fitting import fit_task
from unspool.tasks.folder import Record, fingerprint, rounded
from unspool.tasks.storing import load_task, save_task
from unspool.training import BatchSource, Reporter

__all__ = ["Paths", "Prediction", "Task", "any_path", "batched_tokens", "device_of"]

Paths = str | Path | Sequence[str | Path]
D = TypeVar("D")
T = TypeVar("T")


class Prediction(Protocol):
    """What a task says of one text: a named tuple that can write itself."""

    def line(self) -> str:
        """What a person reads; one line, or several."""

    def record(self) -> dict[str, Any]:
        """All there is, as values that JSON has."""


class Task(ABC, Generic[D]):
    """An estimator: settings in, `fit` on files, then `predict`, `evaluate`, `trace`, `save`.

    Args:
        settings: All settings at once; the defaults if omitted.
        values: Single settings by dotted or short name, as `cell="gru"`, `hidden=256`, `epochs=10`. A cell may also be
            given as its class.

    Raises:
        SettingError: If there is no such setting, or it can't have that value.
    """

    name: ClassVar[str]
    """How the command line calls the task."""
    settings_type: ClassVar[type[Settings]]
    summary: ClassVar[str]
    """What it does, in a few words."""

    _validation_titles: ClassVar[Mapping[str, str]] = {}
    """How the log calls scores that validations count in another way than the final ones."""

    def __init__(self, settings: Settings | None = None, **values: Any) -> None:
        self._own_cell: type[Cell[Any]] | None = None
        cell = values.get("cell")
        if isinstance(cell, type):
            self._own_cell, values["cell"] = cell, cell_name(cell)
        self.settings: Any = make(self.settings_type, values, base=settings or self.settings_type())
        self.model: Any = None
        self.record: Record | None = None
        self._skipped = 0
        self._scratch: Path | None = None
        """Where large things may lie while training runs."""

    # ---- what each task gives ----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def metric(self) -> tuple[str, bool]:
        """The score that chooses the best weights, and whether higher is better."""

    @abstractmethod
    def _read(self, paths: Paths) -> D:
        """Read files."""

    @abstractmethod
    def _divide(self, examples: D, fraction: float) -> tuple[D, D | None]:
        """Hold a share out, as a function of the seed; None where nothing can be spared."""

    @abstractmethod
    def _learn(self, examples: D) -> None:
        """Learn vocabularies and labels from training data."""

    @abstractmethod
    def _build(self) -> nn.Module:
        """Make the network for the vocabularies learned."""

    @abstractmethod
    def _source(self, examples: D) -> BatchSource:
        """Batches to train on."""

    @abstractmethod
    def _score(self, model: nn.Module, examples: D) -> dict[str, float]:
        """Scores of a network on held-out data."""

    def _fingerprint(self, paths: tuple[str, ...]) -> str | None:
        """What tells whether data are the same when a training goes on: a hash of all files; None without any."""
        return fingerprint([Path(file) for file in find_files(paths)]) if paths else None

    def _final_score(self, model: nn.Module, examples: D) -> dict[str, float]:
        """Scores that are reported, where they take longer than those that choose the best weights."""
        return self._score(model, examples)

    def _finish(self, train: D) -> None:
        """Do what comes between training and the final scores."""

    def _calibrate(self, held_out: D) -> str | None:
        """Fit probabilities to validation data after training; says what changed."""
        return None

    def _go_back(self, train: D, held_out: D | None) -> None:
        """Be again what training began with, where a folder's vocabularies have grown since."""

    def _complete(self, train: D, held_out: D | None) -> None:
        """Learn what was held out of the training data as well, if it takes no training; scores are counted already."""

    def _tidy(self) -> None:
        """Remove what only training needed."""

    def _check_held_out(self, examples: D) -> D:
        """Refuse validation data that training can't be judged by, or leave bad examples out (`skip_bad`)."""
        return examples

    def _check_labels(self, examples: D) -> None:
        """Refuse data to be scored whose labels have nothing in common with the model's."""

    @abstractmethod
    def _baselines(self, train: D, held_out: D) -> dict[str, dict[str, float]]:
        """Scores of simple methods, by name."""

    @abstractmethod
    def _save_vocabularies(self, folder: Path) -> None:
        """Write vocabularies and labels into a folder."""

    @abstractmethod
    def _load_vocabularies(self, folder: Path) -> None:
        """Read what `_save_vocabularies` wrote."""

    @abstractmethod
    def _size(self, examples: D) -> dict[str, int]:
        """How much data there is, by what is counted."""

    @abstractmethod
    def predict(self, texts: list[str]) -> Sequence[Prediction]:
        """Say something of each text.

        Raises:
            DataError: If nothing can be said of a text; its place is `text 3` for the third.
            UsageError: If the model has not been trained.
        """

    @abstractmethod
    def trace(self, text: str) -> Trace:
        """Run one input and return everything the network recorded."""

    # ---- training ----------------------------------------------------------------------------------------------

    def fit(
        self,
        train: Paths,
        *,
        valid: Paths | None = None,
        test: Paths | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        baselines: bool = True,
        reporter: Reporter | None = None,
        allow: Collection[str] = (),
    ) -> Self:
        """Train on files.

        Args:
            train: Files, folders or globs.
            valid: What chooses the best weights; a share of the training data (`valid_fraction`) if omitted. If that
                is 0, the last weights are kept.
            test: What is scored once, at the very end; nothing, or `test_fraction`, if omitted.
            out: Model folder to write, new or empty; without one, nothing is kept on disk.
            resume: Go on with the training that `out` holds, to the same bits; begin where it holds none.
            baselines: Whether simple methods are scored too.
            reporter: Hears how it goes; a bar or lines on stderr if omitted.
            allow: Training settings that may differ from those a run was begun with, though they change its course.

        Returns:
            The task itself, trained; scores stand in `record.metrics`.

        Raises:
            DataError: If the data can't be used.
            TrainingError: If the loss is no longer a number.
            Interrupted: On ctrl-C, after everything was saved.
            UsageError: If `out` holds something already.
        """
        fit_task(
            self,
            train,
            valid,
            test,
            out=None if out is None else Path(out),
            resume=resume,
            baselines=baselines,
            reporter=reporter,
            allow=allow,
        )
        return self

    def _make_network(self) -> nn.Module:
        """Build, with the cell that was given as a class under its name."""
        name = self.settings.network.cell
        if self._own_cell is None and not is_built_in(name):
            self._own_cell = cell_class(name)
        return self._build()

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

    # ---- use ---------------------------------------------------------------------------------------------------

    def evaluate(self, paths: Paths) -> dict[str, float]:
        """Score the model on labelled files.

        Raises:
            DataError: If the data can't be used.
            UsageError: If the model has not been trained.
        """
        self._need_model()
        self._skipped = 0
        examples = self._read(paths)
        self._check_labels(examples)
        self.model.eval()
        return rounded(self._final_score(self.model, examples))

    @property
    def score_titles(self) -> dict[str, str]:
        """How a table calls scores whose names don't say how they were counted."""
        return {}

    @property
    def skipped(self) -> int:
        """Bad examples that the last reading of files left out (`skip_bad`)."""
        return self._skipped

    def _need_model(self) -> None:
        if self.model is None:
            raise UsageError(f"this {type(self).__name__} has not been trained; call fit, or unspool.load a folder")
        self.model.eval()

    @torch.no_grad()
    def _recorded(self, run: Callable[[], T]) -> tuple[T, dict[str, NDArray[np.float32]], tuple[str, ...]]:
        """Run the model once with a recording on every cell of its stack: the result, arrays by name, and notes."""
        stack = self._stack()
        cells = [] if stack is None else list(stack.named_cells())
        recordings = [Recording() for _ in cells]
        with ExitStack() as watching, record_dispatch() as dispatch:
            if stack is not None:
                watching.enter_context(any_path(stack))
            for (_, cell, _), recording in zip(cells, recordings, strict=True):
                watching.enter_context(watch(cell, recording))
            result = run()
        arrays: dict[str, NDArray[np.float32]] = {}
        for (place, _, backward), recording in zip(cells, recordings, strict=True):
            arrays.update(recording.arrays(place, reverse=backward))
        return result, arrays, (f"engine: {dispatch.backend} path",) if cells else ()

    def _stack(self) -> Recurrent | None:
        """The recurrent stack that a trace looks into."""
        encoder = self.model.encoder
        return encoder if isinstance(encoder, Recurrent) else None

    # ---- folders -----------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write the model folder: settings, weights, vocabularies, model card.

        Raises:
            MachineError: If the disk is full or refuses.
        """
        self._need_model()
        save_task(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path, *, cell: str | type[Cell[Any]] | None = None) -> Self:
        """Open a model folder.

        Args:
            folder: The folder.
            cell: The cell of your own that the model was trained with, as a class or `my_file.py:MyCell`. A folder
                never imports code by itself, so that one from a stranger is safe to open.

        Raises:
            ModelFolderError: If the folder is damaged, newer, of another task, not trained to the end, or needs `cell`.
        """
        return load_task(cls, Path(folder), cell)


@contextmanager
def any_path(stack: Any) -> Iterator[None]:
    """Let a stack that demands a path run on another: only the plain loop can be watched."""
    demanded, stack.backend = stack.backend, "auto"
    try:
        yield
    finally:
        stack.backend = demanded


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights are."""
    return next(model.parameters()).device


def batched_tokens(settings: Any) -> int:
    """Tokens of a batch where no gradients are kept: more than in training."""
    return max(8192, int(settings.training.batch_tokens))
