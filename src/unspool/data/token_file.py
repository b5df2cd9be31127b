"""Memory-mapped files of token ids for running text, written in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from unspool.data.vocabulary import END, Vocabulary
from unspool.errors import DataError, MachineError, ModelFolderError
from unspool.reading import open_file

__all__ = ["TokenFile", "smallest_type", "token_array"]


class TokenFile:
    """A memory-mapped file of token ids in `.npy` format, in the smallest unsigned type that holds them.

    Args:
        path: Path of the file.
        size: Size of the vocabulary; ids must be below it. None: no check.

    Attributes:
        path: Path of the file.
        tokens: The ids, unsigned integers (tokens,), mapped from the file.

    Raises:
        DataError: If the file is missing, no token file, or has an id outside the vocabulary.
    """

    def __init__(self, path: Path, size: int | None = None) -> None:
        self.path = path
        try:
            with open_file(path):
                self.tokens: NDArray[np.unsignedinteger] = npy.open_memmap(path, mode="r")
        except FileNotFoundError:
            raise DataError("no such file", where=str(path)) from None
        except ModelFolderError as error:
            raise DataError(error.message) from None
        except Exception as error:  # numpy parses the header as Python source and may raise any exception
            raise DataError(f"not a token file: {error}", where=str(path)) from None
        if self.tokens.ndim != 1 or self.tokens.dtype.kind != "u":
            came = f"{self.tokens.dtype} {self.tokens.shape}"
            raise DataError(f"not a token file: expected a list of unsigned integers, got {came}", where=str(path))
        if size is not None and len(self.tokens) and (largest := int(self.tokens.max())) >= size:
            raise DataError(f"damaged: id {largest:,} with {size:,} units; remove the file", where=str(path))

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def write(cls, path: Path, pieces: Iterable[str], vocabulary: Vocabulary) -> TokenFile:
        """Encode running text piece by piece into a file, atomically.

        Args:
            path: Path of the file; an existing file is replaced.
            pieces: The text in pieces that end at a line end, as from `read_text`.
            vocabulary: Vocabulary that encodes the text; for words, each line end and the end of the text become the
                end unit.

        Raises:
            DataError: If the text holds no token.
            MachineError: If the disk is full.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with open(beside, "wb") as file:
                _write_tokens(file, _encode(pieces, vocabulary), smallest_type(len(vocabulary)))
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except OSError as error:
            raise MachineError(f"can't write {path}: {error.strerror or error}") from error
        finally:
            beside.unlink(missing_ok=True)
        return cls(path)


def token_array(pieces: Iterable[str], vocabulary: Vocabulary) -> NDArray[np.unsignedinteger]:
    """Encode running text into one array in memory, as `TokenFile.write` does into a file.

    Raises:
        DataError: If the text holds no token.
    """
    kind = smallest_type(len(vocabulary))
    arrays = [ids.astype(kind) for ids in _encode(pieces, vocabulary)]
    if not sum(map(len, arrays)):
        raise DataError("the text holds no token")
    return np.concatenate(arrays)


def smallest_type(size: int) -> np.dtype[np.unsignedinteger]:
    """Return the smallest unsigned type for ids below `size`."""
    return np.dtype(np.uint8 if size <= 1 << 8 else np.uint16 if size <= 1 << 16 else np.uint32)


def _encode(pieces: Iterable[str], vocabulary: Vocabulary) -> Iterator[NDArray[np.int32]]:
    last = "\n"
    for piece in pieces:
        if piece:
            last = piece[-1]
            yield vocabulary.encode_stream(piece)
    if vocabulary.units in ("word", "blank") and last != "\n":
        yield np.array([END], np.int32)


def _write_tokens(file: BinaryIO, arrays: Iterable[NDArray[np.int32]], kind: np.dtype[np.unsignedinteger]) -> None:
    def header(count: int) -> dict[str, object]:
        return {"descr": npy.dtype_to_descr(kind), "fortran_order": False, "shape": (count,)}

    npy.write_array_header_1_0(file, header(0))
    begin = file.tell()
    count = 0
    for ids in arrays:
        file.write(ids.astype(kind).tobytes())
        count += len(ids)
    if not count:
        raise DataError("the text holds no token")
    # numpy pads the header, so that a larger first axis does not move the data.
    file.seek(0)
    npy.write_array_header_1_0(file, header(count))
    if file.tell() != begin:
        raise AssertionError("the header of a token file changed its length")
