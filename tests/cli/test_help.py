import subprocess
import sys

import pytest
from click.testing import CliRunner

from unspool.cells.names import cell_names
from unspool.cli import unspool
from unspool.cli.flags import SETTINGS
from unspool.cli.main import VERBS
from unspool.settings import describe
from unspool.tasks import TASKS, task_class

HEAVY = ("torch", "numpy", "tokenizers", "rich")


@pytest.mark.parametrize(
    "words",
    [["--help"], ["train", "classify", "--help"], ["compare", "tag", "--help"], ["tune", "write", "--help"], ["trian"]],
)
def test_help_imports_nothing_heavy(words):
    program = (
        "import sys; from unspool.cli import unspool\n"
        f"try: unspool.main({words!r})\n"
        f"except SystemExit: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb):
    shown = CliRunner().invoke(unspool, [verb, "--help"])
    assert shown.exit_code == 0
    assert f"  unspool {verb}" in shown.stdout
    assert "--quiet" in shown.stdout
    assert "--debug" in shown.stdout


def test_the_list_of_verbs_is_the_help():
    shown = " ".join(CliRunner().invoke(unspool, ["--help"]).stdout.split())
    for verb, what in VERBS.items():
        assert f" {verb} {what}" in shown


def test_the_settings_of_each_task_are_those_of_its_class():
    assert {name: task_class(name).settings_type for name in TASKS} == SETTINGS


def test_the_help_lists_every_cell():
    shown = "".join(CliRunner().invoke(unspool, ["train", "classify", "--help"]).stdout.split())
    assert f"Cell:{','.join(cell_names())},oryourown" in shown


@pytest.mark.parametrize("task", SETTINGS)
def test_every_setting_is_a_flag_with_its_help_and_default(task):
    shown = " ".join(CliRunner().invoke(unspool, ["train", task, "--help"]).stdout.split())
    settings = describe(SETTINGS[task]).values()
    shorts = [setting.short for setting in settings]
    for setting in settings:
        name = setting.short if shorts.count(setting.short) == 1 else setting.name
        assert f"--{name.replace('_', '-')} " in shown
    assert "--epochs NUMBER Passes over the training data. " + f"[{SETTINGS[task]().training.epochs}]" in shown
    assert "--optimizer adamw|adam|sgd Update rule" in shown
    assert "Training (also as --training.NAME, or in a recipe under [training]):" in shown


def test_what_verbs_do_is_said_with_every_task():
    def shown(*words):
        return " ".join(CliRunner().invoke(unspool, [*words, "--help"]).stdout.split())

    tasks = (
        "classify, tag, write, recommend, translate, caption, transcribe, forecast, answer, command, read or algorithm"
    )
    assert f"Train a model on your files: {tasks}." in shown()
    assert (
        "Label, tag, rate, continue, translate, caption, transcribe, forecast, answer or parse texts, one per line."
        in shown()
    )
    assert "A classifier writes label, probability and text; a tagger a line" in shown("predict")
    assert "- is stdin (not for a language model, which" in shown("evaluate")
    for entry in TASKS.values():
        assert f"{entry.name} {entry.summary}".replace("  ", " ") in shown("train")
        assert f"DATA: {entry.data_forms}; files" in shown("compare", entry.name)
        assert entry.a_model.lower() in shown("predict").lower()


def test_flags_that_networks_decide_are_left_out_of_compare():
    shown = {task: CliRunner().invoke(unspool, ["compare", task, "--help"]).stdout for task in ("classify", "tag")}
    assert "--network " not in shown["classify"]
    assert "bag for an average of words" in " ".join(shown["classify"].split())
    assert "bag for an average" not in " ".join(shown["tag"].split())
    assert all("--cell " not in text and "--hidden " in text for text in shown.values())


def test_no_words_show_the_help_and_are_wrong_usage():
    shown = CliRunner().invoke(unspool, [])
    assert shown.exit_code == 2
    assert "Commands:" in shown.stderr
    assert shown.stdout == ""


def test_version():
    from unspool import __version__

    assert CliRunner().invoke(unspool, ["--version"]).stdout == f"unspool {__version__}\n"
