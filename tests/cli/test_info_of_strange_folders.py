"""`unspool info` says whether a folder is absent, unreadable or damaged, and prints nothing that acts on a terminal."""

import json
import os
import shutil

import pytest

from unspool.tasks.running.model_folder import RECORD


@pytest.fixture
def folder(models, tmp_path):
    shutil.copytree(models / "classifier", tmp_path / "m")
    return tmp_path / "m"


def test_a_folder_that_is_absent(shell, tmp_path):
    assert shell.refuses("info", tmp_path / "m") == f"{tmp_path / 'm'} does not exist"
    (tmp_path / "m").mkdir()
    assert "holds no unspool.json" in shell.refuses("info", tmp_path / "m")


def test_a_record_that_may_not_be_read(shell, folder, monkeypatch):
    unbroken = os.open

    def refusing(path, *rest, **options):
        if str(path).endswith(RECORD):
            raise PermissionError(13, "Permission denied", str(path))
        return unbroken(path, *rest, **options)

    monkeypatch.setattr(os, "open", refusing)
    assert shell.refuses("info", folder) == f"{folder / RECORD} can't be read: Permission denied"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_record_without_permissions(shell, folder):
    (folder / RECORD).chmod(0)
    assert "can't be read: Permission denied" in shell.refuses("info", folder)


@pytest.mark.parametrize(
    ("instead", "part"),
    [
        (lambda path: path.write_bytes(b"\xff" * 99), "is damaged"),
        (lambda path: path.write_text("[" * 100_000), "is damaged"),
        (lambda path: path.symlink_to(path.name), "can't be read"),
        (lambda path: path.mkdir(), "is a folder; expected a file"),
        (lambda path: path.symlink_to("/dev/zero"), "leads out of the model folder"),
        (lambda path: os.mkfifo(path), "is a pipe; expected a file"),
    ],
)
def test_a_record_that_is_none(shell, folder, instead, part):
    (folder / RECORD).unlink()
    instead(folder / RECORD)
    assert part in shell.refuses("info", folder)


def test_commands_of_a_terminal_are_shown_and_not_sent(shell, folder):
    record = json.loads((folder / RECORD).read_text())
    record["network"]["summary"] = "lstm \x1b[2J\x07 of 4"
    record["data"]["train"]["paths"] = ["caf\udce9.tsv"]
    (folder / RECORD).write_text(json.dumps(record))
    said = shell("info", folder).stdout
    assert "lstm \\x1b[2J\\x07 of 4" in said
    assert "caf\\udce9.tsv" in said
    assert "\x1b" not in said
    assert json.loads(shell("info", folder, "--json").stdout)["data"]["train"]["paths"] == ["caf\udce9.tsv"]


def test_a_long_value_is_cut_in_the_middle(shell, folder):
    record = json.loads((folder / RECORD).read_text())
    record["settings"]["network"]["cell"] = "x" * 100_000
    record["settings"]["network"]["pooling"] = "y" * 100_000
    (folder / RECORD).write_text(json.dumps(record))
    said = shell.refuses("info", folder)
    assert len(said) <= 610
    assert said.startswith(f"{folder}/unspool.json: ")
