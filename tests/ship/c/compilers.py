"""C compilers that the tests find, and a C file as a library."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

STRICT = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]


def zig() -> list[str] | None:
    """The command of zig's clang, from the path or from Python's packages."""
    if shutil.which("zig"):
        return ["zig", "cc"]
    probe = subprocess.run([sys.executable, "-c", "import ziglang"], capture_output=True, check=False)
    return [sys.executable, "-m", "ziglang", "cc"] if probe.returncode == 0 else None


def compilers() -> dict[str, list[str]]:
    """Commands by name, of this machine."""
    commands = {name: [name] for name in ("gcc", "clang") if shutil.which(name)}
    if "clang" not in commands and (command := zig()):
        commands["clang"] = command
    return commands


def compile_c(command: list[str], source: Path, target: Path, *flags: str) -> Path:
    """Compile a file without a warning."""
    done = subprocess.run(
        [*command, *STRICT, *flags, str(source), "-o", str(target), *([] if "-c" in flags else ["-lm"])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[:4000]
    assert not done.stderr.strip(), done.stderr[:4000]
    return target


def library(command: list[str], source: Path, *flags: str) -> ctypes.CDLL:
    """Compile a file to a library, and load it."""
    return ctypes.CDLL(str(compile_c(command, source, source.with_suffix(".so"), "-shared", "-fPIC", *flags)))
