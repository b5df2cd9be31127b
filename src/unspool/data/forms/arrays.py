"""Arrays of images with a file of labels beside them: IDX, the form of MNIST, and NumPy arrays."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unspool.data.files import open_bytes
from unspool.data.forms.form import Form, FormOptions
from unspool.data.rows import Row
from unspool.errors import DataError, option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FORM", "labels_beside", "read_idx"]

_MOST_BYTES = 1 << 36  # of an array
_MOST_PACKED = 1 << 32  # of a compressed one, which is held in memory
_BYTES = 8  # type code of unsigned bytes in an IDX file


def read_idx(path: str) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or `.gz`; a plain file is mapped into memory.

    The header is two zeros, the type (8), the number of dimensions, and each dimension as a big-endian int32.

    Raises:
        DataError: If the file is of another form or type, or holds another number of bytes than its header says.
    """
    import numpy as np

    with open_bytes(path) as stream:
        head = stream.read(4)
        if head[:2] != b"\0\0" or len(head) < 4:
            raise DataError(f"not an IDX file: it begins with {head!r}; expected two zeros, type and dimensions", path)
        if head[2] != _BYTES or not 1 <= head[3] <= 4:
            raise DataError(f"an IDX file of type {head[2]} with {head[3]} dimensions; expected bytes, type 8", path)
        sizes = stream.read(4 * head[3])
        if len(sizes) < 4 * head[3]:
            raise DataError("the IDX file is damaged: its header is cut off", path)
        shape = struct.unpack(f">{head[3]}i", sizes)
        count = math.prod(shape)
        if min(shape) < 0:
            raise DataError(f"the IDX file is damaged: its shape is {shape}", path)
        most = _MOST_PACKED if path.lower().endswith(".gz") else _MOST_BYTES
        if count > most:
            raise DataError(f"its header says {count:,} bytes; expected at most {most >> 30} GiB", path)
        if path.lower().endswith(".gz"):
            content = stream.read(count + 1)
            if len(content) == count:
                return np.frombuffer(content, np.uint8).reshape(shape)
            came = "more" if len(content) > count else f"{len(content):,}"
        else:
            rest = os.fstat(stream.fileno()).st_size - len(head) - len(sizes)
            if rest == count and count:
                return np.memmap(path, np.uint8, "r", len(head) + len(sizes), shape)
            came = f"{rest:,}"
    raise DataError(f"the IDX file is damaged: its header says {count:,} bytes, and {came} follow", path)


def labels_beside(path: str, name: str | None) -> str | None:
    """Return the file of labels of an array of images; None if there is none.

    By the names of MNIST, `images` becomes `labels`, and `idx3` (or `idx4`) becomes `idx1`; `.gz` may differ.

    Args:
        path: The array.
        name: Name of the file of labels, relative to the folder of the array; None: by the names of MNIST.
    """
    place = Path(path)
    if name is not None:
        return str(place.parent / name)
    usual = place.name
    for one, other in (("images", "labels"), ("features", "labels"), ("idx3", "idx1"), ("idx4", "idx1")):
        usual = usual.replace(one, other)
    if usual == place.name:
        return None
    plain = usual.removesuffix(".gz")
    return next((str(each) for each in (place.parent / plain, place.parent / f"{plain}.gz") if each.is_file()), None)


def _recognises(path: str, options: FormOptions) -> bool:
    if path.lower().endswith(".npy"):
        return labels_beside(path, options.labels) is not None
    name = os.path.basename(path).lower()
    if not ("idx" in name or "ubyte" in name) or not os.path.isfile(path):
        return False
    try:
        with open_bytes(path) as stream:
            return stream.read(3) == b"\0\0\x08"
    except DataError:  # of another form, whose reader says what is wrong
        return False


def _rows(path: str, options: FormOptions) -> Iterator[Row | DataError]:
    from unspool.data.images import image_of

    labels_file = labels_beside(path, options.labels)
    if labels_file is None:
        raise DataError(
            f"no file of labels beside the images; expected the same name with 'labels' in place of 'images', or pass "
            f"{option('labels', 'FILE')}",
            path,
        )
    images, labels = _array(path), _labels(labels_file)
    if not 3 <= images.ndim <= 4 and not (images.ndim == 2 and images.dtype.kind == "f"):
        raise DataError(
            f"an array of shape {images.shape} came; expected images, (images, height, width) or (images, height, "
            f"width, channels), or features, (images, features)",
            path,
        )
    if len(images) != len(labels):
        raise DataError(f"{len(images):,} images came with {len(labels):,} labels; expected a label for each", path)
    options.layout.files[path] = f"{images.shape[0]:,} images of {' x '.join(map(str, images.shape[1:]))}"
    options.layout.files[labels_file] = "labels"
    for number, (image, label) in enumerate(zip(images, labels, strict=True), 1):
        where = f"{path}:{number}"
        try:
            yield Row(where, {"image": image_of(image, where), "label": str(label)})
        except DataError as error:
            yield error


def _array(path: str) -> NDArray[Any]:
    from unspool.data.arrays import open_array

    return open_array(path) if path.lower().endswith(".npy") else read_idx(path)


def _labels(path: str) -> list[str]:
    if not os.path.isfile(path):
        raise DataError("no such file of labels", path)
    if path.lower().endswith((".txt", ".csv", ".tsv")):
        with open_bytes(path) as stream:
            return stream.read().decode(errors="replace").split()
    labels = _array(path)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"labels of type {labels.dtype} and shape {labels.shape} came; expected whole numbers, one for each image",
            path,
        )
    return [str(label) for label in labels.tolist()]


FORM = Form(
    name="array",
    suffixes=(),
    yields="files",
    help="an IDX file (as MNIST) or a NumPy array of images, with a file of labels beside it",
    read=_rows,
    recognises=_recognises,
)
