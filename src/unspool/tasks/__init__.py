"""Tasks: estimators that read files, train, predict, evaluate, trace, save and load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

import lazy_loader

from unspool.tasks.catalog import TASKS, task_entry
from unspool.tasks.classes import task_class

if TYPE_CHECKING:
    from pathlib import Path

    from unspool.cells import Cell
    from unspool.tasks.algorithm.algorithm import Algorithm, Worked
    from unspool.tasks.answer.assistant import Assistant, Reply
    from unspool.tasks.caption.captioner import Caption, Captioner
    from unspool.tasks.classify.classifier import Classification, Classifier
    from unspool.tasks.comparing import compare
    from unspool.tasks.comparison import Comparison, Run
    from unspool.tasks.concepts.finding import find_concept
    from unspool.tasks.contracts import Prediction
    from unspool.tasks.forecast.forecast import Forecast
    from unspool.tasks.forecast.forecaster import Forecaster
    from unspool.tasks.read.reader import Answered, Reader
    from unspool.tasks.recommend.recommender import Recommendation, Recommender
    from unspool.tasks.tag.tagger import Tagger, Tagging
    from unspool.tasks.task import Task
    from unspool.tasks.translate.translator import Translation, Translator
    from unspool.tasks.write.language_model import LanguageModel, Reading

__all__ = [
    "TASKS",
    "Algorithm",
    "Answered",
    "Assistant",
    "Caption",
    "Captioner",
    "Classification",
    "Classifier",
    "Comparison",
    "Forecast",
    "Forecaster",
    "LanguageModel",
    "Prediction",
    "Reader",
    "Reading",
    "Recommendation",
    "Recommender",
    "Reply",
    "Run",
    "Tagger",
    "Tagging",
    "Task",
    "Translation",
    "Translator",
    "Worked",
    "compare",
    "find_concept",
    "load",
    "task_class",
    "task_entry",
]
__all__ += [
    name for entry in TASKS.values() for name in (entry.task, entry.answer) if name not in __all__
]  # of a task that type checkers do not know yet


_T = TypeVar("_T", bound="Task[Any, Any]")

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        **{entry.path: [entry.task, entry.answer] for entry in TASKS.values()},
        "contracts": ["Prediction"],
        "task": ["Task"],
        "comparing": ["compare"],
        "comparison": ["Comparison", "Run"],
        "concepts.finding": ["find_concept"],
    },
)


@overload
def load(folder: str | Path, *, cell: str | type[Cell[Any]] | None = None) -> Task[Any, Any]: ...
@overload
def load(folder: str | Path, task: type[_T], *, cell: str | type[Cell[Any]] | None = None) -> _T: ...
def load(
    folder: str | Path, task: type[Task[Any, Any]] | None = None, *, cell: str | type[Cell[Any]] | None = None
) -> Task[Any, Any]:
    """Load a trained model from its folder.

    Args:
        folder: The model folder.
        task: Expected class of the model, as `Classifier`, which is also the type of the result; any if omitted.
        cell: The custom cell that the model was trained with. Loading imports no code unless this argument names it;
            without it, the model runs the traced step that the folder holds, and does not train.

    Raises:
        ModelFolderError: If the folder is damaged, newer, without weights, without a traced step of its custom cell, or
            holds a model of a task other than `task`.
        UsageError: If `task` is not a task class.

    Warns:
        UnfinishedTrainingWarning: If training is not complete. The weights are then the best so far.
    """
    from pathlib import Path

    from unspool.errors import ModelFolderError, UsageError, option
    from unspool.tasks.running.model_folder import read_record
    from unspool.tasks.task import Task

    name = read_record(Path(folder)).task
    if name not in TASKS:
        raise ModelFolderError(
            f"{folder} holds a model of the task {name!r}, which this Unspool does not know; is it newer?"
        )
    if task is None:
        return task_class(name).load(folder, cell=cell)
    if not (isinstance(task, type) and issubclass(task, Task)):
        raise UsageError(
            f"{task!r} is no task: load(folder, Classifier) names a class; "
            f"a cell is the argument {option('cell', None)}"
        )
    if task.name != name:
        own = TASKS[name].task
        raise ModelFolderError(
            f"{folder} holds a {own}, not a {task.__name__}; open it with unspool.load(folder, {own})"
        )
    return task.load(folder, cell=cell)
