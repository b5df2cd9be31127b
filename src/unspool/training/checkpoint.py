"""Checkpoint file: tensors and a JSON record in one safetensors file, written atomically."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from unspool.errors import CellError, MachineError, ModelFolderError
from unspool.reading import open_file
from unspool.writing import flush_folder

__all__ = [
    "layout",
    "load_weights",
    "machine_error",
    "read",
    "read_record",
    "refuse_not_finite",
    "weights",
    "write",
]

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.complex64: "C64",
}
_TYPES = {name: dtype for dtype, name in _NAMES.items()}


def write(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write a safetensors file atomically: into a partial file, flushed to disk, then renamed to `path`.

    Only one tensor at a time is copied to host memory. A reader of `path` sees the old file or the new one.

    Args:
        path: The file to write or replace.
        tensors: Its tensors, on any device.
        record: Plain values, stored as JSON in the file's metadata.

    Raises:
        MachineError: If the disk is full or refuses; the old file is unchanged and no partial file remains.
        CellError: If a tensor has a dtype that safetensors lacks, such as complex128.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            _write_tensors(file, tensors, record)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise machine_error(path, error) from error
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and record of a file from `write`, onto the CPU.

    Raises:
        ModelFolderError: If the file is missing, truncated, or another format.
        MachineError: If the tensors do not fit into memory.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, _record(file)  # noqa: SIM118 - not a mapping


def read_record(path: Path) -> dict[str, Any]:
    """Read the record alone.

    Raises:
        ModelFolderError: If the file is missing, truncated, or another format.
    """
    with _opened(path) as file:
        return _record(file)


def layout(path: Path) -> dict[str, Tensor]:
    """Read names, shapes and dtypes of a file's tensors from its header, as tensors on the device `meta`.

    Raises:
        ModelFolderError: If the file is missing, truncated, or another format.
    """
    with _opened(path) as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return {
            name: torch.empty(part.get_shape(), dtype=_TYPES[part.get_dtype()], device="meta")
            for name, part in slices.items()
        }


def refuse_not_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors with an infinite value or NaN.

    Raises:
        ModelFolderError: The message contains the first such tensor and the file.
    """
    for name, tensor in tensors.items():
        numbers = torch.view_as_real(tensor) if tensor.is_complex() else tensor
        if numbers.is_floating_point() and numbers.numel():
            ends = torch.stack(numbers.aminmax())  # allocates nothing; a NaN becomes both minimum and maximum
            if not ends.isfinite().all():
                what = "a value that is not a number" if ends.isnan().any() else "an infinite value"
                raise ModelFolderError(
                    f"{path}: weight {name!r} holds {what}; the file is damaged, or its training failed: train it again"
                )


def _record(file: Any) -> dict[str, Any]:
    record = json.loads((file.metadata() or {})["unspool"])
    if not isinstance(record, dict):
        raise ValueError("its record is no object")
    return record


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's parameters and persistent buffers; a shared one once, under its first name."""
    saved = model.state_dict().keys()
    tensors = {name: parameter.detach() for name, parameter in model.named_parameters()}
    return tensors | {name: buffer for name, buffer in model.named_buffers() if name in saved}


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy weights into a model in place.

    Raises:
        ModelFolderError: If names or shapes of the weights differ between model and file.
    """
    own = weights(model)
    if own.keys() != tensors.keys():
        odd = sorted(own.keys() ^ tensors.keys())
        raise ModelFolderError(f"{path}: holds the weights of another network; they differ in {', '.join(odd[:5])}")
    for name, tensor in own.items():
        if tensor.shape != tensors[name].shape:
            shapes = f"{tuple(tensors[name].shape)}, the network's is {tuple(tensor.shape)}"
            raise ModelFolderError(f"{path}: holds the weights of another network; {name} is {shapes}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def machine_error(path: Path, error: OSError) -> MachineError:
    """Return the error for a file that can't be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MachineError(f"{path}: the disk is full; what was there before is unharmed: free some space and resume")
    return MachineError(f"{path}: can't be written ({error.strerror or error}); what was there before is unharmed")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file that `open_file` accepts; turn low-level errors into messages."""
    try:
        with open_file(path), safe_open(os.path.realpath(path), framework="pt") as file:
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise ModelFolderError(f"{path}: no such file") from None
    except (SafetensorError, KeyError, ValueError, TypeError, OSError, RecursionError) as error:
        raise ModelFolderError(f"{path}: damaged, or not a checkpoint of Unspool ({error})") from None
    except (MemoryError, RuntimeError) as error:
        raise MachineError(f"{path} can't be read into memory: {error}") from None


def _write_tensors(file: BinaryIO, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    header: dict[str, Any] = {"__metadata__": {"unspool": json.dumps(record)}}
    # Widest dtype first, so that every tensor is aligned to its item size, as memory mapping requires.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    offset = 0
    for name in names:
        tensor = tensors[name]
        if tensor.dtype not in _NAMES:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise CellError(f"{name} is {kind}, which a model folder can't hold; keep it as two real weights")
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        flat = tensors[name].detach().cpu().contiguous().reshape(-1)
        file.write(flat.view(torch.uint8).numpy().data)
