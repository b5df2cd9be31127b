"""Settings and command-line help of the task `recommend`: network, histories, evaluation and training."""

from __future__ import annotations

from typing import Literal

from unspool.data.history_names import ITEM_NAMES, TIME_NAMES, USER_NAMES
from unspool.errors import SettingError
from unspool.inputs.network_settings import TRANSFORMER, NetworkSettings
from unspool.settings import Fraction, PositiveInt, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import TableSettings
from unspool.training.settings import TrainingSettings

__all__ = ["ENTRY", "HistoriesSettings", "NextItemNetwork", "RecommenderSettings"]


class NextItemNetwork(NetworkSettings):
    """A network that predicts the next item."""

    network: Literal["recurrent", "transformer", "window"] = "recurrent"
    """Architecture: recurrent (the cell over the history, as GRU4Rec), transformer (causal self-attention, as SASRec),
    or window (feed-forward layers over the last `window` items)."""
    window: PositiveInt = 5
    """Number of items that the network sees (window)."""
    item_dropout: Fraction = 0.0
    """Share of the items of a history that training hides."""
    feature_dropout: Fraction = 0.1
    """Share of the items whose own vectors training hides, so that their features alone rank them (items)."""
    loss: Literal["auto", "full", "sampled"] = "auto"
    """Training loss: full softmax over all items, or sampled softmax with logQ correction. auto: sampled for more than
    20,000 items."""
    negatives: PositiveInt = 1024
    """Number of sampled items per batch (sampled)."""


class HistoriesSettings(TableSettings):
    """Columns of the histories, and what is held out."""

    user: str | None = None
    """Column of the user: a name, or a number from 1. None: by name or content."""
    item: str | None = None
    """Column of the item: a name, or a number from 1. None: by name or content."""
    time: str | None = None
    """Column of the time: a name, or a number from 1. None: by name or content; without one, the file is in order."""
    titles: str | None = None
    """Table of the titles of the items: a column of items and one of titles."""
    items: str | None = None
    """Table of the items: a column of items, one of titles, and any columns of features: categories, numbers, dates,
    words. The model also ranks items of this table that the data lack."""
    users: str | None = None
    """Table of the users: a column of users, and columns of features."""
    min_item_events: PositiveInt = 1
    """Minimum number of events of an item; rarer items are left out."""
    min_user_events: PositiveInt = 2
    """Minimum number of events of a user; shorter histories are left out. Both minima repeat until both hold
    (k-core)."""
    max_history: PositiveInt = 200
    """Most items that the network reads; of a longer history, the last ones."""
    hold_out: Literal["last", "time"] = "last"
    """What is held out of the training data: last (the last item of each history for the test, the one before for
    validation), or time (all events after a date; `valid_fraction` and `test_fraction` are then shares of events)."""
    valid_fraction: Fraction = 0.1
    """Share of the events held out for validation (hold_out = time); with hold_out = last, any share above 0 stands for
    one item of each history. 0: no validation."""
    test_fraction: Fraction = 0.1
    """Share of the events held out for the final test, likewise. 0: no test."""


class RecommenderSettings(Settings):
    """Settings of a recommender."""

    network: NextItemNetwork = NextItemNetwork(
        cell="gru", hidden=128, embedding=128, layers=1, heads=2, feedforward=256
    )
    data: HistoriesSettings = HistoriesSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=30, batch_tokens=4096, batch_size=256, learning_rate=3e-3, patience=5
    )
    k: PositiveInt = 10
    """Length of a list of recommendations."""
    seen: Literal["hide", "rank"] = "hide"
    """Items that are in the history: hide (never recommended; a repeated item then counts as missed), or rank."""
    mix: bool = True
    """Whether to add the scores of a Markov chain and of the nearest neighbours of the items to those of the network,
    with weights that minimise the loss on the validation data."""

    def check(self) -> None:
        """Refuse fractions that leave nothing to train on."""
        if self.data.valid_fraction + self.data.test_fraction >= 1:
            raise SettingError(
                f"valid_fraction = {self.data.valid_fraction:g} and test_fraction = {self.data.test_fraction:g} hold "
                f"everything out; expected a sum below 1"
            )


ENTRY = TaskEntry(
    name="recommend",
    order=35,
    module="recommender",
    task="Recommender",
    answer="Recommendation",
    settings=RecommenderSettings,
    a_model="a recommender",
    summary="Recommendation: predicts the next item of a history of items.",
    data_forms="tables (tsv, csv, jsonl, parquet) with columns of users, items and times, or a history a line",
    sides=("history",),
    columns=(USER_NAMES, ITEM_NAMES, TIME_NAMES),
    train_example="unspool train recommend ratings.csv --out my-recommender",
    compare_example="unspool compare recommend ratings.csv --networks gru,transformer,window --epochs 10",
    predict_verb="continue",
    predict_writes="items with probabilities",
    usual_networks=("gru", "lstm", "transformer"),
    networks={"window": {"network.network": "window"}, **TRANSFORMER},
    networks_help="window for feed-forward layers over the last items, transformer",
    with_cell={"network.network": "recurrent"},
    compared={"mix": False},
    ranks_items=True,
)
