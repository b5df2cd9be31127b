import json

import pytest
from click.testing import CliRunner
from command_line import SMALL, files_in, write_reviews

from unspool.cli.flags import SETTINGS, SettingsCommand, chosen_settings, settings_from, settings_options
from unspool.errors import SettingError
from unspool.settings import Settings


def chosen(*words, task="classify"):
    """The settings that flags stand for."""
    found = {}
    options = settings_options(SETTINGS[task])
    command = SettingsCommand("x", params=options, callback=lambda **values: found.update(chosen_settings(values)))
    command.main(list(words), standalone_mode=False)
    return found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--epochs", "7"], {"training.epochs": "7"}),
        (["--training.epochs=7"], {"training.epochs": "7"}),
        (
            ["--network.network", "bag", "--batch-tokens", "64"],
            {"network.network": "bag", "training.batch_tokens": "64"},
        ),
        (
            ["--hidden-size", "7", "--num-layers=2", "--lr", "0.5"],
            {"network.hidden": "7", "network.layers": "2", "training.learning_rate": "0.5"},
        ),
        (["--forget-bias", "-1"], {"network.forget_bias": "-1"}),
        (["--several"], {"several": True}),
        (["--several", "true"], {"several": True}),
        (["--several", "False", "--epochs", "2"], {"several": False, "training.epochs": "2"}),
        (["--no-several"], {"several": False}),
        (["--several=no"], {"several": False}),
        (["--network.bidirectional", "false"], {"network.bidirectional": False}),
        (["--no-network.bidirectional"], {"network.bidirectional": False}),
        (["--skip-bad", "--residual"], {"data.skip_bad": True, "network.residual": True}),
        ([], {}),
    ],
    ids=str,
)
def test_flags_become_dotted_names(words, expected):
    assert chosen(*words) == expected


class Beam(Settings):
    size: int = 5
    """How many are kept."""


class Decoding(Settings):
    beam_search: Beam = Beam()
    longest: int = 9
    """Most units."""


class Odd(Settings):
    decoding: Decoding = Decoding()
    alone: bool = False
    """Stands in no group."""


def test_every_group_of_settings_is_a_section_of_the_help():
    command = SettingsCommand("x", params=settings_options(Odd), context_settings={"terminal_width": 200})
    shown = CliRunner().invoke(command, ["--help"]).stdout
    assert shown.split("Options:")[1].replace("\n\n", "\n").splitlines()[2:] == [
        "Settings:",
        "  --alone / --no-alone  Stands in no group.  [off]",
        "Decoding, beam search (also as --decoding.beam-search.NAME, or in a recipe under [decoding.beam_search]):",
        "  --size NUMBER  How many are kept.  [5]",
        "Decoding (also as --decoding.NAME, or in a recipe under [decoding]):",
        "  --longest NUMBER  Most units.  [9]",
    ]


def test_a_switch_refuses_what_is_neither_true_nor_false():
    with pytest.raises(SettingError, match="--several = 'perhaps': expected true or false"):
        chosen("--several=perhaps")


def test_flags_go_before_the_recipe_and_the_recipe_before_the_base(tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text('several = true\n[training]\nepochs = 3\nlearning_rate = 0.5\n[network]\ncell = "gru"\n')
    base = settings_from(SETTINGS["classify"], None, {"layers": "2", "epochs": "9"})
    made = settings_from(SETTINGS["classify"], recipe, {"training.epochs": "4"}, base)
    assert (made.training.epochs, made.training.learning_rate, made.network.cell) == (4, 0.5, "gru")
    assert (made.network.layers, made.several) == (2, True)


def test_a_wrong_name_in_a_recipe_is_told_with_the_file(tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text("[training]\nepochz = 3\n")
    with pytest.raises(SettingError, match=r"r\.toml: there is no setting 'training.epochz' \(did you mean"):
        settings_from(SETTINGS["tag"], recipe, {})


def test_flags_may_be_written_with_underscores(shell, tmp_path):
    train = write_reviews(tmp_path / "train.tsv")
    shell("train", "classify", train, "--out", tmp_path / "m", *SMALL, "--valid_fraction", "0.25", "--no_baselines")
    record = json.loads((tmp_path / "m" / "unspool.json").read_text())
    assert record["data"]["valid"]["examples"] == 10
    assert record["settings"]["data"]["valid_fraction"] == 0.25
    assert record["baselines"] == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["train", "classify", "x.tsv", "--out", "m", "--epoch", "3"],
            "there is no flag --epoch (did you mean --epochs?)",
        ),
        (["train", "tag", "x.conll", "--out", "m", "--spam", "3"], "there is no flag --spam"),
        (["train", "classify", "x.tsv", "--out", "m", "--epochs", "many"], "training.epochs = 'many'"),
        (["train", "classify", "x.tsv", "--out", "m", "--epochs", "0"], "training.epochs"),
        (["train", "classify", "x.tsv", "--out", "m", "--optimizer", "adamx"], "training.optimizer"),
        (["train", "classify", "x.tsv"], "the flag --out is missing"),
        (["train", "classify", "--out", "m"], "DATA... is missing"),
        (["train", "clasify", "x.tsv"], "there is no task 'clasify' (did you mean 'classify'?)"),
        (["train", "reviews.tsv"], "name the task before the data, as unspool train classify reviews.tsv"),
        (["trian", "classify"], "there is no command 'trian' (did you mean 'train'?)"),
        (["train", "classify", "x.tsv", "--out", "m", "--recipe", "none.toml"], "none.toml: no such recipe"),
        (["compare", "classify", "x.tsv", "--cell", "gru"], "there is no flag --cell"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_usage_exits_with_2_before_anything_is_written(shell, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert said in shell.refuses(*words, code=2)
    assert files_in(tmp_path) == set()


def test_switches_do_not_eat_the_data(shell, tmp_path):
    train = write_reviews(tmp_path / "train.tsv")
    shell("train", "classify", "--lowercase", train, "--out", tmp_path / "m", *SMALL)


def test_click_runner_gives_the_exit_code():
    from unspool.cli import unspool

    assert CliRunner().invoke(unspool, ["train", "--resume", "nowhere"]).exit_code == 1
