"""Image files: a file is one example, and the name of its folder is the label."""

from __future__ import annotations

from unspool.data.forms.form import Form, file_rows
from unspool.data.image_names import IMAGE_SUFFIXES

__all__ = ["FORM"]

FORM = Form(
    name="image",
    suffixes=IMAGE_SUFFIXES,
    yields="files",
    help="image files, one example each, in a folder for each label",
    read=file_rows("image", "images"),
)
