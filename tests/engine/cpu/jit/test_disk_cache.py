"""Compiled code on disk: found again, and never loaded when it is not what was written."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scopes import policy

from cases import make_case
from unspool.engine.cpu.backend import _graphs, _programs
from unspool.engine.cpu.jit import disk_cache as cache
from unspool.engine.cpu.jit.compile import _Machine, compile_kernel, products, tables, tools, uncollected

BODY = bytes(range(256)) * 10


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)


def test_what_is_kept_is_found():
    name = cache.key("text", "machine")
    assert cache.find(name) is None
    cache.keep(name, BODY)
    assert cache.find(name) == BODY
    assert [path.name for path in cache.folder().iterdir()] == [name], "nothing else is left behind"
    assert cache.key("text", "machine") != cache.key("textmachine") != cache.key("text", "other")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-1],
        lambda content: content[:20],
        lambda content: b"",
        lambda content: content[:100] + bytes([content[100] ^ 1]) + content[101:],
        lambda content: content + b"more",
        lambda content: content.replace(b"unspool kernel 1", b"unspool kernel 0"),
    ],
    ids=["cut", "cut in the head", "empty", "one bit", "longer", "another version"],
)
def test_a_spoilt_entry_is_not_loaded(spoil):
    cache.keep("a", BODY)
    place = cache.folder() / "a"
    place.write_bytes(spoil(place.read_bytes()))
    assert cache.find("a") is None
    cache.keep("a", BODY)
    assert cache.find("a") == BODY


def test_an_entry_under_another_name_is_not_loaded():
    cache.keep("a", BODY)
    (cache.folder() / "a").rename(cache.folder() / "b")
    assert cache.find("b") is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs owners of files")
def test_an_entry_of_another_user_is_not_loaded(monkeypatch):
    cache.keep("a", BODY)
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    assert cache.find("a") is None


def test_the_oldest_go_when_there_are_too_many():
    with policy(disk_cache_bytes=3 * (len(BODY) + 60)):
        for number in range(5):
            cache.keep(f"entry{number}", BODY)
            os.utime(cache.folder() / f"entry{number}", (number, number))
    assert cache.find("entry0") is None
    assert cache.find("entry4") == BODY


def test_a_folder_that_can_t_be_written_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    cache.keep("a", BODY)
    assert cache.find("a") is None


def forget() -> None:
    """As if the process had just begun."""
    _graphs.clear()
    _programs.clear()
    tools.cache_clear()
    tables.cache_clear()
    products.cache_clear()
    _Machine.cache_clear()


def test_a_cell_runs_from_the_cache_and_past_a_spoilt_one(monkeypatch):
    case = make_case("gru-reset-before", (4, 3, 5, 6))
    expected = case.outputs_and_gradients("reference")
    compiled: list[str] = []
    compile_ = _Machine.__wrapped__._compile
    monkeypatch.setattr(
        _Machine.__wrapped__, "_compile", lambda self, text: (compiled.append(text), compile_(self, text))[1]
    )
    counts = []
    for round_ in range(3):
        forget()
        compiled.clear()
        if round_ == 2:
            for path in cache.folder().iterdir():
                path.write_bytes(path.read_bytes()[:-7])
        actual = case.outputs_and_gradients("cpu")
        for key, right in expected.items():
            torch.testing.assert_close(actual[key], right, rtol=1e-4, atol=1e-4)
        counts.append(len(compiled))
    forget()
    assert counts == [5, 0, 5], (
        "products, what stands around loops, rows of ragged batches, both ways; nothing; all again"
    )


def test_processes_may_share_the_folder(tmp_path):
    code = (
        "import torch; from unspool.cells import PeepholeLSTMCell; from unspool.engine import unroll\n"
        "unroll(PeepholeLSTMCell(2, 3), torch.zeros(5, 2, 2), backend='cpu')\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(2)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    names = [path.name for path in cache.folder().iterdir()]
    assert names
    assert all(cache.find(name) is not None for name in names)


def test_compile_kernel_gives_callable_code():
    from unspool.engine.compiler.loops.fusion import fuse
    from unspool.engine.compiler.pipeline import lower_cell

    found = lower_cell(make_case("elman", (2, 2, 3, 4)).cell)
    kernel = fuse(found.inference, lanes=8, backward=False, history=frozenset({0}))
    assert compile_kernel(kernel, torch.float64).join


def test_nothing_of_the_compiler_is_imported_until_it_compiles():
    code = (
        "import sys, torch; from unspool.cells import LSTMCell; from unspool.engine import unroll\n"
        "unroll(LSTMCell(2, 3), torch.zeros(5, 2, 2), backend='native')\n"
        "sys.exit(any(name.startswith(('llvmlite', 'torch._dynamo')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


@pytest.mark.parametrize("frozen", [False, True])
def test_what_compiling_makes_is_no_reason_to_collect_garbage(frozen):
    collected: list[int] = []

    def note(phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            collected.append(about["generation"])

    gc.collect()
    if frozen:
        gc.freeze()
    before = gc.get_freeze_count()
    gc.callbacks.append(note)
    try:
        with uncollected():
            made = [[] for _ in range(50 * gc.get_threshold()[0])]
        more = [[] for _ in range(3)]
        assert frozen or collected == []
        assert gc.get_freeze_count() == before or not frozen, "what others froze stays frozen"
        assert gc.isenabled()
    finally:
        gc.callbacks.remove(note)
        gc.unfreeze()
    del made, more
