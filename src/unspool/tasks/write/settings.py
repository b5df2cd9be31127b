"""Settings and command-line help of the task `write`: language-model network, vocabulary and training."""

from __future__ import annotations

from typing import Literal

from unspool.errors import SettingError, option
from unspool.inputs.network_settings import TRANSFORMER, NetworkSettings
from unspool.inputs.text.settings import VocabularySettings
from unspool.settings import Dropout, NonNegative, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import SplitSettings
from unspool.training.settings import TrainingSettings

__all__ = ["ENTRY", "LanguageModelSettings", "LanguageNetwork"]


class LanguageNetwork(NetworkSettings):
    """A network that predicts the next unit."""

    network: Literal["recurrent", "transformer"] = "recurrent"
    """Architecture: recurrent (the cell over the text, state carried across batches), or transformer (causal
    self-attention over the last `steps` units)."""
    tied: bool = True
    """Whether the output layer shares its weights with the embedding."""
    output: Literal["full", "adaptive"] = "full"
    """Output layer: full softmax, or adaptive softmax (for 50,000 units and more; never tied)."""
    activation_penalty: NonNegative = 0.0
    """Activation regularisation: weight of the mean squared output in the loss (α of Merity et al. 2017)."""
    slowness_penalty: NonNegative = 0.0
    """Temporal activation regularisation: weight of the mean squared output difference between steps (β of Merity et
    al. 2017)."""
    word_dropout: Dropout = 0.0
    """Share of input units replaced by the unknown unit in training."""


class LanguageModelSettings(Settings):
    """Settings of a language model."""

    network: LanguageNetwork = LanguageNetwork(hidden=512, embedding=256, dropout=0.3)
    vocabulary: VocabularySettings = VocabularySettings(units="character")
    data: SplitSettings = SplitSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=10, batch_size=32, steps=100, learning_rate=3e-3, schedule="cosine", warmup=100
    )

    mix: bool = False
    """Whether to mix the network with a Kneser–Ney n-gram model, with the share that minimises the validation loss.
    Better after short trainings; the model folder and generation need more memory and time."""

    def check(self) -> None:
        """Refuse an adaptive softmax with tied weights."""
        if self.network.output == "adaptive" and self.network.tied:
            raise SettingError(
                f"output = adaptive can't share the embedding's weights: also set {option('tied', False)}"
            )


ENTRY = TaskEntry(
    name="write",
    order=30,
    module="language_model",
    task="LanguageModel",
    answer="Reading",
    settings=LanguageModelSettings,
    a_model="a language model",
    summary="Language modelling: predicts the next unit of a text, and generates text.",
    data_forms="plain text",
    sides=("line",),
    train_example="unspool train write novel.txt --out my-writer --units character --minutes 10",
    compare_example="unspool compare write novel.txt --networks gru,lstm,mingru --minutes 5",
    predict_verb="rate",
    predict_writes="perplexity and text",
    networks=TRANSFORMER,
    networks_help="transformer",
    with_cell={"network.network": "recurrent"},
    exports=True,
    next_verb="generate",
    reads_once=False,
    verbs=("generate",),
)
