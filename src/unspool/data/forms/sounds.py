"""Sound files and feature files: a file is one example, and the name of its folder is the label."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unspool.data.forms.form import Form, FormOptions
from unspool.data.rows import Row
from unspool.data.sound_names import SOUND_SUFFIXES
from unspool.errors import DataError

__all__ = ["FORM"]


def _example(path: str, options: FormOptions) -> Iterator[Row | DataError]:
    folder = Path(path).resolve().parent
    options.layout.files[str(Path(path).parent.parent)] = "sounds, in a folder for each label"
    yield Row(path, {"audio": path, "label": folder.name})


FORM = Form(
    name="sound",
    suffixes=SOUND_SUFFIXES,
    yields="files",
    help="sound or feature files, one example each, in a folder for each label",
    read=_example,
)
