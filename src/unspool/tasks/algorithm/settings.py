"""Settings and command-line help of the task `algorithm`: synthetic exercises, network and training."""

from __future__ import annotations

from unspool.errors import SettingError
from unspool.inputs.network_settings import StackSettings
from unspool.settings import Fraction, PositiveInt, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import SplitSettings
from unspool.training.settings import TrainingSettings

__all__ = ["ENTRY", "AlgorithmSettings", "ExerciseSettings"]


class ExerciseSettings(SplitSettings):
    """How the generated exercises look."""

    min_length: PositiveInt = 1
    """Minimum length of training exercises, in vectors (copy, reverse, repeat-copy, sort), items (recall), numbers
    (adding) or characters (brackets)."""
    max_length: PositiveInt = 20
    """Maximum length of training exercises."""
    curriculum: Fraction = 0.0
    """Share of all epochs in which the maximum length of training exercises grows from min_length to max_length
    (curriculum learning, Bengio et al. 2009); 0: all lengths from the first update on."""
    test_lengths: str | None = None
    """Exercise lengths for the final scores, as 20,40,80. None: max_length, twice and four times max_length."""
    width: PositiveInt = 8
    """Bits per vector (recall usually takes 6)."""
    repeats: PositiveInt = 10
    """Maximum number of repetitions (repeat-copy)."""
    examples: PositiveInt = 16_000
    """Exercises per epoch; every epoch has new ones."""
    valid_examples: PositiveInt = 256
    """Exercises of each length for validation and the final scores."""

    def check(self) -> None:
        """Refuse a minimum length above the maximum, and test lengths that are not positive integers."""
        if self.min_length > self.max_length:
            raise SettingError(f"min_length = {self.min_length} is more than max_length = {self.max_length}")
        for word in (self.test_lengths or "").split(","):
            if word.strip() and not (word.strip().isdecimal() and int(word) >= 1):
                raise SettingError(f"test_lengths = {self.test_lengths!r}: expected numbers from 1, as 20,40,80")


class AlgorithmSettings(Settings):
    """Settings of a network that learns an algorithm from exercises."""

    network: StackSettings = StackSettings(cell="ntm", hidden=100, dropout=0.0)
    data: ExerciseSettings = ExerciseSettings()
    training: TrainingSettings = TrainingSettings(epochs=10, batch_size=16, weight_decay=0.0, clip=10.0)


ENTRY = TaskEntry(
    name="algorithm",
    order=70,
    module="algorithm",
    task="Algorithm",
    answer="Worked",
    settings=AlgorithmSettings,
    a_model="a network that solves exercises",
    summary="Algorithm learning: learns an algorithm from generated exercises.",
    data_forms=(
        "copy, repeat-copy, recall, sort, reverse, brackets or adding, generated without limit; "
        "brackets also accepts files of C code"
    ),
    train_example="unspool train algorithm copy --cell ntm --out my-copier",
    compare_example="unspool compare algorithm adding --networks elman,lstm,gru --max-length 100 --epochs 2",
    predict_verb="answer",
    predict_writes="its answer and the right one",
    usual_networks=("lstm", "ntm"),
)
