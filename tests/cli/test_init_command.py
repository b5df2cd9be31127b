import shlex

import pytest
from command_line import files_in

from unspool.commands import CommandSet
from unspool.samples.assistant import source_files


def test_the_files_are_written_and_the_next_commands_printed(shell, tmp_path):
    folder = tmp_path / "my files"
    lines = shell("init", "assistant", folder).stdout.splitlines()
    assert files_in(folder) == {"commands.py", "pairs.tsv"}
    for name, content in source_files().items():
        assert (folder / name).read_bytes() == content
    assert len(CommandSet.load(folder / "commands.py")) == 6
    pairs, commands = str(folder / "pairs.tsv"), str(folder / "commands.py")
    train, chat = (shlex.split(line) for line in lines[-2:])
    assert train == ["unspool", "train", "answer", pairs, commands, "--out", "my-assistant"]
    assert chat == ["unspool", "chat", "my-assistant", "--commands", commands]


def test_without_a_folder_the_files_go_into_assistant(shell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "unspool train answer assistant/pairs.tsv assistant/commands.py" in shell("init", "assistant").stdout
    assert files_in(tmp_path) == {"assistant", "assistant/commands.py", "assistant/pairs.tsv"}


def test_an_empty_folder_is_taken(shell, tmp_path):
    (tmp_path / "empty").mkdir()
    shell("init", "assistant", tmp_path / "empty")
    assert files_in(tmp_path / "empty") == {"commands.py", "pairs.tsv"}


def test_nothing_is_overwritten(shell, tmp_path):
    (tmp_path / "pairs.tsv").write_text("mine")
    assert "nothing is overwritten" in shell.refuses("init", "assistant", tmp_path, code=2)
    assert "nothing is overwritten" in shell.refuses("init", "assistant", tmp_path / "pairs.tsv", code=2)
    assert files_in(tmp_path) == {"pairs.tsv"}
    assert (tmp_path / "pairs.tsv").read_text() == "mine"


def test_a_folder_that_can_t_be_made_is_one_sentence(shell, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "can't be written" in shell.refuses("init", "assistant", tmp_path / "file" / "x", code=1)


@pytest.mark.parametrize("words", [("init",), ("init", "bot"), ("init", "assistant", "a", "b")])
def test_wrong_usage(shell, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "unspool init --help" in shell.refuses(*words, code=2)
    assert files_in(tmp_path) == set()
