"""Settings of readers, and what the command line says of them."""

from __future__ import annotations

from typing import Literal

from unspool.errors import SettingError, option
from unspool.settings import Dropout, Fraction, NonNegativeInt, PositiveInt, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import SplitSettings
from unspool.training.settings import TrainingSettings

__all__ = ["ENTRY", "ReaderNetwork", "ReaderSettings", "StorySettings"]


class StorySettings(SplitSettings):
    """How stories are read."""

    format: Literal["babi", "jsonl"] | None = None
    """Form of the files; None: jsonl where the name says so, else babi."""
    skip_bad: bool = False
    """Leave out lines that can't be read, and count them, instead of stopping at the first."""


class ReaderNetwork(Settings):
    """A network that looks sentences up."""

    network: Literal["memory", "key-value", "dynamic"] = "memory"
    """memory: end-to-end memory network (Sukhbaatar et al. 2015); key-value: what is looked for and what is found are
    encoded apart (Miller et al. 2016); dynamic: the cell reads the sentences both ways before they are looked up (Xiong
    et al. 2016)."""
    embedding: PositiveInt = 50
    """Width of all vectors."""
    hops: PositiveInt = 3
    """How often the sentences are looked up, each time with what was found before."""
    slots: PositiveInt = 50
    """Most sentences that are read; the newest of a longer story."""
    encoder: Literal["position", "bag", "cell"] = "position"
    """What makes a vector of a sentence: the sum of its words' vectors weighed by position, their plain sum (bag), or
    the cell."""
    cell: str = "gru"
    """Cell that reads each sentence, where the encoder is cell, and that reads one sentence after the other (dynamic);
    see unspool train classify --help."""
    dropout: Dropout = 0.1
    """Share of values dropped from sentences and before the answer (dynamic)."""
    tying: Literal["adjacent", "layer-wise"] = "adjacent"
    """Which tables hops share (memory): adjacent, the values of each are the keys of the next; layer-wise, all."""
    time_noise: Fraction = 0.1
    """Share of empty slots put between sentences in training, so that ages never come quite the same (memory)."""
    linear_epochs: NonNegativeInt = 0
    """Epochs at the start without the softmax of the hops (memory)."""
    gated: bool = False
    """Whether each hop has a gate, which says how much of what it found takes the question's place (memory)."""

    def check(self) -> None:
        """Keep a stranger's record from building a network without end, and refuse gates where there are none."""
        if self.gated and self.network != "memory":
            raise SettingError(
                f"gated needs network = memory, and network = {self.network} has no gates after its hops; "
                f"say {option('network', 'memory')}, or leave {option('gated', None)} out"
            )
        if self.hops > 64 or max(self.embedding, self.slots) > 65_536:
            raise SettingError(
                f"{self.hops} hops of {self.embedding} over {self.slots} slots: expected at most 64 hops, "
                f"and at most 65536 of the others"
            )


class ReaderSettings(Settings):
    """Stories with questions in, answers out."""

    network: ReaderNetwork = ReaderNetwork()
    data: StorySettings = StorySettings()
    training: TrainingSettings = TrainingSettings(
        epochs=100, batch_size=32, learning_rate=5e-3, weight_decay=0.0, clip=40.0, schedule="cosine"
    )


ENTRY = TaskEntry(
    name="read",
    order=60,
    module="reader",
    task="Reader",
    answer="Answered",
    settings=ReaderSettings,
    a_model="a reader",
    summary="Stories with questions in, a reader that answers them out.",
    data_forms="bAbI files, or jsonl with story, question and answer",
    sides=("story", "question"),
    label="answer",
    columns=(("story",), ("question",)),
    train_example="unspool train read qa1_train.txt qa2_train.txt --hops 3 --out my-reader",
    compare_example="unspool compare read qa1_train.txt --networks memory,dynamic,gru --epochs 20",
    predict_verb="answer",
    predict_writes="answer, probability and question",
    usual_networks=("memory", "key-value", "dynamic"),
    networks={name: {"network.network": name} for name in ("memory", "key-value", "dynamic")},
    networks_help="memory, key-value or dynamic for a memory network whose sentences are sums",
    with_cell={"network.network": "memory", "network.encoder": "cell"},
    verbs=("ask",),
)
