"""Whatever goes wrong: one sentence, the right exit code, nothing half-written, nothing lost."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import SMALL, SMALL_TAGGER, files_in, write_columns, write_reviews

from unspool import load

GOOD = "text\tlabel\nfine film\tgood\ndull film\tbad\nvery fine\tgood\nvery dull\tbad\n"


def write(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


BAD_DATA = {
    "missing": (None, [], ["a.tsv: no such file"]),
    "empty": ("", [], ["a.tsv: the file is empty"]),
    "only a header": ("text\tlabel\n", [], ["a.tsv"]),
    "wrong column": (GOOD, ["--text", "sentence"], ["'sentence'", "text, label"]),
    "wrong column number": (GOOD, ["--label", "7"], ["7", "text, label"]),
    "not UTF-8": (GOOD.encode() + b"caf\xe9\tgood\n", [], ["a.tsv:6: byte 0xE9", "not UTF-8", "iconv"]),
    "UTF-16": (GOOD.encode("utf-16"), [], ["UTF-16", "iconv"]),
    "too few cells": (GOOD + "no label here\n", [], ["a.tsv:6:", "expected 2"]),
    "a text of length zero": (GOOD + "\tgood\n", [], ["a.tsv:6: column 'text' is empty"]),
    "a label of length zero": (GOOD + "fine\t\n", [], ["a.tsv:6: column 'label' is empty"]),
    "one label only": ("text\tlabel\na\tx\nb\tx\nc\tx\nd\tx\n", [], ["1 label", "two or more"]),
    "unknown form": (GOOD, ["--format", "tsvv"], ["'tsvv'", "did you mean 'tsv'?"]),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_for_a_classifier(shell, tmp_path, name):
    content, flags, parts = BAD_DATA[name]
    path = tmp_path / "a.tsv"
    if content is not None:
        write(path, content)
    said = shell.refuses("train", "classify", path, "--out", tmp_path / "m", *SMALL, *flags, "--quiet")
    for part in parts:
        assert part in said
    assert not (tmp_path / "m").exists()


BAD_COLUMNS = {
    "too few columns": ("a\tX\nb\n", [], ["a.conll:2: 1 column, expected 2"]),
    "too many columns": ("a X\nb Y Z\n", [], ["a.conll:2: 3 columns, expected 2"]),
    "no such column": ("a\tX\nb\tY\n", ["--tags", "3"], ["3", "1, 2"]),
    "not UTF-8": (b"a\tX\nb\xff\tY\n", [], ["a.conll:2: byte 0xFF"]),
    "nothing but blank lines": ("\n\n\n", [], ["a.conll"]),
}


@pytest.mark.parametrize("name", BAD_COLUMNS)
def test_bad_data_for_a_tagger(shell, tmp_path, name):
    content, flags, parts = BAD_COLUMNS[name]
    path = write(tmp_path / "a.conll", content)
    said = shell.refuses("train", "tag", path, "--out", tmp_path / "m", *SMALL_TAGGER, *flags, "--quiet")
    for part in parts:
        assert part in said
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("content", ["", b"abc\xffdef\n", "a"], ids=["empty", "not UTF-8", "one character"])
def test_bad_text_for_a_language_model(shell, tmp_path, content):
    path = write(tmp_path / "a.txt", content)
    said = shell.refuses("train", "write", path, "--out", tmp_path / "m", *SMALL, "--quiet")
    assert "a.txt" in said
    assert not (tmp_path / "m").exists()


def test_bad_lines_are_left_out_and_counted_when_asked(shell, tmp_path):
    path = write(tmp_path / "a.tsv", (GOOD * 4).replace("text\tlabel\n", "") + "\tgood\nno label\n")
    done = shell("train", "classify", path, "--out", tmp_path / "m", *SMALL, "--skip-bad")
    assert "left out 2 bad examples" in done.stderr


def test_a_label_in_validation_that_was_never_seen(shell, tmp_path):
    train = write_reviews(tmp_path / "train.tsv")
    valid = write(tmp_path / "valid.tsv", GOOD + "hm\tgoood\n")
    words = ["train", "classify", train, "--valid", valid, "--out", tmp_path / "m", *SMALL]
    said = shell.refuses(*words, "--quiet")
    for part in ("valid.tsv:6", "'goood'", "did you mean 'good'?"):
        assert part in said
    assert not (tmp_path / "m").exists()
    assert "left out 1 bad" in shell(*words, "--skip-bad").stderr


def test_one_text_far_longer_than_the_rest(shell, tmp_path):
    path = write(tmp_path / "a.tsv", GOOD + "film " * 5000 + "\tgood\n" + "dull film\tbad\n" * 5)
    shell("train", "classify", path, "--out", tmp_path / "m", *SMALL, "--batch-tokens", "64")
    answer = shell("predict", tmp_path / "m", stdin="fine " * 20_000 + "\nfine\n").stdout
    assert len(answer.splitlines()) == 2
    columns = write(tmp_path / "a.conll", "a\tX\n" * 3000 + "\na\tX\nb\tY\n" * 9)
    shell("train", "tag", columns, "--out", tmp_path / "t", *SMALL_TAGGER, "--batch-tokens", "64")


def test_fewer_examples_than_a_batch(shell, tmp_path):
    words = ["train", "classify", write(tmp_path / "a.tsv", GOOD), "--out", tmp_path / "m", *SMALL]
    assert "1 update of 1 epoch, on" in shell(*words, "--valid", tmp_path / "a.tsv").stderr


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_examples_to_hold_one_out(shell, tmp_path, count):
    path = write_columns(tmp_path / "a.conll", count)
    outcome = shell("train", "tag", path, "--out", tmp_path / "m", *SMALL_TAGGER, code=None)
    assert outcome.exit_code == (count == 1)
    if count == 1:
        assert "1 example can't be split" in outcome.stderr
        assert not (tmp_path / "m").exists()


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def changed(folder, **values):
    path = folder / "unspool.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def with_setting(folder, group, name, value):
    record = json.loads((folder / "unspool.json").read_text())
    record["settings"][group][name] = value
    (folder / "unspool.json").write_text(json.dumps(record))


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def pickled(folder):
    import torch

    torch.save({"weight": Trap(folder / "mark")}, folder / "model.safetensors")


def own_code(folder):
    (folder / "evil.py").write_text(f"open({str(folder / 'mark')!r}, 'w')\n")
    with_setting(folder, "network", "cell", f"{folder / 'evil.py'}:Cell")


BAD_FOLDERS = {
    "not there": (lambda m: shutil.rmtree(m), ["does not exist"]),
    "a file": (lambda m: (shutil.rmtree(m), m.write_text("x")), ["is a file"]),
    "no record": (lambda m: (m / "unspool.json").unlink(), ["holds no unspool.json"]),
    "a record cut short": (lambda m: truncated(m / "unspool.json"), ["unspool.json is damaged"]),
    "a record of something else": (lambda m: (m / "unspool.json").write_text("[1]"), ["unspool.json is damaged"]),
    "a record nested without end": (lambda m: (m / "unspool.json").write_text("[" * 100_000), ["damaged"]),
    "weights cut short": (lambda m: truncated(m / "model.safetensors"), ["model.safetensors", "damaged"]),
    "no weights": (lambda m: (m / "model.safetensors").unlink(), ["no weights", "--resume"]),
    "a vocabulary cut short": (lambda m: truncated(m / "vocabulary" / "vocabulary.json"), ["vocabulary"]),
    "no labels": (lambda m: (m / "vocabulary" / "labels.json").unlink(), ["labels"]),
    "newer": (lambda m: changed(m, format=99), ["newer Unspool", "pip install --upgrade"]),
    "a newer task": (lambda m: changed(m, task="divine"), ["'divine'"]),
    "a newer setting": (lambda m: with_setting(m, "network", "flux", 1), ["network.flux"]),
    "another size": (lambda m: with_setting(m, "network", "hidden", 5), ["has shape", "settings say"]),
    "a network without end": (lambda m: with_setting(m, "network", "hidden", 10**9), ["at most"]),
    "pickled weights": (pickled, ["model.safetensors", "damaged"]),
    "code of its own": (own_code, ["executes its code", "--cell"]),
}


@pytest.mark.parametrize("verb", ["predict", "evaluate", "inspect"])
@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_bad_model_folders(shell, tmp_path, models, name, verb):
    spoil, parts = BAD_FOLDERS[name]
    folder = tmp_path / "m"
    shutil.copytree(models / "classifier", folder)
    spoil(folder)
    before = files_in(tmp_path)
    words = {"predict": ["-"], "evaluate": [models / "test.tsv"], "inspect": ["fine film"]}[verb]
    said = shell.refuses(verb, folder, *words, stdin="fine\n")
    for part in parts:
        assert part in said
    assert files_in(tmp_path) == before, "something was run or written"


@pytest.mark.parametrize("words", [("info",), ("train", "--resume")], ids=" ".join)
def test_settings_of_a_newer_version(shell, tmp_path, models, words):
    folder = tmp_path / "m"
    shutil.copytree(models / "classifier", folder)
    with_setting(folder, "network", "flux", 1)
    said = shell.refuses(*words, folder)
    assert said.startswith(f"{folder}/unspool.json: ")
    assert "network.flux" in said


@pytest.mark.parametrize(
    "name", ["not there", "no record", "a record cut short", "newer", "a newer task", "code of its own"]
)
def test_bad_folders_to_go_on_with(shell, tmp_path, models, name):
    folder = tmp_path / "m"
    shutil.copytree(models / "classifier", folder)
    BAD_FOLDERS[name][0](folder)
    before = files_in(tmp_path)
    said = shell.refuses("train", "--resume", folder, "--quiet")
    assert BAD_FOLDERS[name][1][0] in said
    assert files_in(tmp_path) == before


def test_a_checkpoint_cut_short(shell, tmp_path, models):
    folder = tmp_path / "m"
    shutil.copytree(models / "classifier", folder)
    truncated(folder / "training" / "checkpoint.safetensors")
    said = shell.refuses("train", "--resume", folder, "--epochs", "2", "--quiet")
    assert "checkpoint.safetensors" in said
    shell("predict", folder, stdin="fine\n")


def test_a_folder_in_use_is_not_overwritten(shell, tmp_path, models):
    (tmp_path / "letters").mkdir()
    write(tmp_path / "letters" / "a.txt", "dear")
    words = ["train", "classify", models / "train.tsv", *SMALL, "--quiet", "--out"]
    assert "nothing is overwritten" in shell.refuses(*words, tmp_path / "letters", code=2)
    assert "is a file" in shell.refuses(*words, tmp_path / "letters" / "a.txt", code=2)
    assert files_in(tmp_path) == {"letters", "letters/a.txt"}


def weights_of(folder):
    return {name: tensor.numpy() for name, tensor in load(folder).model.state_dict().items()}


def assert_same_weights(one, other):
    one, other = weights_of(one), weights_of(other)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert np.array_equal(tensor, other[name]), name


def test_a_disk_that_fills_during_a_checkpoint(shell, tmp_path, models, monkeypatch):
    from unspool.training import checkpoint

    words = ["train", "classify", models / "train.tsv", *SMALL, "--epochs", "3"]
    shell(*words, "--out", tmp_path / "whole")
    writes = []
    unbroken = checkpoint._write_tensors

    def filling(file, tensors, record):
        writes.append(file.name)
        if len(writes) == 4:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        unbroken(file, tensors, record)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_write_tensors", filling)
        said = shell.refuses(*words, "--out", tmp_path / "m", "--quiet")
    assert "the disk is full" in said
    assert "resume" in said
    assert not [name for name in files_in(tmp_path / "m") if name.endswith(".partial")]
    shell("train", "--resume", tmp_path / "m")
    assert_same_weights(tmp_path / "whole", tmp_path / "m")


def test_a_loss_that_is_no_longer_a_number(shell, tmp_path, models):
    words = ["train", "classify", models / "train.tsv", "--out", tmp_path / "m", *SMALL, "--quiet"]
    said = shell.refuses(*words, "--optimizer", "sgd", "--learning-rate", "1e36", "--clip", "none", "--batch-size", "2")
    assert re.search(r"update \d+", said)
    assert "try a lower learning_rate" in said
    assert not (tmp_path / "m").exists()


WRONG_CELL = """
from typing import NamedTuple
import torch
from unspool import Cell

class State(NamedTuple):
    h: torch.Tensor

class Wrong(Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size=input_size, hidden_size=hidden_size)
        self.weight = self.parameter(hidden_size, input_size)

    def initial_state(self, batch_size):
        return State(self.weight.new_zeros(batch_size, self.hidden_size))

    def step(self, x, state):
        h = torch.tanh(x @ self.weight.T)
        return h, State(h[:, :-1])
"""


def test_a_cell_whose_step_returns_the_wrong_shape(shell, tmp_path, models):
    path = write(tmp_path / "wrong.py", WRONG_CELL)
    words = ["train", "classify", models / "train.tsv", "--out", tmp_path / "m", *SMALL, "--quiet"]
    said = shell.refuses(*words, "--cell", f"{path}:Wrong", "--batch-size", "2")
    for part in ("Wrong", "(2, 3)", "(2, 4)"):
        assert part in said
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("content", "part"),
    [("class Wrong:\n    pass\n", "is not a cell"), ("1 / 0\n", "ZeroDivisionError"), ("def (:\n", "SyntaxError")],
)
def test_a_file_that_holds_no_cell(shell, tmp_path, models, content, part):
    path = write(tmp_path / "wrong.py", content)
    words = ["train", "classify", models / "train.tsv", "--out", tmp_path / "m", *SMALL, "--quiet"]
    assert part in shell.refuses(*words, "--cell", f"{path}:Wrong")
    assert not (tmp_path / "m").exists()


def test_an_unknown_setting(shell, tmp_path, models):
    words = ["train", "classify", models / "train.tsv", "--out", tmp_path / "m"]
    assert "did you mean --hidden?" in shell.refuses(*words, "--hiden", "4", code=2)
    recipe = write(tmp_path / "r.toml", "[network]\nhiden = 4\n")
    assert "did you mean 'network.hidden'?" in shell.refuses(*words, "--recipe", recipe, code=2)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("text", ["", "  ", "bad \udcff byte"])
def test_nothing_to_inspect(shell, models, text):
    assert shell.refuses("inspect", models / "classifier", text, code=2)


def test_a_device_that_is_not_there(shell, tmp_path, models):
    assert "has 0 xpu" in shell.refuses("predict", models / "classifier", "--device", "xpu", stdin="a\n")
    assert "expected" in shell.refuses("predict", models / "classifier", "--device", "gpu", stdin="a\n", code=2)


def test_debug_shows_where_it_went_wrong(tmp_path):
    from click.testing import CliRunner

    from unspool.cli import unspool

    outcome = CliRunner().invoke(unspool, ["info", str(tmp_path), "--debug"])
    assert outcome.exit_code == 1
    assert "Traceback" in outcome.stderr
    assert "ModelFolderError" in outcome.stderr


def test_what_nobody_foresaw_is_one_line_too(shell, models, monkeypatch):
    from unspool.tasks import Classifier

    def fail(self, texts):
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(Classifier, "predict", fail)
    said = shell.refuses("predict", models / "classifier", stdin="a\n")
    assert "ZeroDivisionError: by" in said
    assert "--debug" in said


def command(*words, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "unspool", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_ctrl_c_saves_and_says_how_to_go_on(shell, tmp_path, models):
    words = ["train", "classify", models / "train.tsv", *SMALL, "--batch-size", "1", "--no-baselines"]
    told = []
    with command(*words, "--epochs", "2000", "--out", tmp_path / "m", start_new_session=True) as process:
        for line in process.stderr:
            told.append(line)
            if line.startswith("epoch 2"):
                break
        process.send_signal(signal.SIGINT)
        told += process.stderr.readlines()
        assert process.wait(timeout=60) == 130, told
    assert told[-1].startswith("unspool: stopped; all is saved up to update ")
    assert told[-1].endswith(f"go on with: unspool train --resume {tmp_path / 'm'}\n")
    assert "Traceback" not in "".join(told)
    done = int(re.search(r"update (\d+)", told[-1]).group(1))
    epochs = done // 36 + 2
    shell("train", "--resume", tmp_path / "m", "--epochs", epochs)
    shell(*words, "--epochs", epochs, "--out", tmp_path / "whole")
    assert_same_weights(tmp_path / "whole", tmp_path / "m")


def test_a_reader_that_goes_away(models):
    with command("generate", models / "writer", "--length", "100000", "--seed", "1") as process:
        assert process.stdout.read(3)
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 1


def test_ctrl_c_while_nothing_is_at_stake(shell, models, monkeypatch):
    from unspool.tasks import LanguageModel

    def stream(self, prompt, **options):
        yield "a"
        raise KeyboardInterrupt

    monkeypatch.setattr(LanguageModel, "stream", stream)
    outcome = shell("generate", models / "writer", "--prompt", "b", code=130)
    assert outcome.stdout == "ba"
    assert outcome.stderr.strip() == "unspool: stopped by ctrl-C"


def test_ctrl_c_in_a_comparison_keeps_what_is_finished(shell, models, monkeypatch):
    from unspool.errors import Interrupted
    from unspool.tasks import Classifier

    unbroken = Classifier.fit

    def fit(self, *paths, **options):
        if self.settings.network.cell == "gru":
            raise Interrupted("stopped")
        return unbroken(self, *paths, **options)

    monkeypatch.setattr(Classifier, "fit", fit)
    outcome = shell("compare", "classify", models / "train.tsv", *SMALL, "--networks", "bag,gru,lstm", code=130)
    assert [line.split()[0] for line in outcome.stdout.splitlines()[1:]] == ["bag", "majority", "linear"]
    assert outcome.stderr.endswith("unspool: stopped while gru was trained; 1 of 3 runs were finished before\n")


@pytest.mark.parametrize(("networks", "rows"), [("bag,gru,lstm", ["bag", "gru", "lstm"]), ("gru", [])])
def test_a_network_that_fails_is_counted_and_the_others_go_on(shell, tmp_path, models, monkeypatch, networks, rows):
    from unspool.errors import TrainingError
    from unspool.tasks import Classifier

    unbroken = Classifier.fit

    def fit(self, *paths, **options):
        if self.settings.network.cell == "gru":
            raise TrainingError("the loss is nan")
        return unbroken(self, *paths, **options)

    monkeypatch.setattr(Classifier, "fit", fit)
    out = tmp_path / "t.json"
    words = ["compare", "classify", models / "train.tsv", *SMALL, "--no-baselines", "--networks", networks]
    outcome = shell(*words, "--out", out, code=1)
    assert [line.split()[0] for line in outcome.stdout.splitlines()[1:]] == rows
    assert outcome.stderr.endswith("the loss is nan\n")
    assert out.exists() == bool(rows)
    if rows:
        assert "unspool: 1 of 3 runs failed; the first, gru with seed 1: the loss is nan" in outcome.stderr
        networks = json.loads(out.read_text())["networks"]
        assert [(row["network"], row["runs_failed"]) for row in networks] == [("bag", 0), ("gru", 1), ("lstm", 0)]
        assert outcome.stdout.splitlines()[2].split() == ["gru", "0", "of", "1"]
