"""Settings and command-line help of the task `read`: memory networks, stories and training."""

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
    """File format. None: jsonl by file name, otherwise babi."""
    skip_bad: bool = False
    """Skip and count malformed lines instead of stopping at the first one."""


class ReaderNetwork(Settings):
    """A memory network that attends to the sentences of a story."""

    network: Literal["memory", "key-value", "dynamic"] = "memory"
    """memory: end-to-end memory network (Sukhbaatar et al. 2015); key-value: separate encodings of keys and values
    (Miller et al. 2016); dynamic: a bidirectional pass of the cell over the sentences before attention (Xiong et al.
    2016)."""
    embedding: PositiveInt = 50
    """Dimension of all embeddings."""
    hops: PositiveInt = 3
    """Number of attention passes over the sentences; each one uses the result of the previous one."""
    slots: PositiveInt = 50
    """Maximum number of sentences in memory; a longer story keeps its newest ones."""
    encoder: Literal["position", "bag", "cell"] = "position"
    """Encoder of a sentence: position (sum of word embeddings weighted by position), bag (plain sum), or cell (last
    state of the cell)."""
    cell: str = "gru"
    """Cell that encodes each sentence (encoder = cell), and that runs over the sequence of sentences (dynamic); see
    unspool train classify --help."""
    dropout: Dropout = 0.1
    """Dropout rate of sentence vectors and of the layer before the answer (dynamic)."""
    tying: Literal["adjacent", "layer-wise"] = "adjacent"
    """Weight sharing among hops (memory): adjacent (value embeddings of a hop are the keys of the next) or layer-wise
    (all hops share both)."""
    time_noise: Fraction = 0.1
    """Share of empty slots inserted between sentences in training, which varies the age of each sentence (memory)."""
    linear_epochs: NonNegativeInt = 0
    """Number of first epochs without the softmax in the hops (memory)."""
    gated: bool = False
    """Whether each hop has a gate that mixes its result with the question vector (memory)."""

    def check(self) -> None:
        """Refuse gates in networks without them, and sizes above the limits for model folders from others."""
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
    """Settings of a reader that answers questions about stories."""

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
    summary="Reading comprehension: answers questions about a story.",
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
