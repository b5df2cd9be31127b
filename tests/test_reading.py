"""Files of a model folder: what is opened, and what is refused before a byte is read."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import msgspec
import pytest

from unspool.errors import ModelFolderError
from unspool.reading import RECORD, open_file, open_regular, read_file, read_json, read_part

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")


@pytest.fixture
def folder(tmp_path):
    """A model folder with one file in it, and a file outside."""
    (tmp_path / "secret").write_text("outside")
    model = tmp_path / "model"
    (model / "vocabulary").mkdir(parents=True)
    (model / RECORD).write_text("{}")
    (model / "vocabulary" / "labels.json").write_text("[1]")
    return model


def test_a_file_is_read(folder):
    path = folder / "vocabulary" / "labels.json"
    assert read_part(path) == b"[1]"
    assert read_json(path, list[int], "the list") == [1]
    with open_file(path) as file:
        assert file.read() == b"[1]"


def test_a_relative_folder_is_read(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert read_part(Path("vocabulary/labels.json")) == b"[1]"
    assert read_part(Path(RECORD)) == b"{}"


def _labels(folder):
    path = folder / "vocabulary" / "labels.json"
    path.unlink()
    return path


REFUSED = {
    "a link out of the folder": (
        lambda path: path.symlink_to(path.parents[2] / "secret"),
        "leads out of the model folder",
    ),
    "a link to an endless file": (lambda path: path.symlink_to("/dev/zero"), "leads out of the model folder"),
    "a loop": (lambda path: path.symlink_to(path.name), "can't be read"),
    "a folder": (lambda path: path.mkdir(), "is a folder; expected a file"),
    "a pipe": (lambda path: os.mkfifo(path), "is a pipe; expected a file"),
    "nothing": (lambda path: None, "the file is missing"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "the file is missing"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_file_of_the_folder_is_refused(folder, what):
    replace, part = REFUSED[what]
    path = _labels(folder)
    replace(path)
    with pytest.raises(ModelFolderError, match=part) as caught:
        read_part(path)
    assert str(path) in str(caught.value)


def test_a_socket_is_refused(folder, monkeypatch):
    path = _labels(folder)
    monkeypatch.chdir(path.parent)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
        with pytest.raises(ModelFolderError, match=r"labels\.json"):
            read_part(path)


def test_a_link_that_stays_inside_is_followed(folder):
    path = _labels(folder)
    (folder / "generation-2").mkdir()
    (folder / "generation-2" / "labels.json").write_text("[2]")
    path.symlink_to("../generation-2/labels.json")
    assert read_part(path) == b"[2]"


def test_a_model_folder_may_be_a_link_itself(folder, tmp_path):
    (tmp_path / "latest").symlink_to(folder)
    assert read_part(tmp_path / "latest" / "vocabulary" / "labels.json") == b"[1]"


def test_a_part_of_the_folder_that_lies_elsewhere_is_refused(folder, tmp_path):
    (folder / "vocabulary").rename(tmp_path / "elsewhere")
    (folder / "vocabulary").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelFolderError, match="leads out of the model folder"):
        read_part(folder / "vocabulary" / "labels.json")


def test_a_file_of_unreasonable_size_is_refused_before_it_is_read(folder):
    path = folder / "vocabulary" / "labels.json"
    os.truncate(path, 1 << 36)
    with pytest.raises(ModelFolderError, match="has 68,719,476,736 bytes, expected at most 268,435,456"):
        read_part(path)
    path.write_bytes(b"12345")
    assert read_file(path, most=5) == b"12345"
    with pytest.raises(ModelFolderError, match="has 5 bytes, expected at most 4"):
        read_file(path, most=4)


def test_a_file_that_may_not_be_read_says_so(folder, monkeypatch):
    unbroken = os.open

    def refusing(path, flags, *rest):
        if str(path).endswith("labels.json"):
            raise PermissionError(13, "Permission denied", str(path))
        return unbroken(path, flags, *rest)

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(ModelFolderError, match=r"labels\.json can't be read: Permission denied"):
        read_part(folder / "vocabulary" / "labels.json")


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"\xff" * 100, b'["\\ud800"]', b"[1", b'{"a": 1}', b"[1e999]", b""]
)
def test_json_that_is_none_or_of_another_kind(folder, content):
    path = folder / "vocabulary" / "labels.json"
    path.write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"labels\.json: the list is damaged: "):
        read_json(path, list[int], "the list")


def test_json_is_checked_against_a_struct(folder):
    class Shape(msgspec.Struct):
        labels: list[str]

    path = folder / "vocabulary" / "labels.json"
    path.write_text('{"labels": ["a"]}')
    assert read_json(path, Shape, "the list").labels == ["a"]


def test_a_file_that_a_person_names_may_lie_anywhere_and_must_be_one(folder, tmp_path):
    (folder / "trace").symlink_to(tmp_path / "secret")
    assert read_file(folder / "trace", open_it=open_regular) == b"outside"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFolderError, match="is a pipe"):
        open_regular(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")
