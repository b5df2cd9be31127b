"""Files of captions: Flickr8k's and Flickr30k's token file with its lists of images, and the JSON of COCO."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unspool.data.files import decode_json, decode_line, name_of, numbered_lines, open_bytes
from unspool.data.forms.form import Form, FormOptions
from unspool.data.rows import Row
from unspool.errors import DataError

__all__ = ["FORMS"]

_TOKEN = re.compile(r"(.+\.\w+)#\d+\t(.*)")
_LIST = re.compile(r".*images\.txt", re.IGNORECASE)


def _is_flickr(path: str, options: FormOptions) -> bool:
    """Return whether a file holds lines as `one.jpg#0<TAB>caption`, or names of images with such a file beside it."""
    if not path.lower().endswith((".txt", ".token")):
        return False
    if _LIST.fullmatch(Path(path).name):
        return _token_file(path) is not None
    try:
        with open_bytes(path) as stream:
            return _TOKEN.fullmatch(stream.readline(4096).decode(errors="replace").rstrip("\r\n")) is not None
    except (DataError, OSError):
        return False


def _token_file(path: str) -> str | None:
    """Return the file of captions beside a list of images."""
    files = sorted(str(each) for each in Path(path).parent.glob("*token*") if each.is_file())
    return files[0] if files else None


def _flickr(path: str, options: FormOptions) -> Iterator[Row | DataError]:
    source, names = path, None
    if _LIST.fullmatch(Path(path).name) and (beside := _token_file(path)) is not None:
        names = {decode_line(raw, path).strip(): number for number, raw in numbered_lines(path) if raw.strip()}
        source = beside
        options.layout.files[name_of(path)] = f"{len(names):,} names of images, with captions from {name_of(beside)}"
    else:
        options.layout.files[name_of(path)] = "captions by image, numbered after #"
    seen = set()
    for number, raw in numbered_lines(source):
        where = f"{name_of(source)}:{number}"
        line = decode_line(raw, where).rstrip("\r\n")
        match = _TOKEN.fullmatch(line)
        if match is None:
            if line.strip():
                yield DataError(f"{line[:40]!r} came; expected an image, #, a number, a tab and a caption", where)
            continue
        image = match[1]
        if names is None or image in names:
            seen.add(image)
            yield Row(where, {"image": image, "caption": match[2]})
    for image, number in (names or {}).items():
        if image not in seen:
            yield DataError(f"there is no caption of {image!r} in {name_of(source)}", f"{path}:{number}")


def _coco(path: str, options: FormOptions) -> Iterator[Row | DataError]:
    with open_bytes(path) as stream:
        content = decode_json(stream.read().decode("utf-8", "replace"), path)
    try:
        files = {each["id"]: str(each["file_name"]) for each in content["images"]}
        annotations: list[Any] = list(content["annotations"])
    except (KeyError, TypeError):
        raise DataError(
            'no captions of COCO: expected "images" with "id" and "file_name", and "annotations"', path
        ) from None
    options.layout.files[name_of(path)] = f"captions of COCO, {len(files):,} images"
    for number, each in enumerate(annotations, 1):
        where = f"{name_of(path)}:{number}"
        try:
            yield Row(where, {"image": files[each["image_id"]], "caption": str(each["caption"])})
        except (KeyError, TypeError):
            yield DataError("no annotation of an image of this file; expected image_id and caption", where)


FORMS = (
    Form(
        name="flickr",
        suffixes=(),
        yields="files",
        help="captions of Flickr8k and Flickr30k: the token file, or a list of images beside it",
        read=_flickr,
        recognises=_is_flickr,
    ),
    Form(name="coco", suffixes=(), yields="rows", help="captions in COCO's JSON", read=_coco),
)
