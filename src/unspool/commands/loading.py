"""Run a user's file of commands, and turn what fails into sentences with `file:line`."""

from __future__ import annotations

import itertools
import linecache
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from unspool.commands.definition import Command
from unspool.errors import CommandError, MissingExtraError, ModelFolderError, UnspoolError
from unspool.reading import open_regular, read_file

__all__ = ["load_functions"]

_LARGEST = 1 << 22  # bytes of a file
_numbers = itertools.count(1)


def load_functions(path: Path) -> list[Callable[..., Any]]:
    """Run a Python file, and return its functions with `@command` in the order of their definition.

    The file gets a private module name. While it runs, it may import its neighbours.

    Args:
        path: The file.

    Raises:
        CommandError: If the file is missing, not Python, or raises an exception; the message names `file:line`.
        MissingExtraError: If a language needs a package that is not installed.
    """
    code = _compile(path)
    module = ModuleType(f"_unspool_commands_{next(_numbers)}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        exec(code, module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too
        del sys.modules[module.__name__]
        if isinstance(error, MissingExtraError) or (isinstance(error, UnspoolError) and getattr(error, "where", None)):
            raise
        what = error.message if isinstance(error, UnspoolError) else f"{type(error).__name__}: {error}".rstrip(": ")
        raise CommandError(what, f"{path}:{_line_of(error, path)}") from error
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
    functions: dict[int, Callable[..., Any]] = {}
    for value in vars(module).values():
        if isinstance(getattr(value, "__command__", None), Command):
            functions.setdefault(id(value), value)
    return list(functions.values())


def _compile(path: Path) -> Any:
    if path.suffix != ".py":
        raise CommandError("not a Python file; expected a name that ends in .py", str(path))
    try:
        source = read_file(path, most=_LARGEST, open_it=open_regular)
    except (FileNotFoundError, NotADirectoryError):
        raise CommandError("no such file", str(path)) from None
    except ModelFolderError as error:
        raise CommandError(error.message) from None
    linecache.checkcache(str(path))
    try:
        return compile(source, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise CommandError(f"{type(error).__name__}: {error.msg}", f"{path}:{error.lineno or 1}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes, an encoding, deep nesting
        raise CommandError(f"not Python: {error}", str(path)) from None


def _line_of(error: BaseException, path: Path) -> int:
    """Return the last line of the file that an exception passed."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines and lines[-1] else 1
