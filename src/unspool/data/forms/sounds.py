"""Sound files and feature files: a file is one example, and the name of its folder is the label."""

from __future__ import annotations

from unspool.data.forms.form import Form, file_rows
from unspool.data.sound_names import SOUND_SUFFIXES

__all__ = ["FORM"]

FORM = Form(
    name="sound",
    suffixes=SOUND_SUFFIXES,
    yields="files",
    help="sound or feature files, one example each, in a folder for each label",
    read=file_rows("audio", "sounds"),
)
