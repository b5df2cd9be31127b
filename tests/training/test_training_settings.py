import subprocess
import sys

import pytest

from unspool.errors import SettingError
from unspool.settings import describe, make
from unspool.training import TrainingSettings
from unspool.training.settings import refuse_changes


def test_every_setting_says_what_it_is():
    settings = describe(TrainingSettings)
    assert len(settings) > 30
    for setting in settings.values():
        assert setting.help.endswith(".") or setting.help.endswith(")."), setting.name
        assert len(setting.help) > 15, setting.name


def test_settings_are_read_from_flags():
    training = make(
        TrainingSettings, {"clip": "none", "minutes": "1.5", "epochs": "3", "average": "ema", "patience": "4"}
    )
    assert (training.clip, training.minutes, training.epochs, training.average, training.patience) == (
        None,
        1.5,
        3,
        "ema",
        4,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"device": "gpu"},
        {"anneal_factor": 0.5},
        {"average": "tail", "tail": 0.0},
        {"optimizer": "adagrad"},
        {"learning_rate": -1.0},
        {"decay": 1.0},
        {"epochs": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(SettingError, match=next(reversed(wrong))):
        TrainingSettings(**wrong)


def refused(before: dict, now: dict, *allow: str) -> str:
    try:
        refuse_changes(TrainingSettings(**before), TrainingSettings(**now), frozenset(allow))
    except SettingError as error:
        return str(error)
    return ""


def test_where_and_how_long_a_run_goes_may_change():
    now = {"patience": 3, "checkpoint_minutes": 1.0, "device": "cpu", "threads": 2, "epochs": 99, "minutes": 3.0}
    assert not refused({}, now | {"tensorboard": True})
    assert not refused({"schedule": "anneal", "average": "ema"}, {"schedule": "anneal", "average": "ema", "epochs": 3})


@pytest.mark.parametrize("shape", [{"schedule": "cosine"}, {"schedule": "linear"}, {"average": "tail"}])
def test_the_length_may_not_where_it_shapes_the_course(shape):
    assert "epochs = 30 (was 20)" in refused(shape, shape | {"epochs": 30})
    assert "minutes = 1.0 (was None)" in refused(shape, shape | {"minutes": 1.0})
    assert not refused(shape, shape | {"epochs": 30}, "epochs")


def test_what_changes_the_course_is_refused_unless_allowed():
    assert "allow=['learning_rate', 'clip']" in refused({}, {"learning_rate": 1.0, "clip": 3.0})
    assert "learning_rate" not in refused({}, {"learning_rate": 1.0, "clip": 3.0}, "learning_rate")
    assert not refused({}, {"learning_rate": 1.0, "clip": 3.0}, "learning_rate", "clip")


@pytest.mark.parametrize(
    "fixed", [{"seed": 4}, {"batch_tokens": 5}, {"accumulate": 2}, {"optimizer": "sgd"}, {"average": "ema"}]
)
def test_what_the_order_of_the_data_hangs_on_is_always_refused(fixed):
    assert next(iter(fixed)) in refused({}, fixed, *fixed)
    assert "allow" not in refused({}, fixed, *fixed)


def test_every_setting_has_its_place_in_the_rule():
    changed = {
        "plan": False,
        "course": "0:0:0.1",
        "minutes": 2.0,
        "patience": 2,
        "threads": 2,
        "device": "cpu",
        "tensorboard": True,
        "optimizer": "sgd",
        "schedule": "linear",
        "precision": "bfloat16",
        "average": "tail",
    }
    free = {"plan", "epochs", "minutes", "patience", "checkpoint_minutes", "device", "threads", "tensorboard"}
    for setting in describe(TrainingSettings).values():
        if isinstance(setting.default, int) and not isinstance(setting.default, bool):
            value = setting.default + 1
        elif isinstance(setting.default, float):
            value = setting.default / 2 + 0.15
        else:
            value = changed[setting.name]
        assert bool(refused({}, {setting.name: value})) is (setting.name not in free), setting.name


def test_the_settings_come_without_torch():
    code = "import sys, unspool.training.settings; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_the_public_names_are_there():
    import unspool.training

    for name in unspool.training.__all__:
        assert getattr(unspool.training, name).__name__ == name
    with pytest.raises(AttributeError, match="Trainer"):
        _ = unspool.training.Trainer
