"""A shell, and one small trained model of each task."""

import pytest
from command_line import SMALL, SMALL_TAGGER, SMALL_WRITER, Shell, write_columns, write_reviews, write_text


@pytest.fixture
def shell():
    return Shell()


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder with data and a trained model of each task."""
    folder = tmp_path_factory.mktemp("models")
    shell = Shell()
    write_reviews(folder / "train.tsv")
    write_reviews(folder / "test.tsv", 10, seed=1)
    write_columns(folder / "train.conll")
    write_text(folder / "train.txt")
    shell("train", "classify", folder / "train.tsv", "--out", folder / "classifier", *SMALL)
    shell("train", "tag", folder / "train.conll", "--out", folder / "tagger", *SMALL_TAGGER)
    shell("train", "write", folder / "train.txt", "--out", folder / "writer", *SMALL_WRITER)
    return folder
