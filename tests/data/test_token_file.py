import errno
import os

import numpy as np
import pytest

from unspool.data import END, TokenFile, Vocabulary, token_array
from unspool.errors import DataError, MachineError

TEXT = "one two\nthree one\n\ntwo"


def pieces():
    yield TEXT[:8]
    yield ""
    yield TEXT[8:]


@pytest.mark.parametrize(("count", "kind"), [(253, np.uint8), (254, np.uint16), (65_600, np.uint32)])
def test_smallest_type_that_holds_the_ids(count, kind, tmp_path):
    words = [f"w{number}" for number in range(count)]
    vocabulary = Vocabulary.learn([words], units="blank")
    file = TokenFile.write(tmp_path / "t.npy", [" ".join(words) + "\n"], vocabulary)
    assert file.tokens.dtype == kind
    assert isinstance(file.tokens, np.memmap)
    assert file.tokens.tolist() == [*(vocabulary.id(word) for word in words), END]


@pytest.mark.parametrize("units", ["blank", "character", "bpe"])
def test_file_and_array_hold_the_same(units, tmp_path):
    vocabulary = Vocabulary.learn([TEXT], units=units)
    file = TokenFile.write(tmp_path / "deep" / "t.npy", pieces(), vocabulary)
    array = token_array(pieces(), vocabulary)
    assert np.array_equal(TokenFile(file.path).tokens, array)
    expected = TEXT + "\n" if units == "blank" else TEXT
    assert vocabulary.decode(array) == expected
    assert (array.tolist().count(END) == 4) == (units == "blank")


def test_nothing_is_left_where_writing_fails(tmp_path, monkeypatch):
    vocabulary = Vocabulary.learn([TEXT], units="blank")
    path = tmp_path / "t.npy"
    before = TokenFile.write(path, [TEXT], vocabulary).tokens.tolist()

    def stops():
        yield TEXT
        raise DataError("stopped")

    with pytest.raises(DataError, match="stopped"):
        TokenFile.write(path, stops(), vocabulary)
    with pytest.raises(DataError, match="holds no token"):
        TokenFile.write(path, ["", ""], vocabulary)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match="No space left"):
        TokenFile.write(path, [TEXT], vocabulary)
    assert os.listdir(tmp_path) == ["t.npy"]
    assert TokenFile(path).tokens.tolist() == before


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "t.npy"
    with pytest.raises(DataError, match="no such file"):
        TokenFile(path)
    path.write_bytes(b"text")
    with pytest.raises(DataError, match="not a token file"):
        TokenFile(path)
    np.save(path, np.zeros((2, 2)))
    with pytest.raises(DataError, match="expected a list of unsigned integers"):
        TokenFile(path)
    whole = TokenFile.write(path, [TEXT], Vocabulary.learn([TEXT], units="blank")).path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(DataError, match="not a token file"):
        TokenFile(path)


def test_ids_beyond_the_vocabulary_are_damage(tmp_path):
    np.save(tmp_path / "tokens.npy", np.array([1, 2, 250], np.uint8))
    assert TokenFile(tmp_path / "tokens.npy", 251).tokens.tolist() == [1, 2, 250]
    with pytest.raises(DataError, match="damaged: id 250 with 250 units"):
        TokenFile(tmp_path / "tokens.npy", 250)


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04" + b"\0" * 99, b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', ((((", b"\xff" * 99]
)
def test_other_bytes_are_no_token_file(tmp_path, content):
    (tmp_path / "tokens.npy").write_bytes(content)
    with pytest.raises(DataError, match="not a token file"):
        TokenFile(tmp_path / "tokens.npy")


def test_a_link_out_of_the_folder_is_no_token_file(tmp_path):
    (tmp_path / "training").mkdir()
    np.save(tmp_path / "outside.npy", np.array([1], np.uint8))
    (tmp_path / "training" / "tokens.npy").symlink_to(tmp_path / "outside.npy")
    with pytest.raises(DataError, match="leads out of the model folder"):
        TokenFile(tmp_path / "training" / "tokens.npy")
