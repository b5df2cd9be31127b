"""Settings: checked when made, set by dotted or short name, written as recipes, and refused in sentences."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Literal

import pytest

from unspool.errors import SettingError, for_command_line, option
from unspool.settings import (
    Fraction,
    NonNegativeInt,
    Positive,
    PositiveInt,
    Settings,
    aliases_of,
    describe,
    from_record,
    make,
    nearest,
    read_recipe,
    to_record,
    write_recipe,
)


class Inner(Settings):
    """A group."""

    epochs: PositiveInt = 20
    """How often the data
    is read."""
    rate: Positive = 0.1
    """Size of a step."""
    minutes: float | None = None
    """When to stop."""
    size: NonNegativeInt = 3
    """One of two settings of this name."""


class Outer(Settings):
    """A group with a group in it."""

    training: Inner = Inner(epochs=7)
    size: PositiveInt = 4
    """The other setting of this name."""
    kind: Literal["lstm", "gru"] = "lstm"
    """Which."""
    dropout: Fraction = 0.25
    """Share."""
    name: str = "no name"
    """A word."""
    deep: bool = False
    """Yes or no."""
    widths: tuple[int, ...] = ()
    """Several numbers."""

    def check(self) -> None:
        if self.deep and self.kind == "gru":
            raise SettingError("deep and kind contradict each other")


class Part(Settings):
    """A group that refuses with a flag or an argument."""

    size: int = 0

    def check(self) -> None:
        if self.size:
            raise SettingError(f"take {option('size', 0)}")


class Whole(Settings):
    """A group with that group in it."""

    part: Part = Part()


class Wide(Inner):
    """A group that adds to another."""

    width: PositiveInt = 5
    """Its own."""


def test_every_setting_is_described_in_the_order_written():
    known = describe(Outer)
    assert list(known) == [
        *("training.epochs", "training.rate", "training.minutes", "training.size"),
        *("size", "kind", "dropout", "name", "deep", "widths"),
    ]
    epochs = known["training.epochs"]
    assert (epochs.default, epochs.help, epochs.short) == (7, "How often the data is read.", "epochs")
    assert known["kind"].choices == ("lstm", "gru")
    assert known["size"].choices == ()
    assert list(describe(Wide)) == ["epochs", "rate", "minutes", "size", "width"]
    assert describe(Wide)["rate"].help == "Size of a step."


def test_settings_are_made_by_dotted_and_by_short_name_from_text_or_values():
    made = make(Outer, {"training.epochs": "3", "rate": 1, "kind": "gru", "deep": "false", "minutes": "2.5"})
    assert made == Outer(training=Inner(epochs=3, rate=1.0, minutes=2.5), kind="gru")
    assert make(Outer, {"training.size": 9}) == Outer(training=Inner(epochs=7, size=9))
    assert make(Outer, {"training.minutes": "none"}, base=made).training.minutes is None
    assert make(Outer, {"name": "12"}).name == "12"
    assert make(Outer, {"widths": (3, 4)}).widths == (3, 4)
    assert made.replace(epochs=5).training == Inner(epochs=5, rate=1.0, minutes=2.5)
    assert made.training.epochs == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, "there is no setting 'epoch' (did you mean 'epochs'?)"),
        ({"trainings.epochs": 3}, "there is no setting 'trainings.epochs' (did you mean 'training.epochs'?)"),
        ({"zzz": 3}, "there is no setting 'zzz'"),
        ({"training.epochs": "many"}, "training.epochs = 'many': "),
        ({"training.epochs": 0}, "training.epochs: Expected int >= 1"),
        ({"epochs": -2}, "epochs: Expected int >= 1"),
        ({"dropout": 1.0}, "dropout: Expected float < 1.0"),
        ({"kind": "lstn"}, "kind = 'lstn': expected one of lstm, gru (did you mean 'lstm'?)"),
        ({"deep": "yes please"}, "deep = 'yes please': "),
        ({"deep": True, "kind": "gru"}, "deep and kind contradict each other"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_by_name(values, message):
    with pytest.raises(SettingError, match=re.escape(message)):
        make(Outer, values)


def test_a_short_name_of_several_settings_is_refused_with_the_choices():
    class Both(Settings):
        one: Inner = Inner()
        other: Inner = Inner()

    with pytest.raises(
        SettingError, match=re.escape("'epochs' is ambiguous; expected one of one.epochs, other.epochs")
    ):
        make(Both, {"epochs": 3})
    assert make(Both, {"other.epochs": 3}).one.epochs == 20
    assert make(Outer, {"size": 9}) == Outer(size=9)  # a full name wins over another's last part


@pytest.mark.parametrize("value", ["3", 0, None, 2.5, True])
def test_a_constructor_checks_as_well(value):
    with pytest.raises(SettingError, match=f"epochs = {value!r}: Expected int"):
        Inner(epochs=value)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_is_not_finite_is_refused_wherever_it_comes_from(value, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"training.minutes = {value}\n")
    for call in (
        lambda: Inner(minutes=value),
        lambda: make(Outer, {"minutes": value}),
        lambda: make(Outer, {"minutes": str(value)}),
        lambda: from_record(Outer, {"training": {"minutes": value}}),
        lambda: make(Outer, read_recipe(recipe)),
    ):
        with pytest.raises(SettingError, match=f"minutes = {value}: expected a finite number"):
            call()


def test_a_refusal_keeps_both_wordings_in_a_group():
    with pytest.raises(SettingError) as refusal:
        from_record(Whole, {"part": {"size": 3}})
    assert for_command_line(refusal.value.message) == "part: take --size 0"


def test_settings_do_not_change():
    with pytest.raises(AttributeError):
        Inner().epochs = 4
    with pytest.raises(TypeError, match="epoch"):
        Inner(epoch=4)
    with pytest.raises(SettingError, match="contradict"):
        Outer(deep=True, kind="gru")


def test_a_record_goes_there_and_back_and_what_it_lacks_keeps_its_default():
    made = make(Outer, {"epochs": 3, "kind": "gru", "widths": (1, 2)})
    assert from_record(Outer, to_record(made)) == made
    assert from_record(Outer, {"training": {"rate": 0.5}}) == Outer(training=Inner(epochs=7, rate=0.5))
    for record, message in [
        ({"training": {"epoch": 1}}, "there is no setting 'training.epoch' (did you mean 'training.epochs'?)"),
        ({"epochs": 1}, "there is no setting 'epochs' (did you mean 'training.epochs'?)"),
        ({"training": {"epochs": "3"}}, "training.epochs: Expected int, got str"),
        ({"training": 3}, "training"),
    ]:
        with pytest.raises(SettingError, match=re.escape(message)):
            from_record(Outer, record)


def test_a_recipe_goes_there_and_back(tmp_path):
    made = make(Outer, {"epochs": 3, "rate": 1e-3, "name": 'ein "Wort" – ö'})
    path = tmp_path / "recipe.toml"
    path.write_text(write_recipe(made), encoding="utf-8")
    assert make(Outer, read_recipe(path)) == made
    path.write_text('kind = "gru"\ntraining.epochs = 4\n')
    assert read_recipe(path) == {"kind": "gru", "training.epochs": 4}


def test_a_recipe_from_a_pipe(tmp_path, monkeypatch):
    path = tmp_path / "recipe.toml"
    os.mkfifo(path)
    monkeypatch.setattr("unspool.reading.PATIENCE", 0.05)
    with pytest.raises(SettingError, match="nothing was written to this pipe"):
        read_recipe(path)
    monkeypatch.setattr("unspool.reading.PATIENCE", 30)
    threading.Thread(target=path.write_bytes, args=(b"hidden = 3",), daemon=True).start()
    assert read_recipe(path) == {"hidden": 3}


def test_a_recipe_without_end_is_refused():
    with pytest.raises(SettingError, match=r"/dev/zero: larger than 1 MiB; expected a recipe"):
        read_recipe(Path("/dev/zero"))


def test_a_recipe_that_can_t_be_read_is_named(tmp_path):
    with pytest.raises(SettingError, match=r"none\.toml: no such recipe file"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(SettingError, match="a folder; expected a recipe"):
        read_recipe(tmp_path)
    path = tmp_path / "bad.toml"
    for content in (b"epochs 3", b"epochs = \xff"):
        path.write_bytes(content)
        with pytest.raises(SettingError, match=r"bad\.toml: not a TOML recipe"):
            read_recipe(path)


def test_the_nearest_name():
    assert nearest("epoch", ["rate", "epochs"]) == " (did you mean 'epochs'?)"
    assert nearest("zzz", ["rate", "epochs"]) == ""


class Network(Settings):
    """A group with names that other libraries spell otherwise."""

    hidden: PositiveInt = 128
    """Units."""
    layers: PositiveInt = 1
    """Layers."""
    embedding: PositiveInt = 100
    """Width."""
    network: Literal["every-step", "window"] = "window"
    """Which."""


class Model(Settings):
    """A network and its training."""

    network: Network = Network()
    learning_rate: Positive = 0.1
    """Size of a step."""


def test_names_of_other_libraries_are_accepted_and_recorded_under_the_setting_s_own():
    made = make(Model, {"hidden_size": 7, "network.num-layers": "3", "lr": 0.5})
    assert to_record(made) == {
        "network": {"hidden": 7, "layers": 3, "embedding": 100, "network": "window"},
        "learning_rate": 0.5,
    }
    assert make(Model, {"hidden": 7, "hidden_size": 7}).network.hidden == 7
    with pytest.raises(
        SettingError, match="hidden and hidden_size are names of the same setting but have different values; pass one"
    ):
        make(Model, {"hidden": 7, "hidden_size": 8})
    assert make(Model, {"hidden": 7, "network.hidden": 8}).network.hidden == 8  # the last one counts
    with pytest.raises(SettingError, match=r"there is no setting 'network\.hidden_size'"):
        from_record(Model, {"network": {"hidden_size": 7}})
    with pytest.raises(SettingError, match=r"there is no setting 'hidden_size'"):
        make(Inner, {"hidden_size": 7})


def test_an_alias_gives_way_to_a_setting_of_that_name():
    class Own(Settings):
        hidden: PositiveInt = 1
        """One."""
        hidden_size: PositiveInt = 2
        """Other."""

    assert make(Own, {"hidden_size": 7}) == Own(hidden=1, hidden_size=7)
    assert aliases_of("hidden", Own) == []
    assert aliases_of("hidden", Network) == ["hidden_size"]
    assert aliases_of("embedding", Network) == []


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("n_layers", "(did you mean 'layers'?)"),
        ("embedding_dim", "(did you mean 'embedding'?)"),
        ("dim", "(did you mean 'hidden'?)"),
        ("network.d_model", "(did you mean 'hidden'?)"),
        ("batch_first", "'batch_first': tensors are time first, (time, batch, features)"),
        ("hiden", "(did you mean 'hidden'?)"),
    ],
)
def test_other_names_of_other_libraries_are_answered_with_the_setting_s(name, answer):
    with pytest.raises(SettingError, match=re.escape(f"there is no setting {name!r}")) as caught:
        make(Model, {name: 3})
    assert answer in str(caught.value)


def test_a_choice_may_be_written_in_any_case():
    assert make(Outer, {"kind": "GRU"}).kind == "gru"
    assert make(Model, {"network.network": "Every_Step"}).network.network == "every-step"
