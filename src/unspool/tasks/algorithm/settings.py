"""Settings of networks that learn algorithms, and what the command line says of them."""

from __future__ import annotations

from unspool.errors import SettingError
from unspool.inputs.network_settings import StackSettings
from unspool.settings import PositiveInt, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import SplitSettings
from unspool.training.settings import TrainingSettings

__all__ = ["ENTRY", "AlgorithmSettings", "ExerciseSettings"]


class ExerciseSettings(SplitSettings):
    """What exercises are made."""

    min_length: PositiveInt = 1
    """Shortest exercise trained on: vectors (copy, reverse, repeat-copy, sort), items (recall), numbers (adding) or
    characters (brackets)."""
    max_length: PositiveInt = 20
    """Longest exercise trained on."""
    test_lengths: str | None = None
    """Lengths that are scored at the end, as 20,40,80. None: max_length, twice and four times that."""
    width: PositiveInt = 8
    """Bits of a vector (6 are usual for recall)."""
    repeats: PositiveInt = 10
    """Most repetitions asked for (repeat-copy)."""
    examples: PositiveInt = 16_000
    """Exercises that count as an epoch; no two epochs have the same."""
    valid_examples: PositiveInt = 256
    """Exercises of each length that are scored."""

    def check(self) -> None:
        """Refuse lengths that can't be."""
        if self.min_length > self.max_length:
            raise SettingError(f"min_length = {self.min_length} is more than max_length = {self.max_length}")
        for word in (self.test_lengths or "").split(","):
            if word.strip() and not (word.strip().isdecimal() and int(word) >= 1):
                raise SettingError(f"test_lengths = {self.test_lengths!r}: expected numbers from 1, as 20,40,80")


class AlgorithmSettings(Settings):
    """Exercises in, a network that does them out."""

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
)
